"""The workers the gateway knows, and their tokens."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from cmw.gateway.database import Database
from cmw.gateway.errors import RequestError, conflict, not_found
from cmw.gateway.instants import UnixClock, UnixMillis
from cmw.gateway.tables import sessions, workers
from cmw.gateway.tokens import WORKER_TOKEN, digest, matches, new_worker_token, prefix
from cmw.gateway.views import Page

WORKER_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,98}[^\s\x00-\x1f\x7f])?")
DEFAULT_CAPACITY = 100
MAX_CAPACITY = 1_000_000

SESSION_KEPT_MS: UnixMillis = 30 * 24 * 3600 * 1000
"""How long the number of a session is kept after its last report: every start of a worker makes a session."""

WorkerRow = dict[str, Any]


class WorkerRegistry:
    """Rows of the table `workers`."""

    def __init__(self, database: Database, clock: UnixClock) -> None:
        self._database = database
        self._clock = clock

    async def create(
        self, name: str, capacity: int, *, region: str | None = None, labels: dict[str, str] | None = None
    ) -> tuple[WorkerRow, str]:
        """Add a worker.

        Returns:
            its row, and its token: the caller shows it once, the store does not have it.

        Raises:
            RequestError: the name is taken or bad, or the capacity is out of range.
        """
        _check_name(name)
        check_capacity(capacity)
        token = new_worker_token()
        row = {
            "id": uuid4().hex,
            "name": name,
            "capacity": capacity,
            "enabled": True,
            "draining": False,
            "token_sha256": digest(token),
            "token_prefix": prefix(token),
            "created_at_ms": self._clock(),
            "last_seen_at_ms": None,
            "hello": None,
            "region": region,
            "labels": labels or {},
        }
        async with self._database.write() as connection:
            taken = sa.select(workers.c.id).where(workers.c.name == name)
            if (await connection.execute(taken)).first() is not None:
                raise conflict(f"there is already a worker named {name!r}")
            await connection.execute(workers.insert().values(row))
        return row, token

    async def page(
        self, page: Page, *, name: str | None = None, region: str | None = None
    ) -> tuple[list[WorkerRow], int]:
        """Return one page of the workers, the oldest first, and their number; only those that fit what is given."""
        query = sa.select(workers).order_by(workers.c.created_at_ms, workers.c.id)
        if name is not None:
            query = query.where(workers.c.name == name)
        if region is not None:
            query = query.where(workers.c.region == region)
        rows = await self._database.rows(query.limit(page.per_page).offset(page.offset))
        return rows, await self._database.count(query)

    async def all(self) -> list[WorkerRow]:
        """Return every worker, the oldest first."""
        return await self._database.rows(sa.select(workers).order_by(workers.c.created_at_ms, workers.c.id))

    async def get(self, worker_id: str) -> WorkerRow:
        """Return one worker.

        Raises:
            RequestError: there is none with this id.
        """
        row = await self.find(worker_id)
        if row is None:
            raise not_found("worker", worker_id)
        return row

    async def find(self, worker_id: str) -> WorkerRow | None:
        """Return one worker, or None."""
        return await self._database.row(sa.select(workers).where(workers.c.id == worker_id))

    async def by_token(self, token: str) -> WorkerRow | None:
        """Return the worker that `token` belongs to; None for a token that is wrong or not of the form."""
        if WORKER_TOKEN.fullmatch(token) is None:
            return None
        row = await self._database.row(sa.select(workers).where(workers.c.token_sha256 == digest(token)))
        return row if row is not None and matches(token, row["token_sha256"]) else None

    async def change(self, worker_id: str, **values: Any) -> WorkerRow:
        """Change the name, the capacity, the region or the labels.

        Raises:
            RequestError: there is no such worker, or the name is taken.
        """
        await self.get(worker_id)
        async with self._database.write() as connection:
            others = sa.select(workers.c.id).where(workers.c.name == values.get("name"), workers.c.id != worker_id)
            if (await connection.execute(others)).first() is not None:
                raise conflict(f"there is already a worker named {values['name']!r}")
            if values:
                await connection.execute(workers.update().where(workers.c.id == worker_id).values(values))
        return await self.get(worker_id)

    async def regenerate(self, worker_id: str) -> tuple[WorkerRow, str]:
        """Give the worker a new token; the old one is worth nothing from here on."""
        token = new_worker_token()
        row = await self._update(worker_id, token_sha256=digest(token), token_prefix=prefix(token))
        return row, token

    async def enable(self, worker_id: str) -> WorkerRow:
        """Let a worker connect and take runs."""
        return await self._update(worker_id, enabled=True, draining=False)

    async def disable(self, worker_id: str) -> WorkerRow:
        """Let a worker connect no more."""
        return await self._update(worker_id, enabled=False)

    async def drain(self, worker_id: str) -> WorkerRow:
        """Let a worker take no new runs."""
        return await self._update(worker_id, draining=True)

    async def draining(self) -> set[str]:
        """Return the ids of the workers that are to take no new runs."""
        return {row["id"] for row in await self._database.rows(sa.select(workers.c.id).where(workers.c.draining))}

    async def seen(self, worker_id: str, hello: dict[str, Any] | None = None) -> None:
        """Remember that the worker is there, and what it said of itself if it did."""
        values: dict[str, Any] = {"last_seen_at_ms": self._clock()}
        if hello is not None:
            values["hello"] = hello
        async with self._database.write() as connection:
            await connection.execute(workers.update().where(workers.c.id == worker_id).values(values))
            if hello is not None:
                old = (sessions.c.worker_id == worker_id) & (sessions.c.seen_at_ms < self._clock() - SESSION_KEPT_MS)
                await connection.execute(sessions.delete().where(old, sessions.c.session != hello["session"]))

    async def delete(self, worker_id: str) -> None:
        """Forget a worker and its link sessions; runs it took part in keep their results."""
        async with self._database.write() as connection:
            gone = await connection.execute(workers.delete().where(workers.c.id == worker_id))
            if gone.rowcount == 0:
                raise not_found("worker", worker_id)
            await connection.execute(sessions.delete().where(sessions.c.worker_id == worker_id))

    async def _update(self, worker_id: str, **values: Any) -> WorkerRow:
        async with self._database.write() as connection:
            done = await connection.execute(workers.update().where(workers.c.id == worker_id).values(values))
            if done.rowcount == 0:
                raise not_found("worker", worker_id)
        return await self.get(worker_id)


def _check_name(name: str) -> None:
    if WORKER_NAME.fullmatch(name) is None:
        raise RequestError(
            422, "INVALID_NAME", f"name: expected 1 to 100 printable characters without blanks around, found {name!r}"
        )


def check_capacity(capacity: int) -> None:
    """Refuse a capacity that no worker can have."""
    if not 1 <= capacity <= MAX_CAPACITY:
        raise RequestError(
            422, "INVALID_CAPACITY", f"capacity: expected 1 to {MAX_CAPACITY} endpoints, found {capacity}"
        )
