"""The store: migrations, damage, transactions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from cmw.errors import SettingsError
from cmw.gateway.database import DATABASE_FILE, MIGRATIONS, Database
from cmw.gateway.tables import metadata, workers
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


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        database = await Database.open(tmp_path)
        async with database.write() as connection:
            await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        await database.close()
        with pytest.raises(SettingsError, match="9999"):
            await Database.open(tmp_path)

    run_async(work())


def test_a_store_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    def make_first(connection: sa.Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(sa.text("INSERT INTO workers VALUES ('1', 'n', 1, 1, 'x', 'x', 0, NULL, NULL)"))
        connection.commit()

    async def work() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / DATABASE_FILE}")
        async with engine.connect() as connection:
            await connection.run_sync(make_first)
        await engine.dispose()
        database = await Database.open(tmp_path)
        row = await database.row(sa.select(workers))
        assert row is not None
        assert (row["name"], row["enabled"], row["draining"]) == ("n", True, False)
        await database.close()

    run_async(work())


def test_the_samples_of_a_run_are_read_in_order_of_an_index(tmp_path: Path) -> None:
    query = "SELECT frame FROM batches WHERE run_id = 'r' AND (second, id) > (1, 2) ORDER BY second, id LIMIT 64"

    async def work() -> None:
        database = await Database.open(tmp_path)
        async with database.read() as connection:
            plan = (await connection.execute(sa.text(f"EXPLAIN QUERY PLAN {query}"))).all()
        (step,) = [row.detail for row in plan]
        assert "USING INDEX ix_batches_run_id (run_id=? AND" in step  # and no step that sorts
        await database.close()

    run_async(work())
