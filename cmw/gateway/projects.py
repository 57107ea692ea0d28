"""Projects: what registrars, SIP accounts and tests belong to."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from cmw.gateway.database import Database
from cmw.gateway.errors import conflict, not_found
from cmw.gateway.instants import UnixClock
from cmw.gateway.tables import projects, registrars, sip_accounts, tests
from cmw.gateway.views import Page

ProjectRow = dict[str, Any]

_COLUMNS = (
    *projects.c,
    sa.select(sa.func.count()).where(tests.c.project_id == projects.c.id).scalar_subquery().label("test_count"),
    sa.select(sa.func.count()).where(registrars.c.project_id == projects.c.id).scalar_subquery().label("registrars"),
)


class Projects:
    """Rows of the table `projects`."""

    def __init__(self, database: Database, clock: UnixClock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, name: str) -> ProjectRow:
        """Add a project; its slug is made of its name and does not change with it."""
        row = {"id": uuid4().hex, "name": name, "slug": slug_of(name), "created_at_ms": self._clock()}
        async with self._database.write() as connection:
            taken = sa.select(projects.c.id).where(projects.c.slug == row["slug"])
            if (await connection.execute(taken)).first() is not None:
                raise conflict(f"there is already a project with the slug {row['slug']!r}")
            await connection.execute(projects.insert().values(row))
        return row | {"test_count": 0, "registrars": 0}

    async def page(self, page: Page) -> tuple[list[ProjectRow], int]:
        """Return one page of the projects, the oldest first, and how many there are."""
        query = sa.select(*_COLUMNS).order_by(projects.c.created_at_ms, projects.c.id)
        rows = await self._database.rows(query.limit(page.per_page).offset(page.offset))
        return rows, await self._database.count(query)

    async def get(self, project: str) -> ProjectRow:
        """Return one project by its id or its slug.

        Raises:
            RequestError: there is none.
        """
        either = (projects.c.id == project) | (projects.c.slug == project)
        row = await self._database.row(sa.select(*_COLUMNS).where(either))
        if row is None:
            raise not_found("project", project)
        return row

    async def rename(self, project_id: str, name: str) -> ProjectRow:
        """Give a project another name."""
        async with self._database.write() as connection:
            await connection.execute(projects.update().where(projects.c.id == project_id).values(name=name))
        return await self.get(project_id)

    async def delete(self, project_id: str) -> None:
        """Forget a project with its registrars, accounts and tests; the results of its runs stay."""
        own = sa.select(registrars.c.id).where(registrars.c.project_id == project_id)
        async with self._database.write() as connection:
            await connection.execute(sip_accounts.delete().where(sip_accounts.c.registrar_id.in_(own)))
            for table in (registrars, tests):
                await connection.execute(table.delete().where(table.c.project_id == project_id))
            await connection.execute(projects.delete().where(projects.c.id == project_id))


def slug_of(name: str) -> str:
    """Return a name as part of a URL: lower-case ASCII letters, digits and dashes."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return slug or f"project-{uuid4().hex[:8]}"
