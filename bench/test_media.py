"""Every media bench once, small and untimed, so that none can rot; docs/media-benches.md says how to measure."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import pytest

from bench import media, media_jitter, media_memory, media_peer, media_tiers
from bench.tiers import TIERS, VOID_MAX_US

pytestmark = pytest.mark.loopback
HAS_COMPILER = shutil.which(os.environ.get("CC", "cc")) is not None


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
def test_both_ends_in_one_engine_lose_nothing(*, pure: bool) -> None:
    result = media.measure(5, 0.3, pure=pure)
    assert ("plain Python" in result["scheduling"]) is pure
    assert result["packets_sent"] > 0
    assert result["packets_lost"] == result["kernel_drops"] == 0


class TestJudgedSpeed:
    """Spans of 20 ms in which the same work took so many nanoseconds, beside a load of a core."""

    @staticmethod
    def judged(spans: list[float], load: float, *, valid: bool = True) -> dict[str, Any]:
        windows: list[dict[str, Any]] = [
            {"control_spans_ns": (3000.0,) * 100, "core_fraction": 0.1, "control_us": {}, "window_valid": True},
            {"control_spans_ns": tuple(spans), "core_fraction": load, "control_us": {}, "window_valid": valid},
        ]
        media.judge_speed(windows)
        return windows[1]

    def test_a_core_that_keeps_its_speed_changes_nothing(self) -> None:
        assert self.judged([3000.0] * 500, 0.99)["window_valid"]
        assert not self.judged([3000.0] * 500, 0.5, valid=False)["window_valid"]

    def test_what_a_small_load_would_not_have_felt_counts(self) -> None:
        window = self.judged([3000.0] * 400 + [4500.0] * 100, 0.6)
        assert window["window_valid"]
        assert window["control_us"] == {"slowest": 1.5, "slower": 1.1, "behind": 0.0}

    def test_a_fifth_of_a_second_at_two_thirds_of_the_speed_voids_a_heavy_load(self) -> None:
        window = self.judged([3000.0] * 490 + [4500.0] * 10, 0.9)
        assert not window["window_valid"]
        assert window["control_us"]["behind"] > VOID_MAX_US

    def test_a_window_without_spans_is_judged_by_its_stops(self) -> None:
        assert self.judged([], 0.9)["window_valid"]


@pytest.mark.benchmark(group="a second in memory")
@pytest.mark.parametrize("tier", TIERS[:5], ids=lambda tier: str(tier.endpoints))
def test_a_second_in_memory(benchmark: pytest.FixtureRequest, tier: media_tiers.Tier) -> None:
    benchmark(media_tiers.memory_second, tier.endpoints)  # type: ignore[operator]


@pytest.mark.skipif(not HAS_COMPILER, reason="no C compiler for the baseline")
def test_a_tier_stands_beside_its_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    media_tiers.main(["--tiers", "25", "--seconds", "0.3", "--json", "--no-spin"])
    (tier,) = json.loads(capsys.readouterr().out)["tiers"]
    assert tier["packets_lost"] == 0
    assert tier["baseline_ratio"] > 0
    assert tier["in_memory"]["baseline_ratio"] > 0


def test_peers_on_two_cores_lose_nothing() -> None:
    result = media_peer.compare(4, 0.3, 1, spin=False)
    assert result["packets"] > 0
    assert result["packets_lost"] == 0


@pytest.mark.skipif(not HAS_COMPILER, reason="no C compiler for the receiver")
def test_a_receiver_that_is_not_ours_hears_every_stream() -> None:
    heard = media_jitter.sent_by_us(4, 1.0, spin=False)
    assert heard["streams"] == 4
    assert heard["packets"] >= 4


def test_memory_is_the_slope_over_counts() -> None:
    found = media_memory.measure([2, 4], 0)
    assert [row["endpoints"] for row in found["rows"]] == [2, 4]
    assert found["rows"][0]["in_call"] >= found["rows"][0]["idle"] > 1 << 20
