"""Run real programs beside a test: start, wait for a sign of life, stop politely, keep what they said."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

PATIENCE_S = 30.0
"""How long a program may take to say that it lives; generous, since machines are shared."""


class Program:
    """A child process whose lines are kept and can be waited for."""

    def __init__(
        self, words: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.words = list(words)
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            self.words,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, text: str, *, patience_s: float = PATIENCE_S, after: int = 0) -> str:
        """Return the first line, from line `after` on, that holds `text`; fail with the whole output if none comes."""
        deadline = time.monotonic() + patience_s
        with self._news:
            while True:
                for line in self.lines[after:]:
                    if text in line:
                        return line
                rest = deadline - time.monotonic()
                if rest <= 0 or (self._process.poll() is not None and not self._reader.is_alive()):
                    raise AssertionError(f"{self.words[:4]}: no line with {text!r} in:\n{self.output}")
                self._news.wait(min(rest, 0.5))

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Return the exit code once the program has ended by itself."""
        code = self._process.wait(patience_s)
        self._reader.join(PATIENCE_S)
        return code

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """End the program as a crash would."""
        self._process.kill()
        self.wait()

    def stop(self) -> int:
        """End the program with SIGTERM, then without mercy; return its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE_S)
        if self._process.poll() is None:
            self._process.kill()
        return self.wait()


def cmw(*words: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> Program:
    """Start the installed program with the words given."""
    return Program([sys.executable, "-m", "cmw", *words], cwd=cwd, environment=environment)


def until(holds: object, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Yield until `holds()` is true: ``for _ in until(ready): look()``; fail when patience ends."""
    assert callable(holds)
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, f"{holds} never became true"
        yield


def free_udp_port(ip: str = "127.0.0.1") -> int:
    """Return a UDP port that is free now, below the range from which the kernel picks by itself."""
    for port in range(20000 + os.getpid() % 5000, 32000, 2):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((ip, port))
            return port
    raise AssertionError("no free UDP port")
