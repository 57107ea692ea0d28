"""`cmw compare`, and the baseline of `cmw run`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cmw.cli.compare_command import compare_runs
from cmw.cli.plan_file import read_plan
from cmw.cli.report_files import write_report
from cmw.cli.summary_file import read_summary
from cmw.errors import SettingsError
from cmw.load.outcome import EndpointReport
from tests.load.runs import report, summary


async def nothing() -> AsyncIterator[dict[str, Any]]:
    for row in ():
        yield row


def write(directory: Path, setup_ms: float, count: int = 20) -> Path:
    ended: list[EndpointReport] = []
    for k in range(count):
        one = report(k, "callers")
        one.call.timing["call_setup_time_ms"] = setup_ms + k % 5
        ended.append(one)
    documents = [one.model_dump(mode="json") for one in ended]
    asyncio.run(write_report(directory, summary(endpoints=ended).to_document(), documents, [], nothing()))
    return directory


def test_differences_beyond_chance_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a", 100), write(tmp_path / "b", 130)
    assert compare_runs(a, b) == 0
    said = capsys.readouterr().out
    assert "call_setup_time_ms" in said
    assert "worse" in said
    assert "call_success" not in said
    assert "figures compared" in said
    compare_runs(a, b, every=True)
    assert "call_success" in capsys.readouterr().out


def test_json_has_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a", 100), write(tmp_path / "b", 130)
    compare_runs(a, b, as_json=True)
    found = json.loads(capsys.readouterr().out)
    setup = next(d for d in found["differences"] if d["metric"] == "call_setup_time_ms")
    assert (setup["a"], setup["b"], setup["difference"], setup["change"]) == (102, 132, 30, "worse")
    compare_runs(a, b, as_json=True)
    assert json.loads(capsys.readouterr().out) == found  # the draws are the same each time


def test_what_is_no_report_is_named(tmp_path: Path) -> None:
    a = write(tmp_path / "a", 100)
    with pytest.raises(SettingsError, match="none: cannot read the summary"):
        compare_runs(a, tmp_path / "none")
    (a / "endpoints.csv").write_text("x,y\n1,2\n")
    with pytest.raises(SettingsError, match=r"endpoints\.csv: cannot read the endpoints of the run"):
        compare_runs(a, a)
    (a / "summary.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"summary\.json: found no summary\.json of a run: run: Field required"):
        compare_runs(a, a)


PLAN = """version: 1
duration: 1s
groups: {callers: {endpoints: 1, call: {uri: "sip:1@127.0.0.1"}}}
thresholds:
  call_setup_time_ms: p(50) <= baseline + 10
  call_success:
    - rate >= 0.5
    - rate >= baseline
"""


def test_a_plan_is_filled_from_its_baseline(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    earlier = read_summary(write(tmp_path / "a", 100))
    found = read_plan(tmp_path / "plan.yaml", baseline=earlier).to_document()["thresholds"]
    assert found["call_success"] == ["rate >= 0.5", "rate >= 1.000000 (baseline 1)"]
    assert found["call_setup_time_ms"][0].startswith("p(50) <= 11")


def test_a_baseline_that_is_missing_is_asked_for_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    with pytest.raises(SettingsError) as error:
        read_plan(tmp_path / "plan.yaml")
    said = str(error.value)
    assert "plan.yaml:5: thresholds.call_setup_time_ms: found 'p(50) <= baseline + 10', expected --baseline" in said
    assert "plan.yaml:8: thresholds.call_success[1]: found 'rate >= baseline'" in said
