"""API keys: who may use the REST API."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa

from cmw.gateway.database import Database
from cmw.gateway.instants import UnixClock
from cmw.gateway.tables import api_keys
from cmw.gateway.tokens import API_KEY, digest, matches, new_api_key, prefix
from cmw.gateway.vault import write_private

API_KEY_FILE = "api-key"


class ApiKeys:
    """Rows of the table `api_keys`."""

    def __init__(self, database: Database, clock: UnixClock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, name: str) -> str:
        """Add a key and return it; the store keeps its SHA-256 only."""
        key = new_api_key()
        await self._add(name, key)
        return key

    async def is_valid(self, key: str) -> bool:
        """Tell whether `key` opens the API."""
        if API_KEY.fullmatch(key) is None:
            return False
        row = await self._database.row(sa.select(api_keys).where(api_keys.c.key_sha256 == digest(key)))
        return row is not None and matches(key, row["key_sha256"])

    async def create_first(self, data_dir: Path) -> Path | None:
        """Make the first key of a new store and leave it in a file that only its owner can read.

        Returns:
            the file, or None when the store has a key already.
        """
        if await self._database.count(sa.select(api_keys)):
            return None
        path, key = data_dir / API_KEY_FILE, new_api_key()
        write_private(path, f"{key}\n".encode())  # first: a key in the store that nobody has would be the last one made
        await self._add("first key", key)
        return path

    async def _add(self, name: str, key: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(
                api_keys.insert().values(
                    id=uuid4().hex,
                    name=name,
                    key_sha256=digest(key),
                    key_prefix=prefix(key),
                    created_at_ms=self._clock(),
                )
            )
