"""A registration that keeps itself alive. Source: RFC 3261 10.2."""

from __future__ import annotations

from enum import Enum, StrEnum

from cmw.core.clock import SECOND, Nanos
from cmw.core.timers import TimerTable
from cmw.errors import RemoteProtocolError
from cmw.sip.account import Account
from cmw.sip.authentication import Authentication
from cmw.sip.events import RegistrationEnded, RegistrationEvent, RegistrationFailed, RegistrationSucceeded
from cmw.sip.grammar import is_number
from cmw.sip.hop import Hop
from cmw.sip.message import Request, Response
from cmw.sip.name_addr import NameAddr, parse_name_addr
from cmw.sip.stack import ALLOW, Stack
from cmw.sip.transaction import Transaction
from cmw.sip.uri import SipUri, parse_uri

MAX_INTERVAL_TRIES = 2
"""How often one REGISTER is sent again with a longer lifetime. Source: RFC 3261 10.2.8."""

MAX_EXPIRES_S = 2**32 - 1
"""Source: RFC 3261 20.19."""


class RegistrationState(StrEnum):
    """Where a registration stands."""

    REGISTERING = "REGISTERING"
    """A REGISTER is out."""
    REGISTERED = "REGISTERED"
    """The binding stands until it is refreshed."""
    UNREGISTERING = "UNREGISTERING"
    """A REGISTER that removes the binding is out."""
    ENDED = "ENDED"
    """The last event is out."""


class RegistrationTimer(Enum):
    """The timer of a registration."""

    REFRESH = "REFRESH"
    """The binding is refreshed, after 75 to 85 % of its life, so that there is time for 64*T1 of silence at 300 s."""


class Registration:
    """One binding at one registrar; `start` sends the first REGISTER.

    Args:
        stack: what the registrations of the listener share.
        handle: the number that the user knows it by.
        account: who registers where.
        destination: where REGISTER goes.
        expires_s: lifetime to ask for, seconds.
    """

    def __init__(self, stack: Stack, handle: int, account: Account, destination: Hop, expires_s: int) -> None:
        self._stack = stack
        self.handle = handle
        self.account = account
        self.state = RegistrationState.REGISTERING
        self._destination = destination
        self._expires_s = expires_s
        self._contact = stack.contact(
            account.contact_user, destination, is_secure=account.registrar.lower().startswith("sips:")
        )
        self._contact_uri = parse_uri(self._contact)
        realms = stack.realms.setdefault(account.contact_user, set())
        self._authentication = Authentication(account.credentials, stack.ids, realms)
        self._call_id = stack.ids.call_id()
        self._tag = stack.ids.tag()
        self._seq = stack.ids.cseq()
        self._timers: TimerTable[RegistrationTimer] = TimerTable()
        self._transaction: Transaction | None = None
        self._interval_tries = 0
        self._leave_wanted = False

    # inputs

    def start(self, *, now: Nanos) -> None:
        """Send REGISTER, for the first time or to refresh the binding."""
        self.state = RegistrationState.REGISTERING
        self._begin(now)

    def response_received(self, transaction: Transaction, response: Response, source: Hop, *, now: Nanos) -> None:
        """Take a response to our REGISTER."""
        if transaction is not self._transaction or response.status < 200:
            return
        if self._authentication.absorb(response) or self._lengthen(response):
            self._send(now)
        elif response.status >= 300:
            self._end(RegistrationFailed(self.handle, response.status, response.reason, now))
        elif self.state is RegistrationState.UNREGISTERING:
            self._end(RegistrationEnded(self.handle, now))
        else:
            self._stand(response, now)

    def transaction_failed(self, transaction: Transaction, status: int, reason: str, *, now: Nanos) -> None:
        """Take the silence of the registrar, or an error of the network."""
        if transaction is self._transaction:
            self._end(RegistrationFailed(self.handle, 0, reason, now))

    def handle_timeout(self, *, now: Nanos) -> None:
        """Refresh when it is time."""
        for _ in self._timers.expired(now):
            self.start(now=now)

    # commands

    def leave(self, *, now: Nanos) -> None:
        """Remove the binding, once a REGISTER that is out is answered; nothing happens when that is under way."""
        if self.state is RegistrationState.REGISTERING:
            self._leave_wanted = True
        elif self.state is RegistrationState.REGISTERED:
            self.state = RegistrationState.UNREGISTERING
            self._timers.clear()
            self._rearm()
            self._begin(now)

    # private

    def _begin(self, now: Nanos) -> None:
        self._authentication.begin()
        self._interval_tries = 0
        self._send(now)

    def _send(self, now: Nanos) -> None:
        self._seq += 1
        request = Request("REGISTER", self.account.registrar)
        add = request.headers.add
        add("Max-Forwards", "70")
        add("From", f"<{self.account.aor}>;tag={self._tag}")
        add("To", f"<{self.account.aor}>")
        add("Call-ID", self._call_id)
        add("CSeq", f"{self._seq} REGISTER")
        expires_s = 0 if self.state is RegistrationState.UNREGISTERING else self._expires_s
        add("Contact", f"<{self._contact}>;expires={expires_s}")
        add("Expires", str(expires_s))
        add("Allow", ALLOW)
        add("User-Agent", self._stack.user_agent)
        for name, value in self._authentication.headers("REGISTER", request.uri, b""):
            add(name, value)
        self._transaction = self._stack.layer.send_request(request, self._destination, self, now=now)

    def _lengthen(self, response: Response) -> bool:
        """Take the lifetime that a 423 asks for; return whether to try again. Source: RFC 3261 10.2.8."""
        if response.status != 423 or self._interval_tries >= MAX_INTERVAL_TRIES:
            return False
        wanted_s = _seconds(response.headers.get("Min-Expires"))
        if wanted_s is None or wanted_s <= self._expires_s:
            return False
        self._interval_tries += 1
        self._expires_s = wanted_s
        return True

    def _stand(self, response: Response, now: Nanos) -> None:
        expires_s = self._granted_s(response)
        self.state = RegistrationState.REGISTERED
        self._emit(RegistrationSucceeded(self.handle, expires_s, now))
        if self._leave_wanted:
            self.leave(now=now)
            return
        share = 0.75 + 0.1 * self._stack.ids.unit()
        self._timers.set(RegistrationTimer.REFRESH, now + max(SECOND, int(expires_s * share * SECOND)))
        self._rearm()

    def _granted_s(self, response: Response) -> int:
        """Return the lifetime of our binding: from our Contact, or else the Expires header. Source: RFC 3261 10.2.4."""
        for value in response.headers.get_all("Contact"):
            contact = _parse_contact(value)
            if contact is not None and _is_same(contact, self._contact, self._contact_uri):
                granted_s = _seconds(contact.param("expires"))
                if granted_s is not None:
                    return granted_s
        expires_s = _seconds(response.headers.get("Expires"))
        return self._expires_s if expires_s is None else expires_s

    def _end(self, event: RegistrationEvent) -> None:
        self.state = RegistrationState.ENDED
        self._timers.clear()
        self._rearm()
        if self._stack.accounts.get(self.account.contact_user) is self.account:
            del self._stack.accounts[self.account.contact_user]
            self._stack.realms.pop(self.account.contact_user, None)
        self._emit(event)

    def _emit(self, event: RegistrationEvent) -> None:
        self._stack.events.append(event)

    def _rearm(self) -> None:
        self._stack.rearm(self, self._timers.soonest())


def _seconds(text: str | None) -> int | None:
    """Return delta-seconds, None when there are none or they make no sense."""
    if text is None or not is_number(text) or len(text) > 10:
        return None
    return min(int(text), MAX_EXPIRES_S)


def _parse_contact(value: str) -> NameAddr | None:
    try:
        return parse_name_addr(value)
    except RemoteProtocolError:
        return None


def _is_same(contact: NameAddr, text: str, uri: SipUri) -> bool:
    if contact.uri == text:
        return True
    try:
        return contact.sip_uri().is_equivalent(uri)
    except RemoteProtocolError:
        return False
