"""Group commit: what workers report is written in one transaction for many frames, and acknowledged after it.

Everything that came within `GATHER_S`, or `GROUP_ENTRIES` frames, shares a commit. The last sequence number committed
of each session is written in the same transaction, so whatever happens to the process, the store and that number agree:
a frame that comes again is told from a new one, and one that was not written is asked for again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cmw.gateway.database import Database
from cmw.gateway.instants import UnixClock
from cmw.gateway.parts import PartState
from cmw.gateway.tables import batches, endpoints, events, run_workers, runs, sessions

GATHER_S = 0.05
GROUP_ENTRIES = 500
BACKLOG_ENTRIES = 4000
"""Frames waiting for their commit; beyond it the links are not read, so the workers keep theirs."""

RETRY_S = 1.0

_OF_THE_REPORT = (sa.exc.DataError, sa.exc.IntegrityError, sa.exc.ProgrammingError, sa.exc.NotSupportedError)
"""What is wrong with a report; all else, a damaged file included, is wrong with the store."""

log = structlog.get_logger("cmw.gateway.journal")


@dataclass(frozen=True, slots=True)
class Entry:
    """One numbered frame of a worker.

    Args:
        kind: ``samples``, or the kind of the report: ``endpoint``, ``progress``, ``run_done``, ``event``.
        data: the report's data; for an endpoint a checked report.
        frame, second, rows: of samples: the frame as it came, its second, and how many endpoints it speaks of.
    """

    worker_id: str
    session: str
    seq: int
    kind: str
    run_id: str
    data: dict[str, Any] | None = None
    frame: bytes = b""
    second: int = 0
    rows: int = 0


_PROGRESS = (
    run_workers.update()
    .where(run_workers.c.run_id == sa.bindparam("of_run"), run_workers.c.worker_id == sa.bindparam("of_worker"))
    .values(progress=sa.bindparam("progress"))
)


class Journal:
    """The one writer of results.

    Args:
        on_commit: called after each commit with the entries it settled, duplicates included, in order of arrival.
    """

    def __init__(self, database: Database, clock: UnixClock, on_commit: Callable[[Sequence[Entry]], None]) -> None:
        self._database = database
        self._clock = clock
        self._on_commit = on_commit
        self._queue: asyncio.Queue[Entry | asyncio.Future[None] | None] = asyncio.Queue(BACKLOG_ENTRIES)
        self._flushes: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self.failures = 0
        """Commits that failed because the store could not be written, and were tried again."""
        self.counters = {"committed": 0, "duplicates": 0, "refused": 0, "late": 0, "commits": 0}
        """`late`: came after their run was over; part of `committed`. `refused`: of no run that this worker has."""

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_groups(), name="journal")

    async def stop(self) -> None:
        """Write what has come, then end."""
        self._is_stopping = True
        if self._task is not None:
            await self._queue.put(None)
            await self._task
            self._task = None

    async def append(self, entry: Entry) -> None:
        """Hand over a frame; waits while too many are waiting already."""
        await self._queue.put(entry)

    async def flush(self) -> None:
        """Wait until everything that was handed over so far is committed, or left to the workers at the end."""
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put(reached)
        await reached

    async def committed_seq(self, worker_id: str, session: str) -> int:
        """Return the last sequence number committed of a session, 0 if none."""
        row = await self._database.row(
            sa.select(sessions.c.committed_seq).where(sessions.c.worker_id == worker_id, sessions.c.session == session)
        )
        return int(row["committed_seq"]) if row is not None else 0

    async def _write_groups(self) -> None:
        open_for_more = True
        while open_for_more:
            group, open_for_more = await self._gather()
            if group and await self._write_surely(group):
                self._on_commit(group)
            for flush in self._flushes:
                if not flush.done():
                    flush.set_result(None)
            self._flushes.clear()

    async def _write_surely(self, group: Sequence[Entry]) -> bool:
        """Write a group, waiting for a store that cannot be written now; return False when it was stopped meanwhile."""
        while True:
            try:
                await self._write(group)
                return True
            except sa.exc.DatabaseError as error:
                if isinstance(error, _OF_THE_REPORT):
                    return await self._write_one_by_one(group, error)
                self.failures += 1
                log.error("cannot write results; trying again", error=str(error.orig), frames=len(group))
                if self._is_stopping:
                    return False  # nothing of it is acknowledged: the workers still have it
                await asyncio.sleep(RETRY_S)
            except Exception as error:
                return await self._write_one_by_one(group, error)

    async def _write_one_by_one(self, group: Sequence[Entry], error: Exception) -> bool:
        """Write what can be written of a group that has a report in it that cannot; that one is dropped."""
        if len(group) == 1:
            log.error("a report cannot be written and is dropped", kind=group[0].kind, error=repr(error))
            self.counters["refused"] += 1
            return True
        return all([await self._write_surely([entry]) for entry in group])

    async def _gather(self) -> tuple[list[Entry], bool]:
        """Return the next group, and whether more may come; whoever waits for it is in `_flushes`."""
        group: list[Entry] = []
        until: float | None = None
        while len(group) < GROUP_ENTRIES:
            try:
                async with asyncio.timeout_at(until):
                    entry = await self._queue.get()
            except TimeoutError:
                break
            if entry is None:
                return group, False
            if isinstance(entry, asyncio.Future):
                self._flushes.append(entry)
                break
            group.append(entry)
            until = until or asyncio.get_running_loop().time() + GATHER_S
        return group, True

    async def _write(self, group: Sequence[Entry]) -> None:
        counted = dict.fromkeys(self.counters, 0)
        async with self._database.write() as connection:
            fresh = await self._advance_sessions(connection, group)
            is_over = await _parts(connection, {entry.run_id for entry in fresh})
            accepted = [e for e in fresh if (e.run_id, e.worker_id) in is_over]
            late = [e for e in accepted if is_over[e.run_id, e.worker_id]]
            await _insert(connection, [e for e in accepted if not is_over[e.run_id, e.worker_id]])
            await _insert_late(connection, late)
        counted |= {"committed": len(accepted), "duplicates": len(group) - len(fresh), "commits": 1}
        counted |= {"refused": len(fresh) - len(accepted), "late": len(late)}
        for name, number in counted.items():
            self.counters[name] += number
        if counted["refused"]:
            log.warning("reports of no run that their worker has were dropped", **counted)
        if late:
            log.info("reports came after their run was over", runs=sorted({e.run_id for e in late}), **counted)

    async def _advance_sessions(self, connection: AsyncConnection, group: Sequence[Entry]) -> list[Entry]:
        """Drop what was committed before, and move the sessions' numbers to the last of the rest."""
        known = await _committed(connection, {(entry.worker_id, entry.session) for entry in group})
        before = dict(known)
        fresh = []
        for entry in group:
            key = (entry.worker_id, entry.session)
            if entry.seq > known.get(key, 0):
                known[key] = entry.seq
                fresh.append(entry)
        moved = [
            {"worker_id": key[0], "session": key[1], "committed_seq": seq, "seen_at_ms": self._clock()}
            for key, seq in known.items()
            if seq != before.get(key)
        ]
        if moved:
            statement = insert(sessions)
            new = statement.excluded
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["worker_id", "session"],
                    set_={"committed_seq": new.committed_seq, "seen_at_ms": new.seen_at_ms},
                ),
                moved,
            )
        return fresh


async def _committed(connection: AsyncConnection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    query = sa.select(sessions.c.worker_id, sessions.c.session, sessions.c.committed_seq).where(
        sa.tuple_(sessions.c.worker_id, sessions.c.session).in_(list(keys))
    )
    return {(row.worker_id, row.session): row.committed_seq for row in await connection.execute(query)}


async def _parts(connection: AsyncConnection, run_ids: Iterable[str]) -> dict[tuple[str, str], bool]:
    """Return whether each run is over, keyed by (run, worker that has a part in it)."""
    query = (
        sa.select(run_workers.c.run_id, run_workers.c.worker_id, runs.c.ended_at_ms)
        .join(runs, runs.c.id == run_workers.c.run_id)
        .where(run_workers.c.run_id.in_(list(run_ids)))
    )
    return {(row.run_id, row.worker_id): row.ended_at_ms is not None for row in await connection.execute(query)}


async def _insert(connection: AsyncConnection, entries: Sequence[Entry]) -> None:
    await _insert_samples_and_events(connection, entries)
    ended = [endpoint_row(e.run_id, e.worker_id, e.data or {}) for e in entries if e.kind == "endpoint"]
    if ended:
        await connection.execute(insert(endpoints).on_conflict_do_nothing(), ended)
    latest = {(e.run_id, e.worker_id): e.data for e in entries if e.kind == "progress"}
    if latest:
        rows = [{"of_run": run, "of_worker": worker, "progress": data} for (run, worker), data in latest.items()]
        await connection.execute(_PROGRESS, rows)  # one statement for all: each costs a turn of the driver's thread
    for e in entries:
        if e.kind == "run_done":
            await connection.execute(_part(e.run_id, e.worker_id).values(state=PartState.DONE, done=e.data, reason=""))


async def _insert_late(connection: AsyncConnection, entries: Sequence[Entry]) -> None:
    """Keep what the summary of its run is without, and count it; a report replaces the one made in its stead."""
    await _insert_samples_and_events(connection, entries)
    for e in entries:
        if e.kind == "endpoint":
            await connection.execute(
                _replace_endpoint(endpoint_row(e.run_id, e.worker_id, (e.data or {}) | {"late": True}))
            )
        elif e.kind == "run_done":
            await connection.execute(_part(e.run_id, e.worker_id).values(done=e.data))
    for run_id, number in Counter(e.run_id for e in entries if e.kind != "progress").items():
        counted = runs.update().where(runs.c.id == run_id)
        await connection.execute(counted.values(late_reports=runs.c.late_reports + number))


async def _insert_samples_and_events(connection: AsyncConnection, entries: Sequence[Entry]) -> None:
    samples = [_batch_row(entry) for entry in entries if entry.kind == "samples"]
    if samples:
        await connection.execute(batches.insert(), samples)
    happened = [
        {"run_id": e.run_id, "worker_id": e.worker_id, "data": e.data or {}} for e in entries if e.kind == "event"
    ]
    if happened:
        await connection.execute(events.insert(), happened)


def _replace_endpoint(row: dict[str, Any]) -> Insert:
    """Return the insertion of a report over the one that is there, if that is of the same worker."""
    statement = insert(endpoints).values(row)
    new = {"outcome": statement.excluded.outcome, "report": statement.excluded.report}
    same_worker = endpoints.c.worker_id == statement.excluded.worker_id
    return statement.on_conflict_do_update(index_elements=["run_id", "endpoint"], set_=new, where=same_worker)


def _part(run_id: str, worker_id: str) -> sa.Update:
    return run_workers.update().where(run_workers.c.run_id == run_id, run_workers.c.worker_id == worker_id)


def _batch_row(entry: Entry) -> dict[str, Any]:
    return {
        "run_id": entry.run_id,
        "worker_id": entry.worker_id,
        "second": entry.second,
        "rows": entry.rows,
        "frame": entry.frame,
    }


def endpoint_row(run_id: str, worker_id: str, report: dict[str, Any]) -> dict[str, Any]:
    """Return the row of the table `endpoints` for a final report."""
    return {
        "run_id": run_id,
        "endpoint": report["index"],
        "worker_id": worker_id,
        "name": report["name"],
        "group_name": report["group"],
        "outcome": report["outcome"],
        "report": report,
    }
