"""Whether the time of a look-up tells how much of a worker's token was guessed.

    python -m bench.token_lookup --times 3000

Tokens of each kind are looked up in turn, in an order drawn anew each time. Two kinds are compared by the
Kolmogorov-Smirnov statistic D, the largest distance of their distributions, and the chance that as much comes from the
same distribution.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from bisect import bisect_right
from collections.abc import Sequence
from itertools import combinations
from math import exp, sqrt
from pathlib import Path
from statistics import median

from cmw.gateway.database import Database
from cmw.gateway.instants import unix_ms
from cmw.gateway.workers import WorkerRegistry

WORKERS = 100


def kinds_of(token: str) -> dict[str, str]:
    """Return a token to look up for each kind, made from one that is known."""
    turned = {"known": token, "wrong in the last digit": token[:-1] + ("0" if token[-1] != "0" else "1")}
    half = len("cmw_") + 32
    turned["right in the first half"] = token[:half] + random.randbytes(16).hex()
    turned["wrong throughout"] = "cmw_" + random.randbytes(32).hex()
    return turned


def distance(one: Sequence[float], two: Sequence[float]) -> tuple[float, float]:
    """Return D of two samples, and the chance of as much or more from one distribution (Kolmogorov's limit)."""
    first, second = sorted(one), sorted(two)
    d = max(
        abs(bisect_right(first, at) / len(first) - bisect_right(second, at) / len(second)) for at in (*first, *second)
    )
    size = sqrt(len(first) * len(second) / (len(first) + len(second)))
    reach = (size + 0.12 + 0.11 / size) * d
    if reach < 0.2:
        return d, 1.0
    chance = 2 * sum((-1) ** (k - 1) * exp(-2 * (k * reach) ** 2) for k in range(1, 101))
    return d, min(1.0, max(0.0, chance))


async def measure(times: int) -> dict[str, list[float]]:
    """Return how long look-ups of each kind took, microseconds."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        database = await Database.open(Path(directory))
        registry = WorkerRegistry(database, unix_ms)
        tokens = [(await registry.create(f"w{k}", 1, region=None, labels=None))[1] for k in range(WORKERS)]
        for _ in range(times):
            kinds = list(kinds_of(random.choice(tokens)).items())
            random.shuffle(kinds)
            for kind, token in kinds:
                began = time.perf_counter_ns()
                row = await registry.by_token(token)
                took = time.perf_counter_ns() - began
                assert (row is not None) == (kind == "known")
                found.setdefault(kind, []).append(took / 1e3)
        await database.close()
    return found


def main() -> None:
    """Print a row for each kind, and one for each pair of wrong kinds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3000, help="look-ups of each kind")
    found = asyncio.run(measure(parser.parse_args().times))
    for kind, took in sorted(found.items()):
        print(f"{kind:24}  median {median(took):7.1f} us of {len(took)}")
    for one, two in combinations(sorted(kind for kind in found if kind != "known"), 2):
        d, chance = distance(found[one], found[two])
        print(f"{one} / {two}: D {d:.4f}, chance {chance:.2f}")


if __name__ == "__main__":
    main()
