"""The questions to DNS that are open, and who waits for each answer."""

from __future__ import annotations

from typing import Final

from cmw.core.clock import SECOND, Nanos
from cmw.core.timers import Deadline, DeadlineHeap
from cmw.sip.client_request import ClientRequest
from cmw.sip.listener import OwnAddresses
from cmw.sip.lookup import Lookup
from cmw.sip.uri import SipUri

LOOKUP_TIMEOUT_NS: Final[Nanos] = 32 * SECOND
"""After this nobody will answer any more: as long as a transaction waits. The driver gives up on DNS much sooner."""

MAX_OPEN: Final = 4096
"""Questions that are open at once; peers can make us ask for names of their choosing, one for each call."""


class LookupTable:
    """Open questions; one for all who want to know the same.

    Args:
        own: says what we can send over.
    """

    def __init__(self, own: OwnAddresses) -> None:
        self._own = own
        self._numbers: dict[SipUri, int] = {}
        self._waiting: dict[int, tuple[SipUri, list[ClientRequest]]] = {}
        self._to_make: list[Lookup] = []
        self._due: DeadlineHeap[int] = DeadlineHeap()
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, uri: SipUri, request: ClientRequest, *, now: Nanos) -> bool:
        """Let a request wait for the way to `uri`; return False when too many names are asked for at once."""
        number = self._numbers.get(uri)
        if number is not None:
            self._waiting[number][1].append(request)
            return True
        if len(self._waiting) >= MAX_OPEN:
            return False
        self._last_number = number = self._last_number + 1
        self._numbers[uri] = number
        self._waiting[number] = uri, [request]
        self._to_make.append(Lookup(number, uri, self._own.transports, self._own.families))
        self._due.set(number, Deadline(now + LOOKUP_TIMEOUT_NS, "LOOKUP"))
        return True

    def take(self, number: int) -> list[ClientRequest]:
        """Return who waits for an answer, and close the question; nobody when it is not open."""
        uri, waiting = self._waiting.pop(number, (None, []))
        if uri is not None:
            del self._numbers[uri]
            self._due.set(number, None)
        return waiting

    def to_make(self) -> list[Lookup]:
        """Return the questions that nobody has been given yet; drains."""
        if not self._to_make:
            return []
        lookups = [lookup for lookup in self._to_make if lookup.number in self._waiting]
        self._to_make.clear()
        return lookups

    def overdue(self, now: Nanos) -> list[int]:
        """Return the questions that have waited for too long."""
        return list(self._due.expired(now))

    def next_timeout(self) -> Deadline | None:
        """Return when the next of them has."""
        return self._due.soonest()
