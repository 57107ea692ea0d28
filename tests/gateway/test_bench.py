"""The bench of the gateway runs once, small and untimed, so that it cannot rot."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench import token_lookup
from bench.gateway import measure
from bench.gateway_results import measure as measure_results
from bench.token_lookup import distance, kinds_of

pytestmark = pytest.mark.loopback


def test_the_bench_of_the_gateway_is_right() -> None:
    figures = asyncio.run(measure(workers=2, endpoints=3, columns=6, seconds=4, period_s=0.02))
    assert figures["rows"] == 2 * 3 * 4


def test_the_bench_of_results_is_right(tmp_path: Path) -> None:
    figures = asyncio.run(measure_results(tmp_path, endpoints=7, seconds=3))
    assert figures["rows"] == 7 * 3


def test_samples_are_compared_by_their_distributions() -> None:
    few = [float(k) for k in range(100)]
    assert distance(few, few) == (0.0, 1.0)
    assert distance(few, [value + 1000 for value in few])[0] == 1.0
    assert distance(few, [value + 1000 for value in few])[1] < 1e-6
    assert distance(few, [value + 0.5 for value in few])[1] > 0.99


def test_a_look_up_finds_what_is_known_and_nothing_else() -> None:
    found = asyncio.run(token_lookup.measure(2))
    assert {kind: len(took) for kind, took in found.items()} == dict.fromkeys(kinds_of("cmw_" + "0" * 64), 2)
