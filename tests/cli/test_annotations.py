"""Remarks for CI systems."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from cmw.cli.annotations import Annotate, Remarks, settled
from cmw.errors import SettingsError
from tests.load.runs import busy, reports, summary

FAILED = summary(endpoints=[*reports()[:3], busy(3, reason="486 100%\nfull")])
PLAN = Path("plans/a,b.yaml")


def made(system: Annotate, report: Path) -> str:
    log = io.StringIO()
    Remarks(system, PLAN).make(FAILED, report, log)
    return log.getvalue()


def test_github_reads_a_line_for_each_failure(tmp_path: Path) -> None:
    said = made(Annotate.GITHUB, tmp_path)
    assert said.startswith(
        "::error file=plans/a%2Cb.yaml,line=1,title=calls%3A every endpoint ended well::1 of 4 endpoints"
    )
    assert "486 100%25?full" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_gitlab_reads_a_file(tmp_path: Path) -> None:
    assert made(Annotate.GITLAB, tmp_path) == ""
    (remark,) = json.loads((tmp_path / "gl-code-quality.json").read_text())
    assert remark["location"] == {"path": "plans/a,b.yaml", "lines": {"begin": 1}}
    assert remark["check_name"] == "cmw.calls"
    assert (remark["severity"], len(remark["fingerprint"])) == ("critical", 64)


def test_a_run_that_passed_has_no_remarks(tmp_path: Path) -> None:
    log = io.StringIO()
    Remarks(Annotate.GITHUB, PLAN).make(summary(), tmp_path, log)
    Remarks(Annotate.GITLAB, PLAN).make(summary(), tmp_path, log)
    assert log.getvalue() == ""
    assert json.loads((tmp_path / "gl-code-quality.json").read_text()) == []


def test_auto_is_told_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match="--annotate: found neither GITHUB_ACTIONS nor GITLAB_CI"):
        settled(Annotate.AUTO)
    monkeypatch.setenv("GITLAB_CI", "true")
    assert settled(Annotate.AUTO) is Annotate.GITLAB
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert settled(Annotate.AUTO) is Annotate.GITHUB
    assert settled(Annotate.GITLAB) is Annotate.GITLAB
