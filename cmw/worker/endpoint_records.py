"""What an endpoint is told, and what it keeps of its registration and its call for the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from cmw.core.clock import Nanos
from cmw.load.share_sip import StepShare
from cmw.net.packet_log import PacketLog
from cmw.sip import Account, CallOptions, Hop
from cmw.worker.call_media import AudioChoice

PLAIN_OPTIONS = CallOptions(takes_transfers=True)
"""What calls use where nobody says."""


@dataclass(slots=True)
class CallTimes:
    """Instants of one call on the monotonic clock, nanoseconds; None for what did not happen."""

    invite_at: Nanos | None = None
    trying_at: Nanos | None = None
    status_at: Nanos | None = None
    """First provisional response but 100."""
    ringing_at: Nanos | None = None
    ringback_at: Nanos | None = None
    answered_at: Nanos | None = None
    ended_at: Nanos | None = None
    released_at: Nanos | None = None
    """2xx to our BYE."""


@dataclass(slots=True)
class RegistrationRecord:
    """What became of an endpoint's registration."""

    attempted: bool = False
    succeeded: bool = False
    status: int = 0
    expires_s: int | None = None
    began_at: Nanos | None = None
    ended_at: Nanos | None = None
    call_id: str = ""
    """Known while SIP is recorded."""


@dataclass(slots=True)
class CallRecord:
    """What became of an endpoint's call."""

    attempted: bool = False
    answered: bool = False
    direction: str = "outbound"
    call_id: str = ""
    target: str = ""
    status: int = 0
    early_media: bool = False
    due_at: Nanos | None = None
    """When the plan wants it to be placed."""
    times: CallTimes = field(default_factory=CallTimes)


@dataclass(slots=True)
class SignallingRecord:
    """What happened to an endpoint's call beside its beginning and its end."""

    redirects: int = 0
    challenges: int = 0
    retransmissions: int = 0
    session_timer_refreshes: int = 0
    transfers: int = 0
    infos_received: int = 0
    messages_received: int = 0
    dtmf_received: str = ""


@dataclass(slots=True)
class CallsBeside:
    """What is kept of the calls that an endpoint has beside its own: to whom it is sent, whom it asks before that."""

    known: list[tuple[str, str]] = field(default_factory=list)
    """Call-ID and direction of each."""
    packets: PacketLog | None = None


class Reach(NamedTuple):
    """How a call of an endpoint goes out.

    Args:
        local_uri: what it calls itself in From; None for the account's address, or that of its Contact.
        destination: where the INVITE goes; None where routes, URI and DNS decide.
        routes: Route values instead of the account's.
    """

    local_uri: str | None = None
    destination: Hop | None = None
    routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """What an endpoint is told.

    Args:
        index: number in the run.
        name: ``group-0001``.
        user: user part under which it is reached at the worker; of one endpoint only.
        group: its group.
        audio: what it says.
        hold_ns: how long a caller holds an answered call.
        hold_limit_ns: when a callee hangs up by itself, because its caller did not.
        setup_timeout_ns: how long a caller waits for an answer.
        account: where and how to register; None for an endpoint that does not.
        expires_s: lifetime of the registration asked for.
        options: what its calls use.
        headers: further rows of its INVITE.
        late_offer: a caller's INVITE leaves the offer to the callee.
        steps: the scenario.
        hangs_up: a callee ends its call after `hold_ns`.
        registers: whether it registers; a further call of an endpoint uses the registration of its first.
    """

    index: int
    name: str
    user: str
    group: str
    audio: AudioChoice
    hold_ns: Nanos
    hold_limit_ns: Nanos
    setup_timeout_ns: Nanos
    account: Account | None = None
    expires_s: int = 300
    options: CallOptions = PLAIN_OPTIONS
    headers: tuple[tuple[str, str], ...] = ()
    late_offer: bool = False
    steps: tuple[StepShare, ...] = ()
    hangs_up: bool = False
    registers: bool = True
