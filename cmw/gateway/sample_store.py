"""Samples in the store: frames as they came, and minutes that are packed.

The journal writes frames, which costs it little. `SamplePacker` turns each minute of a run into blocks of a few
endpoints and one sum of all of them once nothing more is expected of it, in one transaction; frames that come later
than that are packed into further blocks. A reader sees a minute as it was at one moment, so it finds every frame
either as it came or packed, and never both.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from cmw.gateway.database import Database
from cmw.gateway.instants import UnixClock, UnixMillis
from cmw.gateway.sample_blocks import SampleTable, decode_block, encode_block, gather, join
from cmw.gateway.tables import batches, run_workers, runs, sample_blocks, sample_sums
from cmw.link.samples import SampleBatch, decode_samples
from cmw.metrics.grouped_samples import GroupedSamples

MINUTE_S = 60
BLOCK_ENDPOINTS = 4
"""More of them pack a little better; whoever asks for one of them reads them all."""
LOOK_S = 10.0
SETTLED_S = 10
"""A minute of a run under way is packed when its run has come this far beyond it."""
LATE_MS: UnixMillis = 60_000
"""The rest of a run is packed when it has been over for this long."""
FRAMES_AT_ONCE = 64

log = structlog.get_logger("cmw.gateway.samples")

_MINUTE = batches.c.second // MINUTE_S


class SampleStore:
    """Reads what a run measured; everything that takes long is done in a thread, a minute at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def minutes(self, run_id: str, endpoint: int | None = None) -> AsyncIterator[list[SampleBatch]]:
        """Yield the samples of a run by second, a minute at a time; only those of one endpoint if given."""
        for minute in await self._minutes(run_id):
            blocks, frames = await self._read(run_id, minute, endpoint)
            found = await asyncio.to_thread(_minute, run_id, blocks, frames, endpoint)
            if found:
                yield found

    async def aggregate(self, run_id: str) -> GroupedSamples:
        """Add the samples of a run up, by group."""
        sums = sa.select(sample_sums.c.total).where(sample_sums.c.run_id == run_id)
        ids = sa.select(batches.c.id).where(batches.c.run_id == run_id)
        async with self._database.read() as connection:
            total = GroupedSamples(await _groups(connection, run_id))
            packed = [row.total for row in await connection.execute(sums)]
            await asyncio.to_thread(_merge, packed, total)
            left = [row.id for row in await connection.execute(ids)]
            for start in range(0, len(left), FRAMES_AT_ONCE):
                some = left[start : start + FRAMES_AT_ONCE]
                rows = await connection.execute(sa.select(batches.c.frame).where(batches.c.id.in_(some)))
                await asyncio.to_thread(_add, [row.frame for row in rows], total)
        return total

    async def _minutes(self, run_id: str) -> list[int]:
        packed = sa.select(sample_sums.c.minute).where(sample_sums.c.run_id == run_id)
        raw = sa.select(_MINUTE).where(batches.c.run_id == run_id)
        async with self._database.read() as connection:
            return sorted(row[0] for row in await connection.execute(packed.union(raw)))

    async def _read(self, run_id: str, minute: int, endpoint: int | None) -> tuple[list[bytes], list[bytes]]:
        packed = sa.select(sample_blocks.c.block).where(
            sample_blocks.c.run_id == run_id, sample_blocks.c.minute == minute
        )
        if endpoint is not None:
            packed = packed.where(sample_blocks.c.first_endpoint <= endpoint, sample_blocks.c.last_endpoint >= endpoint)
        async with self._database.read() as connection:
            blocks = [row.block for row in await connection.execute(packed)]
            frames = [row.frame for row in await connection.execute(_frames(run_id, minute))]
        return blocks, frames


class SamplePacker:
    """Packs minutes that nothing more is expected of."""

    def __init__(self, database: Database, clock: UnixClock) -> None:
        self._database = database
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for minutes to pack."""
        self._task = asyncio.create_task(self._look(), name="sample packer")

    async def stop(self) -> None:
        """Look no more; a minute is packed wholly or not at all."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def pack(self) -> int:
        """Pack what is to be packed now, and return how many minutes that were."""
        due = await self._due()
        for run_id, minute in due:
            await self._pack(run_id, minute)
        return len(due)

    async def _due(self) -> list[tuple[str, int]]:
        latest = sa.select(batches.c.run_id, sa.func.max(batches.c.second).label("second"))
        newest = latest.group_by(batches.c.run_id).subquery()
        is_over = runs.c.ended_at_ms <= self._clock() - LATE_MS
        is_past = newest.c.second >= (_MINUTE + 1) * MINUTE_S + SETTLED_S
        query = (
            sa.select(batches.c.run_id, _MINUTE.label("minute"))
            .join(runs, runs.c.id == batches.c.run_id)
            .join(newest, newest.c.run_id == batches.c.run_id)
            .where(is_over | is_past)
            .distinct()
            .order_by(batches.c.run_id, "minute")
        )
        return [(row["run_id"], row["minute"]) for row in await self._database.rows(query)]

    async def _pack(self, run_id: str, minute: int) -> None:
        rows = await self._database.rows(_frames(run_id, minute))
        if not rows:  # deleted, or packed by another call, since it was found
            return
        await self._replace({"run_id": run_id, "minute": minute}, rows)

    async def _replace(self, own: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
        """Put blocks in the place of frames that were read, or change nothing when one of them is gone meanwhile."""
        async with self._database.read() as connection:
            groups = await _groups(connection, own["run_id"])
        blocks, total = await asyncio.to_thread(_packed, [row["frame"] for row in rows], groups)
        ids = [row["id"] for row in rows]
        some = [batches.c.id.in_(ids[start : start + FRAMES_AT_ONCE]) for start in range(0, len(ids), FRAMES_AT_ONCE)]
        async with self._database.write() as connection:
            counts = [sa.select(sa.func.count()).select_from(batches).where(these) for these in some]
            if sum([(await connection.execute(query)).scalar_one() for query in counts]) < len(ids):
                return
            for these in some:
                await connection.execute(batches.delete().where(these))
            if blocks:  # a frame may be without a row
                await connection.execute(sample_blocks.insert(), [own | block for block in blocks])
            await connection.execute(sample_sums.insert().values(own | {"total": total}))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.pack()
            except Exception:
                log.exception("cannot pack samples; trying again later")


def _frames(run_id: str, minute: int) -> sa.Select[Any]:
    first = minute * MINUTE_S
    in_minute = (batches.c.second >= first) & (batches.c.second < first + MINUTE_S)
    columns = sa.select(batches.c.id, batches.c.frame).where(batches.c.run_id == run_id, in_minute)
    return columns.order_by(batches.c.second, batches.c.id)


def _minute(run_id: str, blocks: Sequence[bytes], frames: Sequence[bytes], endpoint: int | None) -> list[SampleBatch]:
    found = [decode_block(block) for block in blocks]
    found += gather(decode_samples(frame)[1] for frame in frames)
    if endpoint is not None:
        found = [table.of(endpoint) for table in found]
    cut = [batch for table in join(found) for batch in table.by_second().batches(run_id)]
    return sorted(cut, key=lambda batch: batch.second)


def _packed(frames: Sequence[bytes], groups: dict[int, str]) -> tuple[list[dict[str, Any]], bytes]:
    """Return the rows of `sample_blocks` for the frames of a minute, and their sum by group."""
    found = [decode_samples(frame)[1] for frame in frames]
    total = GroupedSamples(groups)
    for batch in found:
        total.add(batch.endpoints, batch.columns)
    blocks = [_block(part) for table in gather(found) for part in _parts(table.by_endpoint())]
    return blocks, zlib.compress(json.dumps(total.to_dict()).encode())


def _parts(table: SampleTable) -> Iterator[SampleTable]:
    """Yield the rows of some endpoints at a time."""
    starts = [at for at, index in enumerate(table.endpoints) if at == 0 or index != table.endpoints[at - 1]]
    bounds = [*starts[::BLOCK_ENDPOINTS], len(table)]
    for start, stop in itertools.pairwise(bounds):
        yield table.rows(start, stop)


def _block(table: SampleTable) -> dict[str, Any]:
    ends = {"first_endpoint": table.endpoints[0], "last_endpoint": table.endpoints[-1]}
    return ends | {"rows": len(table), "block": encode_block(table)}


def _merge(packed: Sequence[bytes], total: GroupedSamples) -> None:
    for item in packed:
        total.merge(GroupedSamples.from_dict(json.loads(zlib.decompress(item))))


def _add(frames: Sequence[bytes], total: GroupedSamples) -> None:
    for frame in frames:
        _, batch = decode_samples(frame)
        total.add(batch.endpoints, batch.columns)


async def _groups(connection: AsyncConnection, run_id: str) -> dict[int, str]:
    """Return the group of each endpoint of a run."""
    rows = await connection.execute(sa.select(run_workers.c.endpoints).where(run_workers.c.run_id == run_id))
    return {index: group for row in rows for index, _, group, *_ in row.endpoints}
