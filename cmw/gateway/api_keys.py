"""API keys: who may use the REST API, and in which role."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from cmw.gateway.database import Database
from cmw.gateway.errors import conflict, forbidden, not_found
from cmw.gateway.instants import UnixClock
from cmw.gateway.roles import Role
from cmw.gateway.tables import api_keys, idempotency_keys
from cmw.gateway.tokens import API_KEY, digest, matches, new_api_key, prefix
from cmw.gateway.vault import write_private
from cmw.gateway.views import Page

API_KEY_FILE = "api-key"

KeyRow = dict[str, Any]


class ApiKeys:
    """Rows of the table `api_keys`."""

    def __init__(self, database: Database, clock: UnixClock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, name: str, role: Role = Role.ADMIN) -> tuple[KeyRow, str]:
        """Add a key.

        Returns:
            its row, and the key: the caller shows it once, the store keeps its SHA-256 only.
        """
        key = new_api_key()
        return await self._add(name, key, role), key

    async def find(self, key: str) -> KeyRow | None:
        """Return the row of a key that opens the API; None for one that does not."""
        if API_KEY.fullmatch(key) is None:
            return None
        row = await self._database.row(sa.select(api_keys).where(api_keys.c.key_sha256 == digest(key)))
        return row if row is not None and matches(key, row["key_sha256"]) else None

    async def page(self, page: Page) -> tuple[list[KeyRow], int]:
        """Return one page of the keys, the oldest first, and how many there are."""
        query = sa.select(api_keys).order_by(api_keys.c.created_at_ms, api_keys.c.id)
        rows = await self._database.rows(query.limit(page.per_page).offset(page.offset))
        return rows, await self._database.count(query)

    async def delete(self, key_id: str, *, by: Role) -> None:
        """Have a key open nothing any more.

        Raises:
            RequestError: there is none with this id, it has more rights than `by`, or nobody could manage the gateway.
        """
        async with self._database.write() as connection:
            found = await connection.execute(sa.select(api_keys.c.role).where(api_keys.c.id == key_id))
            role = found.scalar_one_or_none()
            if role is None:
                raise not_found("API key", key_id)
            if not by.includes(Role(role)):
                raise forbidden(f"expected a key with the role {role} or more, found one with the role {by}")
            admins = sa.select(sa.func.count()).select_from(api_keys).where(api_keys.c.role == Role.ADMIN)
            if role == Role.ADMIN and (await connection.execute(admins)).scalar_one() == 1:
                raise conflict("this is the last key with the role admin")
            await connection.execute(api_keys.delete().where(api_keys.c.id == key_id))
            await connection.execute(idempotency_keys.delete().where(idempotency_keys.c.api_key_id == key_id))

    async def create_first(self, data_dir: Path) -> Path | None:
        """Make the first key of a new store and leave it in a file that only its owner can read.

        Returns:
            the file, or None when the store has a key already.
        """
        if await self._database.count(sa.select(api_keys)):
            return None
        path, key = data_dir / API_KEY_FILE, new_api_key()
        write_private(path, f"{key}\n".encode())  # first: a key in the store that nobody has would be the last one made
        await self._add("first key", key, Role.ADMIN)
        return path

    async def _add(self, name: str, key: str, role: Role) -> KeyRow:
        row = {
            "id": uuid4().hex,
            "name": name,
            "role": role,
            "key_sha256": digest(key),
            "key_prefix": prefix(key),
            "created_at_ms": self._clock(),
        }
        async with self._database.write() as connection:
            await connection.execute(api_keys.insert().values(row))
        return row
