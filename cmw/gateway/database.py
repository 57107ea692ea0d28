"""The store's engine: SQLite in WAL, migrated at start, one writer at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from cmw.errors import SettingsError

DATABASE_FILE = "gateway.db"
MIGRATIONS = Path(__file__).with_name("migrations")


class Database:
    """One SQLite file. Readers go side by side; writers take turns, each in one immediate transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writer = asyncio.Lock()

    @classmethod
    async def open(cls, data_dir: Path) -> Database:
        """Open the store in `data_dir`, create or migrate it.

        Raises:
            SettingsError: the file is not a database, is damaged, cannot be written, or is of a newer cmw.
        """
        path = data_dir / DATABASE_FILE
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}", pool_size=4, max_overflow=4, hide_parameters=True)
        sa.event.listen(engine.sync_engine, "connect", _prepare_connection)
        sa.event.listen(engine.sync_engine, "begin", _begin)
        try:
            async with engine.connect() as connection:
                await _check(connection, path)
                await connection.run_sync(_migrate)
                await connection.commit()
        except (sa.exc.DatabaseError, OSError) as error:
            await engine.dispose()
            raise SettingsError(
                f"{path}: expected a database that can be read and written, found: {_cause(error)}"
            ) from error
        except SettingsError:
            await engine.dispose()
            raise
        path.chmod(0o600)
        return cls(engine)

    async def close(self) -> None:
        """Wait for the writer, then close every connection."""
        async with self._writer:
            await self._engine.dispose()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Enter one transaction that commits at the end of the block, or leaves no trace when the block raises."""
        async with self._writer, self._engine.connect() as connection:
            await connection.execution_options(cmw_immediate=True)
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Enter one consistent view of the store."""
        async with self._engine.connect() as connection:
            yield connection

    async def rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        """Return the rows of `query` as dictionaries."""
        async with self.read() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def row(self, query: sa.Select[Any]) -> dict[str, Any] | None:
        """Return the first row of `query` as a dictionary, or None."""
        async with self.read() as connection:
            found = (await connection.execute(query)).mappings().first()
            return dict(found) if found is not None else None

    async def count(self, query: sa.Select[Any]) -> int:
        """Return the number of rows `query` would give."""
        async with self.read() as connection:
            counted = sa.select(sa.func.count()).select_from(query.order_by(None).subquery())
            return int((await connection.execute(counted)).scalar_one())


def _prepare_connection(connection: Any, _record: Any) -> None:
    """Set what SQLite keeps per connection.

    `synchronous=FULL`: a commit that was acknowledged to a worker survives a power cut too.
    `isolation_level=None`: transactions begin where `_begin` says, not where the driver guesses.
    """
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    immediate = connection.get_execution_options().get("cmw_immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


async def _check(connection: AsyncConnection, path: Path) -> None:
    """Find a torn page now, and not in the middle of a run."""
    try:
        damage = [row[0] for row in await connection.exec_driver_sql("PRAGMA quick_check(3)") if row[0] != "ok"]
    except sa.exc.DatabaseError as error:
        if "malformed" not in str(error.orig):
            raise
        damage = [str(error.orig)]
    if damage:
        found = " ".join("; ".join(damage).split())
        raise SettingsError(f"{path}: expected a sound database, found {found}; put a backup in its place")


def _migrate(connection: sa.Connection) -> None:
    """Bring the schema to the latest revision; called with the connection to use."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        found = MigrationContext.configure(connection).get_current_revision()
        newest = ScriptDirectory.from_config(config).get_current_head()
        raise SettingsError(
            f"the store's schema: expected one this version of cmw knows, up to {newest}, found {found}; "
            "start the newer version, or put the copy of before in its place"
        ) from error


def _cause(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error)
