"""Alarms are never early, whatever the loop does with milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.worker import alarm as alarm_module
from cmw.worker.alarm import ALARM_LATE_NS, Alarm


class Loop:
    """Keeps the delays that it was asked for."""

    def __init__(self) -> None:
        self.delays: list[float] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self.delays.append(delay)


@pytest.mark.parametrize(
    "wait_ns", [1, 999_999, MILLISECOND, MILLISECOND + 1, 20 * MILLISECOND, SECOND, 3600 * SECOND + 7]
)
def test_a_timer_that_counts_whole_milliseconds_and_fires_one_early_is_still_not_early(
    monkeypatch: pytest.MonkeyPatch, wait_ns: int
) -> None:
    monkeypatch.setattr(alarm_module, "monotonic_ns", lambda: 5 * SECOND)
    loop = Loop()
    Alarm(loop).at(5 * SECOND + wait_ns, lambda: None)  # type: ignore[arg-type]
    earliest_ns = (round(loop.delays[0] * 1000) - 1) * MILLISECOND
    assert wait_ns <= earliest_ns <= wait_ns + ALARM_LATE_NS


@pytest.mark.parametrize("late_ns", [0, 1, SECOND])
def test_what_is_due_comes_as_soon_as_possible(monkeypatch: pytest.MonkeyPatch, late_ns: int) -> None:
    monkeypatch.setattr(alarm_module, "monotonic_ns", lambda: 5 * SECOND)
    loop = Loop()
    Alarm(loop).at(5 * SECOND - late_ns, lambda: None)  # type: ignore[arg-type]
    assert loop.delays == [0]


def test_on_a_real_loop_a_cancelled_alarm_does_not_come() -> None:
    async def scene() -> None:
        alarm = Alarm(asyncio.get_running_loop())
        came = asyncio.Event()
        alarm.at(alarm.now(), lambda: pytest.fail("it was cancelled")).cancel()
        alarm.at(alarm.now() + MILLISECOND, came.set)
        await came.wait()

    asyncio.run(scene())
