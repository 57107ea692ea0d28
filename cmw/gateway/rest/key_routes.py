"""API keys over the API."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from cmw.gateway.api_keys import KeyRow
from cmw.gateway.errors import forbidden
from cmw.gateway.instants import iso
from cmw.gateway.rest.answers import Answer, ListAnswer, answer, list_answer
from cmw.gateway.rest.dependencies import CallerRole, Deleted, PageOf, Service
from cmw.gateway.rest.guard import GuardedRoute, needs
from cmw.gateway.roles import Role
from cmw.gateway.views import Label

router = APIRouter(route_class=GuardedRoute)


class NewKey(BaseModel):
    """An API key to create."""

    model_config = ConfigDict(extra="forbid")

    name: Label = Field(description="what it is for; 1 to 100 printable characters")
    role: Role = Field(default=Role.VIEWER, description="not more than the caller's own")


class KeyView(BaseModel):
    """An API key, without the key itself."""

    id: str
    name: str
    role: Role
    key_prefix: str = Field(description="the first 12 of the key's 36 characters")
    created_at: str


class KeyWithSecret(KeyView):
    """An API key with the key itself: the only time that it is shown."""

    key: str


@router.post("/keys", status_code=201, tags=["keys"], openapi_extra=needs(Role.EDITOR, shows_once="key"))
async def create_key(request: Request, gateway: Service, role: CallerRole, body: NewKey) -> Answer[KeyWithSecret]:
    """Create an API key, with at most the caller's own role. The answer holds it; it is not shown again."""
    if not role.includes(body.role):
        raise forbidden(f"role: expected {role} or less, which the caller has, found {body.role}")
    row, key = await gateway.api_keys.create(body.name, body.role)
    return answer(request, KeyWithSecret(**_view(row).model_dump(), key=key))


@router.get("/keys", tags=["keys"], openapi_extra=needs(Role.EDITOR))
async def list_keys(request: Request, gateway: Service, page: PageOf) -> ListAnswer[KeyView]:
    """List the API keys, the oldest first."""
    found, total = await gateway.api_keys.page(page)
    return list_answer(request, [_view(row) for row in found], page, total)


@router.get("/keys/own", tags=["keys"], openapi_extra=needs(Role.VIEWER))
async def show_own_key(request: Request) -> Answer[KeyView]:
    """Show the API key that the request carries."""
    return answer(request, _view(request.state.caller))


@router.delete("/keys/{key_id}", tags=["keys"], openapi_extra=needs(Role.EDITOR))
async def delete_key(request: Request, gateway: Service, role: CallerRole, key_id: str) -> Answer[Deleted]:
    """Delete an API key with at most the caller's own role; the last one with the role admin stays."""
    await gateway.api_keys.delete(key_id, by=role)
    return answer(request, Deleted(id=key_id))


def _view(row: KeyRow) -> KeyView:
    return KeyView(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        key_prefix=row["key_prefix"],
        created_at=iso(row["created_at_ms"]) or "",
    )
