"""Registrars and their SIP accounts over the API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from cmw.gateway.instants import iso
from cmw.gateway.registrars import RegistrarRow, parse_registrar
from cmw.gateway.rest.answers import Answer, ListAnswer, answer, list_answer
from cmw.gateway.rest.dependencies import AccountDocument, Deleted, PageOf, Project, RegistrarDocument, Service
from cmw.gateway.rest.guard import GuardedRoute, needs
from cmw.gateway.roles import Role
from cmw.load.plan import MAX_ACCOUNTS
from cmw.load.plan_fields import Name

router = APIRouter(route_class=GuardedRoute, prefix="/projects/{project_id}/registrars", tags=["registrars"])


class NewRegistrar(BaseModel):
    """A registrar to create."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description="what plans of the project name it by")
    settings: RegistrarDocument = Field(description="as in a plan; its accounts, if any, become the first ones")


class RegistrarChange(BaseModel):
    """What is to be different about a registrar; what is not said stays."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    settings: RegistrarDocument | None = Field(default=None, description="all of them, without accounts")


class RegistrarView(BaseModel):
    """A registrar, its TLS key masked."""

    id: str
    project_id: str
    name: str
    settings: dict[str, Any] = Field(description="as in a plan, without accounts")
    account_count: int
    created_at: str
    updated_at: str


class NewAccounts(BaseModel):
    """Accounts to add."""

    model_config = ConfigDict(extra="forbid")

    accounts: Annotated[list[AccountDocument], Field(min_length=1, max_length=MAX_ACCOUNTS)]


class Number(BaseModel):
    """How many were added or deleted."""

    accounts: int


class AccountView(BaseModel):
    """A SIP account, without its password."""

    username: str
    realm: str | None = None
    auth_username: str | None = None


@router.post("", status_code=201, openapi_extra=needs(Role.EDITOR))
async def create_registrar(
    request: Request, gateway: Service, project: Project, body: NewRegistrar
) -> Answer[RegistrarView]:
    """Create a registrar."""
    return answer(request, _view(await gateway.registrars.create(project["id"], body.name, body.settings)))


@router.get("", openapi_extra=needs(Role.VIEWER))
async def list_registrars(
    request: Request, gateway: Service, project: Project, page: PageOf
) -> ListAnswer[RegistrarView]:
    """List the registrars of a project by name."""
    found, total = await gateway.registrars.page(project["id"], page)
    return list_answer(request, [_view(row) for row in found], page, total)


@router.get("/{registrar_id}", openapi_extra=needs(Role.VIEWER))
async def show_registrar(
    request: Request, gateway: Service, project: Project, registrar_id: str
) -> Answer[RegistrarView]:
    """Show a registrar."""
    return answer(request, _view(await gateway.registrars.get(project["id"], registrar_id)))


@router.patch("/{registrar_id}", openapi_extra=needs(Role.EDITOR))
async def change_registrar(
    request: Request, gateway: Service, project: Project, registrar_id: str, body: RegistrarChange
) -> Answer[RegistrarView]:
    """Change the name, unless a test needs it, or all settings."""
    changed = await gateway.registrars.update(project["id"], registrar_id, body.name, body.settings)
    return answer(request, _view(changed))


@router.delete("/{registrar_id}", openapi_extra=needs(Role.EDITOR))
async def delete_registrar(request: Request, gateway: Service, project: Project, registrar_id: str) -> Answer[Deleted]:
    """Delete a registrar and its accounts, unless a test needs it."""
    await gateway.registrars.delete(project["id"], registrar_id)
    return answer(request, Deleted(id=registrar_id))


@router.post("/{registrar_id}/accounts", status_code=201, openapi_extra=needs(Role.EDITOR))
async def add_accounts(
    request: Request, gateway: Service, project: Project, registrar_id: str, body: NewAccounts
) -> Answer[Number]:
    """Add SIP accounts behind those that are there: all of them, or none when one is wrong."""
    row = await gateway.registrars.get(project["id"], registrar_id)
    checked = parse_registrar(row["name"], {"domain": "any", "accounts": body.accounts})
    return answer(request, Number(accounts=await gateway.accounts.add(registrar_id, checked.accounts)))


@router.get("/{registrar_id}/accounts", openapi_extra=needs(Role.VIEWER))
async def list_accounts(
    request: Request, gateway: Service, project: Project, page: PageOf, registrar_id: str
) -> ListAnswer[AccountView]:
    """List the SIP accounts in the order in which they are dealt to endpoints; never with passwords."""
    await gateway.registrars.get(project["id"], registrar_id)
    found, total = await gateway.accounts.page(registrar_id, page)
    return list_answer(request, [AccountView.model_validate(row) for row in found], page, total)


@router.delete("/{registrar_id}/accounts", openapi_extra=needs(Role.EDITOR))
async def delete_accounts(
    request: Request, gateway: Service, project: Project, registrar_id: str, username: str | None = None
) -> Answer[Number]:
    """Delete all SIP accounts of a registrar, or the one with a `username`."""
    await gateway.registrars.get(project["id"], registrar_id)
    return answer(request, Number(accounts=await gateway.accounts.delete(registrar_id, username)))


def _view(row: RegistrarRow) -> RegistrarView:
    return RegistrarView(
        id=row["id"],
        project_id=row["project_id"],
        name=row["name"],
        settings=row["settings"],
        account_count=row["account_count"],
        created_at=iso(row["created_at_ms"]) or "",
        updated_at=iso(row["updated_at_ms"]) or "",
    )
