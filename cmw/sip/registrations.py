"""All registrations of one user agent: who has which contact, which routes lead out, whose turn it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from cmw.core.clock import Nanos
from cmw.errors import LocalProtocolError
from cmw.sip.account import Account
from cmw.sip.grammar import MAX_DELTA_S
from cmw.sip.lookup import literal_hop
from cmw.sip.register_pacer import DEFAULT_RETURNS_PER_S, RegisterPacer
from cmw.sip.register_request import check_account
from cmw.sip.registration import Registration, expected_contact, next_uri_of
from cmw.sip.stack import Stack

_Key = tuple[str, str]


class Registrations:
    """The registrations, by handle.

    Args:
        stack: what the machines of the agent share.
        returns_per_s: how many that failed, or lost their connection, come back to one registrar in a second; 0 for no
            bound. First tries and refreshes go when they are asked for.
    """

    def __init__(self, stack: Stack, *, returns_per_s: int = DEFAULT_RETURNS_PER_S) -> None:
        self._stack = stack
        self._pacer: RegisterPacer[Registration] = RegisterPacer(returns_per_s)
        self._machines: dict[int, Registration] = {}
        self._contacts: set[str] = set()
        self._first_contacts: dict[int, str] = {}
        self._users: Counter[str] = Counter()
        self._standing: dict[int, int] = {}
        self._standing_of: Counter[str] = Counter()
        self._service_routes: dict[_Key, tuple[str, ...]] = {}
        self._by_flow: dict[int, dict[int, Registration]] = {}

    def __len__(self) -> int:
        return len(self._machines)

    def __getitem__(self, handle: int) -> Registration:
        machine = self._machines.get(handle)
        if machine is None:
            raise LocalProtocolError(f"expected the handle of a registration, found {handle}")
        return machine

    # commands

    def register(self, new_handle: Callable[[], int], account: Account, expires_s: int, *, now: Nanos) -> int:
        """Begin a registration; return its handle.

        Args:
            new_handle: makes the handle, once nothing speaks against the account.
            account: who registers where.
            expires_s: lifetime to ask for, 1 .. 2^32 - 1 seconds.
        """
        if not 1 <= expires_s <= MAX_DELTA_S:
            raise LocalProtocolError(f"expected a lifetime of 1 to {MAX_DELTA_S} s, found {expires_s}")
        check_account(account)
        hop = account.destination or literal_hop(next_uri_of(account, account.registrar))
        if hop is not None:
            self._stack.check_hop(hop)
        user = account.contact_user
        known = self._stack.accounts.get(user)
        if known is not None and (known.aor, known.credentials) != (account.aor, account.credentials):
            raise LocalProtocolError(f"expected a contact user of its own, found {user!a} in use")
        contact = expected_contact(self._stack, account)
        if contact in self._contacts:
            raise LocalProtocolError(f"expected a contact of its own, found {contact!a} in use")
        machine = Registration(self._stack, self, new_handle(), account, expires_s)
        self._contacts.add(contact)
        self._first_contacts[machine.handle] = contact
        self._users[user] += 1
        self._stack.accounts.setdefault(user, account)
        self._machines[machine.handle] = machine
        machine.start(now=now)
        return machine.handle

    def forget(self, handle: int) -> None:
        """Drop a registration that is over."""
        self._machines.pop(handle, None)

    # inputs

    def flow_lost(self, flow: int, reason: str, *, now: Nanos) -> None:
        """Take the loss of a connection: what was registered by it comes back."""
        for machine in list(self._by_flow.get(flow, {}).values()):
            machine.flow_lost(reason, now=now)

    def handle_timeout(self, *, now: Nanos) -> None:
        """Let those try again whose turn has come."""
        for machine in self._pacer.due(now=now):
            machine.turn_came(now=now)
        self._stack.rearm(self, self._pacer.next_timeout())

    # getters

    def service_routes(self, account: Account) -> tuple[str, ...]:
        """Return the Route values that the registrar wants the account's requests to begin with. Source: RFC 3608 6.1.

        They replace those of the account itself; none are known before it is registered.
        """
        return self._service_routes.get((account.aor, account.contact_user), ())

    @property
    def queued(self) -> int:
        """Return how many wait for their turn."""
        return len(self._pacer)

    @property
    def standing(self) -> int:
        """Return how many bindings stand."""
        return len(self._standing)

    # what a registration calls

    def enter(self, registration: Registration, *, now: Nanos) -> bool:
        """Return whether it may try again at once; otherwise `turn_came` follows."""
        may_go = self._pacer.enter(_lane(registration.account), registration, now=now)
        self._stack.rearm(self, self._pacer.next_timeout())
        return may_go

    def leave(self, registration: Registration) -> None:
        """Forget that it waits for its turn."""
        self._pacer.leave(_lane(registration.account), registration)
        self._stack.rearm(self, self._pacer.next_timeout())

    def noted(self, registration: Registration) -> None:
        """Take note of whether its binding stands, by which flow, and of the routes that lead out."""
        self._unnote(registration)
        if registration.stands_until is None:
            return
        account, handle = registration.account, registration.handle
        flow = registration.flow.flow if registration.flow is not None else 0
        self._standing[handle] = flow
        self._standing_of[account.aor] += 1
        if flow:
            self._by_flow.setdefault(flow, {})[handle] = registration
        routes = registration.answer.service_routes if registration.answer is not None else ()
        if routes:
            self._service_routes[account.aor, account.contact_user] = routes
        else:
            self._service_routes.pop((account.aor, account.contact_user), None)

    def ended(self, registration: Registration) -> None:
        """Forget all about it, but what its last event says."""
        self._unnote(registration)
        self._pacer.leave(_lane(registration.account), registration)
        self._contacts.discard(self._first_contacts.pop(registration.handle, ""))
        user = registration.account.contact_user
        self._users[user] -= 1
        if not self._users[user]:
            del self._users[user]
            self._stack.accounts.pop(user, None)
            self._stack.realms.pop(user, None)
            self._service_routes.pop((registration.account.aor, user), None)

    def others_stand(self, registration: Registration) -> bool:
        """Tell whether another binding of the same address of record stands."""
        return self._standing_of[registration.account.aor] > (registration.handle in self._standing)

    def _unnote(self, registration: Registration) -> None:
        flow = self._standing.pop(registration.handle, None)
        if flow is None:
            return
        aor = registration.account.aor
        self._standing_of[aor] -= 1
        if not self._standing_of[aor]:
            del self._standing_of[aor]
        if flow:
            del self._by_flow[flow][registration.handle]
            if not self._by_flow[flow]:
                del self._by_flow[flow]


def _lane(account: Account) -> str:
    """Return what is the same for all accounts of one registrar."""
    return str(account.destination) if account.destination is not None else account.registrar.lower()
