"""The tiers and what each may take: the only place with either. docs/media-benches.md says what was measured."""

from __future__ import annotations

from typing import NamedTuple


class Tier(NamedTuple):
    """A count of two-way endpoints, 50 packets a second each way.

    Args:
        core: largest share of one core with both ends in one engine; None where there is no such goal.
        pacing_p99_us: how late a packet in a hundred may leave, in windows that were not disturbed.
    """

    endpoints: int
    core: float | None = None
    pacing_p99_us: float | None = None


TIERS = (
    Tier(25, 0.05, 500),
    Tier(50, 0.06, 500),
    Tier(100, 0.08, 500),
    Tier(200, 0.13, 500),
    Tier(500, 0.25, 500),
    Tier(1000, 0.45, 1000),
    Tier(2000, None, 1000),
    Tier(5000),
)
"""The page's five, and beyond; what a core cannot carry shows as packets skipped."""

BARE_RATIO = 1.25
"""Cost of a packet pair against bench/bare.c, at 1,000 endpoints."""

ENDPOINTS_WITH_PEER_ELSEWHERE = 1500
"""To be carried by one core while the peer process has another."""

ENDPOINTS_BOTH_ENDS = 2500
"""To be carried by one core that has both ends."""

JITTER_MS = 0.1
JITTER_SHARE_OF_SIPP = 0.1
"""What our sending adds, on average, as a receiver that is not ours sees it."""

IN_CALL_KIB = 48
IDLE_KIB = 24
"""Memory of an endpoint that is registered, in a call and idle."""

VOID_P99_US = 250.0
VOID_MAX_US = 5000.0
"""A window in which the control thread was later, in a hundredth of the time or once, was disturbed.

Half of the smallest bound; and at two thirds of a core, an engine that was stopped needs thrice as long to catch up.
"""
