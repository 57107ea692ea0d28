"""Which endpoints of a run are further calls of another one, and so share what it has, or begin when it is over."""

from __future__ import annotations

from cmw.worker.endpoint import Endpoint


class CallOrder:
    """The calls of each endpoint that has several: one after the other, or at the same time.

    Each call is an `Endpoint` with its own report. The first registers for all of them, and has the user name of all;
    both are given up once all have closed.
    """

    def __init__(self) -> None:
        self._first: dict[int, Endpoint] = {}
        self._next: dict[int, Endpoint] = {}
        self._further: dict[int, dict[int, Endpoint]] = {}
        self._lines: dict[int, int] = {}

    def add(self, endpoint: Endpoint, first: Endpoint, before: int | None) -> None:
        """Note that `endpoint` is a further call of `first`.

        Args:
            before: index of the call after which it comes; None for one that may be there at the same time.
        """
        index = first.settings.index
        self._first[endpoint.settings.index] = first
        self._further.setdefault(index, {})[endpoint.settings.index] = endpoint
        if before is None:
            self._lines[index] = self._lines.get(index, 1) + 1
        else:
            self._next[before] = endpoint

    def first_of(self, endpoint: Endpoint) -> Endpoint:
        """Return the first call of the same endpoint, which may be this one."""
        return self._first.get(endpoint.settings.index, endpoint)

    def after(self, endpoint: Endpoint) -> Endpoint | None:
        """Return the next call; None after the last."""
        return self._next.get(endpoint.settings.index)

    def further(self, endpoint: Endpoint) -> list[Endpoint]:
        """Return the calls of a first one that have not closed, without itself."""
        return list(self._further.get(endpoint.settings.index, {}).values())

    def has_further(self, endpoint: Endpoint) -> bool:
        """Tell whether an endpoint is a first call, and others of it have not closed."""
        return bool(self._further.get(endpoint.settings.index))

    def close(self, endpoint: Endpoint) -> int:
        """Take note that a call has closed; return the calls at a time for which there is room again.

        That is none until all calls of an endpoint have.
        """
        first = self.first_of(endpoint)
        if first is not endpoint:
            self._further[first.settings.index].pop(endpoint.settings.index, None)
        if not first.lifecycle.is_closed or self.has_further(first):
            return 0
        return self._lines.get(first.settings.index, 1)

    def clear(self) -> None:
        """Let go of the endpoints."""
        self._first.clear()
        self._next.clear()
        self._further.clear()
        self._lines.clear()
