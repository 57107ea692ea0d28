"""When each call of a group starts, counted from the start of the run. One schedule for any number of workers."""

from __future__ import annotations

from cmw.core.clock import Nanos
from cmw.load.units import Rate


def schedule(rate: Rate | None, count: int) -> list[Nanos]:
    """Return the offset of each of `count` calls from the start of the run, nanoseconds.

    Call k is due at k / rate, rounded down to the nanosecond; no error adds up, because each is computed on its own.

    Args:
        rate: calls per time; None for all at once.
    """
    if rate is None:
        return [0] * count
    return [k * rate.per_ns // rate.events for k in range(count)]
