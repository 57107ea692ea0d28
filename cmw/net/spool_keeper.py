"""Brings what waits in a worker's spool to its files, twice a second, from a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from cmw.link.worker_link import WorkerLink
from cmw.net.spool_files import SpoolFiles

ROUND_S: Final = 0.5


class SpoolKeeper:
    """Writes what the gateway has not acknowledged in time: at once while it is away, else what has waited a round.

    So a link that works costs no write at all. What is written is brought to the disk in the same round. A disk that
    is full or fails is told of once, and tried again with every round; until then memory holds what there is.
    """

    def __init__(self, link: WorkerLink, files: SpoolFiles) -> None:
        self.fault = ""
        """Why nothing can be written now, "" if it can."""
        self._link = link
        self._files = files
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._task: asyncio.Task[None] | None = None
        self._is_closing = asyncio.Event()
        self._spools = {link.session: link.spool} | dict(link.predecessors)
        self._seen_seq = 0
        self._log = structlog.get_logger("cmw.link")

    def start(self) -> None:
        """Begin to write."""
        if self._files.damaged_bytes:
            self._log.warning("the end of a spool file was damaged and left out", bytes=self._files.damaged_bytes)
        for session, spool in self._link.predecessors:
            self._log.info("an earlier process left reports", session=session, reports=len(spool))
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="spool")

    async def close(self) -> None:
        """Write what is left, for a later process to send, and let the files go."""
        self._is_closing.set()
        if self._task is not None:
            await self._task
        await self._write(self._link.spool.next_seq)
        self._thread.shutdown()
        self._files.close()

    async def _keep(self) -> None:
        while not self._is_closing.is_set():
            last_seq = self._link.spool.next_seq - 1
            up_to = self._seen_seq if self._link.is_open and self._link.spool.size_bytes < 4 << 20 else last_seq
            self._seen_seq = last_seq
            await self._write(up_to)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_closing.wait(), ROUND_S)

    async def _write(self, up_to: int) -> None:
        """Do one round; what cannot be written is taken back."""
        spool = self._link.spool
        entries = [(e, e.payload) for e in spool.take_unshelved(up_to) if e.payload is not None]
        gone = [place for one in self._spools.values() for place in one.take_gone()]
        acknowledged = {session: one.acknowledged for session, one in self._spools.items()}
        if not entries and not gone and not self._files.has_files:
            return
        done = await asyncio.get_running_loop().run_in_executor(
            self._thread, self._files.write, self._link.session, entries, gone, acknowledged
        )
        for session, seq, before, after in done.moves:
            self._spools[session].moved(seq, before, after)
        if done.places is None:
            spool.not_shelved([entry for entry, _ in entries])
        else:
            for (entry, payload), place in zip(entries, done.places, strict=True):
                spool.shelved(entry, payload, place)
        self._tell(done.fault)

    def _tell(self, fault: str) -> None:
        if fault and not self.fault:
            self._log.error("cannot write the spool to SPOOL_DIR; memory holds what there is", reason=fault)
        elif self.fault and not fault:
            self._log.info("the spool is written to SPOOL_DIR again")
        self.fault = fault
