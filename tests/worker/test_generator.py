"""The worker's own health: lateness of the loop, pacing, CPU, memory and steal."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.load.generator_bounds import BOUNDS
from cmw.load.outcome import MAX_UNTRUSTED, RunTotals
from cmw.metrics.histogram import ExponentialHistogram
from cmw.net.media import PacingSnapshot
from cmw.worker.alarm import ALARM_LATE_NS
from cmw.worker.generator import (
    LAG_PERIOD_NS,
    CpuTimes,
    Generator,
    GeneratorWatch,
    Traffic,
    TrafficMeter,
    cpu_seconds,
    rss_bytes,
)
from tests.worker.stage import Stage, snapshot


class Pacing:
    """A media engine whose packets were late as the test says."""

    scheduling = "SCHED_FIFO"

    def __init__(self) -> None:
        self.late_us: list[float] = []
        self.skipped = 0
        self.stall_ms = 0.0

    def close_pacing_interval(self) -> PacingSnapshot:
        histogram = ExponentialHistogram()
        histogram.record_many(self.late_us)
        skipped, self.late_us, self.skipped = self.skipped, [], 0
        return PacingSnapshot(histogram.to_dict(), histogram.count, None, None, skipped, 0, 0, self.stall_ms)


def make() -> tuple[Stage, Pacing, Generator]:
    stage, pacing = Stage(), Pacing()
    return stage, pacing, Generator(pacing, stage.alarm)  # type: ignore[arg-type]


def finish(watch: GeneratorWatch) -> RunTotals:
    return watch.finish(
        endpoints=2, packets_sent=100, packets_received=90, send_errors=1, kernel_drops=4, samples_dropped=3
    )


def lags(totals: RunTotals) -> ExponentialHistogram:
    assert totals.loop_lag_ms is not None
    return ExponentialHistogram.from_dict(totals.loop_lag_ms)


def test_a_loop_that_is_never_late() -> None:
    stage, _, generator = make()
    watch = generator.watch()
    stage.after(SECOND)
    lag = lags(finish(watch))
    assert lag.count == SECOND // LAG_PERIOD_NS
    assert lag.max == 0
    assert generator.lag_ms == 0


def test_a_stall_counts_for_every_moment_that_waited_in_it() -> None:
    stage, _, generator = make()
    watch = generator.watch()
    stage.link.now += 200 * MILLISECOND + ALARM_LATE_NS  # nobody was served meanwhile
    stage.after(0)
    lag = lags(finish(watch))
    waits = (200 * MILLISECOND - LAG_PERIOD_NS) // LAG_PERIOD_NS + 1
    assert lag.count == waits
    assert lag.max == pytest.approx(180, rel=0.01)
    assert generator.lag_ms == pytest.approx(180)


def test_pacing_is_told_to_every_watch_from_its_begin_to_its_end() -> None:
    _, pacing, generator = make()
    pacing.late_us, pacing.skipped = [1.0, 2.0], 7  # before any run
    first = generator.watch()
    pacing.late_us, pacing.skipped = [10.0], 1
    second = generator.watch()
    pacing.late_us, pacing.skipped = [20.0, 30.0], 2
    one = finish(first)
    pacing.late_us = [40.0]
    two = finish(second)
    assert one.pacing_error_us is not None
    assert two.pacing_error_us is not None
    assert ExponentialHistogram.from_dict(one.pacing_error_us).count == 3
    assert ExponentialHistogram.from_dict(two.pacing_error_us).count == 3
    assert (one.packets_skipped, two.packets_skipped) == (3, 2)
    assert generator.watches == []


def test_totals_carry_what_the_run_counted() -> None:
    _, _, generator = make()
    totals = finish(generator.watch())
    assert (totals.endpoints, totals.packets_sent, totals.packets_received) == (2, 100, 90)
    assert (totals.send_errors, totals.kernel_drops, totals.samples_dropped) == (1, 4, 3)
    assert totals.scheduling == "SCHED_FIFO"
    assert totals.pacing_error_us is None  # nothing was sent: not known, and not zero
    assert totals.loop_lag_ms is None
    assert totals.cpu_seconds >= 0
    assert totals.rss_bytes > 1_000_000


def test_a_watch_is_closed_more_than_once() -> None:
    _, _, generator = make()
    watch = generator.watch()
    watch.close()
    watch.close()
    finish(watch)
    assert generator.watches == []


def test_closed_it_asks_no_more() -> None:
    stage, _, generator = make()
    generator.close()
    assert stage.alarm.armed == 0


def test_steal_is_a_share_of_all_time(tmp_path: Path) -> None:
    file = tmp_path / "stat"
    file.write_text("cpu  100 0 50 800 10 0 5 35 0 0\ncpu0 1 2 3\n")
    before = CpuTimes.read(str(file))
    assert before == CpuTimes(1000, 35)
    file.write_text("cpu  160 0 60 1100 10 0 5 65 0 0\n")
    after = CpuTimes.read(str(file))
    assert after is not None
    assert after.steal_ratio_since(before) == pytest.approx(30 / 400)
    assert before.steal_ratio_since(before) is None


@pytest.mark.parametrize("text", [None, "", "cpu x y\n", "cpu 1 2\n"])
def test_a_machine_that_does_not_tell(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "stat"
    if text is not None:
        file.write_text(text)
    assert CpuTimes.read(str(file)) is None


def test_this_process_has_used_something() -> None:
    assert cpu_seconds() > 0
    assert rss_bytes() > 1_000_000


class TestSeconds:
    """Each second is judged by itself."""

    def test_a_quiet_one_counts(self) -> None:
        stage, _, generator = make()
        watch = generator.watch()
        watch.begin_windows()
        stage.after(SECOND)
        assert watch.close_window(0, 0, Traffic(sent=50, received=50)) == 0
        totals = finish(watch)
        assert (totals.seconds, totals.untrusted_seconds, totals.untrusted) == (1, 0, [])

    def test_what_was_before_the_first_belongs_to_none(self) -> None:
        _, pacing, generator = make()
        watch = generator.watch()
        pacing.stall_ms = 500.0
        watch.add_shortage("RTP ports")
        watch.begin_windows()
        pacing.stall_ms = 0.0
        assert watch.close_window(0, 0, Traffic()) == 0
        assert finish(watch).shortages == {"RTP ports": 1}

    @pytest.mark.parametrize(
        ("fields", "traffic", "metric"),
        [
            ({"late_us": [20_000.0] * 3}, Traffic(sent=3), "pacing_error_us p99"),
            ({"skipped": 5}, Traffic(sent=50), "packets_skipped ratio"),
            ({"stall_ms": 41.0}, Traffic(), "media_stall_ms"),
            ({}, Traffic(sent=50, send_errors=5), "send_errors ratio"),
            ({}, Traffic(received=50, kernel_drops=5), "kernel_drops ratio"),
        ],
    )
    def test_what_the_engine_tells(self, fields: dict[str, object], traffic: Traffic, metric: str) -> None:
        _, pacing, generator = make()
        watch = generator.watch()
        watch.begin_windows()
        watch.close_window(0, 0, Traffic())
        for name, value in fields.items():
            setattr(pacing, name, value)
        [number] = [number for number, bound in enumerate(BOUNDS) if bound.metric == metric]
        assert watch.close_window(1, 1, traffic) == 1 << number
        pacing.stall_ms = 0.0
        assert watch.close_window(2, 2, Traffic(sent=50)) == 0
        [row] = finish(watch).untrusted
        assert (row.second, row.bound) == (1, number)

    def test_the_first_second_above_what_a_whole_run_may_have_is_told_though_it_counts(self) -> None:
        _, pacing, generator = make()
        watch = generator.watch()
        watch.begin_windows()
        assert watch.close_window(0, 0, Traffic(sent=1000)) == 0
        for second in (1, 2):
            pacing.skipped = 5
            assert watch.close_window(second, second, Traffic(sent=1000)) == 0
        totals = finish(watch)
        assert (totals.untrusted, totals.first_seconds) == ([], {"packets_skipped ratio": 1})

    def test_a_loop_that_stood_still_marks_every_second_that_it_missed(self) -> None:
        stage, _, generator = make()
        watch = generator.watch()
        watch.begin_windows()
        stage.link.now += 3 * SECOND  # and the timer that would tell has not been served yet
        assert watch.close_window(4, 6, Traffic()) == 1 << 5
        totals = finish(watch)
        assert (totals.seconds, totals.untrusted_seconds) == (3, 3)
        assert [(row.second, row.value > 2900) for row in totals.untrusted] == [(4, True), (5, True), (6, True)]

    def test_steal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        readings = iter([CpuTimes(0, 0), CpuTimes(0, 0), CpuTimes(100, 20), CpuTimes(200, 20), CpuTimes(200, 20)])
        monkeypatch.setattr(CpuTimes, "read", classmethod(lambda cls: next(readings)))
        _, _, generator = make()
        watch = generator.watch()
        watch.begin_windows()
        assert watch.close_window(0, 0, Traffic()) == 1 << 6
        assert watch.close_window(1, 1, Traffic()) == 0
        finish(watch)

    def test_a_call_without_a_port(self) -> None:
        _, _, generator = make()
        watch = generator.watch()
        watch.begin_windows()
        watch.add_shortage("RTP ports")
        watch.add_shortage("descriptors")
        assert watch.close_window(0, 0, Traffic()) == 1 << 7 | 1 << 9
        totals = finish(watch)
        assert totals.shortages == {"RTP ports": 1, "descriptors": 1}
        assert totals.untrusted_seconds == 1

    def test_rows_are_bounded_and_counts_are_not(self) -> None:
        _, pacing, generator = make()
        watch = generator.watch()
        watch.begin_windows()
        pacing.stall_ms = 100.0
        for second in range(MAX_UNTRUSTED + 100):
            watch.close_window(second, second, Traffic())
        totals = finish(watch)
        assert (len(totals.untrusted), totals.untrusted_seconds) == (MAX_UNTRUSTED, MAX_UNTRUSTED + 100)


def test_traffic_is_told_since_the_last_reading() -> None:
    meter = TrafficMeter()
    one = snapshot(packets_sent=50, packets_received=40, kernel_drops=2)
    assert meter.read([(1, one)]) == Traffic(50, 40, 0, 2)
    assert meter.read([(1, one._replace(packets_sent=60)), (2, one)]) == Traffic(60, 40, 0, 2)
    assert meter.read([(1, snapshot(packets_sent=5))]) == Traffic(5, 0, 0, 0)  # it began anew
    assert meter.read([]) == Traffic()
