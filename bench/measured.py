"""Child processes whose CPU time is measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

PATIENCE_S = 120.0

_ALL_THREADS = 2  # CPUCLOCK_SCHED of linux/posix-timers.h; what clock_getcpuclockid(3) makes of a process


class MeasuredProcess:
    """A child whose standard output is kept, and whose CPU time is known once it has ended.

    Args:
        words: the command.
        directory: where it runs, for programs that leave files behind.
        environment: instead of ours.
        patience_s: it is killed when it takes longer.
    """

    def __init__(
        self,
        words: Iterable[str],
        *,
        directory: str | None = None,
        environment: Mapping[str, str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.words = list(words)
        self.cpu_s = 0.0
        self._output, self._errors = os.memfd_create("output"), os.memfd_create("errors")
        self._patience_s = patience_s
        self._process = subprocess.Popen(
            self.words,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._errors,
            cwd=directory,
            env=environment,
        )

    def __enter__(self) -> MeasuredProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self._process.kill()
            if self._process.returncode is None:  # `kill` looks first whether it has ended by itself
                self._reap(time.monotonic() + self._patience_s)
        os.close(self._output)
        os.close(self._errors)

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Return whether it has not ended."""
        return self._process.poll() is None

    def cpu_ns(self) -> int:
        """Return the CPU time of a process that still runs, with what the kernel did for it."""
        return time.clock_gettime_ns(~self.pid << 3 | _ALL_THREADS)

    @property
    def output(self) -> str:
        """Return what it has written to standard output so far."""
        return _read(self._output)

    @property
    def errors(self) -> str:
        """Return what it has written to standard error so far."""
        return _read(self._errors)

    def wait_for(self, text: str) -> None:
        """Return once `text` was written to standard output."""
        self._wait_until(lambda: text in self.output, f"{text!r} in its output")

    def wait_until_bound(self, ip: str, port: int) -> None:
        """Return once somebody has bound the UDP port."""
        number = int.from_bytes(bytes(map(int, ip.split("."))), "little")
        wanted = f" {number:08X}:{port:04X} "
        self._wait_until(lambda: wanted in Path("/proc/net/udp").read_text(), f"{ip}:{port} bound")

    def wait(self) -> int:
        """Return the exit code once it has ended by itself."""
        return self._reap(time.monotonic() + self._patience_s)

    def stop(self) -> int:
        """End it with SIGTERM; return the exit code, negative for a signal."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def result(self) -> dict[str, Any]:
        """Return the JSON that it wrote last."""
        lines = [line for line in self.output.splitlines() if line.startswith("{")]
        assert lines, f"{self.words[:5]} said nothing:\n{self.output}\n{self.errors}"
        found: dict[str, Any] = json.loads(lines[-1])
        return found

    def _wait_until(self, is_true: Any, what: str) -> None:
        deadline = time.monotonic() + self._patience_s
        while not is_true():
            assert self._process.poll() is None, f"{self.words[:5]} ended before {what}:\n{self.errors}"
            assert time.monotonic() < deadline, f"{self.words[:5]}: no {what}"
            time.sleep(0.01)

    def _reap(self, deadline: float) -> int:
        while True:
            pid, status, used = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                self._process.kill()
                deadline = float("inf")
            time.sleep(0.005)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s = used.ru_utime + used.ru_stime
        return self._process.returncode


def agent(role: str, bind: str, **options: object) -> MeasuredProcess:
    """Start a process of `bench.sip_agents` and return once it is ready."""
    words = [sys.executable, "-m", "bench.sip_agents", role, "--bind", bind]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    process = MeasuredProcess(words)
    process.wait_for("ready")
    return process


def _read(file: int) -> str:
    return os.pread(file, os.fstat(file).st_size, 0).decode("utf-8", "replace")
