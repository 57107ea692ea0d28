"""One timer for all starts; what the pacer holds back is asked for again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.worker.paced_starts import PacedStarts


class FakeTimer:
    def __init__(self, due_ns: int, callback: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeAlarm:
    """An alarm whose clock the test moves."""

    def __init__(self) -> None:
        self.clock = 0
        self.timers: list[FakeTimer] = []

    def now(self) -> int:
        return self.clock

    def at(self, due_ns: int, callback: Callable[[], None]) -> FakeTimer:
        self.timers.append(FakeTimer(due_ns, callback))
        return self.timers[-1]

    @property
    def waiting(self) -> list[int]:
        return [timer.due_ns for timer in self.timers if not timer.is_cancelled]

    def pass_to(self, now: int) -> None:
        """Fire what is due, the soonest first."""
        self.clock = now
        while due := [timer for timer in self.timers if timer.due_ns <= now and not timer.is_cancelled]:
            timer = min(due, key=lambda each: each.due_ns)
            self.timers.remove(timer)
            timer.callback()


def make(count: int, gap_ns: int) -> tuple[FakeAlarm, PacedStarts, list[int]]:
    alarm = FakeAlarm()
    starts = PacedStarts(alarm)  # type: ignore[arg-type]
    begun: list[int] = []
    for n in range(count):
        starts.add(SECOND + n * gap_ns, partial(begun.append, n))
    starts.arm()
    return alarm, starts, begun


def test_each_is_begun_at_its_instant_by_one_timer() -> None:
    alarm, _, begun = make(10, 100 * MILLISECOND)
    for n in range(10):
        assert alarm.waiting == [SECOND + n * 100 * MILLISECOND]
        alarm.pass_to(SECOND + n * 100 * MILLISECOND)
        assert begun == list(range(n + 1))
    assert alarm.waiting == []


def test_a_stall_is_made_up_for_in_small_parts() -> None:
    alarm, starts, begun = make(3000, MILLISECOND)
    alarm.pass_to(SECOND)
    alarm.pass_to(3 * SECOND)
    assert 1 < len(begun) <= 32
    now = 3 * SECOND
    while len(begun) < 3000:
        before, now = len(begun), now + 10 * MILLISECOND
        alarm.pass_to(now)
        assert len(begun) - before <= 16
    assert begun == list(range(3000))
    assert now <= 7 * SECOND
    assert starts.late_count > 2000
    assert starts.late_max_ns == 2 * SECOND - MILLISECOND


def test_a_start_that_fails_does_not_keep_the_others_from_beginning() -> None:
    alarm, starts, begun = make(3, 0)

    def fail() -> None:
        raise KeyError

    starts.add(SECOND - 1, fail)
    starts.arm()
    with pytest.raises(KeyError):
        alarm.pass_to(SECOND)
    alarm.pass_to(SECOND)
    assert begun == [0, 1, 2]


def test_nothing_is_begun_after_close() -> None:
    alarm, starts, begun = make(3, MILLISECOND)
    starts.close()
    starts.arm()
    alarm.pass_to(9 * SECOND)
    assert begun == []


def test_what_is_begun_may_close_it() -> None:
    alarm, starts, begun = make(2, 0)
    starts.add(SECOND - 1, starts.close)
    starts.arm()
    alarm.pass_to(SECOND)
    assert begun == []
    assert alarm.waiting == []
