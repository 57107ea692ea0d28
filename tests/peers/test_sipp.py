"""Calls to and from sipp: both sides count the same, and nothing had to be sent twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.peers import expect_played, sipp, sipp_callee, sipp_counters, sipp_scenario, sipp_told
from tests.support.processes import Callee
from tests.support.runs import Result, Run, call, run_plan, write_plan
from tests.support.sipp_scenario import Callee as SippCallee
from tests.support.sipp_scenario import Scenario, description

pytestmark = pytest.mark.peers("sipp")

CALLS = 200
RATE = 40
FEW_RETRANSMISSIONS = CALLS // 20
"""A stall of half a second makes some; a storm would make hundreds."""

NewIp = Callable[[], str]


def expect_clean(directory: Path, calls: int) -> None:
    """Fail unless sipp counted `calls` calls, all of them good, without a storm of retransmissions."""
    counters = sipp_counters(directory)
    assert (counters["SuccessfulCall(C)"], counters["FailedCall(C)"]) == (str(calls), "0")
    assert int(counters["Retransmissions(C)"]) <= FEW_RETRANSMISSIONS
    assert counters["FatalErrors(C)"] == "0"


def expect_all_answered(result: Result) -> None:
    result.expect(0)
    assert result.summary["calls"] == {
        "attempted": CALLS,
        "answered": CALLS,
        "failed": 0,
        "by_status_code": {"200": CALLS},
    }
    assert result.outcomes == {"SUCCESS": CALLS}


def test_two_hundred_calls_to_sipp_that_echoes(tmp_path: Path, loopback_ip: NewIp) -> None:
    peer_ip = loopback_ip()
    with sipp_callee(tmp_path / "sipp", peer_ip, "-rtp_echo", "-m", str(CALLS)) as peer:
        words = ["--calls", str(CALLS), "--rate", f"{RATE}/s", "--duration", "1s"]
        result = call(tmp_path, loopback_ip(), f"sip:service@{peer_ip}", *words)
        assert peer.wait() == 0
    expect_all_answered(result)
    assert result.sent > CALLS * 40
    assert 0.9 * result.sent <= result.received <= result.sent, "sipp's echo of the last packets may come too late"
    assert 0 <= result.summary["media"]["receive"]["packets_lost"] <= result.sent - result.received
    assert result.summary["media"]["one_way_calls"] == result.summary["media"]["silent_calls"] == 0
    expect_clean(tmp_path / "sipp", CALLS)


def test_a_plan_of_two_hundred_calls_to_sipp(tmp_path: Path, loopback_ip: NewIp) -> None:
    peer_ip = loopback_ip()
    plan = {
        "name": "to sipp",
        "duration": "500ms",
        "groups": {
            "callers": {
                "endpoints": CALLS,
                "call": {"uri": f"sip:service@{peer_ip}"},
                "load": {"arrivals": "constant", "rate": f"{RATE}/s"},
                "audio": {"source": "tone"},
            }
        },
        "thresholds": {"call_success": ["rate >= 1.0"], "call_setup_time_ms": ["p(50) > 0"]},
    }
    with sipp_callee(tmp_path / "sipp", peer_ip, "-rtp_echo", "-m", str(CALLS)) as peer:
        result = run_plan(tmp_path, loopback_ip(), plan)
        assert peer.wait() == 0
    expect_all_answered(result)
    assert all(threshold["passed"] for threshold in result.summary["thresholds"])
    expect_clean(tmp_path / "sipp", CALLS)


def test_a_call_that_hears_nothing_is_told(tmp_path: Path, loopback_ip: NewIp) -> None:
    peer_ip = loopback_ip()
    with sipp_callee(tmp_path / "sipp", peer_ip):
        result = call(tmp_path, loopback_ip(), f"sip:service@{peer_ip}", "--duration", "2s")
    result.expect(0)
    assert result.outcomes == {"COMPLETED_WITH_WARNINGS": 1}
    assert result.summary["media"]["one_way_calls"] == 1
    assert result.endpoints[0]["reason"].startswith("no RTP came in 2")


def test_two_hundred_calls_from_sipp_to_the_callee_of_the_lab(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip, peer_ip = loopback_ip(), loopback_ip()
    with Callee(tmp_path, ip, "--media", "speech") as callee:
        words = ["-sn", "uac", f"{ip}:5060", "-i", peer_ip, "-p", "5060", "-mi", peer_ip, "-mp", "6000"]
        with sipp(tmp_path / "sipp", *words, "-r", str(RATE), "-m", str(CALLS), "-d", "500") as peer:
            assert peer.wait() == 0
        totals = callee.stop()
    assert totals["calls"] == CALLS
    assert totals["by_outcome"] == {"SUCCESS": CALLS}
    expect_clean(tmp_path / "sipp", CALLS)


def test_calls_from_sipp_to_a_group_that_waits(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip, peer_ip = loopback_ip(), loopback_ip()
    calls = 50
    plan = {
        "name": "from sipp",
        "duration": "10s",
        "groups": {"waiters": {"endpoints": calls, "answer": {"after": "100ms", "wait": "40s"}}},
    }
    with Run(tmp_path, ip, "run", str(write_plan(tmp_path, plan))) as run:
        run.program.wait_for("initializing")
        words = ["-sn", "uac", f"{ip}:5060", "-i", peer_ip, "-p", "5060", "-mi", peer_ip, "-mp", "6000"]
        with sipp(tmp_path / "sipp", *words, "-r", str(RATE), "-m", str(calls), "-d", "500") as peer:
            assert peer.wait() == 0
        result = run.finish()
    result.expect(0)
    assert result.outcomes == {"SUCCESS": calls}
    assert result.summary["calls"]["answered"] == calls
    assert {row["direction"] for row in result.endpoints} == {"inbound"}
    expect_clean(tmp_path / "sipp", calls)


FEW, QUICK = 50, 50


def test_calls_to_sipp_over_tcp(tmp_path: Path, loopback_ip: NewIp) -> None:
    peer_ip = loopback_ip()
    words = ["--calls", str(FEW), "--rate", f"{QUICK}/s", "--duration", "500ms"]
    with sipp_callee(tmp_path / "sipp", peer_ip, "-t", "t1", "-rtp_echo", "-m", str(FEW), protocol="tcp") as peer:
        result = call(tmp_path, loopback_ip(), f"sip:service@{peer_ip};transport=tcp", *words)
        assert peer.wait() == 0
    result.expect(0)
    assert result.outcomes == {"SUCCESS": FEW}
    expect_clean(tmp_path / "sipp", FEW)


@pytest.mark.parametrize("mode", ["t1", "tn"])
def test_calls_from_sipp_over_tcp(tmp_path: Path, loopback_ip: NewIp, mode: str) -> None:
    """One connection for all calls, and one for each."""
    ip, peer_ip = loopback_ip(), loopback_ip()
    with Callee(tmp_path, ip, "--media", "speech") as callee:
        words = ["-sn", "uac", f"{ip}:5060", "-t", mode, "-max_socket", "1000", "-i", peer_ip, "-mi", peer_ip]
        with sipp(tmp_path / "sipp", *words, "-mp", "6000", "-r", str(QUICK), "-m", str(FEW), "-d", "500") as peer:
            assert peer.wait() == 0
        totals = callee.stop()
    assert totals["by_outcome"] == {"SUCCESS": FEW}
    expect_clean(tmp_path / "sipp", FEW)


REAL_SERVERS: dict[str, Callable[[], Scenario]] = {
    "the answer in 183 only": lambda: (
        SippCallee().reply(183, body=description()).pause(200).reply(200).recv("ACK").recv_bye()
    ),
    "another answer in 200 than in 183": lambda: (
        SippCallee().reply(183, body=description()).reply(200, body=description(version=2)).recv("ACK").recv_bye()
    ),
    "the answer in a reliable 183": lambda: (
        SippCallee()
        .reply(183, headers=["Require: 100rel", "RSeq: 1"], body=description())
        .recv("PRACK")
        .reply_to_last()
        .reply(200)
        .recv("ACK")
        .recv_bye()
    ),
    "NOTIFY that nobody asked for": lambda: (
        _answering()
        .request("NOTIFY", headers=["Event: message-summary", "Subscription-State: active"])
        .recv_response(200)
        .recv_bye()
    ),
    "a re-INVITE and an UPDATE that change nothing": lambda: (
        _answering()
        .request("INVITE", body=description(version=2))
        .maybe(100)
        .recv_response(200)
        .ack()
        .request("UPDATE", body=description(version=3))
        .recv_response(200)
        .recv_bye()
    ),
    "responses that belong to nothing": lambda: (
        _answering().reply(180).reply_stray(200, "77 OPTIONS").reply_stray(481, "99 INVITE").recv_bye()
    ),
    "a loose route": lambda: (
        SippCallee()
        .reply(200, headers=["Record-Route: <sip:[local_ip]:[local_port];lr>"], body=description())
        .recv("ACK", check={"Route": "lr"})
        .recv("BYE", check={"Route": "lr"})
        .reply_to_last()
    ),
}


def _answering() -> Scenario:
    return SippCallee().reply(180).reply(200, body=description()).recv("ACK")


@pytest.mark.parametrize("what", REAL_SERVERS)
def test_what_real_servers_do_is_no_failure(tmp_path: Path, loopback_ip: NewIp, what: str) -> None:
    """Each is legal, and none of it may be counted against the target."""
    peer_ip = loopback_ip()
    scenario = REAL_SERVERS[what]()
    with sipp_scenario(tmp_path / "sipp", scenario, peer_ip, "u1", 5, more=["-rtp_echo"]) as peer:
        result = call(tmp_path, loopback_ip(), f"sip:service@{peer_ip}", "--calls", "5", "--duration", "1s")
        told = sipp_told(tmp_path / "sipp", peer) if result.outcomes != {"SUCCESS": 5} else ""
        assert result.outcomes == {"SUCCESS": 5}, (result.told, told)
        expect_played(tmp_path / "sipp", peer, 5)
