"""Damaged messages, URIs, addresses, Vias, sessions, bodies and streams; and a user agent that gets nothing else.

`python -m tests.fuzz.long` runs the same cases by the million.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz.damage import make_case
from tests.fuzz.harness import fuzz
from tests.fuzz.long import Batch, run_batch
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_escapes(name: str) -> None:
    make, corpus = TARGETS[name]
    target = make()

    def feed(random: Random) -> None:
        target(make_case(corpus, random))

    feed.__name__ = name
    assert fuzz(feed) > 0


def test_a_case_is_always_the_same() -> None:
    corpus = TARGETS["message"][1]
    cases = [make_case(corpus, Random(f"3-{number}")) for number in range(50)]
    assert cases == [make_case(corpus, Random(f"3-{number}")) for number in range(50)]
    assert len(set(cases)) > 40


def test_a_long_run_tells_what_escaped_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: bytes) -> None:
        raise KeyError("x")

    monkeypatch.setitem(TARGETS, "broken", (lambda: fail, [b"abc"]))
    _, report = run_batch(Batch("broken", 9, 5, 3))
    assert report.cases == len(report.faults) == 3
    assert report.faults[0].startswith("broken: KeyError('x') escaped in case random.Random('9-5'): b")
