"""`cmw worker`: the default of the image, configured by environment variables alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import NoReturn

import uvloop

from cmw.cli.first_process import adopt_orphans
from cmw.net.service_manager import ServiceManager
from cmw.worker.logs import LEVELS, configure_logging
from cmw.worker.settings import WorkerSettings, load_settings
from cmw.worker.worker import Worker


def worker() -> NoReturn:
    """Run a worker until a signal comes; see docs/configuration.md for its variables.

    SIGTERM and SIGINT end calls politely and hand over what is still to be reported; a second one ends at once. SIGUSR1
    makes the log more talkative by one level, and after trace as it was in the beginning. SIGUSR2 drains: no new runs.
    """
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    adopt_orphans()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        number = runner.run(_run(settings))
        _leave(128 + number)


def next_level(level: str, first: str) -> str:
    """Return the level after `level`: one more talkative, and after the last one `first`, that of the settings."""
    following = list(LEVELS)[list(LEVELS).index(level) + 1 :]
    return following[0] if following else first


def _leave(code: int) -> NoReturn:
    """End the process at once: a question that no name server answers cannot be taken back, and would hold it up."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


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
        await _start(one, ended)
        if not ended.done():
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


async def _start(one: Worker, ended: asyncio.Future[int]) -> None:
    """Start a worker, unless a signal comes before it has started: what it waits for then is waited for no longer."""
    starting = asyncio.ensure_future(one.start())
    await asyncio.wait((starting, ended), return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        return
    starting.cancel()
    await asyncio.wait((starting,))
