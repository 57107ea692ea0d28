"""The bench of the gateway runs once, small and untimed, so that it cannot rot."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.gateway import measure
from bench.gateway_results import measure as measure_results

pytestmark = pytest.mark.loopback


def test_the_bench_of_the_gateway_is_right() -> None:
    figures = asyncio.run(measure(workers=2, endpoints=3, columns=6, seconds=4, period_s=0.02))
    assert figures["rows"] == 2 * 3 * 4


def test_the_bench_of_results_is_right(tmp_path: Path) -> None:
    figures = asyncio.run(measure_results(tmp_path, endpoints=7, seconds=3))
    assert figures["rows"] == 7 * 3
