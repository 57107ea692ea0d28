"""A worker in a container of its own, told nothing but its token and its gateway: what the page promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.bridge_network import BridgeNetwork
from tests.support.namespaces import run
from tests.support.presence import REQUIRE_PEERS
from tests.support.processes import Program

pytestmark = [
    pytest.mark.peers("ip", "curl"),
    pytest.mark.loopback,
    pytest.mark.skipif(os.geteuid() != 0 and not REQUIRE_PEERS, reason="only root makes network namespaces"),
]

CMW = [sys.executable, "-m", "cmw"]
CHECK = ["curl", "-f", "http://localhost:3030/health"]
"""The health check of the page, word for word."""
REFUSED_BY_CURL = 22
CALLS = 3


class Lab:
    """A gateway and a callee on the host, and a worker in the container."""

    def __init__(self, directory: Path, path: BridgeNetwork) -> None:
        self.path = path
        self.directory = directory
        self.gateway_address = f"{path.bridge_ip}:8080"
        self.data = directory / "data"
        words = ["gateway", "--listen", self.gateway_address, "--data", str(self.data), "--insecure"]
        self.gateway = Program([*path.enter(path.host), *CMW, *words])
        words = ["answer", "--listen", f"{path.host_ip}:5060", "--json", "--log-level", "trace"]
        self.callee = Program([*path.enter(path.host), *CMW, *words], stdout=directory / "totals.json")
        self.gateway.wait_for("gateway at")
        self.callee.wait_for('"listening"')
        self.token = self.order("workers", "create", "configured-name")["token"]
        environment = {"WORKER_TOKEN": self.token, "CLOUD_URL": f"ws://{self.gateway_address}"}
        self.worker = Program([*path.enter(path.container), *CMW, "worker"], environment=environment)
        self.worker.wait_for('"event":"link open"')

    def stop(self) -> None:
        for program in (self.worker, self.callee, self.gateway):
            program.stop()

    def words(self, *words: str) -> list[str]:
        key = ["--gateway", f"http://{self.gateway_address}", "--api-key-file", str(self.data / "api-key")]
        return [*self.path.enter(self.path.host), *CMW, *words, *key]

    def order(self, *words: str) -> Any:
        """Have the gateway do something; return what it answers."""
        return json.loads(run(*self.words(*words, "--json")))

    def check_health(self) -> tuple[int, Any]:
        """Ask for the health page in the container, as its health check does; return curl's exit code and the page."""
        asked = [*self.path.enter(self.path.container), *CHECK]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout) if done.stdout else None


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with BridgeNetwork() as path:
        here = Lab(tmp_path_factory.mktemp("container"), path)
        try:
            yield here
        finally:
            here.stop()


def test_its_name_is_the_gateway_s_and_its_ports_are_the_defaults(lab: Lab) -> None:
    [worker] = lab.order("workers", "list")
    assert (worker["name"], worker["state"]) == ("configured-name", "ONLINE")
    started = json.loads(lab.worker.wait_for('"event":"worker started"'))
    assert (started["sip"], started["media"]) == (f"{lab.path.container_ip}:5060", lab.path.container_ip)
    assert started["rtp_ports"] == "10000-65535"


def test_the_health_check_finds_it_healthy(lab: Lab) -> None:
    code, page = lab.check_health()
    assert code == 0
    assert (page["status"], page["connected"]) == ("healthy", True)
    assert page["uptime"] >= 0
    assert set(page) == {"status", "connected", "uptime"}


def test_media_of_its_calls_to_the_host_s_network_flow_without_a_published_port(lab: Lab) -> None:
    load = {"arrivals": "all-at-once"}
    groups = {"callers": {"endpoints": CALLS, "call": {"uri": f"sip:bob@{lab.path.host_ip}"}, "load": load}}
    plan = lab.directory / "plan.yaml"
    plan.write_text(yaml.safe_dump({"version": 1, "name": "bridge", "duration": "2s", "groups": groups}))
    started = lab.order("runs", "start", str(plan))
    Program(lab.words("runs", "wait", started["id"])).wait()
    summary = lab.order("runs", "summary", started["id"])
    assert summary["endpoints"]["by_outcome"]["SUCCESS"] == CALLS, summary
    assert (summary["media"]["one_way_calls"], summary["media"]["silent_calls"]) == (0, 0)
    [invite, *_] = [json.loads(line)["message"] for line in lab.callee.lines if "INVITE sip:bob@" in line]
    assert f"Via: SIP/2.0/UDP {lab.path.container_ip}:5060" in invite
    assert f"c=IN IP4 {lab.path.container_ip}\r\n" in invite


def test_the_health_check_fails_when_only_people_can_help(lab: Lab) -> None:
    lab.order("workers", "disable", "configured-name")
    lab.worker.wait_for("authentication failed: worker disabled")
    code, page = lab.check_health()
    assert (code, page) == (REFUSED_BY_CURL, None)


def test_the_log_never_shows_the_token(lab: Lab) -> None:
    assert lab.token not in lab.worker.output
