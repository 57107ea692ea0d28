"""Failed attempts per address: so many a minute, then a pause. Rightful callers are never counted."""

from __future__ import annotations

from collections import OrderedDict

from cmw.core.clock import SECOND, Nanos


class FailureLimiter:
    """A bucket of failures per address that refills with time; the longest silent address is forgotten first.

    Args:
        per_minute: failures an address may make in a minute before it is paused; also the size of the burst.
        addresses: how many addresses are remembered.
    """

    def __init__(self, *, per_minute: int = 10, addresses: int = 4096) -> None:
        self._burst = per_minute
        self._refill_ns = 60 * SECOND // per_minute
        self._capacity = addresses
        self._full_at: OrderedDict[str, Nanos] = OrderedDict()

    def failed(self, address: str, *, now: Nanos) -> float:
        """Count one failure.

        Returns:
            0.0 while the address is within its limit, else the seconds until its next attempt is looked at.
        """
        # The bucket is one instant: when it will have refilled completely.
        full_at = max(self._full_at.pop(address, now), now)
        wait_ns = full_at - now - (self._burst - 1) * self._refill_ns
        if wait_ns <= 0:
            full_at += self._refill_ns
        self._full_at[address] = full_at
        while len(self._full_at) > self._capacity:
            self._full_at.popitem(last=False)
        return max(0, wait_ns) / SECOND
