"""Where users can be reached: the bindings that registrations made. Source: RFC 3261 10."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from cmw.core.clock import Nanos
from cmw.core.timers import Deadline, DeadlineHeap
from cmw.errors import CapacityError
from cmw.sip.hop import Hop
from cmw.sip.lookup import literal_hop
from cmw.sip.uri import SipUri

MAX_CONTACTS = 10
"""Contacts of one user; more is refused."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of one user.

    Args:
        user: user part of the address of record.
        contact: raw text of the contact's URI.
        uri: the same, taken apart.
        destination: where requests for this contact are sent.
        call_id: Call-ID of the REGISTER that made it.
        cseq: its CSeq number.
        expires_at: instant of the monotonic clock, nanoseconds.
        paths: Route values that lead to the contact, in order. Source: RFC 3327 5.3.
        q: preference, 0 .. 1.
        params: the contact's parameters but for its lifetime, with their semicolons.
        instance: ``+sip.instance`` without quotes, "" when there is none.
        reg_id: number of the flow that is kept, "" when none is. Source: RFC 5626 6.
    """

    user: str
    contact: str
    uri: SipUri
    destination: Hop
    call_id: str
    cseq: int
    expires_at: Nanos
    paths: tuple[str, ...] = ()
    q: float = 1.0
    params: str = ""
    instance: str = ""
    reg_id: str = ""


class LocationTable:
    """Bindings by user, oldest first, and the deadlines at which they end.

    Args:
        max_bindings: bindings in all; more is refused.
    """

    def __init__(self, max_bindings: int = 100_000) -> None:
        self._max_bindings = max_bindings
        self._users: dict[str, list[Binding]] = {}
        self._destinations: Counter[Hop] = Counter()
        self._flows: dict[int, dict[tuple[str, str], Binding]] = {}
        self._contacts: dict[tuple[str, int | None, str | None], dict[tuple[str, str], Hop]] = {}
        self._expiry: DeadlineHeap[tuple[str, str]] = DeadlineHeap()

    def __len__(self) -> int:
        return self._destinations.total()

    def bindings(self, user: str) -> list[Binding]:
        """Return the bindings of a user in the order they were first made."""
        return list(self._users.get(user, ()))

    def best(self, user: str) -> Binding | None:
        """Return the binding of a user with the highest preference, of equals the oldest; None when there is none."""
        return max(self._users.get(user, ()), key=lambda binding: binding.q, default=None)

    def find(self, user: str, uri: SipUri) -> Binding | None:
        """Return the binding of a user to an equivalent URI. Source: RFC 3261 10.3 step 7, 19.1.4."""
        return next((known for known in self._users.get(user, ()) if known.uri.is_equivalent(uri)), None)

    def find_flow(self, user: str, instance: str, reg_id: str) -> Binding | None:
        """Return the binding of one flow of one instance of a user. Source: RFC 5626 6."""
        known = self._users.get(user, ())
        return next((each for each in known if (each.instance, each.reg_id) == (instance, reg_id)), None)

    def is_destination(self, hop: Hop) -> bool:
        """Tell whether some binding leads to `hop`."""
        return self._destinations[hop] > 0

    def way_to(self, uri: SipUri) -> Hop | None:
        """Return where requests for a URI go that is somebody's contact, or at the address where one is reached."""
        for destination in self._contacts.get(_contact_key(uri), {}).values():
            return destination
        hop = literal_hop(uri)
        return hop if hop is not None and self._destinations[hop] > 0 else None

    def check_room(self, user: str, added: int, max_contacts: int = MAX_CONTACTS) -> None:
        """Raise `CapacityError` if `added` more bindings of a user would be too many."""
        if added > 0 and len(self._users.get(user, ())) + added > max_contacts:
            raise CapacityError(f"expected at most {max_contacts} contacts of one user")
        if len(self) + added > self._max_bindings:
            raise CapacityError(f"expected at most {self._max_bindings} bindings")

    def put(self, binding: Binding) -> None:
        """Add a binding, or put it in the place of the one it is equivalent to."""
        known = self.find(binding.user, binding.uri)
        mine = self._users.setdefault(binding.user, [])
        if known is None:
            mine.append(binding)
        else:
            mine[mine.index(known)] = binding
            self._forget(known)
        self._destinations[binding.destination] += 1
        if binding.destination.flow:
            self._flows.setdefault(binding.destination.flow, {})[binding.user, binding.contact] = binding
        self._contacts.setdefault(_contact_key(binding.uri), {})[binding.user, binding.contact] = binding.destination
        self._expiry.set((binding.user, binding.contact), Deadline(binding.expires_at, "BINDING"))

    def remove(self, binding: Binding) -> None:
        """Remove a binding."""
        mine = self._users[binding.user]
        mine.remove(binding)
        if not mine:
            del self._users[binding.user]
        self._forget(binding)

    def expire(self, now: Nanos) -> list[Binding]:
        """Remove and return the bindings whose time is over."""
        gone = []
        for user, contact in self._expiry.expired(now):
            binding = next(known for known in self._users[user] if known.contact == contact)
            self.remove(binding)
            gone.append(binding)
        return gone

    def lose(self, flow: int) -> list[Binding]:
        """Remove and return the bindings that a connection led to."""
        gone = list(self._flows.get(flow, {}).values())
        for binding in gone:
            self.remove(binding)
        return gone

    def next_timeout(self) -> Deadline | None:
        """Return when the next binding ends."""
        return self._expiry.soonest()

    def _forget(self, binding: Binding) -> None:
        self._destinations[binding.destination] -= 1
        if not self._destinations[binding.destination]:
            del self._destinations[binding.destination]
        flow = binding.destination.flow
        if flow:
            del self._flows[flow][binding.user, binding.contact]
            if not self._flows[flow]:
                del self._flows[flow]
        alike = self._contacts[_contact_key(binding.uri)]
        del alike[binding.user, binding.contact]
        if not alike:
            del self._contacts[_contact_key(binding.uri)]
        self._expiry.set((binding.user, binding.contact), None)


def _contact_key(uri: SipUri) -> tuple[str, int | None, str | None]:
    return uri.host.lower(), uri.port, uri.user
