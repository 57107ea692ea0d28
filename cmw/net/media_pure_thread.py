"""The thread of the media engine in plain Python: a grid of 1 ms, and how well it was kept."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.errors import LocalProtocolError
from cmw.net.clock import monotonic_ns

TICK_NS: Final = MILLISECOND
SWITCH_S: Final = 0.0005
"""How long other threads of the interpreter may go on when this one wants to run."""


class TickThread:
    """Serves each point of the grid that it can keep."""

    def __init__(self) -> None:
        self.ticks = 0
        self.missed = 0
        """Points of the grid that were passed over."""
        self.stall_ns: Nanos = 0
        """Longest time by which one was served late; whoever tells it begins anew."""
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._cpu_s = self._cpu_before_s = 0.0

    def start(self, serve: Callable[[Nanos, int], None]) -> None:
        """Start the thread, which calls `serve` with the time and the number of each tick."""
        if self._thread is not None:
            raise LocalProtocolError("the media engine runs already")
        sys.setswitchinterval(min(SWITCH_S, sys.getswitchinterval()))
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, args=(serve,), name="cmw-media", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._is_stopping = True
            thread.join()

    @property
    def cpu_seconds(self) -> float:
        """Return the CPU time of the thread, over all starts."""
        return self._cpu_before_s + self._cpu_s

    def _run(self, serve: Callable[[Nanos, int], None]) -> None:
        self._cpu_before_s, self._cpu_s = self.cpu_seconds, 0.0
        wake = (monotonic_ns() // TICK_NS + 1) * TICK_NS
        while not self._is_stopping:
            time.sleep(max(0, wake - monotonic_ns()) / SECOND)
            now = monotonic_ns()
            self.stall_ns = max(self.stall_ns, now - wake)
            self.ticks += 1
            serve(now, self.ticks)
            self._cpu_s = time.thread_time()
            missed = max(0, (monotonic_ns() - wake) // TICK_NS)
            self.missed += missed
            wake += (missed + 1) * TICK_NS
