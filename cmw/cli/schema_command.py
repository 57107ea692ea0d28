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
    RUN = "run"


def schema(
    document: Annotated[Document, typer.Argument(help="Which document the schema describes.")],
    as_json: Annotated[bool, typer.Option("--json", help="Accepted for symmetry: it is JSON anyway.")] = False,
) -> None:
    """Print the JSON schema of a plan, of summary.json, of the link's messages, or of what these carry of a run."""
    print(json.dumps(_schema_of(document), indent=2))


def _schema_of(document: Document) -> dict[str, Any]:
    match document:
        case Document.PLAN:
            from cmw.load.plan import Plan

            return _with_variables(Plan.model_json_schema())
        case Document.SUMMARY:
            from cmw.load.summary import Summary

            return Summary.model_json_schema()
        case Document.LINK:
            from cmw.link.schema import link_schema

            return link_schema()
        case Document.RUN:
            from cmw.load.run_link import run_schema

            return run_schema()


_REFERENCE: dict[str, Any] = {"type": "string", "pattern": r"^\$\{[^{}]+\}$"}
_VARIABLES: dict[str, Any] = {
    "type": "object",
    "description": "values that ${NAME} stands for, unless --set says otherwise; of plan files only",
    "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$"},
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}


def _with_variables(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a plan as files have it: with variables, and references to them in place of any value."""
    schema["properties"]["variables"] = _VARIABLES
    models = [schema, *schema.get("$defs", {}).values()]
    for model in models:
        for name, field in model.get("properties", {}).items():
            if name != "variables" and _is_narrow(field):
                about = {key: field.pop(key) for key in ("description", "default", "x-expected") if key in field}
                model["properties"][name] = about | {"anyOf": [field, _REFERENCE]}
    return schema


def _is_narrow(field: dict[str, Any]) -> bool:
    """Tell whether a value that is a text like any other would not be allowed."""
    if "anyOf" in field:
        return not any(part.get("type") == "string" and not _is_narrow(part) for part in field["anyOf"])
    return field.get("type") != "string" or bool({"pattern", "enum", "const", "format"} & field.keys())
