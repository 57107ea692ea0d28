"""`cmw top` on a terminal of its own, beside a worker with calls: what it shows, how it ends, what it leaves behind."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.lab import Lab, Worker
from tests.support.processes import cmw
from tests.support.pseudo_terminal import PseudoTerminal

pytestmark = pytest.mark.loopback

CALLS = 3
ENTERS, LEAVES = "\x1b[?1049h", "\x1b[?1049l"
HIDES, SHOWS = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker that has its calls up for longer than these tests take."""
    with Lab(tmp_path_factory.mktemp("top"), 41) as lab:
        yield lab.start_calls(CALLS, 600)[0]


def top(worker: Worker, *, rows: int = 24, columns: int = 120, **environment: str) -> PseudoTerminal:
    words = [sys.executable, "-m", "cmw", "top", "--interval", "0.2"]
    told = {"HEALTH_PORT": str(worker.health_port), **environment}
    return PseudoTerminal(words, rows=rows, columns=columns, environment=told)


def test_it_shows_calls_and_ends_with_ctrl_c(worker: Worker) -> None:
    with top(worker) as terminal:
        terminal.wait_for(f"incall {CALLS}, disconnecting 0, closed 0")
        terminal.wait_for("link       connected, ")
        terminal.wait_for(f"load       1 runs, {CALLS} of ")
        terminal.wait_for("quality    MOS 4.")
        terminal.wait_for("pacing     p99 below ")
        seen = len(terminal.shown)
        terminal.wait_for("packets    sent ", after=seen)  # it goes on looking
        terminal.press("\x03")
        assert terminal.wait() == 130
    assert terminal.written.startswith(ENTERS)
    assert terminal.written.rstrip().endswith(LEAVES)
    assert terminal.written.rfind(SHOWS) > terminal.written.rfind(HIDES)
    assert "Traceback" not in terminal.shown


def test_it_leaves_the_terminal_as_it_was_when_it_is_ended(worker: Worker) -> None:
    with top(worker) as terminal:
        terminal.wait_for("machine    ")
        terminal.signal(signal.SIGTERM)
        assert terminal.wait() == 143
    assert terminal.written.rfind(LEAVES) > terminal.written.rfind(ENTERS)
    assert terminal.written.rfind(SHOWS) > terminal.written.rfind(HIDES)


@pytest.mark.parametrize(("rows", "columns"), [(4, 30), (1, 10), (60, 400)])
def test_any_size_of_terminal(worker: Worker, rows: int, columns: int) -> None:
    with top(worker, rows=rows, columns=columns) as terminal:
        terminal.wait_for("cmw "[:columns])
        seen = len(terminal.shown)
        terminal.wait_for("cmw ", after=seen)
        terminal.press("\x03")
        assert terminal.wait() == 130
    pictures = terminal.shown.partition("^C")[0].replace("\r", "").split("cmw ")[1:-1]  # the last was cut short
    assert {picture.count("\n") for picture in pictures} == {rows - 1}
    assert all(len(line) <= columns for line in ("cmw " + pictures[-1]).split("\n"))


def test_without_colours(worker: Worker) -> None:
    with top(worker, NO_COLOR="1") as terminal:
        terminal.wait_for("machine    ")
        terminal.press("\x03")
        terminal.wait()
    assert "m" not in {each[-1] for each in terminal.escapes}


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(worker: Worker) -> None:
    with top(worker, TERM="dumb") as terminal:
        terminal.wait_for(f"incall {CALLS}, ")
        terminal.wait_for("machine    ")
        terminal.press("\x03")
        assert terminal.wait() == 130
    assert terminal.escapes == []


def test_no_terminal_at_all(worker: Worker) -> None:
    with cmw("top", "--interval", "0.2", environment={"HEALTH_PORT": str(worker.health_port)}) as program:
        program.wait_for(f"incall {CALLS}, ")
        seen = len(program.lines)
        program.wait_for(f"incall {CALLS}, ", after=seen)
        program.signal(signal.SIGINT)
        assert program.wait() == 130
    assert "\x1b" not in program.output


def test_nobody_answers(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "cmw", "top", "--url", "http://127.40.41.9:9"]
    with PseudoTerminal(words) as terminal:
        assert terminal.wait() == 75
    assert terminal.shown.strip() == "cmw: http://127.40.41.9:9/metrics: no worker answers there (Connection refused)"
    assert terminal.escapes == []


def test_the_worker_stops_meanwhile(tmp_path: Path) -> None:
    with Lab(tmp_path, 42) as lab:
        _, token = lab.create_worker()
        worker = lab.start_worker(token)
        worker.event("link open")
        with top(worker) as terminal:
            terminal.wait_for("link       connected, ")
            worker.program.signal(signal.SIGTERM)
            assert terminal.wait() == 75
        assert worker.program.wait() == 143
    screen, _, left = terminal.written.rpartition(LEAVES)
    assert SHOWS in screen
    assert left.strip().startswith(f"cmw: http://127.0.0.1:{worker.health_port}/metrics: ")
    assert "Traceback" not in terminal.shown
