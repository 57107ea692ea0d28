"""A search carried out: what is run, what is reported, and how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from cmw.cli.report_files import write_report
from cmw.cli.search_run import LocalResult, run_search
from cmw.cli.summary_table import print_summary
from cmw.core.words import RunStatus, Verdict
from cmw.gateway.views import RunView
from cmw.load.exit_code import exit_code
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from cmw.load.summary import Summary
from tests.load.documents import two_groups
from tests.load.runs import summary
from tests.support.processes import Callee
from tests.support.runs import INVALID, run_plan


def plan_of(first: int = 2, last: int = 8) -> Plan:
    document = two_groups(last, last)
    document["groups"]["callers"]["load"] = {"arrivals": "search", "calls": {"from": first, "to": last}}
    return parse_plan(document)


class Target:
    """Carries so many calls; runs end as it says, without any network."""

    def __init__(self, limit: int, *, stopped_at: int | None = None, invalid_at: int | None = None) -> None:
        self.names: list[str] = []
        self._limit = limit
        self._stopped_at = stopped_at
        self._invalid_at = invalid_at

    async def carry_out(self, plan: Plan, directory: Path) -> LocalResult:
        calls = plan.groups["callers"].endpoints
        self.names.append(plan.name)
        found = Verdict.PASSED if calls <= self._limit else Verdict.FAILED
        if calls == self._invalid_at:
            found = Verdict.INVALID
        document = summary().to_document()
        document["run"] |= {"verdict": found.value, "id": f"r{calls}", "name": plan.name}

        async def samples():  # type: ignore[no-untyped-def]
            for row in ():
                yield row

        await write_report(directory, document, [], [], samples())
        run = RunView(id=f"r{calls}", name=plan.name, status=RunStatus.COMPLETED, endpoints=calls, created_at="")
        return LocalResult(run, document, directory, signal.SIGINT if calls == self._stopped_at else None)


def search(target: Target, directory: Path, plan: Plan | None = None) -> tuple[LocalResult, list[str]]:
    lines: list[str] = []
    result = asyncio.run(run_search(plan or plan_of(), directory, target.carry_out, lines.append))
    return result, lines


def test_each_step_has_a_report_and_the_search_that_of_the_greatest_that_held(tmp_path: Path) -> None:
    target = Target(5)
    result, lines = search(target, tmp_path)
    assert target.names == [f"two groups, {calls} calls" for calls in (2, 4, 8, 6, 5)]
    document = json.loads((tmp_path / "summary.json").read_text())
    assert document == result.summary
    assert document["run"]["id"] == "r5"
    assert (document["search"]["held"], document["search"]["breaking_point"]) == (5, 6)
    assert [step["report"] for step in document["search"]["steps"]] == [f"step-{k:02d}" for k in range(1, 6)]
    for k in range(1, 6):
        assert json.loads((tmp_path / f"step-{k:02d}" / "summary.json").read_text())["search"] is None
    assert "5 calls at a time held, 6 broke it" in (tmp_path / "report.html").read_text()
    assert exit_code(Summary.model_validate(document)) == 0
    assert [line.split(".")[0] for line in lines] == [
        "step 1: 2 calls at a time: PASSED",
        "step 2: 4 calls at a time: PASSED",
        "step 3: 8 calls at a time: FAILED",
        "step 4: 6 calls at a time: FAILED",
        "step 5: 5 calls at a time: PASSED",
    ]


def test_the_table_shows_each_step_and_what_was_found(tmp_path: Path) -> None:
    result, _ = search(Target(5), tmp_path)
    console = Console(record=True, width=200, file=(tmp_path / "table").open("w"))
    print_summary(Summary.model_validate(result.summary), None, console)
    text = console.export_text()
    assert "PASSED 5 calls at a time:" in text
    assert "FAILED 6 calls at a time:" in text
    assert "5 calls at a time held, 6 broke it." in text


@pytest.mark.parametrize(
    ("target", "code", "held", "found"),
    [
        (Target(1), 1, None, "2 calls at a time, the least that was asked for, broke it already"),
        (Target(9, invalid_at=8), 97, 4, "the generator was the limit at 8 calls at a time"),
    ],
    ids=["broke at once", "generator"],
)
def test_a_search_that_found_nothing_does_not_pass(
    tmp_path: Path, target: Target, code: int, held: float | None, found: str
) -> None:
    result, _ = search(target, tmp_path)
    document = Summary.model_validate(result.summary)
    assert exit_code(document) == code
    assert document.search is not None
    assert document.search.held == held
    assert document.search.found.startswith(found)


@pytest.mark.parametrize(("stopped_at", "told"), [(2, "r2"), (8, "r4")])
def test_a_signal_ends_the_search_and_leaves_what_was_found(tmp_path: Path, stopped_at: int, told: str) -> None:
    result, _ = search(Target(100, stopped_at=stopped_at), tmp_path)
    assert result.signal == signal.SIGINT
    document = json.loads((tmp_path / "summary.json").read_text())
    assert document["run"]["id"] == told
    assert document["search"]["found"] == "the search was stopped before its end"


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
