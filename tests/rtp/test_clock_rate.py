"""Drift and skew of the peer's media clock from its sender reports, on both twins."""

from __future__ import annotations

import random

import pytest

from cmw.rtp import SenderReport, serialize_compound
from tests.support.rtp_streams import SECOND, SSRC, Stream

NTP_SECOND = 1 << 32
START_NTP = 3_900_000_000 * NTP_SECOND


def report(
    stream: Stream,
    at_s: float,
    *,
    media_ppm: float = 0,
    wall_ppm: float = 0,
    ssrc: int = SSRC,
    first: int = (1 << 32) - 8000 * 30,
    delay_ms: float = 0,
) -> None:
    """Take a sender report that left at `at_s` of true time."""
    wall = START_NTP + int(at_s * (1 + wall_ppm / 1e6) * NTP_SECOND)
    timestamp = (first + int(at_s * (1 + media_ppm / 1e6) * 8000)) % (1 << 32)
    data = serialize_compound([SenderReport(ssrc, wall % (1 << 64), timestamp, 1, 1)])
    stream.table.receive_rtcp(0, data, int(at_s * SECOND + delay_ms * 1e6))


@pytest.mark.parametrize(("media_ppm", "wall_ppm"), [(0, 0), (50, 0), (-120, 0), (50, 50), (0, 30)])
def test_two_clocks_two_figures(stream: Stream, media_ppm: float, wall_ppm: float) -> None:
    rng = random.Random(1)
    for i in range(40):
        report(stream, 100 + 5 * i, media_ppm=media_ppm, wall_ppm=wall_ppm, delay_ms=rng.random())
    now = stream.now
    assert now.clock_drift_ppm == pytest.approx(media_ppm - wall_ppm, abs=5)
    assert now.clock_skew_ppm == pytest.approx(media_ppm, abs=15)


def test_three_reports_are_needed(stream: Stream) -> None:
    for i, known in enumerate((False, False, True)):
        report(stream, 5 * i)
        assert (stream.now.clock_drift_ppm is not None) == known
        assert (stream.now.clock_skew_ppm is not None) == known


def test_the_line_follows_a_change_within_twenty_reports(stream: Stream) -> None:
    for i in range(30):
        report(stream, 5 * i)
    for i in range(30, 50):
        report(stream, 5 * i, media_ppm=400, first=(1 << 32) - 8000 * 30 - int(30 * 5 * 8000 * 400e-6))
    assert stream.now.clock_drift_ppm == pytest.approx(400, abs=5)


@pytest.mark.parametrize("change", [{"ssrc": 7}, {"first": 12345}])
def test_another_source_or_another_clock_begins_anew(stream: Stream, change: dict[str, int]) -> None:
    for i in range(5):
        report(stream, 5 * i)
    report(stream, 25, **change)
    assert (stream.now.clock_drift_ppm, stream.now.clock_skew_ppm) == (None, None)


def test_a_sender_without_a_wall_clock_has_no_drift(stream: Stream) -> None:
    for i in range(5):
        data = serialize_compound([SenderReport(SSRC, 0, 40_000 * i, 1, 1)])
        stream.table.receive_rtcp(0, data, 5 * i * SECOND)
    assert stream.now.clock_drift_ppm is None
