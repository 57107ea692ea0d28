"""The REST API, version 1. docs/api.md describes it; `/api/v1/openapi.json` is made from here."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from cmw.core.words import OutcomeKind, RunStatus
from cmw.gateway.answers import Answer, ErrorAnswer, ListAnswer, answer, list_answer
from cmw.gateway.guarded_route import GuardedRoute
from cmw.gateway.sample_stream import json_stream
from cmw.gateway.service import Gateway
from cmw.gateway.views import Page, RunView, WorkerView, WorkerWithToken
from cmw.gateway.workers import DEFAULT_CAPACITY
from cmw.load.plan_parser import parse_plan


class NewWorker(BaseModel):
    """A worker to create."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="1 to 100 printable characters; no two workers have the same")
    capacity: int = Field(default=DEFAULT_CAPACITY, description="endpoints it may have at once")


class NewRun(BaseModel):
    """A run to start."""

    model_config = ConfigDict(extra="forbid")

    plan: dict[str, Any] = Field(description="a plan, version 1, as docs/plan.md describes it; accounts inline")
    name: str | None = Field(default=None, max_length=200, description="in place of the plan's own name")


class Deleted(BaseModel):
    """What is no more."""

    id: str
    deleted: Literal[True] = True


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _page(
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    per_page: Annotated[int, Query(ge=1, le=1000, alias="perPage")] = 25,
) -> Page:
    return Page(page=page, per_page=per_page)


Service = Annotated[Gateway, Depends(_gateway)]
PageOf = Annotated[Page, Depends(_page)]

_ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorAnswer} for status in (401, 404, 409, 413, 422, 429)}
router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, responses=_ERRORS)


@router.post("/workers", status_code=201, tags=["workers"])
async def create_worker(request: Request, gateway: Service, body: NewWorker) -> Answer[WorkerWithToken]:
    """Create a worker. The answer holds its token, which is not shown again."""
    view, token = await gateway.create_worker(body.name, body.capacity)
    return answer(request, WorkerWithToken(**view.model_dump(), token=token))


@router.get("/workers", tags=["workers"])
async def list_workers(
    request: Request, gateway: Service, page: PageOf, name: str | None = None
) -> ListAnswer[WorkerView]:
    """List the workers, the oldest first; with `name` only the one that was created under it."""
    found, total = await gateway.workers(page, name=name)
    return list_answer(request, found, page, total)


@router.get("/workers/{worker_id}", tags=["workers"])
async def show_worker(request: Request, gateway: Service, worker_id: str) -> Answer[WorkerView]:
    """Show a worker."""
    return answer(request, await gateway.worker(worker_id))


@router.post("/workers/{worker_id}/regenerate", tags=["workers"])
async def regenerate_worker(request: Request, gateway: Service, worker_id: str) -> Answer[WorkerWithToken]:
    """Give a worker a new token; the old one, and its live link, end at once."""
    view, token = await gateway.regenerate_token(worker_id)
    return answer(request, WorkerWithToken(**view.model_dump(), token=token))


@router.post("/workers/{worker_id}/enable", tags=["workers"])
async def enable_worker(request: Request, gateway: Service, worker_id: str) -> Answer[WorkerView]:
    """Let a worker connect and take runs: undoes disable and drain."""
    return answer(request, await gateway.enable_worker(worker_id))


@router.post("/workers/{worker_id}/drain", tags=["workers"])
async def drain_worker(request: Request, gateway: Service, worker_id: str) -> Answer[WorkerView]:
    """Let a worker finish what it has and take no new runs, until it is enabled."""
    return answer(request, await gateway.drain_worker(worker_id))


@router.post("/workers/{worker_id}/disable", tags=["workers"])
async def disable_worker(request: Request, gateway: Service, worker_id: str) -> Answer[WorkerView]:
    """Let a worker connect no more; its live link ends at once."""
    return answer(request, await gateway.disable_worker(worker_id))


@router.delete("/workers/{worker_id}", tags=["workers"])
async def delete_worker(request: Request, gateway: Service, worker_id: str) -> Answer[Deleted]:
    """Delete a worker; its live link ends at once, the results of its runs stay."""
    await gateway.delete_worker(worker_id)
    return answer(request, Deleted(id=worker_id))


@router.post("/runs", status_code=201, tags=["runs"])
async def start_run(request: Request, gateway: Service, body: NewRun) -> Answer[RunView]:
    """Start a run. It is PENDING at first: ask again for what becomes of it."""
    plan = await asyncio.to_thread(parse_plan, body.plan)
    run_id = await gateway.start_run(plan, name=body.name)
    return answer(request, await gateway.run(run_id))


@router.get("/runs", tags=["runs"])
async def list_runs(
    request: Request, gateway: Service, page: PageOf, status: RunStatus | None = None
) -> ListAnswer[RunView]:
    """List the runs, the latest first, without their workers."""
    found, total = await gateway.runs(page, status=status)
    return list_answer(request, found, page, total)


@router.get("/runs/{run_id}", tags=["runs"])
async def show_run(request: Request, gateway: Service, run_id: str) -> Answer[RunView]:
    """Show a run with its progress and its workers."""
    return answer(request, await gateway.run(run_id))


@router.get("/runs/{run_id}/plan", tags=["runs"])
async def show_plan(request: Request, gateway: Service, run_id: str) -> Answer[dict[str, Any]]:
    """Show the plan of a run, its passwords masked."""
    return answer(request, await gateway.plan(run_id))


@router.post("/runs/{run_id}/stop", tags=["runs"])
async def stop_run(request: Request, gateway: Service, run_id: str) -> Answer[RunView]:
    """End a run early: calls are hung up, and what was measured is reported."""
    return answer(request, await gateway.stop_run(run_id))


@router.get("/runs/{run_id}/summary", tags=["results"])
async def show_summary(request: Request, gateway: Service, run_id: str) -> Answer[dict[str, Any]]:
    """Show the summary of a run that is over; 409 before."""
    return answer(request, await gateway.summary(run_id))


@router.get("/runs/{run_id}/endpoints", tags=["results"])
async def list_endpoints(
    request: Request, gateway: Service, page: PageOf, run_id: str, outcome: OutcomeKind | None = None
) -> ListAnswer[dict[str, Any]]:
    """List the final reports of the endpoints that have ended, by index."""
    found, total = await gateway.endpoint_page(run_id, page, outcome=outcome)
    return list_answer(request, found, page, total)


@router.get("/runs/{run_id}/samples", tags=["results"], response_class=StreamingResponse)
async def show_samples(
    request: Request,
    gateway: Service,
    run_id: str,
    format: Literal["json", "csv"] = "json",
    endpoint: Annotated[int | None, Query(ge=0)] = None,
) -> StreamingResponse:
    """Stream the samples of a run, a row for each endpoint and second, by second."""
    await gateway.run(run_id)
    if format == "csv":
        return StreamingResponse(gateway.samples_csv(run_id, endpoint=endpoint), media_type="text/csv; charset=utf-8")
    return StreamingResponse(json_stream(request, gateway, run_id, endpoint), media_type="application/json")
