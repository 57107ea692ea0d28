"""SIP accounts of registrars; their passwords only as ciphertext."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cmw.gateway.database import Database
from cmw.gateway.errors import conflict, not_found
from cmw.gateway.tables import sip_accounts
from cmw.gateway.vault import Vault
from cmw.gateway.views import Page
from cmw.load.plan import Account

AccountRow = dict[str, Any]

_SHOWN = [c for c in sip_accounts.c if c.name != "sealed_password"]


class SipAccounts:
    """Rows of the table `sip_accounts`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def add(self, registrar_id: str, accounts: Sequence[Account]) -> int:
        """Add accounts behind those that are there; return how many.

        Raises:
            RequestError: the registrar has one with the same user name; then none is added.
        """
        rows = await self.sealed(registrar_id, accounts)
        async with self._database.write() as connection:
            await self.insert(connection, rows)
        return len(rows)

    async def sealed(self, registrar_id: str, accounts: Sequence[Account]) -> list[AccountRow]:
        """Return rows for accounts, their passwords encrypted; in a thread, for there may be many."""
        return await asyncio.to_thread(lambda: [self._row(registrar_id, account) for account in accounts])

    async def insert(self, connection: AsyncConnection, rows: list[AccountRow]) -> None:
        """Write rows that `sealed` made."""
        try:
            if rows:
                await connection.execute(sip_accounts.insert(), rows)
        except IntegrityError:
            raise conflict("accounts: expected each user name once in a registrar, found one twice") from None

    async def page(self, registrar_id: str, page: Page) -> tuple[list[AccountRow], int]:
        """Return one page of a registrar's accounts in their order, without passwords, and how many there are."""
        query = sa.select(*_SHOWN).where(sip_accounts.c.registrar_id == registrar_id).order_by(sip_accounts.c.id)
        rows = await self._database.rows(query.limit(page.per_page).offset(page.offset))
        return rows, await self._database.count(query)

    async def first(self, registrar_id: str, number: int) -> list[dict[str, Any]]:
        """Return the first accounts of a registrar as a plan has them, passwords included."""
        query = sa.select(sip_accounts).where(sip_accounts.c.registrar_id == registrar_id).order_by(sip_accounts.c.id)
        rows = await self._database.rows(query.limit(number))
        return await asyncio.to_thread(lambda: [self._document(row) for row in rows])

    async def delete(self, registrar_id: str, username: str | None = None) -> int:
        """Forget one account of a registrar, or all; return how many.

        Raises:
            RequestError: there is none with this user name.
        """
        chosen = sip_accounts.c.registrar_id == registrar_id
        if username is not None:
            chosen &= sip_accounts.c.username == username
        async with self._database.write() as connection:
            gone = (await connection.execute(sip_accounts.delete().where(chosen))).rowcount
        if username is not None and gone == 0:
            raise not_found("account", username)
        return int(gone)

    def _row(self, registrar_id: str, account: Account) -> AccountRow:
        return {
            "registrar_id": registrar_id,
            "username": account.username,
            "realm": account.realm,
            "auth_username": account.auth_username,
            "sealed_password": self._vault.seal(account.password.get_secret_value()),
        }

    def _document(self, row: AccountRow) -> dict[str, Any]:
        fields = {name: row[name] for name in ("username", "realm", "auth_username") if row[name] is not None}
        return fields | {"password": self._vault.unseal(row["sealed_password"])}
