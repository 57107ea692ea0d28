"""A long run: python -m tests.fuzz.long --messages 5000000 --processes 2 [--target message] [--seed 1].

The messages are shared out by number over targets and processes. What escapes is told with its case, and the run goes
on after it; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from multiprocessing import Pool
from random import Random
from typing import NamedTuple

from tests.fuzz.damage import make_case
from tests.fuzz.targets import MESSAGES_A_CASE, TARGETS

BATCH = 2000
MOST_FAULTS = 20


class Batch(NamedTuple):
    """Cases of one target: from `first` on."""

    target: str
    seed: int
    first: int
    cases: int


class Report:
    """What was seen of some cases."""

    def __init__(self) -> None:
        self.cases = self.bytes = 0
        self.slowest_s = 0.0
        self.slowest_case = ""
        self.faults: list[str] = []

    def add(self, other: Report) -> None:
        """Count other cases too."""
        self.cases += other.cases
        self.bytes += other.bytes
        self.faults += other.faults
        if other.slowest_s > self.slowest_s:
            self.slowest_s, self.slowest_case = other.slowest_s, other.slowest_case


def run_batch(batch: Batch) -> tuple[Batch, Report]:
    """Run a batch to its end, whatever escapes. A case is what the tests make of the same seed."""
    make, corpus = TARGETS[batch.target]
    report, target = Report(), make()
    for number in range(batch.first, batch.first + batch.cases):
        case = f"{batch.seed}-{number}"
        data = make_case(corpus, Random(case))
        started = time.perf_counter()
        try:
            target(data)
        except Exception as error:
            report.faults.append(f"{batch.target}: {error!r} escaped in case random.Random({case!r}): {data!r}"[:4000])
            target = make()
        spent = time.perf_counter() - started
        if spent > report.slowest_s:
            report.slowest_s, report.slowest_case = spent, case
        report.cases += 1
        report.bytes += len(data)
        if len(report.faults) >= MOST_FAULTS:
            break
    return batch, report


def batches(messages: int, names: list[str], seed: int) -> Iterator[Batch]:
    """Share out the cases."""
    share = -(-messages // len(names))
    for first in range(0, share, BATCH):
        for name in names:
            each = MESSAGES_A_CASE.get(name, 1)
            yield Batch(name, seed, first // each, -(-min(BATCH, share - first) // each))


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5_000_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", action="append", choices=list(TARGETS))
    options = parser.parse_args()
    names = options.target or list(TARGETS)
    reports = {name: Report() for name in names}
    started = time.monotonic()
    with Pool(options.processes) as pool:
        for batch, report in pool.imap_unordered(run_batch, batches(options.messages, names, options.seed)):
            reports[batch.target].add(report)
            for fault in report.faults:
                print(fault, flush=True)
    for name, report in reports.items():
        slowest = f"slowest {report.slowest_s * 1000:.1f} ms (case {report.slowest_case})"
        print(f"{name:10} {report.cases:9} cases {report.bytes / 1e6:8.1f} MB  {slowest}")
    total = sum(report.cases * MESSAGES_A_CASE.get(name, 1) for name, report in reports.items())
    faults = sum(len(report.faults) for report in reports.values())
    print(f"{total} messages in {time.monotonic() - started:.0f} s, seed {options.seed}: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
