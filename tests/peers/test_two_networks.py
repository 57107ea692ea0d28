"""One run calls into two networks: each of its calls shows the address that its own peer can reach."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.namespaces import run
from tests.support.presence import REQUIRE_PEERS
from tests.support.processes import Program
from tests.support.two_networks import Network, TwoNetworks

pytestmark = [
    pytest.mark.peers("ip"),
    pytest.mark.loopback,
    pytest.mark.skipif(os.geteuid() != 0 and not REQUIRE_PEERS, reason="only root makes network namespaces"),
]

CMW = [sys.executable, "-m", "cmw"]
CALLS = 2
"""To each network."""


class Callee:
    """`cmw answer` in one of the networks."""

    def __init__(self, directory: Path, paths: TwoNetworks, network: Network) -> None:
        self.network = network
        words = ["answer", "--listen", f"{network.peer_ip}:5060", "--json", "--log-level", "trace"]
        enter = paths.enter(network.namespace)
        self.program = Program([*enter, *CMW, *words], stdout=directory / f"{network.peer_ip}.json")
        self.program.wait_for('"listening"')

    def messages(self, method: str, after: int) -> list[str]:
        """Return the requests of a method that came, from line `after` of the log on."""
        lines = [json.loads(line) for line in self.program.lines[after:] if '"event":"SIP"' in line]
        found = [line["message"] for line in lines if line["direction"] == "in"]
        return [message for message in found if message.startswith(f"{method} ")]


class Lab:
    """Two callees, and a place for files."""

    def __init__(self, directory: Path, paths: TwoNetworks) -> None:
        self.directory = directory
        self.paths = paths
        self.callees = [Callee(directory, paths, network) for network in (paths.left, paths.right)]
        self.plan = directory / "plan.yaml"
        self.plan.write_text(yaml.safe_dump(plan(paths)))

    def stop(self) -> None:
        for callee in self.callees:
            callee.program.stop()

    def here(self, *words: str, environment: dict[str, str] | None = None, stdout: Path | None = None) -> Program:
        command = [*self.paths.enter(self.paths.here), *CMW, *words]
        return Program(command, environment=environment, stdout=stdout)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with TwoNetworks() as paths:
        here = Lab(tmp_path_factory.mktemp("two-networks"), paths)
        try:
            yield here
        finally:
            here.stop()


def plan(paths: TwoNetworks) -> dict[str, Any]:
    load = {"arrivals": "all-at-once"}
    groups = {
        name: {"endpoints": CALLS, "call": {"uri": f"sip:bob@{network.peer_ip}"}, "load": load}
        for name, network in (("to-left", paths.left), ("to-right", paths.right))
    }
    return {"version": 1, "name": "two networks", "duration": "2s", "groups": groups}


def check(lab: Lab, summary: dict[str, Any], seen: list[int]) -> None:
    assert summary["endpoints"]["by_outcome"]["SUCCESS"] == 2 * CALLS, summary
    assert (summary["media"]["one_way_calls"], summary["media"]["silent_calls"]) == (0, 0)
    for callee, before in zip(lab.callees, seen, strict=True):
        own = callee.network.own_ip
        invites = callee.messages("INVITE", before)
        assert len(invites) == CALLS
        for invite in invites:
            lines = invite.split("\r\n")
            assert next(line for line in lines if line.startswith("Via:")).startswith(f"Via: SIP/2.0/UDP {own}:")
            assert f"@{own}:" in next(line for line in lines if line.startswith("Contact:"))
            assert f"c=IN IP4 {own}" in lines
        assert len(callee.messages("BYE", before)) == CALLS


def test_a_worker_has_an_address_in_each(lab: Lab) -> None:
    data = lab.directory / "data"
    seen = [len(callee.program.lines) for callee in lab.callees]
    with lab.here("gateway", "--listen", "127.0.0.1:8080", "--data", str(data)) as gateway:
        gateway.wait_for("gateway at")
        key = ["--gateway", "http://127.0.0.1:8080", "--api-key-file", str(data / "api-key")]

        def order(*words: str) -> Any:
            return json.loads(run(*lab.paths.enter(lab.paths.here), *CMW, *words, *key, "--json"))

        token = order("workers", "create", "w1")["token"]
        with lab.here("worker", environment={"WORKER_TOKEN": token, "CLOUD_URL": "ws://127.0.0.1:8080"}) as worker:
            worker.wait_for('"event":"link open"')
            started = order("runs", "start", str(lab.plan))
            prepared = json.loads(worker.wait_for('"event":"run prepared"'))
            lab.here("runs", "wait", started["id"], *key).wait()
            check(lab, order("runs", "summary", started["id"]), seen)
    assert prepared["sip"] == f"{lab.paths.left.own_ip}, {lab.paths.right.own_ip}"


def test_so_has_a_run_without_a_gateway(lab: Lab) -> None:
    seen = [len(callee.program.lines) for callee in lab.callees]
    report, out = lab.directory / "report", lab.directory / "run.json"
    lab.here("run", str(lab.plan), "--output", str(report), "--json", stdout=out).wait()
    check(lab, json.loads(out.read_text()), seen)
