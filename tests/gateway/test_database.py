"""The store: migrations, damage, transactions."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cmw.cli.main import run_command
from cmw.errors import SettingsError
from cmw.gateway.api_keys import API_KEY_FILE
from cmw.gateway.backup import back_up
from cmw.gateway.database import DATABASE_FILE, Database
from cmw.gateway.service import Gateway
from cmw.gateway.tables import metadata, workers
from cmw.gateway.views import Page
from tests.gateway.world import run_async


def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    def differences(connection: sa.Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    async def work() -> None:
        database = await Database.open(tmp_path)
        async with database.read() as connection:
            assert await connection.run_sync(differences) == []
        await database.close()

    run_async(work())


def test_the_store_is_durable_and_private(tmp_path: Path) -> None:
    async def work() -> None:
        database = await Database.open(tmp_path)
        async with database.read() as connection:
            assert (await connection.execute(sa.text("PRAGMA journal_mode"))).scalar_one() == "wal"
            assert (await connection.execute(sa.text("PRAGMA synchronous"))).scalar_one() == 2
        await database.close()
        assert (tmp_path / DATABASE_FILE).stat().st_mode & 0o077 == 0

    run_async(work())


def test_a_write_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    row = {"id": "1", "name": "n", "capacity": 1, "enabled": True, "token_sha256": "x", "token_prefix": "x"}

    async def fail(database: Database) -> None:
        async with database.write() as connection:
            await connection.execute(workers.insert().values(row | {"created_at_ms": 0}))
            raise RuntimeError

    async def work() -> None:
        database = await Database.open(tmp_path)
        with pytest.raises(RuntimeError):
            await fail(database)
        assert await database.count(sa.select(workers)) == 0
        await database.close()

    run_async(work())


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        (tmp_path / DATABASE_FILE).write_bytes(b"something else" * 1000)
        with pytest.raises(SettingsError, match="not a database"):
            await Database.open(tmp_path)

    run_async(work())


@pytest.mark.parametrize("half", [0, 1])
def test_a_torn_page_is_found_at_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str], half: int) -> None:
    async def fill() -> None:
        async with Gateway.open(tmp_path) as gateway:
            for n in range(60):
                await gateway.create_worker(f"worker-{n}")

    run_async(fill())
    path = tmp_path / DATABASE_FILE
    with sqlite3.connect(path) as store:
        (page,) = store.execute(
            "SELECT max(pageno) FROM dbstat WHERE name = 'workers' AND pagetype = 'leaf'"
        ).fetchone()
        (size,) = store.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    lost = (page - 1) * size + half * size // 2
    content[lost : lost + size // 2] = bytes(size // 2)  # the other half was written
    path.write_bytes(content)
    assert run_command(["gateway", "--listen", "127.0.0.1:0", "--data", str(tmp_path)]) == 78
    said = capsys.readouterr().err
    assert f"{path}: expected a sound database, found" in said
    assert "put a backup in its place" in said


def test_a_backup_of_a_gateway_at_work_starts_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live, copy = tmp_path / "live", tmp_path / "copy"

    async def work() -> None:
        async with Gateway.open(live) as gateway:
            await gateway.api_keys.create_first(live)
            await gateway.create_worker("w1")  # in the log of the store, not yet in the file
            files = await asyncio.to_thread(back_up, live, copy)
            await gateway.create_worker("w2")
            assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
        async with Gateway.open(copy) as gateway:
            found, _ = await gateway.workers(Page())
            assert [worker.name for worker in found] == ["w1"]
            assert await gateway.api_keys.find((copy / API_KEY_FILE).read_text().strip())

    run_async(work())
    assert run_command(["gateway", "backup", str(copy), "--data", str(live)]) == 78
    assert "expected a directory without a store, found one" in capsys.readouterr().err
    assert run_command(["gateway", "backup", str(tmp_path / "new"), "--data", str(tmp_path / "none")]) == 78
    assert "expected the store of a gateway, found none" in capsys.readouterr().err
    assert run_command(["gateway", "--data", str(live), "backup", str(tmp_path / "new"), "--json"]) == 0
    assert str(tmp_path / "new" / DATABASE_FILE) in capsys.readouterr().out


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        database = await Database.open(tmp_path)
        async with database.write() as connection:
            await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        await database.close()
        with pytest.raises(SettingsError, match=r"up to \d{4}, found 9999; start the newer version"):
            await Database.open(tmp_path)

    run_async(work())


def test_the_samples_of_a_run_are_read_in_order_of_an_index(tmp_path: Path) -> None:
    query = "SELECT frame FROM batches WHERE run_id = 'r' AND second >= 60 AND second < 120 ORDER BY second, id"

    async def work() -> None:
        database = await Database.open(tmp_path)
        async with database.read() as connection:
            plan = (await connection.execute(sa.text(f"EXPLAIN QUERY PLAN {query}"))).all()
        (step,) = [row.detail for row in plan]
        assert "USING INDEX ix_batches_run_id (run_id=? AND" in step  # and no step that sorts
        await database.close()

    run_async(work())
