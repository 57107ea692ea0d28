"""Carry a search out, step by step, and write its report: that of the step that stands for it, and one of each step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from cmw.cli.report_files import render_report, report_directory, writing_report
from cmw.gateway.views import RunView
from cmw.load.plan import Plan
from cmw.load.report_html import verdict_sentence
from cmw.load.search import Search, SearchStep, step_plan
from cmw.load.summary import Summary


@dataclass(slots=True)
class LocalResult:
    """What a run came to.

    Args:
        signal: number of the signal that ended it early; None when it came to its own end.
    """

    run: RunView
    summary: dict[str, Any]
    report: Path
    signal: int | None


CarryOut = Callable[[Plan, Path], Awaitable[LocalResult]]
"""Run an ordinary plan to its end, with a report in a directory."""


async def run_search(plan: Plan, report: Path, carry_out: CarryOut, tell: Callable[[str], None]) -> LocalResult:
    """Search what the target carries, and return the step that stands for it, with what was found.

    Args:
        report: directory of the report; steps have theirs inside.
        tell: given a line at the end of each step.

    Raises:
        SettingsError: a file of the report cannot be written.
    """
    search = Search(plan)
    results: list[LocalResult] = []
    while (load := search.next_load()) is not None:
        directory = report / f"step-{len(results) + 1:02d}"
        with report_directory(directory):
            result = await carry_out(step_plan(plan, load), directory)
        results.append(result)
        if result.signal is not None:
            search.stop()
            break
        step = _step(load, result, directory.name)
        search.record(step)
        tell(f"step {len(results)}: {step.load:g} {search.unit}: {step.verdict}. {step.reason}")
    told = search.told()
    chosen = results[-1] if told is None else results[search.steps.index(told)]
    summary = {**chosen.summary, "search": search.result().model_dump(mode="json")}
    _write(report, chosen.report, summary)
    return LocalResult(chosen.run, summary, report, results[-1].signal)


def _step(load: Fraction, result: LocalResult, directory: str) -> SearchStep:
    summary = Summary.model_validate(result.summary)
    first = next(iter(summary.failures), None)
    most = f" {first.count} x {first.outcome}: {first.reason}" if first is not None else ""
    return SearchStep(
        load=float(load),
        verdict=summary.run.verdict,
        run_id=summary.run.id,
        report=directory,
        calls_attempted=summary.calls.attempted,
        calls_answered=summary.calls.answered,
        calls_failed=summary.calls.failed,
        post_dial_delay_p95_ms=summary.timing["post_dial_delay_ms"].p95,
        reason=verdict_sentence(summary) + most,
    )


def _write(report: Path, step: Path, summary: dict[str, Any]) -> None:
    """Write the report of a search: the files of a step, with what was found in summary.json and the pages."""
    with writing_report(report):
        for name in ("endpoints.csv", "samples.csv"):
            shutil.copyfile(step / name, report / name)
        if (step / "evidence").is_dir():
            shutil.copytree(step / "evidence", report / "evidence", dirs_exist_ok=True)
        (report / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    render_report(report)
