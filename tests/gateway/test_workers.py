"""The workers that the gateway knows."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from cmw.gateway.database import Database
from cmw.gateway.tables import sessions
from cmw.gateway.workers import SESSION_KEPT_MS, WorkerRegistry
from tests.gateway.world import START_MS, ManualClock, hello, run_async


def test_sessions_that_were_silent_for_long_are_forgotten_but_not_the_one_that_is_back(tmp_path: Path) -> None:
    async def work() -> None:
        clock = ManualClock()
        database = await Database.open(tmp_path)
        registry = WorkerRegistry(database, clock)
        row, _ = await registry.create("w1", 1)
        rows = [
            {"worker_id": worker, "session": name * 32, "committed_seq": 1, "seen_at_ms": at_ms}
            for worker, name, at_ms in [
                (row["id"], "a", START_MS - SESSION_KEPT_MS - 1),
                (row["id"], "b", START_MS - SESSION_KEPT_MS - 1),
                (row["id"], "c", START_MS - SESSION_KEPT_MS),
                ("another", "d", 0),
            ]
        ]
        async with database.write() as connection:
            await connection.execute(sessions.insert(), rows)
        await registry.seen(row["id"], hello("b" * 32).model_dump())
        kept = await database.rows(sa.select(sessions.c.session).order_by(sessions.c.session))
        assert [one["session"][0] for one in kept] == ["b", "c", "d"]
        await database.close()

    run_async(work())
