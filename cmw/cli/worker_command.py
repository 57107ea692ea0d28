"""`cmw worker`: the default of the image, configured by environment variables alone."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from cmw.worker.logs import configure_logging
from cmw.worker.settings import WorkerSettings, load_settings
from cmw.worker.worker import Worker


def worker() -> int:
    """Run a worker until a signal comes; see docs/configuration.md for its variables.

    SIGTERM and SIGINT end calls politely and hand over what is still to be reported; a second one ends at once.
    """
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    return 128 + uvloop.run(_run(settings))


async def _run(settings: WorkerSettings) -> int:
    """Return the number of the signal that ended the worker."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    stopping: list[asyncio.Task[None]] = []

    def receive_signal(number: int) -> None:
        if not ended.done():
            ended.set_result(number)
        for task in stopping:
            task.cancel()

    for awaited in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(awaited, receive_signal, awaited)
    one = Worker(settings)
    try:
        await one.start()
        number = await ended
    finally:
        stopping.append(loop.create_task(one.stop()))
        done, _ = await asyncio.wait(stopping)
    for task in done:
        if not task.cancelled():
            task.result()
    return number
