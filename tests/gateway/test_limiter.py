"""Failed attempts per address, in virtual time."""

from __future__ import annotations

from cmw.core.clock import SECOND
from cmw.gateway.limiter import FailureLimiter


def test_a_burst_passes_and_then_one_every_six_seconds() -> None:
    limiter = FailureLimiter(per_minute=10)
    assert [limiter.failed("a", now=0) for _ in range(10)] == [0.0] * 10
    assert limiter.failed("a", now=0) == 6.0
    assert limiter.failed("a", now=5 * SECOND) == 1.0
    assert limiter.failed("a", now=6 * SECOND) == 0.0
    assert limiter.failed("a", now=6 * SECOND) == 6.0


def test_addresses_do_not_disturb_each_other() -> None:
    limiter = FailureLimiter(per_minute=1)
    assert limiter.failed("a", now=0) == 0.0
    assert limiter.failed("a", now=0) > 0
    assert limiter.failed("b", now=0) == 0.0


def test_a_quiet_minute_refills_the_bucket() -> None:
    limiter = FailureLimiter(per_minute=10)
    for _ in range(30):
        limiter.failed("a", now=0)
    assert [limiter.failed("a", now=60 * SECOND) for _ in range(10)] == [0.0] * 10


def test_memory_is_bounded() -> None:
    limiter = FailureLimiter(per_minute=1, addresses=2)
    for address in ("a", "b", "c"):
        limiter.failed(address, now=0)
    assert limiter.failed("c", now=0) > 0
    assert limiter.failed("a", now=0) == 0.0
