"""Runs over the API."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from cmw.core.words import RunStatus
from cmw.gateway.coordinator import WAIT_MS
from cmw.gateway.placement import ANYWHERE, Placement
from cmw.gateway.rest.answers import Answer, ListAnswer, answer, list_answer
from cmw.gateway.rest.dependencies import Deleted, PageOf, PlanDocument, Service, WaitSeconds
from cmw.gateway.rest.guard import GuardedRoute, needs
from cmw.gateway.rest.run_events import event_stream
from cmw.gateway.roles import Role
from cmw.gateway.run_store import Origin
from cmw.gateway.views import Label, RunView
from cmw.load.plan_parser import parse_plan

router = APIRouter(route_class=GuardedRoute)


class NewRun(BaseModel):
    """A run to start."""

    model_config = ConfigDict(extra="forbid")

    plan: PlanDocument = Field(description="a plan, version 1, as docs/plan.md describes it; accounts inline")
    name: Label | None = Field(default=None, description="in place of the plan's own name")
    placement: Placement = Field(default=ANYWHERE, description="which workers it may have")
    wait_s: WaitSeconds = Field(default=WAIT_MS // 1000, description="how long it may wait for room; 0 not at all")


@router.post("/runs", status_code=201, tags=["runs"], openapi_extra=needs(Role.EDITOR))
async def start_run(request: Request, gateway: Service, body: NewRun) -> Answer[RunView]:
    """Start a run. It is PENDING at first, a search RUNNING: ask again for what becomes of it."""
    plan = await asyncio.to_thread(parse_plan, body.plan)
    run_id = await gateway.start_run(plan, name=body.name, placement=body.placement, wait_ms=1000 * body.wait_s)
    return answer(request, await gateway.run(run_id))


@router.get("/runs", tags=["runs"], openapi_extra=needs(Role.VIEWER))
async def list_runs(
    request: Request,
    gateway: Service,
    page: PageOf,
    status: RunStatus | None = None,
    project: str | None = None,
    test: str | None = None,
    search: str | None = None,
) -> ListAnswer[RunView]:
    """List the runs, the latest first, without their workers; `project`, `test` and `search` are ids.

    Runs that are the steps of a search are left out unless that search is asked for.
    """
    found, total = await gateway.runs(page, status=status, origin=Origin(project, test), search_id=search)
    return list_answer(request, found, page, total)


@router.get("/runs/{run_id}", tags=["runs"], openapi_extra=needs(Role.VIEWER))
async def show_run(request: Request, gateway: Service, run_id: str) -> Answer[RunView]:
    """Show a run with its progress and its workers."""
    return answer(request, await gateway.run(run_id))


@router.get("/runs/{run_id}/plan", tags=["runs"], openapi_extra=needs(Role.VIEWER))
async def show_plan(request: Request, gateway: Service, run_id: str) -> Answer[dict[str, Any]]:
    """Show the plan of a run, its passwords masked."""
    return answer(request, await gateway.plan(run_id))


@router.post("/runs/{run_id}/stop", tags=["runs"], openapi_extra=needs(Role.TESTER))
async def stop_run(request: Request, gateway: Service, run_id: str) -> Answer[RunView]:
    """End a run early: calls are hung up, and what was measured is reported."""
    return answer(request, await gateway.stop_run(run_id))


@router.delete("/runs/{run_id}", tags=["runs"], openapi_extra=needs(Role.EDITOR))
async def delete_run(request: Request, gateway: Service, run_id: str) -> Answer[Deleted]:
    """Delete a run that is over with its summary, endpoints and samples."""
    await gateway.delete_run(run_id)
    return answer(request, Deleted(id=run_id))


@router.get(
    "/runs/{run_id}/events",
    tags=["runs"],
    response_class=StreamingResponse,
    responses={200: {"description": "until the run is over", "content": {"text/event-stream": {}}}},
    openapi_extra=needs(Role.VIEWER),
)
async def watch_run(request: Request, gateway: Service, run_id: str) -> StreamingResponse:
    """Tell of a run as server-sent events: an event `run`, whose data is the run, for each change until it is over."""
    await gateway.run(run_id)
    return StreamingResponse(event_stream(gateway, run_id), media_type="text/event-stream")
