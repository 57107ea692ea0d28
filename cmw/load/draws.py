"""Random figures that a seed decides: the same for any number of workers, in any order, on any machine."""

from __future__ import annotations

from hashlib import blake2b
from math import log

_BITS = 52
"""One bit less than a float holds: the half that is added below must not be rounded away, up to 1."""


class Draws:
    """A row of independent draws, each found by its index alone.

    Args:
        seed: of the plan.
        purpose: what the row is for; rows of different purposes are independent of each other.
    """

    __slots__ = ("_key",)

    def __init__(self, seed: int, *purpose: str) -> None:
        self._key = "\0".join((str(seed), *purpose)).encode()

    def uniform(self, k: int) -> float:
        """Return draw `k`, evenly spread over the open interval from 0 to 1."""
        digest = blake2b(b"%d\0%b" % (k, self._key), digest_size=8).digest()
        return ((int.from_bytes(digest) >> (64 - _BITS)) + 0.5) / (1 << _BITS)

    def exponential(self, k: int) -> float:
        """Return draw `k` of the exponential distribution with a mean of 1: the gaps of a Poisson process."""
        return -log(self.uniform(k))
