"""`cmw worker`: the default of the image, configured by environment variables alone."""

from __future__ import annotations

import asyncio
import os
import signal

import uvloop

from cmw.net.service_manager import ServiceManager
from cmw.worker.logs import LEVELS, configure_logging
from cmw.worker.settings import WorkerSettings, load_settings
from cmw.worker.worker import Worker


def worker() -> int:
    """Run a worker until a signal comes; see docs/configuration.md for its variables.

    SIGTERM and SIGINT end calls politely and hand over what is still to be reported; a second one ends at once. SIGUSR1
    makes the log more talkative by one level, and after trace as it was in the beginning. SIGUSR2 drains: no new runs.
    """
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    adopt_orphans()
    return 128 + uvloop.run(_run(settings))


def adopt_orphans() -> None:
    """As the first process of a container, let the kernel bury whoever is left to us, as of a health check."""
    if os.getpid() == 1:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def next_level(level: str, first: str) -> str:
    """Return the level after `level`: one more talkative, and after the last one `first`, that of the settings."""
    following = list(LEVELS)[list(LEVELS).index(level) + 1 :]
    return following[0] if following else first


async def _run(settings: WorkerSettings) -> int:
    """Return the number of the signal that ended the worker."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    stopping: list[asyncio.Task[None]] = []
    one = Worker(settings)
    manager = ServiceManager()

    def receive_signal(number: int) -> None:
        if not ended.done():
            ended.set_result(number)
        for task in stopping:
            task.cancel()

    for awaited in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(awaited, receive_signal, awaited)
    loop.add_signal_handler(signal.SIGUSR1, lambda: one.change_log_level(next_level(one.log_level, settings.log_level)))
    loop.add_signal_handler(signal.SIGUSR2, one.drain)
    try:
        await one.start()
        manager.ready(f"worker for {settings.gateway.address}")
        number = await ended
    finally:
        manager.stopping()
        stopping.append(loop.create_task(one.stop()))
        done, _ = await asyncio.wait(stopping)
    manager.close()
    for task in done:
        if not task.cancelled():
            task.result()
    return number
