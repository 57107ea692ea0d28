"""docs/sip-conformance.md says what is so: every file and every test that it names is there."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "sip-conformance.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.partition("## Left out on purpose")[0].splitlines()
    if line.startswith("| ") and not line.endswith("| shown by |")
]


@lru_cache
def names_of_tests(path: str) -> frozenset[str]:
    file = ROOT / "tests" / path
    return (
        frozenset(re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.M)) if file.exists() else frozenset()
    )


def test_the_page_has_rows() -> None:
    assert len(ROWS) > 100
    assert {len(row) for row in ROWS} == {4, 5}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row[:2])[:60])
def test_every_row_names_code_and_tests_that_exist(row: list[str]) -> None:
    files = re.findall(r"`([\w/]+\.py)`", row[-2])
    assert files
    assert [file for file in files if not (ROOT / (file if "/" in file else f"cmw/sip/{file}")).exists()] == []
    tests = re.findall(r"`([\w/]+\.py)::(\w+)`", row[-1])
    assert tests
    assert [f"{path}::{name}" for path, name in tests if name not in names_of_tests(path)] == []
    assert re.sub(r"`[\w/.:]+`", "", row[-1]).strip() == ""


def test_what_the_code_follows_is_on_the_page() -> None:
    """Standards of other things than SIP and its sessions are not: mail, HTTP, DNS, RTP, WebSockets themselves."""
    elsewhere = {1123, 2045, 2046, 2069, 2308, 2387, 2543, 2616, 2782, 3389, 3403, 3550, 3551, 3556, 3605, 3711}
    elsewhere |= {3890, 4145, 4291, 4317, 4568, 4585, 5658, 5888, 6455, 6761, 7315, 8122, 8187, 8285, 8839}
    elsewhere |= {5764, 6890, 7587, 7845, 8858, 9143}
    cited: set[int] = set()
    for file in (ROOT / "cmw" / "sip").glob("*.py"):
        cited |= {int(number) for number in re.findall(r"RFC (\d{4})", file.read_text())}
    told = {int(number) for number in re.findall(r"\b(\d{4})\b", PAGE)}
    assert sorted(cited - told - elsewhere) == []
