"""What a service manager is told: ready, alive, stopping. Source: sd_notify(3), sd_watchdog_enabled(3)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping

BEATS_PER_LIMIT = 3
"""How often within the time of the watchdog we say that we are alive: one may come late, or two."""


class ServiceManager:
    """Tell the manager that started us, if one did; everything here does nothing otherwise.

    Args:
        environment: where ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` are looked for.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._beat_s = _watchdog_s(environment) / BEATS_PER_LIMIT
        self._timer: asyncio.TimerHandle | None = None

    def ready(self, status: str) -> None:
        """Say that we do our work from now on, and then that we are alive, from the running loop, until `stopping`."""
        self._tell("READY=1", f"STATUS={status}")
        if self._address and self._beat_s > 0:
            self._beat()

    def status(self, text: str) -> None:
        """Say in one line how we are."""
        self._tell(f"STATUS={text}")

    def stopping(self) -> None:
        """Say that we have begun to stop."""
        self._tell("STOPPING=1")

    def close(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        self._tell("WATCHDOG=1")
        self._timer = asyncio.get_running_loop().call_later(self._beat_s, self._beat)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        message = "\n".join(line.replace("\n", " ") for line in lines).encode()
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(message, self._address)


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """Return after how much silence we would be killed; 0 for never."""
    limit_us = environment.get("WATCHDOG_USEC", "")
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0  # it is meant for another process
    return int(limit_us) / 1e6 if limit_us.isascii() and limit_us.isdigit() else 0.0
