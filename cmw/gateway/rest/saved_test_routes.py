"""Tests over the API: plans that are kept."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from cmw.gateway.coordinator import WAIT_MS
from cmw.gateway.instants import iso
from cmw.gateway.placement import ANYWHERE, Placement
from cmw.gateway.rest.answers import Answer, ListAnswer, answer, list_answer
from cmw.gateway.rest.dependencies import Deleted, PageOf, PlanDocument, Project, Service, WaitSeconds
from cmw.gateway.rest.guard import GuardedRoute, needs
from cmw.gateway.roles import Role
from cmw.gateway.saved_tests import TestRow
from cmw.gateway.views import Label, RunView

router = APIRouter(route_class=GuardedRoute, prefix="/projects/{project_id}/tests", tags=["tests"])


class NewTest(BaseModel):
    """A test to create."""

    model_config = ConfigDict(extra="forbid")

    name: Label | None = Field(default=None, description="the plan's name when not given; once in a project")
    plan: PlanDocument = Field(description="a plan; registrars that it does not have are those of the project")
    placement: Placement = Field(default=ANYWHERE, description="which workers its runs may have")


class TestChange(BaseModel):
    """What is to be different about a test; what is not said stays."""

    model_config = ConfigDict(extra="forbid")

    name: Label | None = None
    plan: PlanDocument | None = Field(default=None, description="the whole plan")
    placement: Placement | None = None


class RunTest(BaseModel):
    """How to run a test; every field may be left out."""

    model_config = ConfigDict(extra="forbid")

    name: Label | None = Field(default=None, description="of the run, in place of the test's")
    placement: Placement | None = Field(default=None, description="in place of the test's")
    wait_s: WaitSeconds = Field(default=WAIT_MS // 1000, description="how long it may wait for room; 0 not at all")


class TestView(BaseModel):
    """A test, the secrets of its plan masked."""

    id: str
    project_id: str
    name: str
    endpoints: int
    plan: dict[str, Any]
    placement: dict[str, Any]
    created_at: str
    updated_at: str


@router.post("", status_code=201, openapi_extra=needs(Role.EDITOR))
async def create_test(request: Request, gateway: Service, project: Project, body: NewTest) -> Answer[TestView]:
    """Keep a plan as a test. Nothing is run."""
    return answer(request, _view(await gateway.tests.create(project["id"], body.name, body.plan, body.placement)))


@router.get("", openapi_extra=needs(Role.VIEWER))
async def list_tests(
    request: Request, gateway: Service, project: Project, page: PageOf, name: str | None = None
) -> ListAnswer[TestView]:
    """List the tests of a project, the oldest first; with `name` only the one so named."""
    found, total = await gateway.tests.page(project["id"], page, name=name)
    return list_answer(request, [_view(row) for row in found], page, total)


@router.get("/{test_id}", openapi_extra=needs(Role.VIEWER))
async def show_test(request: Request, gateway: Service, project: Project, test_id: str) -> Answer[TestView]:
    """Show a test."""
    return answer(request, _view(await gateway.tests.get(project["id"], test_id)))


@router.patch("/{test_id}", openapi_extra=needs(Role.EDITOR))
async def change_test(
    request: Request, gateway: Service, project: Project, test_id: str, body: TestChange
) -> Answer[TestView]:
    """Change the name, the whole plan, or the placement; runs that go on keep what they have."""
    changed = await gateway.tests.update(project["id"], test_id, body.name, body.plan, body.placement)
    return answer(request, _view(changed))


@router.delete("/{test_id}", openapi_extra=needs(Role.EDITOR))
async def delete_test(request: Request, gateway: Service, project: Project, test_id: str) -> Answer[Deleted]:
    """Delete a test; its runs stay."""
    await gateway.tests.delete(project["id"], test_id)
    return answer(request, Deleted(id=test_id))


@router.post("/{test_id}/run", status_code=201, openapi_extra=needs(Role.TESTER))
async def run_test(
    request: Request, gateway: Service, project: Project, test_id: str, body: RunTest | None = None
) -> Answer[RunView]:
    """Run a test with what its registrars have now. The run is PENDING at first: ask again for what becomes of it."""
    how = body or RunTest()
    run_id = await gateway.run_test(
        project["id"], test_id, name=how.name, placement=how.placement, wait_ms=1000 * how.wait_s
    )
    return answer(request, await gateway.run(run_id))


def _view(row: TestRow) -> TestView:
    return TestView(
        id=row["id"],
        project_id=row["project_id"],
        name=row["name"],
        endpoints=row["endpoints"],
        plan=row["plan"],
        placement=row["placement"],
        created_at=iso(row["created_at_ms"]) or "",
        updated_at=iso(row["updated_at_ms"]) or "",
    )
