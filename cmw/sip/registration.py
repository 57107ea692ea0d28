"""A registration that keeps itself alive: refreshed in time, tried again after failures, back after a lost connection.

Source: RFC 3261 10.2, RFC 5626 4.2, 4.5.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import Protocol

from cmw.core.clock import SECOND, Nanos
from cmw.core.timers import TimerTable
from cmw.sip.account import Account
from cmw.sip.authentication import Authentication
from cmw.sip.client_request import ClientRequest
from cmw.sip.grammar import read_seconds
from cmw.sip.hop import Hop
from cmw.sip.lookup import literal_hop, uri_over
from cmw.sip.message import Response
from cmw.sip.methods import ALLOW
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.protection_spaces import ProtectionSpaces
from cmw.sip.redirect import Follow, RedirectPolicy, Redirects
from cmw.sip.register_answer import RegisterAnswer, read_register_answer
from cmw.sip.register_request import RegisterRequests
from cmw.sip.registration_events import (
    RegistrationDelayed,
    RegistrationEnded,
    RegistrationEvent,
    RegistrationFailed,
    RegistrationLost,
    RegistrationSucceeded,
)
from cmw.sip.registration_snapshot import RegistrationFigures, RegistrationSnapshot, RegistrationState
from cmw.sip.retry_after import parse_retry_after
from cmw.sip.stack import Stack

MAX_INTERVAL_TRIES = 2
"""How often one REGISTER is sent again with a longer lifetime. Source: RFC 3261 10.2.8."""

REDIRECTS = RedirectPolicy(Follow.ALL, most=5)
"""A registrar may send us elsewhere: whoever may ask for our password may name who else does. RFC 3261 8.1.3.4."""


class RegistrationTimer(Enum):
    """The timers of a registration."""

    REFRESH = "REFRESH"
    """The binding is refreshed, after 75 to 85 % of its life, so that there is time for 64*T1 of silence at 300 s."""
    AGAIN = "AGAIN"
    """The wait after a failure is over."""
    LAPSE = "LAPSE"
    """The binding was not refreshed in time, and is none any more."""


class Company(Protocol):
    """What a registration needs of the others of its agent."""

    def enter(self, registration: Registration, *, now: Nanos) -> bool:
        """Return whether it may try again at once; otherwise `turn_came` follows."""
        ...

    def leave(self, registration: Registration) -> None:
        """Forget that it waits for its turn."""
        ...

    def noted(self, registration: Registration) -> None:
        """Take note of whether its binding stands, and of its answer."""
        ...

    def ended(self, registration: Registration) -> None:
        """Forget all about it."""
        ...

    def others_stand(self, registration: Registration) -> bool:
        """Tell whether another binding of the same address of record stands."""
        ...


class _Try:
    """A REGISTER on its way through challenges, redirections and longer lifetimes.

    Args:
        uri: Request-URI.
        hop: where it goes, None to find that out.
        is_stuck: the hop is that of the last success, one of several perhaps.
    """

    __slots__ = ("began_at", "hop", "intervals", "is_stuck", "moved_for_good", "redirects", "sent", "sent_at", "uri")

    def __init__(self, uri: str, hop: Hop | None, is_stuck: bool, now: Nanos) -> None:
        self.uri = uri
        self.hop = hop
        self.is_stuck = is_stuck
        self.began_at = now
        self.sent_at = now
        self.intervals = 0
        self.redirects: Redirects | None = None
        self.moved_for_good = False
        self.sent: ClientRequest | None = None


class Registration:
    """One binding at one registrar; `start` sends the first REGISTER.

    Args:
        stack: what the machines of the agent share.
        company: the other registrations.
        handle: the number that the user knows it by.
        account: who registers where.
        expires_s: lifetime to ask for, seconds.
    """

    def __init__(self, stack: Stack, company: Company, handle: int, account: Account, expires_s: int) -> None:
        self._stack = stack
        self._company = company
        self.handle = handle
        self.account = account
        self.state = RegistrationState.WAITING
        self.answer: RegisterAnswer | None = None
        self.stands_until: Nanos | None = None
        self.flow: Hop | None = None
        self.figures = RegistrationFigures()
        self._home = account.registrar, account.destination
        self._stuck_to: Hop | None = None
        self._expires_s = expires_s
        realms = stack.realms.setdefault(account.contact_user, ProtectionSpaces())
        self._authentication = Authentication(account.credentials, stack.ids, realms)
        self._call_id = stack.ids.call_id()
        self._tag = stack.ids.tag()
        self._requests = self._make_requests(stack.ids.cseq(), is_outbound=True)
        self.contact = expected_contact(stack, account)
        self._own = self._requests.own_contact(self.contact)
        self._timers: TimerTable[RegistrationTimer] = TimerTable()
        self._try = _Try(*self._home, False, 0)
        self._flow_since: Nanos = 0
        self._trouble = (0, "")
        self._leave_wanted = False

    # inputs

    def start(self, *, now: Nanos) -> None:
        """Send REGISTER for the first time."""
        self.figures.began_at = now
        self._begin(RegistrationState.REGISTERING, now)

    def turn_came(self, *, now: Nanos) -> None:
        """Try again: the wait is over, and not too many others go at the same time."""
        self.figures.retries += 1
        self._begin(RegistrationState.REGISTERING, now)

    def response_received(self, sent: ClientRequest, response: Response, source: Hop, *, now: Nanos) -> None:
        """Take a response to our REGISTER."""
        if sent is not self._try.sent or response.status < 200:
            return
        if sent.contact and sent.contact != self.contact:
            self.contact, self._own = sent.contact, self._requests.own_contact(sent.contact)
        if response.status >= 300:
            if self._mend(response):
                self._send(now)
            else:
                when = parse_retry_after(response.headers)
                self._fail(response.status, response.reason, when.after_s if when is not None else None, now)
        elif not self._authentication.take_info(response):
            self._fail(0, "the registrar did not prove to know the password", None, now)
        elif self.state is RegistrationState.UNREGISTERING:
            self._end(RegistrationEnded(self.handle, now))
        else:
            self._accept(response, source, now)

    def transaction_failed(self, sent: ClientRequest, status: int, reason: str, *, now: Nanos) -> None:
        """Take the silence of the registrar, or an error of the network."""
        if sent is not self._try.sent:
            return
        if self._follow() or self._unstick():
            self._send(now)
        else:
            self._fail(0, reason, None, now)

    def flow_lost(self, reason: str, *, now: Nanos) -> None:
        """Take the loss of the connection that the binding stands by: it is made anew. Source: RFC 5626 4.4.1, 4.5."""
        if self.stands_until is None or self.state is RegistrationState.UNREGISTERING:
            return
        self._trouble = (0, reason)
        self._lose(now)
        if self.state is not RegistrationState.REGISTERED:
            return  # a refresh is under way, and tells by itself what becomes of it
        policy, unit = self.account.retry, self._stack.ids.unit()
        wait_ns = policy.reconnect_ns(unit)
        if now - self._flow_since < policy.stable_s * SECOND:
            self.figures.failures += 1
            wait_ns = policy.wait_ns(self.figures.failures, unit, others_stand=self._company.others_stand(self))
        self._wait(wait_ns, now)

    def handle_timeout(self, *, now: Nanos) -> None:
        """Refresh, try again or give the binding up when it is time."""
        for timer in self._timers.expired(now):
            if timer is RegistrationTimer.LAPSE:
                self._lose(now)
            elif timer is RegistrationTimer.REFRESH:
                self.figures.refreshes += 1
                self._begin(RegistrationState.REGISTERING, now)
            elif self._company.enter(self, now=now):
                self.turn_came(now=now)
        self._rearm()

    # commands

    def leave(self, *, now: Nanos) -> None:
        """Remove the binding, once a REGISTER that is out is answered; nothing happens when that is under way."""
        if self.state is RegistrationState.REGISTERING:
            self._leave_wanted = True
        elif self.state in (RegistrationState.REGISTERED, RegistrationState.WAITING):
            self._company.leave(self)
            self._timers.clear()
            if self.stands_until is None:
                self._end(RegistrationEnded(self.handle, now))
            else:
                self._begin(RegistrationState.UNREGISTERING, now)

    # getters

    def snapshot(self) -> RegistrationSnapshot:
        """Return the registration as it is."""
        figures = replace(self.figures)
        return RegistrationSnapshot(
            self.state, self.account, self.contact, self.stands_until, self.flow, self.answer, figures, self._call_id
        )

    # private

    def _begin(self, state: RegistrationState, now: Nanos) -> None:
        """Begin a try."""
        self.state = state
        self.figures.tries += 1
        uri, hop = self._home
        self._try = _Try(uri, hop or self._stuck_to, hop is None and self._stuck_to is not None, now)
        self._authentication.begin()
        self._rearm()
        self._send(now)

    def _send(self, now: Nanos) -> None:
        attempt = self._try
        attempt.sent_at = now
        expires_s = 0 if self.state is RegistrationState.UNREGISTERING else self._expires_s
        proofs = self._authentication.headers("REGISTER", attempt.uri, b"", is_home=self._goes_home())
        request = self._requests.make(attempt.uri, self.contact, expires_s, proofs)
        attempt.sent = self._stack.sender.send(
            request,
            self,
            next_uri=next_uri_of(self.account, attempt.uri),
            destination=attempt.hop,
            contact=self.contact if request.headers.get("Contact") != "*" else "",
            contact_user=self.account.contact_user,
            follows=attempt.sent,
            now=now,
        )

    def _mend(self, response: Response) -> bool:
        """Change what a failure response asks to be changed; return whether to send the request again at once."""
        status = response.status
        if status in (401, 407):
            is_new = self._authentication.absorb(response, is_home=self._goes_home())
            self.figures.challenges += is_new
            return is_new
        if status < 400:
            return self._redirect(response)
        if status == 503 and self._unstick():
            return True
        if status == 423:
            return self._lengthen(response)
        if status == 439 and self._own.reg_id:  # no proxy on the way keeps flows. Source: RFC 5626 4.2.1, 11.6
            self._requests = self._make_requests(self._requests.seq, is_outbound=False)
            self._own = self._requests.own_contact(self.contact)
            return True
        return False

    def _goes_home(self) -> bool:
        """Tell whether REGISTER goes where the user said, and not where a redirection led: that may be a stranger."""
        account, attempt = self.account, self._try
        if attempt.uri == account.registrar:
            return True
        hop = literal_hop(attempt.uri)
        if hop is None and attempt.sent is not None and not account.routes:
            hop = attempt.sent.hop
        home = account.destination or literal_hop(account.registrar)
        return hop is not None and self._authentication.is_home(hop, home)

    def _lengthen(self, response: Response) -> bool:
        """Take the lifetime that a 423 asks for. Source: RFC 3261 10.2.8."""
        wanted_s = read_seconds(response.headers.get("Min-Expires"))
        if self._try.intervals >= MAX_INTERVAL_TRIES or wanted_s is None or wanted_s <= self._expires_s:
            return False
        self._try.intervals += 1
        self._expires_s = wanted_s
        return True

    def _redirect(self, response: Response) -> bool:
        """Go where a 3xx says; for good if it moved permanently. Source: RFC 3261 21.3."""
        attempt = self._try
        if attempt.redirects is None:
            attempt.redirects = Redirects(REDIRECTS, attempt.uri)
        attempt.redirects.absorb(response)
        attempt.moved_for_good = response.status == 301
        return self._follow()

    def _follow(self) -> bool:
        """Turn to the next place that we were redirected to; return whether there is one."""
        attempt = self._try
        uri = attempt.redirects.next_target() if attempt.redirects is not None else None
        if uri is None:
            return False
        self.figures.redirects += 1
        attempt.uri, attempt.hop, attempt.is_stuck, attempt.sent = uri, None, False, None
        return True

    def _unstick(self) -> bool:
        """Look for another hop when the one of the last success fails; return whether that may help."""
        attempt = self._try
        if not attempt.is_stuck:
            return False
        attempt.hop, attempt.is_stuck, attempt.sent = None, False, None
        self._stuck_to = None
        return True

    def _accept(self, response: Response, source: Hop, now: Nanos) -> None:
        figures, attempt = self.figures, self._try
        answer = read_register_answer(response, self._own, self._expires_s)
        figures.unlisted += not answer.is_listed
        if answer.expires_s == 0:
            self._fail(response.status, "the registrar granted no lifetime", None, now)
            return
        figures.round_trip_ns, figures.try_ns = now - attempt.sent_at, now - attempt.began_at
        figures.registered_at = now if figures.registered_at is None else figures.registered_at
        figures.failures = 0
        if self.flow != source or self.stands_until is None:
            self._flow_since = now
        if attempt.moved_for_good:
            self._home = attempt.uri, None
        if attempt.sent is not None and attempt.sent.hop is not None and self._home == (attempt.uri, None):
            self._stuck_to = attempt.sent.hop
        if attempt.sent is not None and attempt.sent.hop is not None and attempt.uri == self.account.registrar:
            self._stack.homes[self.account.contact_user] = attempt.sent.hop
        self.answer, self.flow = answer, source
        self.state = RegistrationState.REGISTERED
        self.stands_until = now + answer.expires_s * SECOND
        self._company.noted(self)
        self._emit(RegistrationSucceeded(self.handle, answer.expires_s, now, answer.flow_timer_s))
        if self._leave_wanted:
            self.leave(now=now)
            return
        share = 0.75 + 0.1 * self._stack.ids.unit()
        self._timers.set(RegistrationTimer.REFRESH, now + int(answer.expires_s * share * SECOND))
        self._timers.set(RegistrationTimer.LAPSE, self.stands_until)
        self._rearm()

    def _fail(self, status: int, reason: str, retry_after_s: int | None, now: Nanos) -> None:
        """Give up, or wait before the next try."""
        policy, figures = self.account.retry, self.figures
        self._trouble = (status, reason)
        figures.failures += 1
        has_stood = figures.registered_at is not None
        if self._leave_wanted and self.stands_until is not None and self.state is not RegistrationState.UNREGISTERING:
            self._timers.clear()
            self._begin(RegistrationState.UNREGISTERING, now)
        elif (
            self._leave_wanted
            or self.state is RegistrationState.UNREGISTERING
            or not policy.is_passing(status, says_when=retry_after_s is not None)
            or policy.gives_up(figures.failures, has_stood=has_stood)
        ):
            self._end(RegistrationFailed(self.handle, status, reason, now))
        else:
            self._wait(self._wait_after_failure(retry_after_s, now), now)

    def _wait_after_failure(self, retry_after_s: int | None, now: Nanos) -> Nanos:
        policy, unit = self.account.retry, self._stack.ids.unit()
        if self.stands_until is not None and retry_after_s is None:
            urgent_ns = policy.urgent_ns(self.stands_until - now, unit)
            if urgent_ns is not None:
                return urgent_ns
        others_stand = self._company.others_stand(self)
        return policy.wait_ns(self.figures.failures, unit, others_stand=others_stand, retry_after_s=retry_after_s)

    def _wait(self, wait_ns: Nanos, now: Nanos) -> None:
        self.state = RegistrationState.WAITING
        self._timers.stop(RegistrationTimer.REFRESH)
        self._timers.set(RegistrationTimer.AGAIN, now + wait_ns)
        self._rearm()
        self._emit(RegistrationDelayed(self.handle, *self._trouble, now + wait_ns, now))

    def _lose(self, now: Nanos) -> None:
        """Tell that the binding is gone."""
        self.stands_until = None
        self.figures.losses += 1
        self._timers.stop(RegistrationTimer.LAPSE)
        self._company.noted(self)
        self._emit(RegistrationLost(self.handle, *self._trouble, now))

    def _end(self, event: RegistrationEvent) -> None:
        self.state = RegistrationState.ENDED
        self.stands_until = None
        self._timers.clear()
        self._rearm()
        self._company.ended(self)
        self._emit(event)

    def _make_requests(self, seq: int, *, is_outbound: bool) -> RegisterRequests:
        common = (("Allow", ALLOW), ("User-Agent", self._stack.user_agent))
        return RegisterRequests(
            self.account, call_id=self._call_id, tag=self._tag, seq=seq, common=common, is_outbound=is_outbound
        )

    def _emit(self, event: RegistrationEvent) -> None:
        self._stack.events.append(event)

    def _rearm(self) -> None:
        self._stack.rearm(self, self._timers.soonest())


def next_uri_of(account: Account, uri: str) -> str:
    """Return the URI whose address a REGISTER with the Request-URI `uri` goes to."""
    if account.routes:
        return parse_name_addr(account.routes[0]).uri
    return uri_over(uri, account.transport)


def expected_contact(stack: Stack, account: Account) -> str:
    """Return the URI of the Contact that an account registers, as far as its transport is known before it is sent."""
    hop = account.destination or literal_hop(next_uri_of(account, account.registrar))
    return stack.contact_for(account.contact_user, account.registrar, hop)
