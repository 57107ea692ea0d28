"""Every plan of `examples/` does what its head says, against the other side that its head names.

Calls are fewer and shorter than a reader's, by the plan's own variables; plans with one other side run at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.peers import baresip, kamailio, kamailio_registrations, own_baresip_ports
from tests.support.processes import Callee, cmw
from tests.support.runs import INVALID, Result, Run, call, write_accounts

pytestmark = pytest.mark.loopback

EXAMPLES = Path(__file__).parents[2] / "examples"

NewIp = Callable[[], str]
Start = Callable[..., Run]


@pytest.fixture
def start(tmp_path: Path, loopback_ip: NewIp) -> Iterator[Start]:
    """Return a function that begins a run of an example, from an address of its own."""
    with ExitStack() as runs:

        def begin(name: str, *words: str, as_: str = "", **variables: str) -> Run:
            directory = tmp_path / (as_ or name)
            directory.mkdir()
            sets = [word for key, value in variables.items() for word in ("--set", f"{key}={value}")]
            path = str(EXAMPLES / f"{name}.yaml")
            return runs.enter_context(Run(directory, loopback_ip(), "run", path, *sets, *words))

        yield begin


def expect_success(result: Result, calls: int, endpoints: int | None = None) -> None:
    """Fail unless every call was answered, every threshold held and every endpoint ended well."""
    result.expect(0)
    told = result.summary["calls"]
    assert (told["attempted"], told["answered"], told["failed"]) == (calls, calls, 0), result.told
    assert result.outcomes == {"SUCCESS": endpoints or calls}, result.endpoints
    assert all(threshold["passed"] for threshold in result.summary["thresholds"]), result.summary["thresholds"]


@pytest.mark.peers("baresip")
def test_a_first_call(tmp_path: Path, start: Start) -> None:
    port, rtp = own_baresip_ports()
    with baresip(tmp_path / "baresip", port, rtp):
        result = start("first-call", TARGET=f"bob@127.0.0.1:{port}", DURATION="2s").finish()
    expect_success(result, 1)
    assert min(result.sent, result.received) > 80


@pytest.mark.peers("kamailio")
def test_a_registration_storm_and_100_calls_through_kamailio(tmp_path: Path, loopback_ip: NewIp, start: Start) -> None:
    pbx = loopback_ip()
    files = [
        write_accounts(tmp_path / f"{who}.csv", {f"{who}{number}": f"pw-{who}{number}" for number in range(200)})
        for who in ("a", "b")
    ]
    with kamailio(tmp_path / "kamailio", 5060, ip=pbx):
        runs = [
            start("registration-storm", DURATION="1s", PBX=pbx, ACCOUNTS=str(files[0])),
            start("pbx-100-calls", RATE="50/s", DURATION="2500ms", PBX=pbx, ACCOUNTS=str(files[1])),
        ]
        storm, calls = [run.finish() for run in runs]
        registrations = kamailio_registrations(pbx)
    assert registrations.now == 0, "somebody did not un-register"
    expect_success(storm, 10, endpoints=200)
    expect_success(calls, 100, endpoints=200)
    for result in (storm, calls):
        assert result.summary["registrations"] == {"attempted": 200, "succeeded": 200, "failed": 0}


def test_what_cmw_answer_is_the_other_side_of(tmp_path: Path, loopback_ip: NewIp, start: Start) -> None:
    limited = Callee(tmp_path / "limited", loopback_ip(), "--max-calls", "7")
    with limited, Callee(tmp_path / "callee", loopback_ip()) as callee:
        search = start("capacity-search", TARGET=user_of(limited), MOST="20", DURATION="1s")
        trunk = start("trunk-thresholds", TARGET=user_of(callee), CALLS="10", DURATION="6s")
        soak = start("poisson-soak", TARGET=user_of(callee), CALLS="30", RATE="15/s", DURATION="2s")
        codecs = {
            codec: start("codec-comparison", TARGET=user_of(callee), CODEC=codec, DURATION="2s", as_=codec)
            for codec in ("PCMU", "PCMA")
        }
        expect_success(soak.finish(), 30)
        for codec, run in codecs.items():
            result = run.finish()
            expect_success(result, 10)
            assert {row["codec"] for row in result.endpoints} == {codec}
        found = search.finish()
        expect_success(trunk.finish(), 10)
    found.expect(0)
    assert found.code == INVALID or found.summary["search"]["breaking_point"] == 8, found.told
    comparison = cmw("compare", str(tmp_path / "PCMU" / "report"), str(tmp_path / "PCMA" / "report"))
    assert comparison.wait() == 0, comparison.output
    assert "figures" in comparison.output


def test_a_gate_for_a_pipeline(tmp_path: Path, loopback_ip: NewIp, start: Start) -> None:
    with Callee(tmp_path / "callee", loopback_ip()) as callee:
        (tmp_path / "once").mkdir()
        words = ("--calls", "5", "--rate", "all-at-once", "--duration", "2s")
        call(tmp_path / "once", loopback_ip(), callee.target, *words).expect(0)
        report = tmp_path / "once" / "report"
        better = json.loads((report / "summary.json").read_text())
        for side in better["media"]["receive"], better["media"]["send"]:
            if side.get("mos"):
                side["mos"]["p50"] = 4.9
        (tmp_path / "better.json").write_text(json.dumps(better))
        few = {"TARGET": user_of(callee), "CALLS": "5", "DURATION": "2s"}
        gate = start("ci-gate", "--baseline", str(report), **few)
        worse = start("ci-gate", "--baseline", str(tmp_path / "better.json"), **few, as_="worse")
        expect_success(gate.finish(), 5)
        worse.finish().expect(99)


def test_an_ivr_and_groups_that_call_each_other(tmp_path: Path, loopback_ip: NewIp, start: Start) -> None:
    pbx = loopback_ip()
    menu = ("--media", "silence", "--on-dtmf", "1=play:speech", "--on-dtmf", "2=send:7")
    accounts = ("--registrar", "--accounts", str(EXAMPLES / "accounts.csv"))
    with Callee(tmp_path / "ivr", loopback_ip(), *menu) as ivr, Callee(tmp_path / "registrar", pbx, *accounts):
        dialled = start("ivr-dtmf", TARGET=user_of(ivr))
        registered = start("group-to-group", PBX=pbx, DURATION="2s")
        transferred = start("hold-and-transfer", DURATION="5s")
        result = dialled.finish()
        expect_success(result, 5)
        assert {row["dtmf_received"] for row in result.endpoints} == {"7"}
        expect_success(registered.finish(), 10, endpoints=20)
        expect_success(transferred.finish(), 10, endpoints=15)  # each caller calls its agent too


def user_of(callee: Callee) -> str:
    """Return user and host of a callee, as the plans' TARGET."""
    return callee.target.removeprefix("sip:")
