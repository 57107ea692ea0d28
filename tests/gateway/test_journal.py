"""Group commit: one transaction for many frames, each counted once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from cmw.core.words import RunStatus
from cmw.gateway.database import Database
from cmw.gateway.journal import Entry, Journal, endpoint_row
from cmw.gateway.parts import PartState
from cmw.gateway.tables import batches, endpoints, run_workers, runs
from tests.gateway.world import START_MS, ManualClock, run_async

RUN, WORKER, SESSION = "r" * 32, "w" * 32, "5" * 32


async def make_store(path: Path, status: RunStatus = RunStatus.RUNNING) -> Database:
    database = await Database.open(path)
    run = {"id": RUN, "name": "n", "status": status, "reason": "", "plan": {}, "endpoints": 1, "seed": 0}
    run["ended_at_ms"] = START_MS if status.is_final else None
    part = {"run_id": RUN, "worker_id": WORKER, "worker_name": "w", "state": PartState.STARTED, "reason": ""}
    async with database.write() as connection:
        await connection.execute(runs.insert().values(run | {"created_at_ms": 0}))
        await connection.execute(run_workers.insert().values(part | {"endpoints": [], "endpoint_count": 0}))
    return database


def samples(seq: int, run_id: str = RUN) -> Entry:
    return Entry(WORKER, SESSION, seq, "samples", run_id, frame=b"x", second=seq, rows=1)


async def write(database: Database, entries: Sequence[Entry]) -> tuple[Journal, list[Entry]]:
    settled: list[Entry] = []
    journal = Journal(database, ManualClock(), settled.extend)
    journal.start()
    for entry in entries:
        await journal.append(entry)
    await journal.stop()
    return journal, settled


async def seconds(database: Database) -> list[int]:
    return [row["second"] for row in await database.rows(sa.select(batches.c.second).order_by(batches.c.id))]


def test_frames_that_come_together_share_a_commit(tmp_path: Path) -> None:
    async def work() -> None:
        database = await make_store(tmp_path)
        journal, settled = await write(database, [samples(n) for n in range(1, 101)])
        assert journal.counters["committed"] == 100
        assert journal.counters["commits"] == 1
        assert [entry.seq for entry in settled] == list(range(1, 101))
        assert await journal.committed_seq(WORKER, SESSION) == 100
        await database.close()

    run_async(work())


def test_a_frame_that_comes_again_is_acknowledged_and_not_written(tmp_path: Path) -> None:
    async def work() -> None:
        database = await make_store(tmp_path)
        await write(database, [samples(1), samples(2)])
        journal, settled = await write(database, [samples(1), samples(2), samples(3), samples(3), samples(2)])
        assert await seconds(database) == [1, 2, 3]
        assert journal.counters["duplicates"] == 4
        assert len(settled) == 5
        await database.close()

    run_async(work())


def test_sessions_count_for_themselves(tmp_path: Path) -> None:
    async def work() -> None:
        database = await make_store(tmp_path)
        other = Entry(WORKER, "6" * 32, 1, "samples", RUN, frame=b"x", second=9, rows=1)
        await write(database, [samples(1), other])
        assert await seconds(database) == [1, 9]
        await database.close()

    run_async(work())


def test_a_gap_is_what_the_worker_had_to_drop(tmp_path: Path) -> None:
    async def work() -> None:
        database = await make_store(tmp_path)
        journal, _ = await write(database, [samples(1), samples(5), samples(3)])
        assert await seconds(database) == [1, 5]
        assert await journal.committed_seq(WORKER, SESSION) == 5
        await database.close()

    run_async(work())


def test_what_is_of_no_run_is_dropped_but_acknowledged(tmp_path: Path) -> None:
    async def work() -> None:
        database = await make_store(tmp_path)
        journal, settled = await write(database, [samples(1, "unknown"), samples(2)])
        assert len(settled) == 2
        assert journal.counters["refused"] == 1
        assert await seconds(database) == [2]
        await database.close()

    run_async(work())


def test_a_damaged_store_acknowledges_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        database = await make_store(tmp_path)

        def fail(connection: sa.Connection) -> None:
            raise sa.exc.DatabaseError("INSERT", {}, sqlite3.DatabaseError("database disk image is malformed"))

        engine = database._engine.sync_engine
        sa.event.listen(engine, "begin", fail)
        journal, settled = await write(database, [samples(1), samples(2)])
        assert (settled, journal.counters["refused"], journal.failures) == ([], 0, 1)
        sa.event.remove(engine, "begin", fail)
        assert await seconds(database) == []
        _, settled = await write(database, [samples(1), samples(2)])
        assert len(settled) == 2
        assert await seconds(database) == [1, 2]
        await database.close()

    run_async(work())


def test_what_comes_after_its_run_is_kept_and_counted(tmp_path: Path) -> None:
    async def work() -> None:
        database = await make_store(tmp_path, RunStatus.COMPLETED)
        placeholder = {"index": 0, "name": "e", "group": "g", "outcome": "OSERROR"}
        async with database.write() as connection:
            rows = [endpoint_row(RUN, WORKER, placeholder), endpoint_row(RUN, "another", placeholder | {"index": 1})]
            await connection.execute(endpoints.insert(), rows)
        late = [
            samples(1),
            Entry(WORKER, SESSION, 2, "progress", RUN, {"second": 9}),
            Entry(WORKER, SESSION, 3, "endpoint", RUN, placeholder | {"outcome": "SUCCESS"}),
            Entry(WORKER, SESSION, 4, "endpoint", RUN, placeholder | {"index": 1, "outcome": "SUCCESS"}),
            Entry(WORKER, SESSION, 5, "run_done", RUN, {"generator": {}}),
        ]  # fmt: skip
        journal, settled = await write(database, late)
        assert (len(settled), journal.counters["late"]) == (5, 5)
        assert await seconds(database) == [1]
        (run,) = await database.rows(sa.select(runs.c.late_reports))
        (part,) = await database.rows(sa.select(run_workers))
        ended = await database.rows(sa.select(endpoints).order_by(endpoints.c.endpoint))
        assert run["late_reports"] == 4
        assert (part["state"], part["done"], part["progress"]) == (PartState.STARTED, {"generator": {}}, None)
        assert [(e["outcome"], e["report"].get("late")) for e in ended] == [("SUCCESS", True), ("OSERROR", None)]
        await database.close()

    run_async(work())


def test_one_entry_that_cannot_be_written_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    async def work() -> None:
        database = await make_store(tmp_path)
        poison = Entry(WORKER, SESSION, 2, "endpoint", RUN, {})
        journal, settled = await write(database, [samples(1), poison, samples(3)])
        assert await seconds(database) == [1, 3]
        assert journal.counters["refused"] == 1
        assert len(settled) == 3
        await database.close()

    run_async(work())


def test_what_cannot_be_written_is_not_acknowledged(tmp_path: Path) -> None:
    async def work() -> None:
        database = await make_store(tmp_path)
        settled: list[Entry] = []
        journal = Journal(database, ManualClock(), settled.extend)
        async with database.write() as connection:
            await connection.execute(sa.text("ALTER TABLE batches RENAME TO away"))
        journal.start()
        await journal.append(samples(1))
        await journal.stop()  # it does not wait for ever: what is not written is not acknowledged
        assert journal.failures
        assert not settled
        async with database.write() as connection:
            await connection.execute(sa.text("ALTER TABLE away RENAME TO batches"))
        _, settled = await write(database, [samples(1)])
        assert [entry.seq for entry in settled] == [1]
        assert await seconds(database) == [1]
        await database.close()

    run_async(work())
