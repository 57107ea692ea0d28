"""The progress of a run: a line now and then where nothing can move, a picture where something can."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from cmw.cli import progress as progress_module
from cmw.cli.progress import LINE_PERIOD_S, Progress
from cmw.core.words import RunStatus
from cmw.gateway.views import RunView

GOING = {
    "by_phase": {"CALLING": 1, "INCALL": 2, "CLOSED": 1},
    "by_outcome": {"CALL_FAILED": 1, "SUCCESS": 0},
    "calls_attempted": 4,
    "calls_answered": 2,
}


def view(status: RunStatus = RunStatus.RUNNING, progress: dict[str, Any] | None = None) -> RunView:
    return RunView(
        id="r1", name="my [run]", status=status, endpoints=4, created_at="", progress=progress if progress else {}
    )


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_module, "time", clock)
    return clock


def test_lines_come_when_something_is_new_and_not_too_often(clock: Clock) -> None:
    out = io.StringIO()
    with Progress(Console(file=out, width=200)) as progress:
        progress.update(view(RunStatus.PENDING))
        clock.now += 1
        progress.update(view(progress=GOING))  # too soon
        clock.now += LINE_PERIOD_S
        progress.update(view(progress=GOING))
        clock.now += LINE_PERIOD_S
        progress.update(view(progress=GOING))  # nothing new
        clock.now += 1
        progress.update(view(RunStatus.COMPLETED, {"by_phase": {"CLOSED": 4}, "calls_attempted": 4}))
        progress.update(view(RunStatus.COMPLETED, {"by_phase": {"CLOSED": 4}, "calls_attempted": 4}))
    assert out.getvalue().splitlines() == [
        "   0.0 s  PENDING",
        "   6.0 s  RUNNING: 2 of 4 calls answered; calling 1, closed 1, incall 2",
        "  12.0 s  COMPLETED: 0 of 4 calls answered; closed 4",
    ]


def test_quiet_says_nothing() -> None:
    out = io.StringIO()
    with Progress(Console(file=out, force_terminal=True), quiet=True) as progress:
        progress.update(view(progress=GOING))
    assert out.getvalue() == ""


def test_a_terminal_gets_a_picture_and_its_cursor_back(clock: Clock) -> None:
    out = io.StringIO()
    with Progress(Console(file=out, width=80, force_terminal=True, no_color=True)) as progress:
        progress.update(view(progress=GOING))
        clock.now += 7
        progress.update(view(progress=GOING))
    shown = out.getvalue()
    assert "4 placed, 2 answered, " in shown
    assert "1 endpoints failed" in shown
    assert "my [run]" in shown
    assert shown.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in shown


@pytest.mark.parametrize("progress", [{}, {"by_phase": None, "by_outcome": 3}, {"by_phase": {}}])
def test_a_run_of_which_nothing_is_known_yet(clock: Clock, progress: dict[str, Any]) -> None:
    for terminal in (False, True):
        out = io.StringIO()
        with Progress(Console(file=out, width=80, force_terminal=terminal)) as shown:
            shown.update(view(RunStatus.QUEUED, progress))
        assert "QUEUED" in out.getvalue()


def test_a_terminal_that_cannot_move_gets_lines(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out = io.StringIO()
    with Progress(Console(file=out, width=200, force_terminal=True)) as progress:
        progress.update(view(RunStatus.PENDING))
    assert out.getvalue() == "   0.0 s  PENDING\n"


MEASURED = GOING | {
    "second": 3,
    "calls_due": 5,
    "untrusted_seconds": 0,
    "quality": {
        "mos": {"count": 2, "sum": 8.6},
        "fraction_lost": {"count": 2, "sum": 1.0},
        "jitter_ms": {"count": 2, "sum": 0.8},
    },
}


def test_audio_pace_and_health_are_shown(clock: Clock) -> None:
    out = io.StringIO()
    with Progress(Console(file=out, width=120, force_terminal=True, no_color=True)) as progress:
        progress.update(view(progress=MEASURED))
        clock.now += 1
        progress.update(view(progress=MEASURED | {"second": 4, "calls_due": 8, "calls_attempted": 6}))
    shown = out.getvalue()
    assert "audio: MOS 4.30, loss 0.50 %, jitter 0.4 ms" in shown
    assert "3/s wanted, 2/s placed" in shown
    assert "generator healthy" in shown


def test_a_line_has_the_audio_and_the_generator_when_it_is_the_limit() -> None:
    out = io.StringIO()
    with Progress(Console(file=out, width=200)) as progress:
        progress.update(view(RunStatus.COMPLETED, MEASURED | {"untrusted_seconds": 2}))
    assert out.getvalue().endswith(
        "calling 1, closed 1, incall 2; MOS 4.30, loss 0.50 %, jitter 0.4 ms; generator the limit in 2 s\n"
    )
