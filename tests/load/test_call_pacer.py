"""A stall is made up for at a bounded rate; everything else starts when it is planned."""

from __future__ import annotations

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.load.arrivals import constant, schedule
from cmw.load.call_pacer import CATCH_UP, GRACE_NS, TICK_NS, CallPacer
from cmw.load.units import parse_rate

START = 1000 * SECOND


def planned(rate: str, count: int) -> CallPacer[int]:
    return CallPacer((START + at, n) for n, at in enumerate(schedule(constant(parse_rate(rate)), count)))


def run(pacer: CallPacer[int], *, until: Nanos, stall: tuple[Nanos, Nanos] = (0, 0)) -> list[tuple[Nanos, list[int]]]:
    """Ask whenever the pacer wants to be asked, and not during the stall; return what was started when."""
    started = []
    while (now := pacer.next_wake()) is not None and now <= until:
        if stall[0] <= now < stall[1]:
            now = stall[1]
        started.append((now, pacer.pull_due(now)))
    return started


def test_starts_each_item_at_its_instant() -> None:
    pacer = planned("100/s", 300)
    started = run(pacer, until=START + 10 * SECOND)
    assert [items for _, items in started] == [[n] for n in range(300)]
    assert [at - START for at, _ in started] == [n * 10 * MILLISECOND for n in range(300)]
    assert (pacer.late_max_ns, pacer.late_count, len(pacer)) == (0, 0, 0)


def test_starts_together_what_is_planned_together() -> None:
    pacer = CallPacer([(START, n) for n in range(1000)])
    assert pacer.pull_due(START) == list(range(1000))
    assert pacer.next_wake() is None


def test_hands_out_nothing_early() -> None:
    pacer = planned("10/s", 2)
    assert pacer.pull_due(START - 1) == []
    assert pacer.pull_due(START) == [0]
    assert pacer.pull_due(START + 99 * MILLISECOND) == []


def test_a_wake_up_that_is_a_little_late_is_no_stall() -> None:
    pacer = planned("1000/s", 100)
    assert len(pacer.pull_due(START + GRACE_NS)) == 21
    assert pacer.next_wake() == START + 21 * MILLISECOND
    assert pacer.late_count == 0


def test_makes_up_for_a_stall_at_half_as_much_again() -> None:
    pacer = planned("750/s", 15_000)
    started = run(pacer, until=START + 20 * SECOND, stall=(START + 5 * SECOND, START + 7 * SECOND))
    assert sum(len(items) for _, items in started) == 15_000
    after = [(at, items) for at, items in started if at >= START + 7 * SECOND]
    planned_in_a_tick = 750 * TICK_NS / SECOND
    assert max(len(items) for at, items in after if at > START + 7 * SECOND) <= CATCH_UP * planned_in_a_tick + 1
    assert len(after[0][1]) <= CATCH_UP * 2 * planned_in_a_tick + 1
    back = next(at for at, items in after if items and at - START - items[-1] * SECOND // 750 <= TICK_NS)
    assert back - (START + 7 * SECOND) <= 4 * SECOND
    assert 2 * SECOND - 2 * MILLISECOND <= pacer.late_max_ns <= 2 * SECOND
    assert 4000 < pacer.late_count < 4600


def test_keeps_the_order_through_a_stall() -> None:
    pacer = planned("100/s", 1000)
    started = run(pacer, until=START + 60 * SECOND, stall=(START + SECOND, START + 3 * SECOND))
    assert [item for _, items in started for item in items] == list(range(1000))


def test_a_stall_while_it_makes_up_for_another_is_no_burst_either() -> None:
    pacer = planned("1000/s", 20_000)
    run(pacer, until=START + SECOND)
    assert len(pacer.pull_due(START + 3 * SECOND)) <= 31
    assert len(pacer.pull_due(START + 5 * SECOND)) <= 30
    assert pacer.next_wake() == START + 5 * SECOND + TICK_NS


def test_few_calls_are_not_bunched_after_a_stall() -> None:
    pacer = planned("1/s", 60)
    started = run(pacer, until=START + 100 * SECOND, stall=(START + 10 * SECOND, START + 20 * SECOND))
    assert max(len(items) for _, items in started) == 1


def test_what_is_added_later_is_started_in_its_turn() -> None:
    pacer: CallPacer[str] = CallPacer([(START + SECOND, "second")])
    pacer.add(START, "first")
    pacer.add(START + SECOND, "third")
    assert pacer.next_wake() == START
    assert pacer.pull_due(START) == ["first"]
    assert pacer.pull_due(START + SECOND) == ["second", "third"]


def test_now_may_repeat_or_lag() -> None:
    pacer = planned("1000/s", 5000)
    pacer.pull_due(START)
    first = pacer.pull_due(START + 2 * SECOND)
    assert pacer.pull_due(START + 2 * SECOND) == []
    assert pacer.pull_due(START + SECOND) == []
    assert len(first) <= 31
