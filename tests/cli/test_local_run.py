"""A run in this process: what it is told, and how it says that there was none."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import uvloop

from cmw.cli import local_run
from cmw.cli.demo_command import DemoError, _address
from cmw.cli.local_run import InterruptedRunError, LocalResult, LocalSettings, NotRunError, run_here
from cmw.cli.run_command import run, run_and_report
from cmw.core.words import RunStatus
from cmw.errors import CapacityError, CommandError, SettingsError
from cmw.gateway.views import RunView
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from cmw.worker.execution import RunExecution
from tests.load.runs import summary

TOKEN = "cmw_" + "0" * 64


def make_plan(**groups: Any) -> Plan:
    known = groups or {"callees": {"endpoints": 1, "answer": {"wait": "1s"}}}
    return parse_plan({"version": 1, "name": "local", "duration": "1s", "groups": known})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"sip_port_start": 5, "sip_port_end": 4},
            "--sip-ports: found 4, expected a port not below the first, which is 5",
        ),
        ({"rtp_port_min": 9, "rtp_port_max": 9}, "--rtp-ports: found 9, expected a port that leaves an even and the"),
        ({"media_ip": "host"}, "--media-ip: found 'host', expected one IP address"),
        ({"sdp_ip": "0.0.0.0"}, "--sdp-ip: found '0.0.0.0', expected one IP address"),
    ],
)
def test_faults_are_told_by_option(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as error:
        local_run._worker_settings(LocalSettings(**changes), TOKEN, 1234)
    assert str(error.value).startswith(told)
    assert TOKEN not in str(error.value)


def test_the_address_is_that_of_the_route_to_the_first_server_that_has_one() -> None:
    plan = make_plan(callers={"endpoints": 1, "call": {"uri": "sip:600@127.0.0.1"}})
    assert local_run._address_towards_target(plan) == "127.0.0.1"
    lost = make_plan(callers={"endpoints": 1, "call": {"uri": "sip:600@nowhere.invalid"}})
    assert local_run._address_towards_target(lost)


def test_an_interruption_names_its_signal() -> None:
    assert str(InterruptedRunError(signal.SIGTERM)) == "ended by SIGTERM"
    assert str(InterruptedRunError(signal.SIGINT, "stopped before it started")) == "stopped before it started"


def result_of(number: int | None) -> LocalResult:
    run = RunView(id="r1", name="x", status=RunStatus.COMPLETED, endpoints=4, created_at="")
    return LocalResult(run, summary().to_document(), Path("report"), number)


@pytest.mark.parametrize(("number", "code"), [(None, 0), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_exit_code_is_that_of_the_run_or_of_the_signal(
    monkeypatch: pytest.MonkeyPatch, number: int | None, code: int
) -> None:
    async def run(*_: object) -> LocalResult:
        return result_of(number)

    monkeypatch.setattr("cmw.cli.run_command.run_here", run)
    assert run_and_report(make_plan(), LocalSettings(), Path("report"), json_wanted=False) == code


def test_interrupted_without_results_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(*_: object) -> LocalResult:
        raise InterruptedRunError(signal.SIGINT)

    monkeypatch.setattr("cmw.cli.run_command.run_here", run)
    assert run_and_report(make_plan(), LocalSettings(), Path("report"), json_wanted=True) == 130
    assert capsys.readouterr().err == "cmw: ended by SIGINT\n"


def run_on(directory: Path, port: int) -> LocalResult:
    settings = LocalSettings(
        sip_ip="127.0.0.1", sip_port_start=port, sip_port_end=port, rtp_port_min=30000, rtp_port_max=30099
    )
    return uvloop.run(run_here(make_plan(), settings, directory / "report", lambda run: None, lambda line: None))


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.loopback
def test_a_port_that_is_taken_and_signals_as_they_were(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(CapacityError, match="in use"):
            run_on(tmp_path, taken.getsockname()[1])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert not (tmp_path / "report").exists()


@pytest.mark.loopback
def test_a_worker_that_cannot_prepare_is_told_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def prepare(self: RunExecution) -> dict[str, Any]:
        raise CommandError("NO_SOUND", "no sound today")

    monkeypatch.setattr(RunExecution, "prepare", prepare)
    with pytest.raises(NotRunError, match="FAILED: worker local: NO_SOUND: no sound today"):
        run_on(tmp_path, free_port())
    assert not (tmp_path / "report").exists()


@pytest.mark.loopback
def test_a_run_leaves_its_report(tmp_path: Path) -> None:
    result = run_on(tmp_path, free_port())
    assert result.signal is None
    assert result.summary["endpoints"]["by_outcome"]["TIMEOUT"] == 1
    assert (tmp_path / "report" / "summary.json").exists()


def test_the_callee_of_the_demo_says_where_it_is() -> None:
    assert _address('{"event":"listening","sip":"127.0.0.1:5080"}\n') == "127.0.0.1:5080"
    for line in ("", "Traceback\n", "{}", "[]", "7"):
        with pytest.raises(DemoError, match="the callee did not start"):
            _address(line)


PLAN = "version: 1\nname: look\nduration: 2s\ngroups:\n  a: {endpoints: 4}\n  b: {endpoints: 4, call: {group: a}}\n"


def test_a_check_says_what_would_happen_and_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cmw.cli.run_command.run_and_report", lambda *_, **__: pytest.fail("it must not run"))
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN)
    assert run(file, check=True) == 0
    said = capsys.readouterr().out
    assert "calls          4, held for 2 s; at most 4 at a time" in said
    assert "calls group a" in said
    assert run(file, check=True, json_wanted=True) == 0
    assert json.loads(capsys.readouterr().out)["rtp_ports"] == 16


def test_a_check_finds_a_range_that_is_too_small(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN)
    with pytest.raises(
        CapacityError, match="--rtp-ports: found 7 pairs of ports in 10001-10016, expected 8, one for each"
    ):
        run(file, check=True, rtp_ports="10001-10016")
