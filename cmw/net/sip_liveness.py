"""How long a connection may take, be silent or be stuck: the timers of one connection, without a clock of their own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from cmw.core.clock import SECOND, Nanos


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """Bounds of SIP connections.

    Args:
        connect_ns: from the first packet to the last handshake; below timers B and F, so that there is time for
            another server.
        first_message_ns: how long whoever connects to us may take to send something whole.
        message_ns: how long any message may take from its first byte to its last.
        ping_ns: silence after which the side that connected asks whether the other is there: between 80 % and 100 % of
            it, drawn for each connection. Source: RFC 5626 4.4.1.
        pong_ns: how long the answer may take. Source: RFC 5626 4.4.1.
        pong_required: whether a server that has never answered a ping has to; one that has once, has to from then on.
        idle_ns: silence after which a connection that others opened is closed; 0 for never.
        stall_ns: how long a peer may take nothing of what waits for it.
        waiting_bytes: how much waits for a connection that is being opened.
        unsent_bytes: how much waits for a peer that does not read.
        inbound: connections that others opened, at once.
        inbound_per_address: the same from one address.
    """

    connect_ns: Nanos = 10 * SECOND
    first_message_ns: Nanos = 30 * SECOND
    message_ns: Nanos = 30 * SECOND
    ping_ns: Nanos = 120 * SECOND
    pong_ns: Nanos = 10 * SECOND
    pong_required: bool = False
    idle_ns: Nanos = 7200 * SECOND
    stall_ns: Nanos = 30 * SECOND
    waiting_bytes: int = 1024 * 1024
    unsent_bytes: int = 1024 * 1024
    inbound: int = 10_000
    inbound_per_address: int = 10_000


class Due(Enum):
    """What a connection's timers call for."""

    PING = auto()
    CONNECT_LIMIT = auto()
    FIRST_MESSAGE_LIMIT = auto()
    MESSAGE_LIMIT = auto()
    PONG_LIMIT = auto()
    IDLE_LIMIT = auto()
    STALL_LIMIT = auto()


class Liveness:
    """The timers of one connection.

    `heard_at` is written by whoever reads, for it moves with every packet.

    Args:
        limits: the bounds.
        is_outbound: whether we opened it: then we ask, else we wait.
        must_pong: whether the peer has to answer pings whatever it did before (WebSocket). Source: RFC 6455 5.5.2.
        unit: number in [0, 1) that draws the interval of pings.
        now: when it began.
    """

    __slots__ = (
        "_began_at",
        "_began_message_at",
        "_has_message",
        "_is_open",
        "_is_outbound",
        "_is_renewed",
        "_limits",
        "_must_pong",
        "_ping_ns",
        "_pinged_at",
        "_stalled_at",
        "heard_at",
    )

    def __init__(self, limits: FlowLimits, *, is_outbound: bool, must_pong: bool, unit: float, now: Nanos) -> None:
        self.heard_at = now
        self._limits = limits
        self._is_outbound = is_outbound
        self._must_pong = must_pong or limits.pong_required
        self._ping_ns = int(limits.ping_ns * (0.8 + 0.2 * unit))
        self._began_at = now
        self._is_open = False
        self._has_message = False
        self._is_renewed = False
        """A whole message came since it was last told whether one goes on."""
        self._pinged_at: Nanos | None = None
        self._stalled_at: Nanos | None = None
        self._began_message_at: Nanos | None = None

    # inputs

    def opened(self, *, now: Nanos) -> None:
        """Note that messages may be sent."""
        self._is_open = True
        self.heard_at = now

    def message_received(self) -> None:
        """Note that something whole came."""
        self._has_message = self._is_renewed = True

    def message_goes_on(self, is_inside: bool, *, now: Nanos) -> bool:
        """Note whether a message has begun and is not whole; return whether that may be due before anything else."""
        if is_inside == (self._began_message_at is not None) and not (is_inside and self._is_renewed):
            return False
        self._is_renewed = False
        self._began_message_at = now if is_inside else None
        return is_inside

    def be_heard_within(self, span_ns: Nanos) -> None:
        """Ping at least so often, again between 80 % and 100 % of it; who asks for that answers. RFC 5626 4.4.1."""
        share = self._ping_ns / self._limits.ping_ns if self._limits.ping_ns else 0.9
        wanted_ns = int(span_ns * share)
        self._ping_ns = min(self._ping_ns, wanted_ns) if self._ping_ns else wanted_ns
        self._must_pong = True

    def pong_received(self) -> None:
        """Note that the peer answers pings; from now on it has to."""
        self._must_pong = True

    def paused(self, *, now: Nanos) -> None:
        """Note that the peer does not read."""
        self._stalled_at = now

    def resumed(self) -> None:
        """Note that it reads again."""
        self._stalled_at = None

    def handle_timeout(self, *, now: Nanos) -> Due | None:
        """Return what is due, None when nothing is; a ping that is due counts as sent."""
        due, at = self._next()
        if due is None or at > now:
            return None
        if due is Due.PING:
            self._pinged_at = now
        return due

    # outputs

    def next_timeout(self) -> Nanos | None:
        """Return when to come back; what was heard meanwhile moves it."""
        due, at = self._next()
        return None if due is None else at

    # private

    def _next(self) -> tuple[Due | None, Nanos]:
        limits = self._limits
        if not self._is_open and self._is_outbound:
            return Due.CONNECT_LIMIT, self._began_at + limits.connect_ns
        if self._stalled_at is not None:
            return Due.STALL_LIMIT, self._stalled_at + limits.stall_ns
        due, at = self._next_of_side()
        if self._began_message_at is not None and (due is None or self._began_message_at + limits.message_ns < at):
            return Due.MESSAGE_LIMIT, self._began_message_at + limits.message_ns
        return due, at

    def _next_of_side(self) -> tuple[Due | None, Nanos]:
        limits = self._limits
        if self._is_outbound:
            return self._next_ping()
        if not self._has_message:
            return Due.FIRST_MESSAGE_LIMIT, self._began_at + limits.first_message_ns
        return (Due.IDLE_LIMIT, self.heard_at + limits.idle_ns) if limits.idle_ns else (None, 0)

    def _next_ping(self) -> tuple[Due | None, Nanos]:
        if not self._ping_ns:
            return None, 0
        pinged_at = self._pinged_at
        if pinged_at is None or pinged_at < self.heard_at:
            return Due.PING, self.heard_at + self._ping_ns
        if self._must_pong:
            return Due.PONG_LIMIT, pinged_at + self._limits.pong_ns
        return Due.PING, pinged_at + self._ping_ns
