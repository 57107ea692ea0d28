"""The media bench once, small and untimed, so that it cannot rot; `python -m bench.media` measures."""

from __future__ import annotations

import pytest

from bench.media import measure


@pytest.mark.loopback
def test_the_bench_runs_and_loses_nothing() -> None:
    result = measure(5, 0.3)
    assert result["packets_sent"] > 0
    assert result["packets_lost"] == result["kernel_drops"] == 0
