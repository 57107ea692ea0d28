"""What is judged of a count of endpoints, and how the highest that holds is found: with machines made of numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cmw.load.capacity import BISECTIONS, PAGE_TIERS, CapacitySearch, Measured, Window, judge
from cmw.load.outcome import RunTotals
from cmw.metrics.histogram import ExponentialHistogram

SECONDS = 4.0
PACKETS = 20_000


def window(
    *,
    endpoints: int = 100,
    pacing_us: float = 100.0,
    lost: int = 0,
    loop_lag_ms: float = 1.0,
    control_p99_us: float | None = 50.0,
    busy: float = 2.0,
    cpus: tuple[int, ...] = (0,),
) -> Window:
    pacing, lag = ExponentialHistogram(), ExponentialHistogram()
    pacing.record_many([pacing_us] * 100)
    lag.record_many([loop_lag_ms] * 100)
    totals = RunTotals(
        endpoints=endpoints,
        packets_sent=PACKETS,
        packets_received=PACKETS,
        pacing_error_us=pacing.to_dict(),
        loop_lag_ms=lag.to_dict(),
        kernel_drops=0,
        cpu_seconds=2.0,
        rss_bytes=64 << 20,
        cpu_steal_ratio=0.0,
        scheduling="SCHED_FIFO",
    )
    return Window(
        seconds=SECONDS,
        totals=totals,
        media_cpu_seconds=0.2,
        signalling_cpu_seconds=0.1,
        packets_lost=lost,
        bytes_sent=160 * PACKETS,
        bytes_received=160 * PACKETS,
        cpus=cpus,
        cores_busy_seconds=busy,
        control_p99_us=control_p99_us,
    )


PEER = window(cpus=(1,))


def test_a_count_that_holds_has_every_figure() -> None:
    measured = judge(100, window(), PEER, bare_us_per_pair=8.0, setup_cpu_seconds=0.15)
    assert measured.holds
    assert measured.window_valid
    assert measured.media_core_fraction == pytest.approx(0.05)
    assert measured.signalling_core_fraction == pytest.approx(0.025)
    assert measured.bandwidth_bps == pytest.approx(8 * 200 * PACKETS / SECONDS)
    assert measured.baseline_ratio == pytest.approx(10 / 8)  # 0.2 s for 20,000 pairs
    assert measured.setup_cpu_ms_per_call == pytest.approx(1.5)
    assert measured.pacing_p99_us == pytest.approx(100, rel=0.02)
    assert (measured.packets_lost, measured.rss_bytes, measured.scheduling) == (0, 64 << 20, "SCHED_FIFO")


def test_what_is_not_known_is_absent() -> None:
    nothing = replace(window(), totals=RunTotals(endpoints=100))
    document = judge(100, nothing, PEER).document()
    for name in (
        "pacing_p50_us",
        "pacing_p99_us",
        "baseline_ratio",
        "rss_bytes",
        "setup_cpu_ms_per_call",
        "scheduling",
    ):
        assert document[name] is None
    assert document["limits"] == ["media thread: nothing was sent"]


@pytest.mark.parametrize(
    ("short", "limit"),
    [
        (window(pacing_us=6000), "media thread: pacing p99"),
        (window(lost=3), "socket buffers: 3 packets lost"),
        (window(endpoints=97), "calls: 97 of 100 were up"),
        (window(loop_lag_ms=80), "signalling loop: loop_lag_ms p99 80"),
    ],
)
def test_what_is_short_is_named_on_either_side(short: Window, limit: str) -> None:
    (worker_limit,) = judge(100, short, PEER).limits
    (peer_limit,) = judge(100, window(), replace(short, cpus=(1,))).limits
    assert worker_limit.startswith(limit)
    assert peer_limit.startswith(f"the answering side: {limit}")


def test_the_bound_of_pacing_is_the_callers() -> None:
    assert judge(100, window(pacing_us=400), PEER, pacing_p99_us=500).holds
    assert not judge(100, window(pacing_us=600), PEER, pacing_p99_us=500).holds


@pytest.mark.parametrize(
    "disturbed",
    [window(control_p99_us=3000), window(control_p99_us=None), window(busy=3.0)],
    ids=["the control thread was stopped", "there was none", "other programs had a quarter of the core"],
)
def test_a_disturbed_window_is_void_and_not_failed(disturbed: Window) -> None:
    measured = judge(100, disturbed, PEER)
    assert measured.holds
    assert not measured.window_valid


def test_on_a_single_core_the_peer_is_no_stranger() -> None:
    assert judge(100, window(busy=4.0), window(busy=4.0)).window_valid
    assert not judge(100, window(busy=4.0), replace(PEER, cores_busy_seconds=4.0)).window_valid


class Machine:
    """Carries so many endpoints and no more."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.asked: list[int] = []

    def measure(self, endpoints: int) -> Measured:
        self.asked.append(endpoints)
        short = () if endpoints <= self.limit else ("media thread: too late",)
        return Measured(endpoints, window_valid=True, limits=short)


def finish(search: CapacitySearch, machine: Machine) -> CapacitySearch:
    while (endpoints := search.next_endpoints()) is not None:
        search.take(machine.measure(endpoints))
    return search


@pytest.mark.parametrize("limit", [25, 26, 49, 60, 199, 333, 500, 799, 1250, 2718, 3999, 7000])
def test_the_highest_count_is_found_within_a_tenth_or_so(limit: int) -> None:
    machine = Machine(limit)
    search = finish(CapacitySearch(9000, "descriptors"), machine)
    assert search.highest is not None
    assert 0.84 * limit <= search.highest <= limit
    assert search.recommended is not None
    assert search.recommended <= 0.8 * search.highest
    assert len(machine.asked) <= 5 + 5 + 2 * (BISECTIONS + 1)
    assert "media thread: too late" in search.limit


def test_the_tiers_of_the_page_come_first_and_are_in_the_result() -> None:
    machine = Machine(600)
    search = finish(CapacitySearch(9000, "descriptors"), machine)
    tiers = [tier.endpoints for tier in PAGE_TIERS]
    assert machine.asked[:5] == tiers
    assert [measured.endpoints for measured in search.measured][:5] == tiers
    assert [measured.endpoints for measured in search.measured] == sorted({*machine.asked})


def test_room_ends_the_search_and_is_named() -> None:
    machine = Machine(100_000)
    search = finish(CapacitySearch(1234, "1234 pairs of ports"), machine)
    assert machine.asked[-2:] == [1000, 1234]
    assert (search.highest, search.recommended, search.limit) == (1234, 980, "1234 pairs of ports")


def test_less_room_than_the_smallest_tier_is_still_measured() -> None:
    search = finish(CapacitySearch(7, "7 pairs of ports"), Machine(100))
    assert (search.highest, search.recommended) == (7, 5)


def test_a_machine_that_carries_nothing_has_no_capacity() -> None:
    search = finish(CapacitySearch(9000, "descriptors"), Machine(0))
    assert search.highest is None
    assert search.recommended is None


def test_below_the_smallest_tier_it_is_searched_too() -> None:
    assert finish(CapacitySearch(9000, "descriptors"), Machine(10)).highest in (9, 10)


def test_a_failure_is_measured_again_and_the_best_counts() -> None:
    search = CapacitySearch(25, "ports")
    search.take(Measured(25, window_valid=True, limits=("late",)))
    assert search.next_endpoints() == 25
    search.take(Measured(25, window_valid=True))
    assert search.next_endpoints() is None
    assert search.highest == 25


def test_a_failure_in_disturbed_windows_has_three_tries() -> None:
    search = CapacitySearch(25, "ports")
    for _ in range(3):
        assert search.next_endpoints() == 25
        search.take(Measured(25, limits=("late",)))
    assert search.next_endpoints() != 25
    assert search.limit == "at 25 endpoints: late (the machine was busy elsewhere: it may carry more)"
    assert [(each.endpoints, each.window_valid) for each in search.measured] == [(25, False)]


def test_an_end_keeps_what_was_measured() -> None:
    search = CapacitySearch(9000, "descriptors")
    search.take(Measured(25, window_valid=True))
    search.take(Measured(50, window_valid=True, limits=("late",)))
    search.end("time")
    assert search.next_endpoints() is None
    assert [each.endpoints for each in search.measured] == [25, 50]
    assert (search.highest, search.limit) == (25, "time")


def test_how_long_it_takes_is_told_beforehand() -> None:
    low, high = CapacitySearch(9000, "descriptors").expected_seconds(lambda endpoints: 1.0)
    assert low == 5
    assert high > 10
