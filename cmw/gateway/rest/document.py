"""The OpenAPI document: what FastAPI finds out by itself, and what it cannot know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI

BEARER = "apiKey"
IDEMPOTENCY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "a request with the same key and body is carried out once within 24 hours",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
"""Described here, because the guard of the routes reads it before the route is asked for its parameters."""


def describer(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what makes the document of an application, once."""
    found = app.openapi

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = found()
            document["components"]["securitySchemes"] = {BEARER: {"type": "http", "scheme": "bearer"}}
            document["security"] = [{BEARER: []}]
            for operation in _posts(document):
                operation.setdefault("parameters", []).append(IDEMPOTENCY_HEADER)
        assert app.openapi_schema is not None
        return app.openapi_schema

    return describe


def _posts(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        if "post" in operations:
            yield operations["post"]
