"""The page that says which tests hold each row and promise of the page that users know: all of them are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from cmw.worker.doctor_machine import TIERS
from cmw.worker.settings import WorkerSettings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "page-coverage.md").read_text()

ROWS = {
    "Required variables": ["WORKER_TOKEN", "CLOUD_URL"],
    "General settings": ["WORKER_NAME", "LOG_LEVEL", "LOG_FORMAT", "HEALTH_PORT"],
    "SIP network": ["SIP_IP", "MEDIA_IP", "SDP_IP", "SIP_PORT_START", "SIP_PORT_END"],
    "RTP ports": ["RTP_PORT_MIN", "RTP_PORT_MAX"],
    "NAT": ["SDP_IP", "EXTERNAL_IP"],
    "Log levels": ["error", "warn", "info", "debug", "trace"],
    "Log formats": ["json", "pretty"],
    "Health": ["HEALTH_PORT", "status", "connected", "uptime"],
    "Token": [],
    "Errors of authentication": [
        f"authentication failed: {reason}" for reason in ("invalid token", "worker disabled", "duplicate connection")
    ],
    "Resources": ["10-25", "25-50", "50-100", "100-200", "200-500"],
    "Host network": [],
    "Complete example": [],
}
"""The first column of every table that users know, by heading; none where a part of the page is text alone."""

PROMISES = {
    "Required variables": 5,
    "General settings": 2,
    "SIP network": 4,
    "RTP ports": 5,
    "NAT": 2,
    "Log levels": 1,
    "Log formats": 4,
    "Health": 3,
    "Token": 6,
    "Errors of authentication": 2,
    "Resources": 1,
    "Host network": 2,
    "Complete example": 2,
}
"""How many promises the text of each part makes."""


def tables(first: str) -> dict[str, dict[str, list[str]]]:
    """Return the tests of each row by heading, of the tables whose first column has the name `first`."""
    found: dict[str, dict[str, list[str]]] = {}
    for part in PAGE.split("\n## ")[1:]:
        table = part.partition(f"| {first} | tests |\n|---|---|\n")[2].partition("\n\n")[0]
        rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
        found[part.splitlines()[0]] = {name.strip("`"): re.findall(r"`([^`]+)`", tests) for name, tests in rows}
    return found


@cache
def functions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_is_there_in_order() -> None:
    assert {heading: list(rows) for heading, rows in tables("row").items()} == ROWS


def test_every_part_has_its_promises() -> None:
    assert {heading: len(rows) for heading, rows in tables("promise").items()} == PROMISES


ALL = [
    (heading, row, tests)
    for name in ("row", "promise")
    for heading, rows in tables(name).items()
    for row, tests in rows.items()
]
NAMED = sorted({test for _, _, tests in ALL for test in tests})


@pytest.mark.parametrize("test", NAMED)
def test_a_test_that_is_named_is_one(test: str) -> None:
    path, _, name = test.partition("::")
    assert (ROOT / path).is_file()
    assert not name or (name.startswith("test_") and name in functions(path))


def test_every_row_names_a_test() -> None:
    assert [(heading, row) for heading, row, tests in ALL if not tests] == []


def test_variables_are_settings_and_resources_the_doctor_s() -> None:
    variables = [row for rows in ROWS.values() for row in rows if row.isupper()]
    assert {row.lower() for row in variables} <= set(WorkerSettings.model_fields)
    assert [int(row.split("-")[1]) for row in ROWS["Resources"]] == [tier.endpoints for tier in TIERS]
