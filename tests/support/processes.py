"""Run real programs beside a test: start, wait for a sign of life, stop politely, keep what they said."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

PATIENCE_S = 30.0
"""How long a program may take to say that it lives; generous, since machines are shared."""


class Program:
    """A child process whose lines are kept and can be waited for.

    Args:
        stdout: file for its standard output; without one both outputs are kept as lines.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        stdout: Path | None = None,
    ) -> None:
        self.words = list(words)
        self.lines: list[str] = []
        self._news = threading.Condition()
        with contextlib.ExitStack() as files:
            target = files.enter_context(stdout.open("wb")) if stdout is not None else subprocess.PIPE
            self._process = subprocess.Popen(
                self.words,
                cwd=cwd,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=subprocess.STDOUT if stdout is None else subprocess.PIPE,
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
        stream = self._process.stdout or self._process.stderr
        assert stream is not None
        with stream:
            for line in stream:
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

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
                if rest <= 0 or (self.has_ended and not self._reader.is_alive()):
                    raise AssertionError(f"{self.words[:4]}: no line with {text!r} in:\n{self.output}")
                self._news.wait(min(rest, 0.5))

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Return the exit code once the program has ended by itself; end it, and fail, when it takes too long."""
        try:
            code = self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.words[:4]} did not end within {patience_s} s:\n{self.output}") from None
        self._reader.join(PATIENCE_S)
        return code

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """End the program as a crash would."""
        self._process.kill()
        self._process.wait()
        self._reader.join(PATIENCE_S)

    def stop(self) -> int:
        """End the program with SIGTERM, then without mercy; return its exit code."""
        if not self.has_ended:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE_S)
        if not self.has_ended:
            self.kill()
        return self.wait()


def cmw(
    *words: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdout: Path | None = None,
) -> Program:
    """Start the installed program with the words given."""
    return Program([sys.executable, "-m", "cmw", *words], cwd=cwd, environment=environment, stdout=stdout)


class Callee:
    """`cmw answer` on an address of its own; `reports` holds what became of each call.

    Args:
        directory: for its files.
        ip: loopback address; SIP is on port 5060.
    """

    def __init__(self, directory: Path, ip: str, *words: str, rtp_ports: str = "20000-29999") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        host = f"[{ip}]" if ":" in ip else ip
        self.target = f"sip:bob@{host}"
        self._totals = directory / "totals.json"
        listen = ["--listen", f"{host}:5060", "--rtp-ports", rtp_ports, "--json"]
        self.program = cmw("answer", *listen, *words, stdout=self._totals)
        self.program.wait_for('"listening"')

    def __enter__(self) -> Callee:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program.stop()

    @property
    def log(self) -> list[dict[str, Any]]:
        """Return the log so far."""
        return [json.loads(line) for line in self.program.lines]

    @property
    def reports(self) -> list[dict[str, Any]]:
        """Return what the log says of each call that has ended."""
        return [entry for entry in self.log if entry["event"] == "call ended"]

    def wait_for_reports(self, count: int) -> None:
        """Wait until so many calls have ended."""
        seen = 0
        for _ in range(count):
            self.program.wait_for('"event":"call ended"', after=seen)
            seen = (
                next(at for at, line in enumerate(self.program.lines) if at >= seen and '"event":"call ended"' in line)
                + 1
            )

    def stop(self) -> dict[str, Any]:
        """End it with SIGTERM; return its totals."""
        code = self.program.stop()
        assert code == 128 + signal.SIGTERM, (code, self.program.output)
        assert [entry for entry in self.log if entry["level"] == "error"] == []
        totals: dict[str, Any] = json.loads(self._totals.read_text())
        return totals
