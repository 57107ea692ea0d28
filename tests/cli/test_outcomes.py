"""What goes wrong has a name, somebody to blame, a reason in plain words and an exit code."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.processes import Callee
from tests.support.runs import Result, Run, call, run_plan

pytestmark = pytest.mark.loopback

NewIp = Callable[[], str]

TRACED = ("--log-level", "trace")
"""Has a callee log each message, so that a test can wait for the ACK, and with it for the call to stand."""


@contextlib.contextmanager
def taken(ip: str, ports: range) -> Iterator[None]:
    """Hold UDP ports without reading from them."""
    with contextlib.ExitStack() as stack:
        for port in ports:
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((ip, port))
        yield


def only_row(result: Result) -> dict[str, str]:
    [row] = result.endpoints
    return row


def fate(row: dict[str, str]) -> tuple[str, str]:
    return row["outcome"], row["blame"]


@pytest.fixture(scope="module")
def unanswered(tmp_path_factory: pytest.TempPathFactory, loopback_ip: NewIp) -> Iterator[Run]:
    """A call to somebody who never says anything. It takes Timer B, 32 s, so it runs beside the other tests."""
    target = loopback_ip()
    words = ["call", f"sip:bob@{target}", "--setup-timeout", "2s"]
    with (
        taken(target, range(5060, 5061)),
        Run(tmp_path_factory.mktemp("unanswered"), loopback_ip(), *words) as run,
    ):
        yield run


@pytest.fixture(autouse=True)
def _begin_early(unanswered: Run) -> None:
    """Have the long call begin with the first test."""


def test_a_callee_that_is_busy(tmp_path: Path, loopback_ip: NewIp) -> None:
    with Callee(tmp_path, loopback_ip(), "--reject", "486") as callee:
        result = call(tmp_path, loopback_ip(), callee.target, "--calls", "3")
        totals = callee.stop()
    result.expect(1)
    assert result.summary["calls"]["by_status_code"] == {"486": 3}
    for row in result.endpoints:
        assert fate(row) == ("CALL_FAILED", "TARGET")
        assert (row["status_code"], row["reason"]) == ("486", "the call was answered 486 Busy Here")
    assert "3 x CALL_FAILED, blame TARGET: the call was answered 486 Busy Here" in result.told
    assert totals["by_outcome"] == {"SUCCESS": 3}, "the callee was told to refuse"


def test_a_threshold_that_fails(tmp_path: Path, loopback_ip: NewIp) -> None:
    with Callee(tmp_path, loopback_ip(), "--max-calls", "1") as callee:
        words = ["--calls", "2", "--duration", "2s", "--threshold", "call_success: rate >= 0.9"]
        result = call(tmp_path, loopback_ip(), callee.target, *words)
    result.expect(99)
    assert result.summary["calls"]["by_status_code"] == {"200": 1, "486": 1}
    assert [threshold["value"] for threshold in result.summary["thresholds"]] == [0.5]


def test_no_codec_in_common(tmp_path: Path, loopback_ip: NewIp) -> None:
    with Callee(tmp_path, loopback_ip(), "--codec", "PCMA") as callee:
        result = call(tmp_path, loopback_ip(), callee.target, "--codec", "PCMU")
    result.expect(1)
    row = only_row(result)
    assert fate(row) == ("NEGOTIATION_FAILED", "TARGET")
    assert row["status_code"] == "488"


def test_a_callee_that_rings_for_ever(tmp_path: Path, loopback_ip: NewIp) -> None:
    with Callee(tmp_path, loopback_ip(), "--delay", "60s") as callee:
        result = call(tmp_path, loopback_ip(), callee.target, "--setup-timeout", "2s")
        callee.stop()
        assert [report["reason"] for report in callee.reports] == ["the caller gave up while it rang"]
    result.expect(1)
    row = only_row(result)
    assert fate(row) == ("TIMEOUT", "TARGET")
    assert (row["phase"], row["status_code"]) == ("RINGING", "487")
    assert row["reason"] == "no answer within 2 s (it rang; cancelled)"


def test_a_callee_that_hangs_up(tmp_path: Path, loopback_ip: NewIp) -> None:
    with (
        Callee(tmp_path, loopback_ip(), *TRACED) as callee,
        Run(tmp_path, loopback_ip(), "call", callee.target, "--duration", "60s") as run,
    ):
        callee.program.wait_for("ACK sip:")
        callee.stop()
        result = run.finish()
    result.expect(0)
    row = only_row(result)
    assert fate(row) == ("COMPLETED_WITH_WARNINGS", "TARGET")
    assert row["reason"].startswith("the remote party hung up after ")


def test_a_callee_that_dies(tmp_path: Path, loopback_ip: NewIp) -> None:
    with (
        Callee(tmp_path, loopback_ip(), *TRACED) as callee,
        Run(tmp_path, loopback_ip(), "call", callee.target, "--duration", "4s") as run,
    ):
        callee.program.wait_for("ACK sip:")
        callee.program.kill()
        result = run.finish()
    result.expect(1)
    assert fate(only_row(result)) == ("TEARDOWN_ERROR", "TARGET")


def test_ended_by_a_signal(tmp_path: Path, loopback_ip: NewIp) -> None:
    with Callee(tmp_path, loopback_ip(), *TRACED) as callee:
        with Run(tmp_path, loopback_ip(), "call", callee.target, "--duration", "60s") as run:
            callee.program.wait_for("ACK sip:")
            run.program.signal(signal.SIGINT)
            result = run.finish()
        assert callee.stop()["by_outcome"] == {"SUCCESS": 1}, "it was told by BYE"
    assert result.code == 128 + signal.SIGINT
    row = only_row(result)
    assert row["outcome"] == "COMPLETED_WITH_WARNINGS"
    assert row["reason"].startswith("stopped before its end")


def test_a_port_where_nobody_listens(tmp_path: Path, loopback_ip: NewIp) -> None:
    result = call(tmp_path, loopback_ip(), f"sip:bob@{loopback_ip()}:5099")
    result.expect(1)
    row = only_row(result)
    assert fate(row) == ("CALL_FAILED", "TARGET")
    assert "Connection refused" in row["reason"]
    assert result.summary["calls"]["by_status_code"] == {"none": 1}


def test_a_host_without_an_address(tmp_path: Path, loopback_ip: NewIp) -> None:
    result = call(tmp_path, loopback_ip(), "sip:bob@pbx.invalid")
    result.expect(1)
    row = only_row(result)
    assert fate(row) == ("CALL_FAILED", "UNKNOWN")
    assert "host 'pbx.invalid' cannot be resolved" in row["reason"]


def test_a_plan_with_mistakes(tmp_path: Path, loopback_ip: NewIp) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "version: 1\nduration: 5\ngroups:\n  callers:\n    endpoints: 3\n    load: {rate: 10/x}\n"
        "    call: {uri: sip:bob@pbx.example}\n"
    )
    with Run(tmp_path, loopback_ip(), "run", str(plan)) as run:
        result = run.finish()
    assert result.code == 78
    assert f"{plan}:6: groups.callers.load.rate: found '10/x', expected a rate" in result.told
    assert f"{plan}:2: duration: found 5, expected a duration" in result.told


def test_a_sip_port_that_is_taken(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip = loopback_ip()
    with taken(ip, range(5060, 5062)):
        result = call(tmp_path, ip, f"sip:bob@{loopback_ip()}", "--sip-ports", "5060-5061")
    assert result.code == 75
    assert f"5060-5061 on {ip}" in result.told


def test_rtp_ports_that_are_taken(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip = loopback_ip()
    with taken(ip, range(10000, 10004)):
        result = call(tmp_path, ip, f"sip:bob@{loopback_ip()}", rtp_ports="10000-10003")
    assert result.code == 97
    row = only_row(result)
    assert fate(row) == ("OSERROR", "WORKER")
    assert "no free RTP port pair in 10000-10003" in row["reason"]
    assert "2 taken by other programs" in row["reason"]


def test_one_rtp_pair_of_two_is_taken(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip = loopback_ip()
    with Callee(tmp_path, loopback_ip()) as callee, taken(ip, range(10000, 10001)):
        result = call(tmp_path, ip, callee.target, "--duration", "1s", rtp_ports="10000-10003")
    result.expect(0)
    assert result.outcomes == {"SUCCESS": 1}


def test_fewer_rtp_ports_than_calls(tmp_path: Path, loopback_ip: NewIp) -> None:
    result = call(tmp_path, loopback_ip(), f"sip:bob@{loopback_ip()}", "--calls", "3", rtp_ports="10000-10003")
    assert result.code == 75
    assert "needs 3 endpoints, the workers have room for 2" in result.told


def test_a_group_that_nobody_calls(tmp_path: Path, loopback_ip: NewIp) -> None:
    plan = {"duration": "1s", "groups": {"waiters": {"endpoints": 2, "answer": {"wait": "1s"}}}}
    result = run_plan(tmp_path, loopback_ip(), plan)
    result.expect(1)
    assert {fate(row) for row in result.endpoints} == {("TIMEOUT", "UNKNOWN")}
    assert {row["reason"] for row in result.endpoints} == {"receiver wait timeout: no call came"}


def test_a_callee_that_never_says_anything(unanswered: Run) -> None:
    result = unanswered.finish()
    result.expect(1)
    row = only_row(result)
    assert fate(row) == ("TIMEOUT", "TARGET")
    assert row["reason"] == "no answer within 2 s (nothing came at all)"
    assert result.summary["calls"]["by_status_code"] == {"none": 1}
