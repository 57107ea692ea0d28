"""The schemas that editors and programs read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cmw.cli.schema_command import Document, schema


def printed(capsys: pytest.CaptureFixture[str], document: Document) -> dict[str, Any]:
    schema(document)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_plan_file_may_have_variables_and_references_to_them(capsys: pytest.CaptureFixture[str]) -> None:
    plan = printed(capsys, Document.PLAN)
    assert plan["properties"]["variables"]["additionalProperties"] == {"type": ["string", "number", "boolean"]}
    group = plan["$defs"]["Group"]["properties"]
    assert {"type": "string", "pattern": r"^\$\{[^{}]+\}$"} in group["endpoints"]["anyOf"]
    assert {"maximum", "minimum"} <= group["endpoints"]["anyOf"][0].keys()
    assert group["endpoints"]["description"] == "how many endpoints"


@pytest.mark.parametrize("document", [Document.SUMMARY, Document.LINK, Document.RUN])
def test_other_documents_have_none(capsys: pytest.CaptureFixture[str], document: Document) -> None:
    assert r"\\$\\{" not in json.dumps(printed(capsys, document))
