"""Media threads that do not run any more."""

from __future__ import annotations

from cmw.worker.standstill import PATIENCE, Standstill


class Threads:
    """Counts of wake-ups, to be set."""

    def __init__(self, *wakes: int) -> None:
        self.wakes = list(wakes)
        self.standstill = Standstill(lambda: list(self.wakes))

    def look(self, *running: int, times: int = 1) -> str:
        """Let so many seconds pass in which some of the threads run."""
        for _ in range(times):
            for thread in running:
                self.wakes[thread] += 1000
            self.standstill.look()
        return self.standstill.fault


def test_threads_that_run_are_no_fault() -> None:
    assert Threads(0, 0).look(0, 1, times=3 * PATIENCE) == ""


def test_one_that_stands_still_is_a_fault_until_it_runs_again() -> None:
    threads = Threads(0, 0)
    threads.look(0, 1)
    assert threads.look(0, times=PATIENCE - 1) == ""
    assert threads.look(0) == f"1 of 2 media threads did not run for {PATIENCE} s or more"
    assert threads.look(0, 1) == ""


def test_a_thread_that_comes_later_counts_from_then() -> None:
    threads = Threads(0)
    threads.look(0, times=2 * PATIENCE)
    threads.wakes.append(0)
    assert threads.look(0, times=PATIENCE) == ""
    assert threads.look(0) == f"1 of 2 media threads did not run for {PATIENCE} s or more"


def test_no_thread_is_no_fault() -> None:
    assert Threads().look(times=2 * PATIENCE) == ""
