"""A registration as it can be looked at: its state, what its registrar said, and what it took."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cmw.core.clock import Nanos
from cmw.sip.account import Account
from cmw.sip.hop import Hop
from cmw.sip.register_answer import RegisterAnswer


class RegistrationState(StrEnum):
    """Where a registration stands."""

    REGISTERING = "REGISTERING"
    """A REGISTER is out."""
    REGISTERED = "REGISTERED"
    """The binding stands until it is refreshed."""
    WAITING = "WAITING"
    """The last REGISTER failed, or the connection was lost; the next one waits for its time and its turn."""
    UNREGISTERING = "UNREGISTERING"
    """A REGISTER that removes the binding is out."""
    ENDED = "ENDED"
    """The last event is out."""


@dataclass(slots=True)
class RegistrationFigures:
    """Instants and spans in nanoseconds of the monotonic clock, and counts since the start.

    A try is a REGISTER and all that is sent to get it through: answers to challenges, redirections, longer lifetimes.

    Args:
        began_at: when the first try began.
        registered_at: when the binding first stood; None while it never has.
        round_trip_ns: from the last REGISTER that succeeded to its 200: the registration request delay of RFC 6076 4.1.
        try_ns: the same from the beginning of its try.
        tries: how many were begun.
        refreshes: of those, how many refreshed a binding that stood.
        retries: of those, how many followed a failure or a lost connection.
        failures: failed tries in a row.
        challenges: challenges answered.
        redirects: redirections followed.
        losses: how often the binding was lost.
        unlisted: 200s that did not show our Contact.
    """

    began_at: Nanos = 0
    registered_at: Nanos | None = None
    round_trip_ns: Nanos | None = None
    try_ns: Nanos | None = None
    tries: int = 0
    refreshes: int = 0
    retries: int = 0
    failures: int = 0
    challenges: int = 0
    redirects: int = 0
    losses: int = 0
    unlisted: int = 0


@dataclass(frozen=True, slots=True)
class RegistrationSnapshot:
    """A registration as it is.

    Args:
        contact: raw text of our Contact's URI.
        stands_until: when the binding ends unless it is refreshed; None when there is none.
        flow: where the last 200 came from; None before.
        answer: what the last 200 said; None before.
        figures: a copy.
        call_id: of its REGISTER requests.
    """

    state: RegistrationState
    account: Account
    contact: str
    stands_until: Nanos | None
    flow: Hop | None
    answer: RegisterAnswer | None
    figures: RegistrationFigures
    call_id: str
