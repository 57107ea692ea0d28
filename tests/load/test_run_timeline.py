"""Samples over time: nothing lost, nothing unbounded."""

from __future__ import annotations

from typing import Any

from cmw.load.run_timeline import JITTER, LOSS, MAX_BANDS, MAX_SPANS, MOS, RunTimeline


def row(endpoint: int, second: int, mos: float | None = 4.0, **more: Any) -> dict[str, Any]:
    return {"endpoint": endpoint, "second": second, MOS: mos, **more}


def test_calls_and_percentiles_of_each_second() -> None:
    timeline = RunTimeline(2)
    for sample in (row(0, 0, 4.0), row(0, 2, 4.0), row(1, 2, 2.0)):
        timeline.add(sample)
    assert timeline.starts() == [0, 1, 2]
    assert timeline.calls() == [1, 0, 2]
    assert timeline.percentile(MOS, 0.05) == [4.0, None, 2.0]
    assert timeline.percentile(JITTER, 0.5) == [None, None, None]


def test_a_long_run_has_as_many_spans_and_no_fewer_values() -> None:
    timeline = RunTimeline(1)
    for second in range(3 * MAX_SPANS):
        timeline.add(row(0, second, **{LOSS: 2.0}))
    assert timeline.seconds_per_span == 4
    assert len(timeline.starts()) == 3 * MAX_SPANS / 4
    assert timeline.calls() == [1.0] * len(timeline.starts())
    assert timeline.whole(LOSS).count == 3 * MAX_SPANS
    assert timeline.mean(LOSS) == [2.0] * len(timeline.starts())


def test_the_order_of_samples_does_not_matter() -> None:
    samples = [row(endpoint, second, 1 + (endpoint * second) % 4) for endpoint in range(9) for second in range(500)]
    one, other = RunTimeline(9), RunTimeline(9)
    for sample in samples:
        one.add(sample)
    for sample in reversed(samples):
        other.add(sample)
    assert one.worst_mos() == other.worst_mos()
    assert one.percentile(MOS, 0.5) == other.percentile(MOS, 0.5)


def test_neighbours_share_a_band_that_shows_the_worst_of_them() -> None:
    timeline = RunTimeline(MAX_BANDS + 1)
    assert (timeline.endpoints_per_band, timeline.bands) == (2, 61)
    for sample in (row(2, 0, 4.0), row(3, 0, 1.5), row(4, 1, None)):
        timeline.add(sample)
    bands = timeline.worst_mos()
    assert len(bands) == timeline.bands
    assert bands[1] == [1.5, None]
    assert bands[2] == [None, None]


def test_seconds_that_do_not_count_are_joined() -> None:
    timeline = RunTimeline(1)
    for second in range(6):
        timeline.add(row(0, second, untrusted=4 if second in (1, 2, 5) else 0))
    assert timeline.untrusted() == [(1, 3), (5, 6)]
