"""The store: migrations, damage, transactions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cmw.errors import SettingsError
from cmw.gateway.database import DATABASE_FILE, Database
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
