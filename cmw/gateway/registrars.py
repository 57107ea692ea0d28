"""Registrars of projects, as plans have them; their accounts are in sip_accounts.py."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cmw.gateway.database import Database
from cmw.gateway.errors import conflict, not_found
from cmw.gateway.instants import UnixClock
from cmw.gateway.sip_accounts import SipAccounts
from cmw.gateway.tables import registrars, sip_accounts, tests
from cmw.gateway.vault import Vault, refuse_masks
from cmw.gateway.views import Page
from cmw.load.plan import Registrar
from cmw.load.plan_parser import parse_plan

RegistrarRow = dict[str, Any]

_accounts = sa.select(sa.func.count()).where(sip_accounts.c.registrar_id == registrars.c.id).scalar_subquery()
_COLUMNS = (*(c for c in registrars.c if c.name != "sealed_settings"), _accounts.label("account_count"))


class Registrars:
    """Rows of the table `registrars`."""

    def __init__(self, database: Database, vault: Vault, clock: UnixClock, accounts: SipAccounts) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._accounts = accounts

    async def create(self, project_id: str, name: str, settings: dict[str, Any]) -> RegistrarRow:
        """Add a registrar; accounts among its settings become its first accounts.

        Raises:
            RequestError: the name is taken.
            SettingsError: a setting is wrong.
        """
        registrar = parse_registrar(name, settings)
        now_ms = self._clock()
        row = {"id": uuid4().hex, "project_id": project_id, "name": name}
        row |= self._stored(registrar) | {"created_at_ms": now_ms, "updated_at_ms": now_ms}
        sealed = await self._accounts.sealed(row["id"], registrar.accounts)
        async with self._database.write() as connection:
            await _check_free(connection, project_id, name)
            await connection.execute(registrars.insert().values(row))
            await self._accounts.insert(connection, sealed)
        return await self.get(project_id, row["id"])

    async def page(self, project_id: str, page: Page) -> tuple[list[RegistrarRow], int]:
        """Return one page of a project's registrars, by name, and how many there are."""
        query = sa.select(*_COLUMNS).where(registrars.c.project_id == project_id).order_by(registrars.c.name)
        rows = await self._database.rows(query.limit(page.per_page).offset(page.offset))
        return rows, await self._database.count(query)

    async def get(self, project_id: str, registrar_id: str) -> RegistrarRow:
        """Return one registrar.

        Raises:
            RequestError: the project has none with this id.
        """
        row = await self._database.row(sa.select(*_COLUMNS).where(_is(project_id, registrar_id)))
        if row is None:
            raise not_found("registrar", registrar_id)
        return row

    async def settings_of(self, project_id: str, name: str) -> tuple[str, dict[str, Any]] | None:
        """Return the id and the settings of a registrar, secrets included; None when the project has none so named."""
        named = (registrars.c.project_id == project_id) & (registrars.c.name == name)
        row = await self._database.row(sa.select(registrars).where(named))
        return (row["id"], json.loads(self._vault.unseal(row["sealed_settings"]))) if row is not None else None

    async def update(
        self, project_id: str, registrar_id: str, name: str | None, settings: dict[str, Any] | None
    ) -> RegistrarRow:
        """Change the name, or all settings; accounts stay."""
        row = await self.get(project_id, registrar_id)
        values: dict[str, Any] = {"updated_at_ms": self._clock()}
        if settings is not None:
            values |= self._stored(parse_registrar(name or row["name"], settings, with_accounts=False))
        async with self._database.write() as connection:
            if name is not None and name != row["name"]:
                await _check_free(connection, project_id, name)
                await _check_unused(connection, project_id, row["name"])
                values["name"] = name
            await connection.execute(registrars.update().where(_is(project_id, registrar_id)).values(values))
        return await self.get(project_id, registrar_id)

    async def delete(self, project_id: str, registrar_id: str) -> None:
        """Forget a registrar and its accounts.

        Raises:
            RequestError: there is none, or a test needs it.
        """
        row = await self.get(project_id, registrar_id)
        async with self._database.write() as connection:
            await _check_unused(connection, project_id, row["name"])
            await connection.execute(sip_accounts.delete().where(sip_accounts.c.registrar_id == registrar_id))
            await connection.execute(registrars.delete().where(_is(project_id, registrar_id)))

    def _stored(self, registrar: Registrar) -> dict[str, Any]:
        shown = registrar.model_dump(mode="json", exclude_none=True, exclude={"accounts"})
        whole = registrar.model_dump(mode="json", exclude_none=True, exclude={"accounts"}, context={"reveal": True})
        return {"settings": shown, "sealed_settings": self._vault.seal(json.dumps(whole))}


def parse_registrar(name: str, settings: dict[str, Any], *, with_accounts: bool = True) -> Registrar:
    """Return a registrar by the rules of a plan.

    Raises:
        SettingsError: a setting is wrong; the message names all that are.
    """
    groups = {"any": {"endpoints": 1}}
    document = {"version": 1, "duration": "1s", "groups": groups, "registrars": {name: settings}}
    refuse_masks(settings)
    if not with_accounts and "accounts" in settings:
        raise conflict("accounts: expected none here; they are added and deleted on their own")
    return parse_plan(document, name="registrar").registrars[name]


def _is(project_id: str, registrar_id: str) -> sa.ColumnElement[bool]:
    return (registrars.c.id == registrar_id) & (registrars.c.project_id == project_id)


async def _check_free(connection: AsyncConnection, project_id: str, name: str) -> None:
    named = (registrars.c.project_id == project_id) & (registrars.c.name == name)
    if (await connection.execute(sa.select(registrars.c.id).where(named))).first() is not None:
        raise conflict(f"the project has a registrar named {name!r} already")


async def _check_unused(connection: AsyncConnection, project_id: str, name: str) -> None:
    """Refuse to take away what a test of the project names."""
    found = await connection.execute(sa.select(tests.c.name, tests.c.plan).where(tests.c.project_id == project_id))
    users = [row.name for row in found if name in foreign_registrars(row.plan)]
    if users:
        raise conflict(f"the registrar {name!r} is needed by: {', '.join(sorted(users))}")


def foreign_registrars(plan: dict[str, Any]) -> set[str]:
    """Return the registrars that the groups of a plan's document name and that it does not have itself."""
    groups, own = plan.get("groups"), plan.get("registrars")
    entries = groups.values() if isinstance(groups, dict) else ()
    named = {group.get("registrar") for group in entries if isinstance(group, dict)}
    return {name for name in named if isinstance(name, str)} - set(own if isinstance(own, dict) else ())
