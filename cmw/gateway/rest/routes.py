"""Every route of the API. docs/api.md describes them; `/api/v1/openapi.json` is made from them."""

from __future__ import annotations

from fastapi import APIRouter

from cmw.gateway.rest import (
    key_routes,
    project_routes,
    registrar_routes,
    result_routes,
    run_routes,
    saved_test_routes,
    worker_routes,
)
from cmw.gateway.rest.dependencies import ERRORS

PREFIX = "/api/v1"

router = APIRouter(prefix=PREFIX, responses=ERRORS)
for noun in (
    key_routes,
    worker_routes,
    project_routes,
    registrar_routes,
    saved_test_routes,
    run_routes,
    result_routes,
):
    router.include_router(noun.router)
