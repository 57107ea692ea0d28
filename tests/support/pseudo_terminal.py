"""A program on a terminal of its own: of a given size, with what it wrote as it wrote it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.support.processes import PATIENCE_S

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-Za-z]|[=>78])")


class PseudoTerminal:
    """A child process whose three streams are a terminal; what it writes is kept.

    Args:
        rows, columns: of the terminal.
    """

    def __init__(
        self, words: Sequence[str], *, rows: int = 24, columns: int = 80, environment: Mapping[str, str] | None = None
    ) -> None:
        self.words = list(words)
        self.written = ""
        self._master, slave = pty.openpty()
        self._news = threading.Condition()
        self.resize(rows, columns)
        try:
            self._process = subprocess.Popen(
                ["setsid", "--ctty", *self.words],  # so that its keys are signals for the program
                env={**os.environ, "TERM": "xterm-256color", **(environment or {})},
                stdin=slave,
                stdout=slave,
                stderr=slave,
            )
        finally:
            os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(PATIENCE_S)
        os.close(self._master)

    @property
    def shown(self) -> str:
        """Return what was written, without what moves and colours."""
        return _ESCAPES.sub("", self.written)

    @property
    def escapes(self) -> list[str]:
        """Return what moves and colours."""
        return _ESCAPES.findall(self.written)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, text: str, *, after: int = 0) -> None:
        """Wait until `text` is shown, behind `after` characters; fail with all that is."""
        with self._news:
            came = self._news.wait_for(
                lambda: text in self.shown[after:] or not self._reader.is_alive(), timeout=PATIENCE_S
            )
        assert came, f"no {text!r} within {PATIENCE_S} s in:\n{self.shown}"
        assert text in self.shown[after:], f"no {text!r} before its end in:\n{self.shown}"

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Return the exit code once the program has ended by itself."""
        code = self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # nobody has the other end any more
                data = b""
            with self._news:
                self.written += data.decode("utf-8", "replace")
                self._news.notify_all()
            if not data:
                return
