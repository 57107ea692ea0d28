"""What failed in a run, as the remarks that GitHub and GitLab show beside a change."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

from cmw.errors import SettingsError
from cmw.load.checks import Check, CheckResult, checks_of
from cmw.load.summary import Summary

CODE_QUALITY_FILE = "gl-code-quality.json"


class Annotate(StrEnum):
    """Whose remarks to make."""

    AUTO = "auto"
    GITHUB = "github"
    GITLAB = "gitlab"


@dataclass(frozen=True, slots=True)
class Remarks:
    """Remarks for a CI system: GitHub reads them from the log, GitLab from a file in the report directory.

    Args:
        system: GITHUB or GITLAB.
        plan: the file that the remarks stand at.
    """

    system: Annotate
    plan: Path

    def make(self, summary: Summary, report: Path, log: TextIO) -> None:
        """Say what failed in a run."""
        failed = [check for check in checks_of(summary) if check.result is not CheckResult.PASSED]
        if self.system is Annotate.GITHUB:
            for check in failed:
                place = f"file={_property(str(self.plan))},line=1,title={_property(f'{check.group}: {check.name}')}"
                print(f"::error {place}::{_data(check.message)}", file=log)
        else:
            remarks = [_remark(check, self.plan) for check in failed]
            (report / CODE_QUALITY_FILE).write_text(json.dumps(remarks, indent=2) + "\n", encoding="utf-8")


def settled(wanted: Annotate) -> Annotate:
    """Return whose remarks are meant by ``auto``.

    Raises:
        SettingsError: it cannot be told from the environment.
    """
    if wanted is not Annotate.AUTO:
        return wanted
    for variable, system in (("GITHUB_ACTIONS", Annotate.GITHUB), ("GITLAB_CI", Annotate.GITLAB)):
        if os.environ.get(variable) == "true":
            return system
    raise SettingsError("--annotate: found neither GITHUB_ACTIONS nor GITLAB_CI set, expected github or gitlab by name")


def _remark(check: Check, plan: Path) -> dict[str, Any]:
    """Return one entry of GitLab's code quality report."""
    return {
        "description": f"{check.name}: {check.message}",
        "check_name": f"cmw.{check.group}",
        "fingerprint": sha256(f"{plan}\0{check.group}\0{check.name}".encode()).hexdigest(),
        "severity": "critical" if check.result is CheckResult.FAILED else "major",
        "location": {"path": str(plan), "lines": {"begin": 1}},
    }


def _data(text: str) -> str:
    """Return a message as GitHub's workflow commands want it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
