"""The benches of whole workers run once, small and untimed, so that they cannot rot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bench import health, soak

pytestmark = pytest.mark.loopback


def test_the_soak_has_calls_and_looks_at_each_program(loopback_ip: Callable[[], str]) -> None:
    network = loopback_ip().rpartition(".")[0]
    figures = asyncio.run(soak.measure(endpoints=2, seconds=5, network=network, period_s=1, hold_s=(0.3, 0.5)))
    assert figures["calls"] == 2 * figures["runs"] > 0
    assert {"worker", "gateway", "callee", "tasks"} <= set(figures["rows"][-1])


def test_the_bench_of_the_health_page_asks_while_all_are_in_call(loopback_ip: Callable[[], str]) -> None:
    network = loopback_ip().rpartition(".")[0]
    figures = asyncio.run(health.measure(endpoints=2, seconds=0.5, network=network))
    assert figures["in_call"]["asked"] > 0
