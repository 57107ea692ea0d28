"""The envelopes of the REST API, and its errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from cmw.errors import SettingsError
from cmw.gateway.errors import RequestError
from cmw.gateway.views import Page

DataT = TypeVar("DataT")

CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "TOO_LARGE",
    429: "TOO_MANY_FAILURES",
}
STORE_RETRY_S = 5

log = structlog.get_logger("cmw.gateway.api")


class Pagination(BaseModel):
    """Which part of a list an answer holds."""

    page: int
    per_page: int = Field(serialization_alias="perPage")
    total: int
    total_pages: int = Field(serialization_alias="totalPages")


class Meta(BaseModel):
    """About the answer."""

    request_id: str = Field(serialization_alias="requestId")


class ListMeta(Meta):
    """About the answer and the list."""

    pagination: Pagination


class Answer(BaseModel, Generic[DataT]):
    """What was asked for."""

    data: DataT
    meta: Meta


class ListAnswer(BaseModel, Generic[DataT]):
    """A part of a list."""

    data: list[DataT]
    meta: ListMeta


class Problem(BaseModel):
    """Why a request was not carried out."""

    code: str = Field(description="an upper-case word for machines")
    message: str = Field(description="for people")
    details: list[str] | None = Field(default=None, description="one line per fault, when there are several")


class ErrorAnswer(BaseModel):
    """What went wrong."""

    error: Problem
    meta: Meta


def answer(request: Request, data: DataT) -> Answer[DataT]:
    """Return the envelope of one object."""
    return Answer(data=data, meta=Meta(request_id=request_id(request)))


def list_answer(request: Request, data: Sequence[DataT], page: Page, total: int) -> ListAnswer[DataT]:
    """Return the envelope of one page of a list."""
    pagination = Pagination(page=page.page, per_page=page.per_page, total=total, total_pages=-(-total // page.per_page))
    return ListAnswer(data=list(data), meta=ListMeta(request_id=request_id(request), pagination=pagination))


def request_id(request: Request) -> str:
    """Return the id of a request, which its answer carries in the envelope and in ``X-Request-Id``."""
    return str(request.scope.get("cmw_request_id", ""))


def add_error_handlers(app: FastAPI) -> None:
    """Turn what handlers raise into the envelope."""

    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> JSONResponse:
        headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s is not None else None
        return _error(request, error.status, error.code, error.detail, details=error.details, headers=headers)

    @app.exception_handler(SettingsError)
    async def bad_plan(request: Request, error: SettingsError) -> JSONResponse:
        lines = tuple(str(error).splitlines())
        return _error(request, 422, "INVALID_PLAN", str(error), details=lines)

    @app.exception_handler(OperationalError)
    async def no_store(request: Request, error: OperationalError) -> JSONResponse:
        log.error("the store cannot be used", path=request.url.path, error=str(error.orig), request=request_id(request))
        detail = f"the gateway's store cannot be used now: {error.orig}"
        return _error(request, 503, "STORE_UNAVAILABLE", detail, headers={"Retry-After": str(STORE_RETRY_S)})

    @app.exception_handler(RequestValidationError)
    async def bad_request(request: Request, error: RequestValidationError) -> JSONResponse:
        lines = tuple(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        return _error(request, 422, "INVALID_REQUEST", "; ".join(lines), details=lines)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(sorted(_methods(app, request)))
        code = CODES.get(error.status_code, "ERROR")
        return _error(request, error.status_code, code, str(error.detail), headers=headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("a request failed", path=request.url.path, error=repr(error), request=request_id(request))
        return _error(request, 500, "INTERNAL_ERROR", "the gateway failed to answer; its log says why")


def _methods(app: FastAPI, request: Request) -> set[str]:
    """Return what a path may be asked for: the framework names the methods of its first route only."""
    found: set[str] = set()
    for route in app.routes:
        if isinstance(route, Route) and route.matches(dict(request.scope))[0] is not Match.NONE:
            found |= route.methods or set()
    return found


def _error(
    request: Request,
    status: int,
    code: str,
    message: str,
    *,
    details: Sequence[str] = (),
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    body: dict[str, Any] = ErrorAnswer(
        error=Problem(code=code, message=message, details=list(details) if len(details) > 1 else None),
        meta=Meta(request_id=request_id(request)),
    ).model_dump(mode="json", by_alias=True)
    if body["error"]["details"] is None:
        del body["error"]["details"]
    return JSONResponse(body, status, headers)
