"""Workers over the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from cmw.gateway.placement import Labels, Region
from cmw.gateway.rest.answers import Answer, ListAnswer, answer, list_answer
from cmw.gateway.rest.dependencies import INTEGRAL, Deleted, PageOf, Service
from cmw.gateway.rest.guard import GuardedRoute, needs
from cmw.gateway.roles import Role
from cmw.gateway.views import Label, WorkerView, WorkerWithToken
from cmw.gateway.workers import DEFAULT_CAPACITY, MAX_CAPACITY

router = APIRouter(route_class=GuardedRoute)


Capacity = Annotated[StrictInt, Field(ge=1, le=MAX_CAPACITY), INTEGRAL]


class NewWorker(BaseModel):
    """A worker to create."""

    model_config = ConfigDict(extra="forbid")

    name: Label = Field(description="1 to 100 printable characters; no two workers have the same")
    capacity: Capacity = Field(default=DEFAULT_CAPACITY, description="endpoints it may have at once")
    region: Region | None = Field(default=None, description="where it is, for runs that choose by it")
    labels: Labels = Field(default_factory=dict, description="what else runs choose by")


class WorkerChange(BaseModel):
    """What is to be different about a worker; what is not said stays."""

    model_config = ConfigDict(extra="forbid")

    name: Label = Field(default="", description="1 to 100 printable characters; no two workers have the same")
    capacity: Capacity = Field(default=DEFAULT_CAPACITY, description="endpoints it may have at once")
    region: Region | None = Field(default=None, description="where it is; null for nowhere in particular")
    labels: Labels = Field(default_factory=dict, description="all of its labels")


@router.post("/workers", status_code=201, tags=["workers"], openapi_extra=needs(Role.ADMIN, shows_once="token"))
async def create_worker(request: Request, gateway: Service, body: NewWorker) -> Answer[WorkerWithToken]:
    """Create a worker. The answer holds its token, which is not shown again."""
    view, token = await gateway.create_worker(body.name, body.capacity, region=body.region, labels=body.labels)
    return answer(request, WorkerWithToken(**view.model_dump(), token=token))


@router.get("/workers", tags=["workers"], openapi_extra=needs(Role.VIEWER))
async def list_workers(
    request: Request, gateway: Service, page: PageOf, name: str | None = None, region: str | None = None
) -> ListAnswer[WorkerView]:
    """List the workers, the oldest first; only the one created as `name`, or those of a `region`, if given."""
    found, total = await gateway.workers(page, name=name, region=region)
    return list_answer(request, found, page, total)


@router.get("/workers/{worker_id}", tags=["workers"], openapi_extra=needs(Role.VIEWER))
async def show_worker(request: Request, gateway: Service, worker_id: str) -> Answer[WorkerView]:
    """Show a worker."""
    return answer(request, await gateway.worker(worker_id))


@router.patch("/workers/{worker_id}", tags=["workers"], openapi_extra=needs(Role.ADMIN))
async def change_worker(request: Request, gateway: Service, worker_id: str, body: WorkerChange) -> Answer[WorkerView]:
    """Change name, capacity, region or labels; its own WORKER_NAME and what it says of its capacity count before."""
    return answer(request, await gateway.change_worker(worker_id, **body.model_dump(exclude_unset=True)))


@router.post("/workers/{worker_id}/regenerate", tags=["workers"], openapi_extra=needs(Role.ADMIN, shows_once="token"))
async def regenerate_worker(request: Request, gateway: Service, worker_id: str) -> Answer[WorkerWithToken]:
    """Give a worker a new token; the old one, and its live link, end at once."""
    view, token = await gateway.regenerate_token(worker_id)
    return answer(request, WorkerWithToken(**view.model_dump(), token=token))


@router.post("/workers/{worker_id}/enable", tags=["workers"], openapi_extra=needs(Role.ADMIN))
async def enable_worker(request: Request, gateway: Service, worker_id: str) -> Answer[WorkerView]:
    """Let a worker connect and take runs: undoes disable and drain."""
    return answer(request, await gateway.enable_worker(worker_id))


@router.post("/workers/{worker_id}/drain", tags=["workers"], openapi_extra=needs(Role.ADMIN))
async def drain_worker(request: Request, gateway: Service, worker_id: str) -> Answer[WorkerView]:
    """Let a worker finish what it has and take no new runs, until it is enabled."""
    return answer(request, await gateway.drain_worker(worker_id))


@router.post("/workers/{worker_id}/disable", tags=["workers"], openapi_extra=needs(Role.ADMIN))
async def disable_worker(request: Request, gateway: Service, worker_id: str) -> Answer[WorkerView]:
    """Let a worker connect no more; its live link ends at once."""
    return answer(request, await gateway.disable_worker(worker_id))


@router.delete("/workers/{worker_id}", tags=["workers"], openapi_extra=needs(Role.ADMIN))
async def delete_worker(request: Request, gateway: Service, worker_id: str) -> Answer[Deleted]:
    """Delete a worker; its live link ends at once, the results of its runs stay."""
    await gateway.delete_worker(worker_id)
    return answer(request, Deleted(id=worker_id))
