"""`cmw schema`: the JSON schemas of what people and programs exchange with cmw."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer


class Document(StrEnum):
    """What there is a schema for."""

    PLAN = "plan"
    SUMMARY = "summary"
    LINK = "link"


def schema(
    document: Annotated[Document, typer.Argument(help="Which document the schema describes.")],
    as_json: Annotated[bool, typer.Option("--json", help="Accepted for symmetry: it is JSON anyway.")] = False,
) -> None:
    """Print the JSON schema of a plan, of summary.json or of the link's messages."""
    print(json.dumps(_schema_of(document), indent=2))


def _schema_of(document: Document) -> dict[str, Any]:
    match document:
        case Document.PLAN:
            from cmw.load.plan import Plan

            return Plan.model_json_schema()
        case Document.SUMMARY:
            from cmw.load.summary import Summary

            return Summary.model_json_schema()
        case Document.LINK:
            from cmw.link.schema import link_schema

            return link_schema()
