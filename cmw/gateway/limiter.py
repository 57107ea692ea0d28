"""How often: failed attempts of an address, and requests of an API key. Rightful callers never count as failures."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from cmw.core.clock import SECOND, Nanos


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left after one more use.

    Args:
        wait_ns: 0 if this use is allowed, else how long until the next one is.
        full_in_ns: until everything is allowed again.
    """

    limit: int
    remaining: int
    wait_ns: Nanos
    full_in_ns: Nanos


class Buckets:
    """A bucket of uses for each name that refills with time; the name that was silent longest is forgotten first.

    Args:
        per_minute: uses in a minute; also the size of the bucket.
        names: how many names are remembered.
    """

    def __init__(self, per_minute: int, names: int = 4096) -> None:
        self._burst = per_minute
        self._refill_ns = 60 * SECOND // per_minute
        self._names = names
        self._full_at: OrderedDict[str, Nanos] = OrderedDict()

    def take(self, name: str, *, now: Nanos) -> Allowance:
        """Take one use, if there is one."""
        # The bucket is one instant: when it will have refilled completely.
        full_at = max(self._full_at.pop(name, now), now)
        wait_ns = max(0, full_at - now - (self._burst - 1) * self._refill_ns)
        if wait_ns == 0:
            full_at += self._refill_ns
        self._full_at[name] = full_at
        while len(self._full_at) > self._names:
            self._full_at.popitem(last=False)
        used = -(-(full_at - now) // self._refill_ns)
        return Allowance(self._burst, max(0, self._burst - used), wait_ns, full_at - now)


class FailureLimiter:
    """Failed attempts of an address.

    Args:
        per_minute: failures an address may make in a minute before it is paused; also the size of the burst.
        addresses: how many addresses are remembered.
    """

    def __init__(self, *, per_minute: int = 10, addresses: int = 4096) -> None:
        self._buckets = Buckets(per_minute, addresses)

    def failed(self, address: str, *, now: Nanos) -> float:
        """Count one failure.

        Returns:
            0.0 while the address is within its limit, else the seconds until its next attempt is looked at.
        """
        return self._buckets.take(address, now=now).wait_ns / SECOND
