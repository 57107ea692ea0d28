"""Tests: plans that are kept in a project, to be run again and again."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from cmw.gateway.database import Database
from cmw.gateway.errors import conflict, not_found
from cmw.gateway.instants import UnixClock
from cmw.gateway.placement import Placement
from cmw.gateway.registrars import Registrars, foreign_registrars
from cmw.gateway.sip_accounts import SipAccounts
from cmw.gateway.tables import tests
from cmw.gateway.vault import Vault, refuse_masks
from cmw.gateway.views import Page
from cmw.load.plan import MAX_ENDPOINTS, Plan
from cmw.load.plan_parser import parse_plan

TestRow = dict[str, Any]

_SHOWN = [c for c in tests.c if c.name != "sealed_plan"]


@dataclass(frozen=True, slots=True)
class ReadyPlan:
    """The whole plan of a test.

    Args:
        plan: with accounts of the registrars, as many as it takes.
        lack: why it cannot be carried out for now; empty when nothing is missing.
    """

    plan: Plan
    lack: str = ""


class SavedTests:
    """Rows of the table `tests`."""

    def __init__(
        self, database: Database, vault: Vault, clock: UnixClock, registrars: Registrars, accounts: SipAccounts
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._registrars = registrars
        self._accounts = accounts

    async def create(self, project_id: str, name: str | None, plan: dict[str, Any], placement: Placement) -> TestRow:
        """Add a test; without a name it has the plan's.

        Raises:
            RequestError: the name is taken.
            SettingsError: the plan is wrong.
        """
        now_ms = self._clock()
        row: TestRow = {"id": uuid4().hex, "project_id": project_id, "placement": placement.to_document()}
        row |= await self._stored(project_id, plan) | {"created_at_ms": now_ms, "updated_at_ms": now_ms}
        row["name"] = name or row["plan"].get("name", "test")
        async with self._database.write() as connection:
            named = (tests.c.project_id == project_id) & (tests.c.name == row["name"])
            if (await connection.execute(sa.select(tests.c.id).where(named))).first() is not None:
                raise conflict(f"the project has a test named {row['name']!r} already")
            await connection.execute(tests.insert().values(row))
        return await self.get(project_id, row["id"])

    async def page(self, project_id: str, page: Page, *, name: str | None = None) -> tuple[list[TestRow], int]:
        """Return one page of a project's tests, the oldest first, and how many; only the one named `name` if given."""
        query = sa.select(*_SHOWN).where(tests.c.project_id == project_id).order_by(tests.c.created_at_ms, tests.c.id)
        if name is not None:
            query = query.where(tests.c.name == name)
        rows = await self._database.rows(query.limit(page.per_page).offset(page.offset))
        return rows, await self._database.count(query)

    async def get(self, project_id: str, test_id: str) -> TestRow:
        """Return one test, the secrets of its plan masked.

        Raises:
            RequestError: the project has none with this id.
        """
        row = await self._database.row(sa.select(*_SHOWN).where(_is(project_id, test_id)))
        if row is None:
            raise not_found("test", test_id)
        return row

    async def update(
        self,
        project_id: str,
        test_id: str,
        name: str | None,
        plan: dict[str, Any] | None,
        placement: Placement | None,
    ) -> TestRow:
        """Change the name, the whole plan, or the workers that it runs on."""
        await self.get(project_id, test_id)
        values: dict[str, Any] = {"updated_at_ms": self._clock()}
        if plan is not None:
            values |= await self._stored(project_id, plan)
        if placement is not None:
            values["placement"] = placement.to_document()
        async with self._database.write() as connection:
            if name is not None:
                others = (tests.c.project_id == project_id) & (tests.c.name == name) & (tests.c.id != test_id)
                if (await connection.execute(sa.select(tests.c.id).where(others))).first() is not None:
                    raise conflict(f"the project has a test named {name!r} already")
                values["name"] = name
            await connection.execute(tests.update().where(_is(project_id, test_id)).values(values))
        return await self.get(project_id, test_id)

    async def delete(self, project_id: str, test_id: str) -> None:
        """Forget a test; its runs stay."""
        await self.get(project_id, test_id)
        async with self._database.write() as connection:
            await connection.execute(tests.delete().where(_is(project_id, test_id)))

    async def ready_plan(self, project_id: str, test_id: str) -> ReadyPlan:
        """Return the plan of a test with what its registrars have now."""
        row = await self._database.row(sa.select(tests).where(_is(project_id, test_id)))
        if row is None:
            raise not_found("test", test_id)
        document = json.loads(self._vault.unseal(row["sealed_plan"])) | {"name": row["name"]}
        lacks = []
        for name, needed in _needed(document).items():
            found = await self._registrars.settings_of(project_id, name)
            if found is None:
                continue  # `parse_plan` says so
            registrar_id, settings = found
            accounts = await self._accounts.first(registrar_id, needed)
            if len(accounts) < needed:
                lacks.append(f"registrar {name} has {len(accounts)} accounts, the test needs {needed}")
                accounts = _made_up(needed)
            document.setdefault("registrars", {})[name] = settings | {"accounts": accounts}
        return ReadyPlan(await asyncio.to_thread(parse_plan, document, name="test"), "; ".join(lacks))

    async def _stored(self, project_id: str, document: dict[str, Any]) -> dict[str, Any]:
        """Check a plan by the registrars that the project has now, whatever accounts they have."""
        refuse_masks(document)
        whole = dict(document)
        added = {}
        for name, needed in _needed(document).items():
            if (found := await self._registrars.settings_of(project_id, name)) is not None:
                added[name] = found[1] | {"accounts": _made_up(needed)}
        own = document.get("registrars", {})
        if added and isinstance(own, dict):
            whole["registrars"] = own | added
        plan = await asyncio.to_thread(parse_plan, whole, name="test")
        kept = plan.model_copy(update={"registrars": {n: r for n, r in plan.registrars.items() if n not in added}})
        return {
            "plan": kept.model_dump(mode="json", exclude_none=True),
            "sealed_plan": self._vault.seal(json.dumps(kept.to_document())),
            "endpoints": plan.total_endpoints,
        }


def _needed(document: dict[str, Any]) -> dict[str, int]:
    """Return how many accounts a plan takes of each registrar that it does not have itself."""
    needed = dict.fromkeys(sorted(foreign_registrars(document)), 0)
    for group in document["groups"].values() if needed else ():
        if isinstance(group, dict) and group.get("registrar") in needed and isinstance(group.get("endpoints"), int):
            needed[group["registrar"]] += max(0, min(group["endpoints"], MAX_ENDPOINTS))
    return needed


def _made_up(number: int) -> list[dict[str, Any]]:
    return [{"username": f"account-{n}", "password": ""} for n in range(number)]


def _is(project_id: str, test_id: str) -> sa.ColumnElement[bool]:
    return (tests.c.id == test_id) & (tests.c.project_id == project_id)
