"""POST requests that may arrive twice and are carried out once: what was asked for under a key, and the answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from cmw.gateway.database import Database
from cmw.gateway.errors import RequestError
from cmw.gateway.instants import UnixClock, UnixMillis
from cmw.gateway.tables import idempotency_keys

KEPT_MS: UnixMillis = 24 * 3600 * 1000

_table = idempotency_keys


@dataclass(frozen=True, slots=True)
class Asked:
    """One request under an idempotency key.

    Args:
        api_key_id: who asks; keys of different callers do not meet.
        fingerprint: SHA-256 of what is asked for.
    """

    api_key_id: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer that a request had; `body` as it was sent, without secrets that are shown once."""

    status: int
    body: bytes


def fingerprint(method: str, path: str, body: bytes) -> str:
    """Return what tells one request from another."""
    return hashlib.sha256(b"\0".join([method.encode(), path.encode(), body])).hexdigest()


class Idempotency:
    """Rows of the table `idempotency_keys`. Each is written before its request is carried out."""

    def __init__(self, database: Database, clock: UnixClock) -> None:
        self._database = database
        self._clock = clock
        self._under_way: set[tuple[str, str]] = set()

    async def begin(self, asked: Asked) -> Answered | None:
        """Take a request in; return the answer that it had before, or None if it is to be carried out now.

        Raises:
            RequestError: the key came with another request, or it is not known yet what became of this one.
        """
        try:
            await self._insert(asked)
        except IntegrityError:
            return await self._known(asked)
        self._under_way.add((asked.api_key_id, asked.key))
        return None

    async def succeeded(self, asked: Asked, answered: Answered) -> None:
        """Keep the answer of a request that was carried out."""
        async with self._database.write() as connection:
            await connection.execute(
                _table.update().where(_is(asked)).values(status=answered.status, body=answered.body)
            )
        self._under_way.discard((asked.api_key_id, asked.key))

    async def failed(self, asked: Asked) -> None:
        """Forget a request that changed nothing, so that it can be sent again."""
        self._under_way.discard((asked.api_key_id, asked.key))
        async with self._database.write() as connection:
            await connection.execute(_table.delete().where(_is(asked)))

    async def _insert(self, asked: Asked) -> None:
        now_ms = self._clock()
        async with self._database.write() as connection:
            await connection.execute(_table.delete().where(_table.c.created_at_ms < now_ms - KEPT_MS))
            row = {"api_key_id": asked.api_key_id, "key": asked.key, "request_sha256": asked.fingerprint}
            await connection.execute(_table.insert().values(created_at_ms=now_ms, **row))

    async def _known(self, asked: Asked) -> Answered | None:
        row = await self._database.row(sa.select(_table).where(_is(asked)))
        if row is None:  # it failed just now
            return await self.begin(asked)
        if row["request_sha256"] != asked.fingerprint:
            raise RequestError(
                409, "IDEMPOTENCY_KEY_REUSED", "expected a new Idempotency-Key, found one of another request"
            )
        if row["status"] is not None:
            return Answered(row["status"], row["body"])
        if (asked.api_key_id, asked.key) in self._under_way:
            detail = "the request with this Idempotency-Key is being carried out"
            raise RequestError(409, "IN_PROGRESS", detail, retry_after_s=1)
        raise RequestError(
            409,
            "OUTCOME_UNKNOWN",
            "the gateway ended while it carried this request out: look whether it was; if not, ask under another key",
        )


def _is(asked: Asked) -> sa.ColumnElement[bool]:
    return (_table.c.api_key_id == asked.api_key_id) & (_table.c.key == asked.key)
