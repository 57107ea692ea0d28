"""Which endpoints of a run are further calls of another one, and so begin when the call before them is over."""

from __future__ import annotations

from cmw.worker.endpoint import Endpoint


class CallOrder:
    """The calls of each endpoint that calls again, one after the other.

    Each call is an `Endpoint` with its own report. The first registers for all of them, and has the user name of all;
    both are given up once the last has closed.
    """

    def __init__(self) -> None:
        self._first: dict[int, Endpoint] = {}
        self._next: dict[int, Endpoint] = {}
        self._further: dict[int, int] = {}

    def add(self, endpoint: Endpoint, first: Endpoint, before: int) -> None:
        """Note that `endpoint` is a further call of `first`, after the one with the index `before`."""
        self._first[endpoint.settings.index] = first
        self._next[before] = endpoint
        self._further[first.settings.index] = self._further.get(first.settings.index, 0) + 1

    def first_of(self, endpoint: Endpoint) -> Endpoint:
        """Return the first call of the same endpoint, which may be this one."""
        return self._first.get(endpoint.settings.index, endpoint)

    def after(self, endpoint: Endpoint) -> Endpoint | None:
        """Return the next call; None after the last."""
        return self._next.get(endpoint.settings.index)

    def has_further(self, endpoint: Endpoint) -> bool:
        """Tell whether an endpoint is a first call, and others after it have not closed."""
        return self._further.get(endpoint.settings.index, 0) > 0

    def close(self, endpoint: Endpoint) -> bool:
        """Take note that a call has closed; return whether all calls of its endpoint have."""
        first = self.first_of(endpoint)
        if first is not endpoint:
            self._further[first.settings.index] -= 1
        return first.lifecycle.is_closed and not self.has_further(first)

    def clear(self) -> None:
        """Let go of the endpoints."""
        self._first.clear()
        self._next.clear()
        self._further.clear()
