"""The garbage collector of a process that holds thousands of calls."""

from __future__ import annotations

import gc

THRESHOLDS = (10_000, 500, 10)
"""New objects until the young ones are looked through, then how often that until the older ones are.

What a call leaves to its transactions lives for 32 s and is freed without the collector (bench/test_calls.py), so that
looking through it is for nothing, at 1 us an object. Small portions make pauses of up to 30 ms where 50,000 made 75;
the older ones, a million of them at 1,000 calls a second, are left alone, for they would take 0.65 s.
"""


def relax_garbage_collection() -> None:
    """Leave what was loaded at start-up out of every collection, and collect what is old seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
