"""A worker behind a real NAT calls a callee in the world outside, and is called from there.

The gateway is on the worker's own machine, so that the route to it says nothing about the route to the callee.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.namespaces import run
from tests.support.nat_path import NatPath
from tests.support.presence import REQUIRE_PEERS
from tests.support.processes import Program

pytestmark = [
    pytest.mark.peers("ip", "nft"),
    pytest.mark.loopback,
    pytest.mark.skipif(os.geteuid() != 0 and not REQUIRE_PEERS, reason="only root makes network namespaces"),
]

CMW = [sys.executable, "-m", "cmw"]
CALLS = 3
GATEWAY = "127.0.0.1:8080"


class Lab:
    """A gateway inside, a callee outside."""

    def __init__(self, directory: Path, path: NatPath) -> None:
        self.path = path
        self.directory = directory
        words = ["gateway", "--listen", GATEWAY, "--data", str(directory / "data")]
        self.gateway = Program([*path.enter(path.inside), *CMW, *words])
        words = ["answer", "--listen", f"{path.outside_ip}:5060", "--json", "--log-level", "trace"]
        self.callee = Program([*path.enter(path.outside), *CMW, *words], stdout=directory / "totals.json")
        self.gateway.wait_for("gateway at")
        self.callee.wait_for('"listening"')

    def stop(self) -> None:
        self.callee.stop()
        self.gateway.stop()

    def order(self, *words: str) -> Any:
        """Have the gateway do something; return what it answers."""
        key = ["--gateway", f"http://{GATEWAY}", "--api-key-file", str(self.directory / "data" / "api-key")]
        return json.loads(run(*self.path.enter(self.path.inside), *CMW, *words, *key, "--json"))

    def worker(self, name: str, **settings: str) -> Program:
        environment = {
            "WORKER_TOKEN": self.order("workers", "create", name)["token"],
            "CLOUD_URL": f"ws://{GATEWAY}",
            "RTP_PORT_MIN": "10000",
            "RTP_PORT_MAX": "10099",
            **settings,
        }
        program = Program([*self.path.enter(self.path.inside), *CMW, "worker"], environment=environment)
        program.wait_for('"event":"link open"')
        return program

    def run(self, groups: dict[str, Any]) -> dict[str, Any]:
        """Carry out a run; return its summary."""
        plan = {"version": 1, "name": "nat", "duration": "2s", "groups": groups}
        (self.directory / "plan.yaml").write_text(yaml.safe_dump(plan))
        started = self.order("runs", "start", str(self.directory / "plan.yaml"))
        words = ["runs", "wait", started["id"], "--gateway", f"http://{GATEWAY}"]
        waiting = Program(
            [*self.path.enter(self.path.inside), *CMW, *words, "--api-key-file", str(self.directory / "data/api-key")]
        )
        waiting.wait()
        summary: dict[str, Any] = self.order("runs", "summary", started["id"])
        return summary


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with NatPath() as path:
        here = Lab(tmp_path_factory.mktemp("nat"), path)
        try:
            yield here
        finally:
            here.stop()


def doctored(lab: Lab, **settings: str) -> tuple[int, dict[str, Any]]:
    """Have the doctor ask the callee from where a worker with these settings would start; return its verdict."""
    environment = {"WORKER_TOKEN": "cmw_" + 16 * "0a1b", "CLOUD_URL": f"ws://{GATEWAY}", **settings}
    out = lab.directory / "doctor.json"
    words = ["doctor", "--to", f"sip:bob@{lab.path.outside_ip}", "--json"]
    code = Program([*lab.path.enter(lab.path.inside), *CMW, *words], environment=environment, stdout=out).wait()
    checks = {each["check"]: each for each in json.loads(out.read_text())["checks"]}
    return code, checks["NAT"]


def test_the_doctor_sees_the_nat_and_is_content_once_its_remedy_was_followed(lab: Lab) -> None:
    public, private = lab.path.public_ip, lab.path.inside_ip
    code, nat = doctored(lab)
    assert (code, nat["status"]) == (0, "WARN"), nat
    assert f"sees {public} port" in nat["found"]
    assert f"sent from {private} port" in nat["found"]
    remedy = dict(re.findall(r"\b([A-Z]+_IP)=([0-9.]+)", nat["remedy"]))
    assert remedy == {"EXTERNAL_IP": public, "SDP_IP": public}
    code, nat = doctored(lab, EXTERNAL_IP=public)
    assert (code, nat["status"]) == (0, "WARN")
    assert f"SDP shows {private}" in nat["found"]
    code, nat = doctored(lab, **remedy)  # the next test calls with these
    assert (code, nat["status"]) == (0, "OK"), nat


def callers(path: NatPath) -> dict[str, Any]:
    load = {"arrivals": "all-at-once"}
    return {"callers": {"endpoints": CALLS, "call": {"uri": f"sip:bob@{path.outside_ip}"}, "load": load}}


def test_with_its_public_address_shown_media_flows_both_ways(lab: Lab) -> None:
    public = lab.path.public_ip
    with lab.worker("told", SIP_IP=lab.path.inside_ip, SDP_IP=public, EXTERNAL_IP=public):
        seen = len(lab.callee.lines)
        summary = lab.run(callers(lab.path))
    assert summary["endpoints"]["by_outcome"]["SUCCESS"] == CALLS, summary
    media = summary["media"]
    assert (media["one_way_calls"], media["silent_calls"]) == (0, 0)
    assert media["send"]["packets_sent"] > 0
    assert media["receive"]["packets_received"] > 0
    assert lab.path.translated("out") > 0
    [invite, *_] = [
        line for line in lab.callee.lines[seen:] if "INVITE sip:bob@" in line and '"direction":"in"' in line
    ]
    message = json.loads(invite)["message"]
    assert f"c=IN IP4 {public}\r\n" in message
    assert f"@{public}:5060" in message.partition("Contact:")[2].partition("\r\n")[0]
    assert lab.path.inside_ip not in message.partition("\r\n\r\n")[0].partition("Via:")[2].partition("\r\n")[0]


def test_the_world_outside_calls_the_public_address(lab: Lab) -> None:
    path = lab.path
    before = path.translated("back")
    with lab.worker("called", SIP_IP=path.inside_ip, SDP_IP=path.public_ip, EXTERNAL_IP=path.public_ip) as worker:
        words = ["call", f"sip:anyone@{path.public_ip}", "--sip-ip", path.outside_ip, "--sip-ports", "5090-5099"]
        words += ["--calls", "1", "--duration", "2s", "--json", "--output", str(lab.directory / "called")]
        plan = {"version": 1, "name": "x", "duration": "2s", "groups": {"callees": {"endpoints": 1, "answer": {}}}}
        (lab.directory / "callee.yaml").write_text(yaml.safe_dump(plan))
        lab.order("runs", "start", str(lab.directory / "callee.yaml"))
        worker.wait_for('"event":"run started"')
        with Program([*path.enter(path.outside), *CMW, *words], stdout=lab.directory / "called.json") as caller:
            assert caller.wait() == 0, caller.output
        worker.wait_for('"event":"run finished"')
    summary = json.loads((lab.directory / "called.json").read_text())
    assert summary["media"]["one_way_calls"] == 0
    assert summary["media"]["receive"]["packets_received"] > 0
    assert path.translated("back") > before


def test_without_them_it_finds_its_private_address_and_hears_nothing_of_a_peer_that_believes_it(lab: Lab) -> None:
    with lab.worker("untold") as worker:
        summary = lab.run(callers(lab.path))
        prepared = json.loads(worker.wait_for('"event":"run prepared"'))
    assert prepared["sip"] == lab.path.inside_ip
    assert summary["media"]["receive"].get("packets_received", 0) == 0
    assert summary["media"]["one_way_calls"] + summary["media"]["silent_calls"] == CALLS
