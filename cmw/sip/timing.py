"""The timers of SIP transactions, and how long each of them runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from cmw.core.clock import MILLISECOND, SECOND, Nanos


class Timer(Enum):
    """Every timer of RFC 3261 and RFC 6026 by its letter. Source: RFC 3261 table 4, RFC 6026 8."""

    __hash__ = object.__hash__  # members are singletons; the one of Enum is slow

    A = "TIMER_A"
    """INVITE is sent again; T1, doubling each time."""
    B = "TIMER_B"
    """INVITE has had no response at all; 64*T1."""
    C = "TIMER_C"
    """INVITE rings without a final response; at least 3 minutes. A proxy's timer, used here by callers as a bound."""
    D = "TIMER_D"
    """Retransmitted final responses to INVITE are still acknowledged; at least 32 s over UDP."""
    E = "TIMER_E"
    """A request other than INVITE is sent again; T1, doubling up to T2."""
    F = "TIMER_F"
    """A request other than INVITE has had no final response; 64*T1."""
    G = "TIMER_G"
    """A final response to INVITE is sent again; T1, doubling up to T2."""
    H = "TIMER_H"
    """A final response to INVITE has had no ACK; 64*T1."""
    I = "TIMER_I"  # noqa: E741 - the RFC's letter
    """Retransmitted ACKs are still absorbed; T4 over UDP."""
    J = "TIMER_J"
    """Retransmissions of a request other than INVITE are still answered; 64*T1 over UDP."""
    K = "TIMER_K"
    """Retransmitted responses to a request other than INVITE are still absorbed; T4 over UDP."""
    L = "TIMER_L"
    """Retransmissions of an INVITE that was accepted are still absorbed; 64*T1. Source: RFC 6026 7.1."""
    M = "TIMER_M"
    """Further 2xx to an INVITE still reach the caller; 64*T1. Source: RFC 6026 7.2."""


DOUBLING_WITHOUT_BOUND = frozenset({Timer.A})
"""Timer A doubles for ever; E and G stop at T2. Source: RFC 3261 17.1.1.2, 17.1.2.2, 17.2.1."""


@dataclass(frozen=True)
class Timing:
    """The base values that all timers derive from, nanoseconds.

    Args:
        t1_ns: estimate of the round trip.
        t2_ns: longest interval between retransmissions.
        t4_ns: longest life of a message in the network.
        timer_c_ns: how long an INVITE may stay without a final response after a provisional one.
    """

    t1_ns: Nanos = 500 * MILLISECOND
    t2_ns: Nanos = 4 * SECOND
    t4_ns: Nanos = 5 * SECOND
    timer_c_ns: Nanos = 180 * SECOND

    @property
    def timeout_ns(self) -> Nanos:
        """Return 64*T1, the time after which the other side is given up."""
        return 64 * self.t1_ns

    @cached_property
    def durations(self) -> dict[Timer, Nanos]:
        """Return the first duration of every timer."""
        return {
            Timer.A: self.t1_ns,
            Timer.B: self.timeout_ns,
            Timer.C: self.timer_c_ns,
            Timer.D: max(32 * SECOND, self.timeout_ns),
            Timer.E: self.t1_ns,
            Timer.F: self.timeout_ns,
            Timer.G: self.t1_ns,
            Timer.H: self.timeout_ns,
            Timer.I: self.t4_ns,
            Timer.J: self.timeout_ns,
            Timer.K: self.t4_ns,
            Timer.L: self.timeout_ns,
            Timer.M: self.timeout_ns,
        }

    def doubled(self, timer: Timer, interval_ns: Nanos) -> Nanos:
        """Return the interval of a retransmission timer after `interval_ns`."""
        if timer in DOUBLING_WITHOUT_BOUND:
            return 2 * interval_ns
        return min(2 * interval_ns, self.t2_ns)
