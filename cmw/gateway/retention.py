"""What is forgotten of runs that are over, and when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from cmw.core.words import RunStatus
from cmw.gateway.database import Database
from cmw.gateway.errors import conflict, not_found
from cmw.gateway.instants import UnixClock, UnixMillis
from cmw.gateway.tables import batches, endpoints, events, run_workers, runs, sample_blocks, sample_sums

DAY_MS: UnixMillis = 24 * 3600 * 1000
LOOK_S = 3600.0
ROWS_AT_ONCE = 200
"""Rows deleted in one transaction: others write in between."""

log = structlog.get_logger("cmw.gateway.retention")

_OVER = runs.c.status.in_([status for status in RunStatus if status.is_final])


@dataclass(frozen=True, slots=True)
class Kept:
    """How long results are kept after the end of their run, in days; None for ever.

    Args:
        runs_days: all of a run.
        samples_days: its samples, which are most of it; summary and endpoints stay.
    """

    runs_days: int | None = None
    samples_days: int | None = None


class Retention:
    """Deletes results of runs that are over: on request, and by age."""

    def __init__(self, database: Database, clock: UnixClock, kept: Kept) -> None:
        self._database = database
        self._clock = clock
        self._kept = kept
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for what is old."""
        self._task = asyncio.create_task(self._look(), name="retention")

    async def stop(self) -> None:
        """Look no more; what is half deleted goes on at the next look."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def delete_run(self, run_id: str) -> None:
        """Delete a run and all that is known of it.

        A search goes with its steps.

        Raises:
            RequestError: there is none, it is not over, or it is a step of a search.
        """
        row = await self._database.row(sa.select(runs.c.status, runs.c.search_id).where(runs.c.id == run_id))
        if row is None:
            raise not_found("run", run_id)
        if not RunStatus(row["status"]).is_final:
            raise conflict(f"the run is {row['status']}: expected one that is over")
        if row["search_id"] is not None:
            raise conflict(f"the run is a step of the search {row['search_id']}, with which it goes")
        for step in await self._database.rows(sa.select(runs.c.id).where(runs.c.search_id == run_id)):
            await self._delete(step["id"])
        await self._delete(run_id)

    async def _delete(self, run_id: str) -> None:
        await self._delete_samples(run_id)
        async with self._database.write() as connection:
            for table in (endpoints, events, run_workers):
                await connection.execute(table.delete().where(table.c.run_id == run_id))
            await connection.execute(runs.delete().where(runs.c.id == run_id))

    async def forget_old(self) -> None:
        """Delete what has been kept long enough."""
        if self._kept.runs_days is not None:
            for run_id in await self._ended_before(self._kept.runs_days, runs.c.search_id.is_(None)):
                await self.delete_run(run_id)
                log.info("old run deleted", run=run_id)
        if self._kept.samples_days is not None:
            have = [sa.exists().where(table.c.run_id == runs.c.id) for table in (batches, sample_sums)]
            for run_id in await self._ended_before(self._kept.samples_days, sa.or_(*have)):
                await self._delete_samples(run_id)
                log.info("samples of an old run deleted", run=run_id)

    async def _ended_before(self, days: int, *further: sa.ColumnElement[bool]) -> list[str]:
        limit_ms = self._clock() - days * DAY_MS
        query = sa.select(runs.c.id).where(_OVER, runs.c.ended_at_ms < limit_ms, *further)
        return [row["id"] for row in await self._database.rows(query)]

    async def _delete_samples(self, run_id: str) -> None:
        for table in (batches, sample_blocks, sample_sums):
            some = sa.select(table.c.id).where(table.c.run_id == run_id).limit(ROWS_AT_ONCE)
            gone = ROWS_AT_ONCE
            while gone == ROWS_AT_ONCE:
                async with self._database.write() as connection:
                    gone = (await connection.execute(table.delete().where(table.c.id.in_(some)))).rowcount

    async def _look(self) -> None:
        while True:
            try:
                await self.forget_old()
            except Exception:
                log.exception("cannot delete old results; trying again later")
            await asyncio.sleep(LOOK_S)
