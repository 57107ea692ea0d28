"""Minutes of samples are packed once, wholly, and read the same before, between and after."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cmw.gateway.database import Database
from cmw.gateway.sample_store import SamplePacker, SampleStore
from cmw.gateway.tables import batches, run_workers, runs, sample_blocks
from cmw.link.samples import SampleBatch, encode_samples
from tests.gateway.world import run_async

NOW_MS = 1_700_000_000_000


async def add(database: Database, run_id: str, seconds: range, first: int = 0) -> None:
    rows = []
    for second in seconds:
        columns: dict[str, Any] = {
            "receive.jitter_ms": array("f", [second + at / 8 for at in range(10)]),
            "receive.packets": array("I", [50 * second + at for at in range(10)]),
        }
        batch = SampleBatch(run_id, second, NOW_MS + second, array("I", range(first, first + 10)), columns)
        row = {"run_id": run_id, "worker_id": "w", "second": second, "rows": 10, "frame": encode_samples(batch, 1)}
        rows.append(row)
    async with database.write() as connection:
        await connection.execute(batches.insert(), rows)


async def add_run(database: Database, run_id: str, **more: Any) -> None:
    row = {"id": run_id, "name": "n", "status": "RUNNING", "reason": "", "plan": {}, "endpoints": 20, "seed": 0}
    async with database.write() as connection:
        await connection.execute(runs.insert().values(row | {"created_at_ms": 0} | more))


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[tuple[Database, SampleStore, SamplePacker]]:
    database = await Database.open(directory)
    try:
        yield database, SampleStore(database), SamplePacker(database, lambda: NOW_MS)
    finally:
        await database.close()


async def read(store: SampleStore, endpoint: int | None = None) -> list[tuple[Any, ...]]:
    return [
        (batch.second, batch.at_unix_ms, index, *(column[at] for _, column in sorted(batch.columns.items())))
        async for found in store.minutes("r", endpoint)
        for batch in found
        for at, index in enumerate(batch.endpoints)
    ]


def test_what_is_read_does_not_depend_on_what_is_packed(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (database, store, packer):
            await add_run(database, "r")
            await add(database, "r", range(150))
            await add(database, "r", range(30, 130), first=10)
            before, one, total = await read(store), await read(store, 13), (await store.aggregate("r")).to_dict()
            assert len(before) == 2500
            assert len(one) == 100
            assert await packer.pack() == 2  # the third minute goes on
            assert await database.count(sa.select(batches).where(batches.c.second < 120)) == 0
            assert await database.count(sa.select(batches)) == 40
            assert (await read(store), await read(store, 13)) == (before, one)
            assert await packer.pack() == 0
            async with database.write() as connection:
                await connection.execute(runs.update().values(ended_at_ms=NOW_MS - 60_000))
            assert await packer.pack() == 1
            assert await database.count(sa.select(batches)) == 0
            assert (await read(store), await read(store, 13)) == (before, one)
            assert (await store.aggregate("r")).to_dict() == total
            assert total["groups"][""]["batches"] == 250
            assert total["groups"][""]["columns"].keys() == {"receive.jitter_ms"}

    run_async(work())


def test_sums_are_by_group_packed_or_not(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (database, store, packer):
            await add_run(database, "r")
            part = {"run_id": "r", "state": "STARTED", "reason": "", "endpoint_count": 10}
            callers = [[index, f"caller-{index}", "callers", index] for index in range(3)]
            callees = [[index, f"callee-{index}", "callees", index] for index in range(3, 10)]
            rows = [
                part | {"worker_id": "w", "worker_name": "w", "endpoints": callers + callees[:4]},
                part | {"worker_id": "v", "worker_name": "v", "endpoints": callees[4:]},
            ]
            async with database.write() as connection:
                await connection.execute(run_workers.insert(), rows)
            await add(database, "r", range(80))
            before = await store.aggregate("r")
            assert await packer.pack() == 1
            after = await store.aggregate("r")
            assert after.to_dict() == before.to_dict()
            jitter = {group: after.of(group).histogram("receive.jitter_ms") for group in ("callers", "callees", "")}
            assert {group: histogram.count for group, histogram in jitter.items()} == {
                "callers": 240, "callees": 560, "": 0
            }  # fmt: skip
            assert (jitter["callers"].max, jitter["callees"].max) == (79.25, 80.125)

    run_async(work())


def test_frames_that_come_after_their_minute_was_packed_are_found_too(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (database, store, packer):
            await add_run(database, "r")
            await add(database, "r", range(80))
            assert await packer.pack() == 1
            await add(database, "r", range(20, 40), first=10)
            late = await read(store)
            assert len(late) == 1000
            assert [row[:3] for row in late] == sorted(row[:3] for row in late)
            assert await packer.pack() == 1
            assert await read(store) == late
            assert (await store.aggregate("r")).total.batches == 100

    run_async(work())


def test_a_minute_that_cannot_be_packed_wholly_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (database, store, packer):
            await add_run(database, "r")
            await add(database, "r", range(80))
            before = await read(store)
            async with database.write() as connection:
                await connection.execute(sa.text("ALTER TABLE sample_sums RENAME TO away"))
            with pytest.raises(sa.exc.OperationalError, match="sample_sums"):
                await packer.pack()
            async with database.write() as connection:
                await connection.execute(sa.text("ALTER TABLE away RENAME TO sample_sums"))
            assert await database.count(sa.select(sample_blocks)) == 0
            assert await database.count(sa.select(batches)) == 80
            assert await read(store) == before

    run_async(work())


def test_a_minute_is_packed_once_by_whoever_comes_first(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (database, store, packer):
            await add_run(database, "r", ended_at_ms=0)
            await add(database, "r", range(300))
            before, total = await read(store), (await store.aggregate("r")).to_dict()
            await asyncio.gather(packer.pack(), packer.pack(), packer.pack())
            await packer._pack("r", 0)  # as who found it before the others were done
            assert await database.rows(sa.select(batches.c.id)) == []
            assert await read(store) == before
            assert (await store.aggregate("r")).to_dict() == total

    run_async(work())


def test_frames_that_came_since_are_not_lost_when_others_were_packed_meanwhile(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (database, store, packer):
            await add_run(database, "r", ended_at_ms=0)
            await add(database, "r", range(60))
            before, total = await read(store), (await store.aggregate("r")).to_dict()
            frames = sa.select(batches.c.id, batches.c.frame).order_by(batches.c.second)
            found = await database.rows(frames)
            own = {"run_id": "r", "minute": 0}
            await packer._replace(own, found[:30])
            await packer._replace(own, found)  # it had found the first half too
            assert await read(store) == before
            assert await packer.pack() == 1
            assert await read(store) == before
            assert (await store.aggregate("r")).to_dict() == total

    run_async(work())


def test_frames_without_a_row_are_packed_too(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (database, store, packer):
            await add_run(database, "r", ended_at_ms=0)
            empty = SampleBatch("r", 0, NOW_MS, array("I"), {"receive.packets": array("I")})
            row = {"run_id": "r", "worker_id": "w", "second": 0, "rows": 0, "frame": encode_samples(empty, 1)}
            async with database.write() as connection:
                await connection.execute(batches.insert(), [row])
            await add(database, "r", range(60, 120))
            before, total = await read(store), (await store.aggregate("r")).to_dict()
            assert await packer.pack() == 2
            assert await read(store) == before
            assert (await store.aggregate("r")).to_dict() == total
            assert await packer.pack() == 0

    run_async(work())


def test_a_run_that_is_deleted_while_it_is_packed_leaves_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (database, _, packer):
            await add_run(database, "r")
            await add(database, "r", range(80))
            rows = await database.rows(sa.select(batches.c.id, batches.c.frame).where(batches.c.second < 60))
            async with database.write() as connection:
                await connection.execute(batches.delete())
            await packer._replace({"run_id": "r", "minute": 0}, rows)
            assert await database.count(sa.select(sample_blocks)) == 0

    run_async(work())
