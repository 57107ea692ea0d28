"""Runs a fuzz target for a budget: `CMW_FUZZ_SECONDS` (about a second by default), from a seed that a failure names."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

DEFAULT_SECONDS = 1.0


def budget_s() -> float:
    """Return how long one target runs, seconds."""
    return float(os.environ.get("CMW_FUZZ_SECONDS") or DEFAULT_SECONDS)


def seed() -> int:
    """Return `CMW_FUZZ_SEED`: the same cases every time unless told otherwise."""
    return int(os.environ.get("CMW_FUZZ_SEED") or 0)


def fuzz(target: Callable[[random.Random], None]) -> int:
    """Call `target` with a generator of its own for each case until the budget is spent; return how many cases ran.

    Whatever it raises fails the test, with the seed of that very case: `target(random.Random(SEED))` is it again.
    """
    cases, end = 0, time.monotonic() + budget_s()
    while cases == 0 or time.monotonic() < end:
        case_seed = f"{seed()}-{cases}"
        try:
            target(random.Random(case_seed))
        except BaseException as error:
            error.add_note(f"case: random.Random({case_seed!r})")
            raise
        cases += 1
    print(f"{getattr(target, '__name__', target)}: {cases} cases")
    return cases
