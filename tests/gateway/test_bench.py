"""The bench of the gateway runs once, small and untimed, so that it cannot rot."""

from __future__ import annotations

import asyncio

import pytest

from bench.gateway import measure

pytestmark = pytest.mark.loopback


def test_the_bench_of_the_gateway_is_right() -> None:
    figures = asyncio.run(measure(workers=2, endpoints=3, columns=6, seconds=4, period_s=0.02))
    assert figures["rows"] == 2 * 3 * 4
