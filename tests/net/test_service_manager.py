"""What a service manager hears, over a real socket; without one nothing happens."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmw.net.service_manager import ServiceManager


class Manager:
    def __init__(self, address: str | bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(10)

    def hear(self) -> str:
        return self.socket.recv(4096).decode()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.socket.close()


def test_ready_alive_and_stopping(manager: Manager, tmp_path: Path) -> None:
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "30000",
        "WATCHDOG_PID": str(os.getpid()),
    }

    async def scene() -> None:
        service = ServiceManager(environment)
        service.ready("worker for gateway.example:443")
        for _ in range(3):
            heard.append(await asyncio.to_thread(manager.hear))
        service.stopping()
        service.close()
        while heard[-1] == "WATCHDOG=1":
            heard.append(manager.hear())

    heard: list[str] = []
    asyncio.run(scene())
    assert heard[:3] == ["READY=1\nSTATUS=worker for gateway.example:443", "WATCHDOG=1", "WATCHDOG=1"]
    assert heard[-1] == "STOPPING=1"


def test_an_address_without_a_file(tmp_path: Path) -> None:
    name = f"cmw-test-{os.getpid()}"
    manager = Manager(f"\0{name}")
    ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).status("one line\nand another")
    assert manager.hear() == "STATUS=one line and another"
    manager.socket.close()


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/notify"}])
def test_without_a_manager_nothing_happens(environment: dict[str, str]) -> None:
    service = ServiceManager(environment)
    service.status("x")
    service.stopping()
    service.close()


@pytest.mark.parametrize(
    "watchdog", [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}]
)
def test_without_a_watchdog_there_are_no_beats(manager: Manager, tmp_path: Path, watchdog: dict[str, str]) -> None:
    async def scene() -> None:
        service = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify"), **watchdog})
        service.ready("x")
        service.stopping()

    asyncio.run(scene())
    assert [manager.hear(), manager.hear()] == ["READY=1\nSTATUS=x", "STOPPING=1"]
