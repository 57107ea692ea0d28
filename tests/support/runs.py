"""Run the installed program to its end and read what it left: exit code, summary, endpoints, words on stderr."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.processes import Program, cmw

RUN_PATIENCE_S = 60.0
"""How long a run of these tests may take; most take a few seconds."""

MACHINE_METRICS = (
    "pacing_error_us p99",
    "packets_skipped ratio",
    "loop_lag_ms p99",
    "cpu_steal_ratio",
    "untrusted seconds ratio",
)
"""Bounds that a busy machine breaks whatever the program does."""

INVALID = 97


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    code: int
    told: str
    summary: dict[str, Any] = field(default_factory=dict)
    endpoints: list[dict[str, str]] = field(default_factory=list)

    @property
    def outcomes(self) -> dict[str, int]:
        """Return the outcomes that occurred, with their numbers."""
        return {name: count for name, count in self.summary["endpoints"]["by_outcome"].items() if count}

    @property
    def received(self) -> int:
        """Return the RTP packets received by all endpoints."""
        return sum(int(row["receive.packets_received"] or 0) for row in self.endpoints)

    @property
    def sent(self) -> int:
        """Return the RTP packets sent by all endpoints."""
        return sum(int(row["send.packets_sent"] or 0) for row in self.endpoints)

    def expect(self, code: int) -> None:
        """Fail unless the run ended with `code`, or only the machine was too slow to say so."""
        limits = self.summary.get("generator", {}).get("limits", [])
        was_slow = self.code == INVALID and all(limit["metric"] in MACHINE_METRICS for limit in limits)
        assert self.code == code or was_slow, f"exit code {self.code}, expected {code}; {limits}\n{self.told}"


class Run:
    """`cmw run` or `cmw call` as a process of its own.

    Args:
        directory: for its report.
        ip: loopback address for SIP, on ports from 5060 on, and for RTP.
        words: the command.
    """

    def __init__(self, directory: Path, ip: str, *words: str, rtp_ports: str = "10000-19999") -> None:
        self._report = directory / "report"
        options = ["--sip-ip", ip, "--rtp-ports", rtp_ports, "-o", str(self._report), "--json"]
        self.program = cmw(*words, *options, stdout=directory / "summary.json")

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.program.has_ended:
            self.program.kill()

    def finish(self) -> Result:
        """Wait for its end and return what came of it."""
        code = self.program.wait(RUN_PATIENCE_S)
        told = self.program.output
        assert "Traceback" not in told, told
        if not (self._report / "summary.json").exists():
            return Result(code, told)
        summary = json.loads((self._report / "summary.json").read_text())
        with (self._report / "endpoints.csv").open(newline="") as file:
            return Result(code, told, summary, list(csv.DictReader(file)))


def call(directory: Path, ip: str, target: str, *words: str, rtp_ports: str = "10000-19999") -> Result:
    """Run `cmw call` to its end."""
    with Run(directory, ip, "call", target, *words, rtp_ports=rtp_ports) as run:
        return run.finish()


def run_plan(directory: Path, ip: str, plan: Mapping[str, Any], *words: str, rtp_ports: str = "10000-19999") -> Result:
    """Run `cmw run` with `plan` to its end."""
    with Run(directory, ip, "run", str(write_plan(directory, plan)), *words, rtp_ports=rtp_ports) as run:
        return run.finish()


def write_plan(directory: Path, plan: Mapping[str, Any]) -> Path:
    """Write a plan as JSON; `version` is added."""
    path = directory / "plan.json"
    path.write_text(json.dumps({"version": 1, **plan}, indent=2))
    return path


def write_accounts(path: Path, passwords: Mapping[str, str]) -> Path:
    """Write the accounts as the CSV that plans and `cmw answer` read."""
    path.write_text("username,password\n" + "".join(f"{user},{word}\n" for user, word in passwords.items()))
    return path


__all__ = ["Program", "Result", "Run", "call", "run_plan", "write_accounts", "write_plan"]
