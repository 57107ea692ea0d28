"""Options of `cmw call`: what is wrong with them is told by their own names, all at once, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmw.cli import call_command
from cmw.cli.exit_codes import ExitCode
from cmw.cli.main import run_command
from cmw.load.plan import Plan

URI = "sip:600@127.0.0.1:5099"


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that would have been run."""
    found: list[Plan] = []

    def run_and_report(plan: Plan, *_: object, **__: object) -> int:
        found.append(plan)
        return 0

    monkeypatch.setattr(call_command, "run_and_report", run_and_report)
    return found


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["600@pbx.example"], ["URI: found '600@pbx.example', expected a SIP URI such as sip:600@pbx.example"]),
        (["sip:600"], ["URI: found 'sip:600', expected a SIP URI"]),
        ([URI, "--rate", "10"], ["--rate: found '10', expected a rate"]),
        ([URI, "--duration", "5"], ["--duration: found '5', expected a duration with its unit"]),
        ([URI, "--setup-timeout", "x"], ["--setup-timeout: found 'x', expected a duration"]),
        ([URI, "--calls", "0"], ["--calls: found 0, expected a whole number from 1"]),
        ([URI, "--codec", "opus"], ["--codec: found 'opus', expected PCMU or PCMA"]),
        ([URI, "--source", "music"], ["--source: found 'music', expected speech, tone or silence"]),
        ([URI, "--dscp", "64"], ["--dscp: found 64, expected a whole number from 0 to 63"]),
        ([URI, "--threshold", "moss: avg > 4"], ["--threshold moss: is not a metric, did you mean 'mos'?"]),
        ([URI, "--threshold", "mos"], ["found 'mos', expected \"METRIC: EXPRESSION\""]),
        ([URI, "--user", "u"], ["--password-file: expected with --user"]),
        ([URI, "--rate", "10", "--duration", "5"], ["--rate: found '10'", "--duration: found '5'"]),
    ],
)
def test_a_wrong_option_is_told_by_its_name(
    arguments: list[str], told: list[str], plans: list[Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["call", *arguments]) == ExitCode.USAGE
    stderr = capsys.readouterr().err
    assert all(line in stderr for line in told)
    assert "groups." not in stderr
    assert not plans


def test_options_become_a_plan(plans: list[Plan], tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    options = "--calls 3 --rate 2/s --duration 5s --codec PCMA --source tone --dscp 0 --user alice --realm pbx".split()
    words = ["call", "sip:600@[::1]:5070", *options, "--password-file", str(password), "--threshold", "mos: avg >= 4"]
    assert run_command(words) == ExitCode.PASSED
    [plan] = plans
    [group], [registrar] = plan.groups.values(), plan.registrars.values()
    assert (group.endpoints, group.audio.codecs, group.audio.source, group.audio.dscp) == (3, ["PCMA"], "tone", 0)
    assert (registrar.domain, registrar.port) == ("[::1]", 5070)
    assert plan.thresholds == {"mos": ["avg >= 4"]}
