"""A search on one machine: what is told and written, and how it ends."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from cmw.cli.steps_told import StepsTold
from cmw.cli.summary_table import print_summary
from cmw.load.exit_code import exit_code
from cmw.load.search import SearchPart
from cmw.load.summary import Summary
from tests.load.searches import search_summary
from tests.support.processes import Callee
from tests.support.runs import INVALID, run_plan


def lines_of(part: SearchPart | None) -> list[str]:
    return [line for _, line in StepsTold().news(part)]


def test_each_step_is_told_once_and_names_its_report() -> None:
    part = search_summary(5).search
    assert part is not None
    assert [step.report for step in part.steps] == [f"step-{k:02d}" for k in range(1, 6)]
    assert [line.split(".")[0] for line in lines_of(part)] == [
        "step 1: 2 calls at a time: PASSED",
        "step 2: 4 calls at a time: PASSED",
        "step 3: 8 calls at a time: FAILED",
        "step 4: 6 calls at a time: FAILED",
        "step 5: 5 calls at a time: PASSED",
    ]
    told = StepsTold()
    first = part.model_copy(update={"steps": part.steps[:2]})
    assert len(list(told.news(first))) == 2
    assert list(told.news(first)) == []
    assert [step.load for step, _ in told.news(part)] == [8, 6, 5]


def test_the_table_shows_each_step_and_what_was_found(tmp_path: Path) -> None:
    console = Console(record=True, width=200, file=(tmp_path / "table").open("w"))
    print_summary(search_summary(5), None, console)
    text = console.export_text()
    assert "PASSED 5 calls at a time:" in text
    assert "FAILED 6 calls at a time:" in text
    assert "5 calls at a time held, 6 broke it." in text


@pytest.mark.parametrize(
    ("document", "code", "held", "found"),
    [
        (search_summary(5), 0, 5, "5 calls at a time held, 6 broke it"),
        (search_summary(1), 1, None, "2 calls at a time, the least that was asked for, broke it already"),
        (search_summary(9, invalid_at=8), 97, 4, "the generator was the limit at 8 calls at a time"),
    ],
    ids=["found", "broke at once", "generator"],
)
def test_a_search_passes_when_something_held(document: Summary, code: int, held: float | None, found: str) -> None:
    assert exit_code(document) == code
    assert document.search is not None
    assert document.search.held == held
    assert document.search.found.startswith(found)


@pytest.mark.loopback
def test_the_limit_of_a_callee_is_found_in_one_command(tmp_path: Path, loopback_ip: Callable[[], str]) -> None:
    with Callee(tmp_path, loopback_ip(), "--max-calls", "3") as callee:
        document = {
            "version": 1,
            "duration": "1s",
            "groups": {
                "callers": {
                    "endpoints": 6,
                    "call": {"uri": callee.target},
                    "load": {"arrivals": "search", "calls": {"from": 2, "to": 6}, "rate": "50/s"},
                }
            },
        }
        result = run_plan(tmp_path, loopback_ip(), document)
    result.expect(0)
    found = result.summary["search"]
    assert result.code == INVALID or (found["held"], found["breaking_point"]) == (3, 4)
    assert all(step["calls_answered"] <= 3 for step in found["steps"])
    assert found["steps"][0]["reason"] in result.told
    for step in found["steps"]:
        own = json.loads((tmp_path / "report" / step["report"] / "summary.json").read_text())
        assert (own["run"]["id"], own["run"]["verdict"], own["search"]) == (step["run_id"], step["verdict"], None)
    assert result.summary["run"]["id"] in {step["run_id"] for step in found["steps"]}
    page = html.unescape((tmp_path / "report" / "report.html").read_text())
    assert found["found"][1:] in page  # its first letter is large
