"""The garbage collector of a process that holds thousands of calls."""

from __future__ import annotations

import gc

THRESHOLDS = (50_000, 20, 50)
"""Allocations until a collection of each generation: a call makes hundreds of objects, few of them in cycles."""


def relax_garbage_collection() -> None:
    """Leave what was loaded at start-up out of every collection, and collect seldom.

    With Python's own thresholds, collections cost a callee up to twice the CPU of its signalling (bench/test_calls.py).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
