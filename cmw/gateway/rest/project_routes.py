"""Projects over the API."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from cmw.gateway.instants import iso
from cmw.gateway.projects import ProjectRow
from cmw.gateway.rest.answers import Answer, ListAnswer, answer, list_answer
from cmw.gateway.rest.dependencies import Deleted, PageOf, Project, Service
from cmw.gateway.rest.guard import GuardedRoute, needs
from cmw.gateway.roles import Role
from cmw.gateway.views import Label

router = APIRouter(route_class=GuardedRoute, tags=["projects"])


class NewProject(BaseModel):
    """A project to create, or its new name."""

    model_config = ConfigDict(extra="forbid")

    name: Label = Field(description="1 to 100 printable characters")


class ProjectView(BaseModel):
    """A project."""

    id: str
    slug: str = Field(description="made of the first name; takes the place of the id in every path")
    name: str
    test_count: int
    registrar_count: int
    created_at: str


@router.post("/projects", status_code=201, openapi_extra=needs(Role.ADMIN))
async def create_project(request: Request, gateway: Service, body: NewProject) -> Answer[ProjectView]:
    """Create a project, which registrars and tests belong to."""
    return answer(request, _view(await gateway.projects.create(body.name)))


@router.get("/projects", openapi_extra=needs(Role.VIEWER))
async def list_projects(request: Request, gateway: Service, page: PageOf) -> ListAnswer[ProjectView]:
    """List the projects, the oldest first."""
    found, total = await gateway.projects.page(page)
    return list_answer(request, [_view(row) for row in found], page, total)


@router.get("/projects/{project_id}", openapi_extra=needs(Role.VIEWER))
async def show_project(request: Request, project: Project) -> Answer[ProjectView]:
    """Show a project."""
    return answer(request, _view(project))


@router.patch("/projects/{project_id}", openapi_extra=needs(Role.ADMIN))
async def rename_project(request: Request, gateway: Service, project: Project, body: NewProject) -> Answer[ProjectView]:
    """Give a project another name; its slug stays."""
    return answer(request, _view(await gateway.projects.rename(project["id"], body.name)))


@router.delete("/projects/{project_id}", openapi_extra=needs(Role.ADMIN))
async def delete_project(request: Request, gateway: Service, project: Project) -> Answer[Deleted]:
    """Delete a project with its registrars, accounts and tests; the results of its runs stay."""
    await gateway.projects.delete(project["id"])
    return answer(request, Deleted(id=project["id"]))


def _view(row: ProjectRow) -> ProjectView:
    return ProjectView(
        id=row["id"],
        slug=row["slug"],
        name=row["name"],
        test_count=row["test_count"],
        registrar_count=row["registrars"],
        created_at=iso(row["created_at_ms"]) or "",
    )
