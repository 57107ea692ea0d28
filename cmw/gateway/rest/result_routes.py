"""What runs measured, over the API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse

from cmw.core.words import OutcomeKind
from cmw.gateway.parquet import MEDIA_TYPE
from cmw.gateway.rest.answers import Answer, ErrorAnswer, ListAnswer, answer, list_answer
from cmw.gateway.rest.dependencies import PageOf, Service
from cmw.gateway.rest.guard import GuardedRoute, needs
from cmw.gateway.rest.sample_stream import json_stream
from cmw.gateway.roles import Role
from cmw.gateway.views import EvidenceView
from cmw.load.evidence import Evidence
from cmw.load.packets import EvidencePackets

router = APIRouter(route_class=GuardedRoute)

SAMPLES: dict[str, Any] = {
    "description": "rows as they are in docs/api.md",
    "content": {
        "application/json": {"schema": {"type": "object"}},
        "text/csv": {"schema": {"type": "string"}},
        MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}},
    },
}


@router.get("/runs/{run_id}/summary", tags=["results"], openapi_extra=needs(Role.VIEWER))
async def show_summary(request: Request, gateway: Service, run_id: str) -> Answer[dict[str, Any]]:
    """Show the summary of a run that is over; 409 before."""
    return answer(request, await gateway.summary(run_id))


@router.get("/runs/{run_id}/endpoints", tags=["results"], openapi_extra=needs(Role.VIEWER))
async def list_endpoints(
    request: Request, gateway: Service, page: PageOf, run_id: str, outcome: OutcomeKind | None = None
) -> ListAnswer[dict[str, Any]]:
    """List the final reports of the endpoints that have ended, by index."""
    found, total = await gateway.endpoint_page(run_id, page, outcome=outcome)
    return list_answer(request, found, page, total)


@router.get("/runs/{run_id}/evidence", tags=["results"], openapi_extra=needs(Role.VIEWER))
async def list_evidence(request: Request, gateway: Service, page: PageOf, run_id: str) -> ListAnswer[EvidenceView]:
    """List the endpoints whose SIP messages are kept: some that failed, and those that the plan names."""
    found, total = await gateway.evidence_page(run_id, page)
    return list_answer(request, found, page, total)


@router.get("/runs/{run_id}/evidence/{endpoint}", tags=["results"], openapi_extra=needs(Role.VIEWER))
async def show_evidence(
    request: Request, gateway: Service, run_id: str, endpoint: Annotated[int, Path(ge=0, le=0xFFFFFFFF)]
) -> Answer[Evidence]:
    """Show the SIP messages of an endpoint, secrets masked; 404 if none were kept."""
    return answer(request, await gateway.evidence_of(run_id, endpoint))


@router.get("/runs/{run_id}/evidence/{endpoint}/packets", tags=["results"], openapi_extra=needs(Role.VIEWER))
async def show_packets(
    request: Request, gateway: Service, run_id: str, endpoint: Annotated[int, Path(ge=0, le=0xFFFFFFFF)]
) -> Answer[list[EvidencePackets]]:
    """Show the RTP and RTCP of an endpoint, in parts; an empty list if none were kept."""
    return answer(request, await gateway.packets_of(run_id, endpoint))


@router.get(
    "/runs/{run_id}/samples",
    tags=["results"],
    response_class=StreamingResponse,
    responses={200: SAMPLES, 501: {"model": ErrorAnswer}},
    openapi_extra=needs(Role.VIEWER),
)
async def show_samples(
    request: Request,
    gateway: Service,
    run_id: str,
    format: Literal["json", "csv", "parquet"] = "json",
    endpoint: Annotated[int | None, Query(ge=0)] = None,
) -> StreamingResponse:
    """Stream the samples of a run, a row for each endpoint and second, by second."""
    await gateway.run(run_id)
    if format == "csv":
        return StreamingResponse(gateway.samples_csv(run_id, endpoint=endpoint), media_type="text/csv; charset=utf-8")
    if format == "parquet":
        return StreamingResponse(await gateway.samples_parquet(run_id, endpoint=endpoint), media_type=MEDIA_TYPE)
    return StreamingResponse(json_stream(request, gateway, run_id, endpoint), media_type="application/json")
