"""What routes ask for: the gateway, who calls, and which page of a list."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request
from pydantic import BaseModel, BeforeValidator, Field, PlainValidator, StrictInt

from cmw.gateway.projects import ProjectRow
from cmw.gateway.rest.answers import ErrorAnswer
from cmw.gateway.roles import Role
from cmw.gateway.service import Gateway
from cmw.gateway.views import Page
from cmw.load.plan import Account, Plan, Registrar


class Deleted(BaseModel):
    """What is no more."""

    id: str
    deleted: Literal[True] = True


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _caller_role(request: Request) -> Role:
    return Role(request.state.caller["role"])


async def _project(gateway: Annotated[Gateway, Depends(_gateway)], project_id: str) -> ProjectRow:
    return await gateway.projects.get(project_id)


def _page(
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    per_page: Annotated[int, Query(ge=1, le=1000, alias="perPage")] = 25,
) -> Page:
    return Page(page=page, per_page=per_page)


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected a mapping")
    return value


def _without_fraction(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


PlanDocument = Annotated[dict[str, Any], PlainValidator(_mapping, json_schema_input_type=Plan)]
"""A plan as it came: `parse_plan` finds all that is wrong with it at once, and says it better."""

RegistrarDocument = Annotated[dict[str, Any], PlainValidator(_mapping, json_schema_input_type=Registrar)]
"""A registrar as it came."""

AccountDocument = Annotated[dict[str, Any], PlainValidator(_mapping, json_schema_input_type=Account)]
"""A SIP account as it came."""

INTEGRAL = BeforeValidator(_without_fraction)
"""Last at a StrictInt: an integer as JSON Schema means it, for which 5.0 is one; true and "5" are none."""

WaitSeconds = Annotated[StrictInt, Field(ge=0, le=24 * 3600), INTEGRAL]


Service = Annotated[Gateway, Depends(_gateway)]
CallerRole = Annotated[Role, Depends(_caller_role)]
Project = Annotated[ProjectRow, Depends(_project)]
PageOf = Annotated[Page, Depends(_page)]

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer} for status in (400, 401, 403, 404, 409, 413, 422, 429, 500, 503)
}
