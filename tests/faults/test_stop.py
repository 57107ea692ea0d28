"""SIGTERM ends a worker politely and in time: with many calls, with peers that are frozen, and before it has begun."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection

from tests.faults.lab import Lab, Worker
from tests.support.presence import REQUIRE_PEERS
from tests.support.processes import Callee, Program
from tests.support.runs import write_accounts
from tests.support.tcp_path import TcpPath

pytestmark = pytest.mark.loopback

CALLS = 50
GOING_AWAY = 1001
GIVEN_UP = "endpoints given up: their peers did not answer in time"
LOST = "reports lost: the gateway did not take them in time"
STOPPED = "stopped before its end: the worker is stopping"


class Scene:
    """A worker that has registered its endpoints and has them in calls, or ringing.

    Args:
        calls: how many.
        rings: whether nobody ever answers them.
        registrar_apart: whether the registrar is a program of its own, with endpoints that only wait for calls.
        settings: of the worker.
    """

    def __init__(
        self,
        opened: ExitStack,
        directory: Path,
        number: int,
        *,
        calls: int = CALLS,
        rings: bool = False,
        registrar_apart: bool = False,
        **settings: str,
    ) -> None:
        self.calls = calls
        self.is_apart = registrar_apart
        self.lab = opened.enter_context(Lab(directory, number))
        self.path = opened.enter_context(TcpPath(self.lab.port))
        accounts = {f"user{k}": f"hidden-{k}" for k in range(calls)}
        words = ["--registrar", "--accounts", str(write_accounts(directory / "accounts.csv", accounts))]
        how = ["--ring-forever"] if rings else []
        self.callee = self.lab.start_callee(*how, *([] if registrar_apart else words))
        self.registrar = self.lab.start_callee(*words, host=3) if registrar_apart else self.callee
        _, token = self.lab.create_worker()
        self.worker = self.lab.start_worker(token, port=self.path.port, **settings)
        self.worker.event("link open")
        plan = self._plan(accounts)
        self.run_id: str = self.lab.call("POST", "/runs", {"plan": plan})["id"]
        self.lab.until(f"/runs/{self.run_id}", lambda run: self._is_up(run, "RINGING" if rings else "INCALL"))

    def _plan(self, accounts: dict[str, str]) -> dict[str, Any]:
        listed = [{"username": user, "password": password} for user, password in accounts.items()]
        domain = self.registrar.target.partition("@")[2]
        call = {"call": {"uri": self.callee.target}, "load": {"arrivals": "all-at-once"}}
        groups: dict[str, Any] = {"callers": {"endpoints": self.calls, "registrar": "lab", **call}}
        if self.is_apart:
            groups["callers"].pop("registrar")
            groups["callees"] = {"endpoints": self.calls, "registrar": "lab", "answer": {"wait": "600s"}}
        return {
            "version": 1,
            "name": "stop",
            "duration": "600s",
            "registrars": {"lab": {"domain": domain, "accounts": listed}},
            "groups": groups,
        }

    def _is_up(self, run: dict[str, Any], phase: str) -> bool:
        progress = run["progress"]
        return bool(progress.get("by_phase", {}).get(phase) == self.calls and progress.get("second", 0) >= 1)

    def outcomes(self) -> Counter[tuple[str, str]]:
        """Wait for the end of the run; return outcome and reason of its endpoints."""
        self.lab.until_over(self.run_id)
        reports = self.lab.call("GET", f"/runs/{self.run_id}/endpoints?perPage=100")
        return Counter((report["outcome"], report["reason"]) for report in reports)

    def close_code(self) -> int | None:
        """Return the code with which the worker ended its link; None when it said nothing."""
        frames = Connection(ConnectionType.SERVER)
        frames.receive_data(bytes(self.path.told).partition(b"\r\n\r\n")[2])
        codes = [int(event.code) for event in frames.events() if isinstance(event, CloseConnection)]
        return codes[0] if codes else None


def told(callee: Callee, event: str) -> int:
    return sum(entry["event"] == event for entry in callee.log)


def test_fifty_calls_are_taken_down_and_reported(tmp_path: Path) -> None:
    with ExitStack() as opened:
        scene = Scene(opened, tmp_path, 43)
        scene.worker.program.signal(signal.SIGTERM)
        assert scene.worker.program.wait() == 143
        assert scene.outcomes() == {("OSERROR", STOPPED): CALLS}
        assert scene.worker.events(LOST) + scene.worker.events(GIVEN_UP) == []
        assert scene.worker.program.lines[-1].count('"event":"worker stopped"') == 1
        assert scene.close_code() == GOING_AWAY
        scene.lab.gateway.wait_for('"reason":"closed by the worker"')
        assert told(scene.callee, "registration ended") == CALLS
        assert scene.callee.stop()["by_outcome"] == {"SUCCESS": CALLS}  # a BYE for each


def test_ringing_calls_are_cancelled(tmp_path: Path) -> None:
    with ExitStack() as opened:
        scene = Scene(opened, tmp_path, 44, rings=True)
        scene.worker.program.signal(signal.SIGINT)
        assert scene.worker.program.wait() == 130
        assert scene.outcomes() == {("OSERROR", STOPPED): CALLS}
        assert scene.close_code() == GOING_AWAY
        assert told(scene.callee, "registration ended") == CALLS
        assert {entry["reason"] for entry in scene.callee.reports} == {"rang until the caller gave up, as it should"}


def test_no_new_work_while_it_stops(tmp_path: Path) -> None:
    with ExitStack() as opened:
        scene = Scene(opened, tmp_path, 45, calls=2, SHUTDOWN_TIMEOUT="600")
        other = scene.lab.start_callee(host=4)
        trickle = {"endpoints": 50, "call": {"uri": other.target}, "load": {"arrivals": "constant", "rate": "2/s"}}
        plan = {"version": 1, "name": "more", "duration": "600s", "groups": {"callers": trickle}}
        running: str = scene.lab.call("POST", "/runs", {"plan": plan})["id"]
        scene.lab.until(f"/runs/{running}", lambda run: run["progress"].get("calls_active", 0) >= 2)
        scene.callee.program.signal(signal.SIGSTOP)  # so that the stop takes long
        try:
            scene.worker.program.signal(signal.SIGTERM)
            scene.worker.event("stopping")
            stopped = scene.lab.until_over(running)
            refused = scene.lab.until_over(scene.lab.call("POST", "/runs", {"plan": plan})["id"])
            scene.worker.program.signal(signal.SIGTERM)
            assert scene.worker.program.wait() == 143
        finally:
            scene.callee.program.signal(signal.SIGCONT)
        assert refused["status"] == "CANNOT_RUN_FOR_NOW"
        assert refused["reason"] == "1 worker is online, with room for none"
        placed = scene.lab.call("GET", f"/runs/{running}/summary")["calls"]["attempted"]
        assert stopped["status"] == "COMPLETED"
        assert 2 <= other.stop()["calls"] == placed < 50


# When it cannot be polite within SHUTDOWN_TIMEOUT. None of these would end by itself for half a minute and more: a BYE,
# and an un-REGISTER, is repeated for 32 s (RFC 3261, timer F), and a gateway that is silent is left after 60 s.


def ends_in_time(worker: Worker) -> None:
    worker.program.signal(signal.SIGTERM)
    assert worker.program.wait(patience_s=25) == 143
    assert '"event":"worker stopped"' in worker.program.lines[-1]


def test_a_callee_and_registrar_that_is_frozen(tmp_path: Path) -> None:
    with ExitStack() as opened:
        scene = Scene(opened, tmp_path, 46, SHUTDOWN_TIMEOUT="3")
        scene.callee.program.signal(signal.SIGSTOP)
        try:
            ends_in_time(scene.worker)
        finally:
            scene.callee.program.signal(signal.SIGCONT)
        assert scene.worker.event(GIVEN_UP)["endpoints"] == CALLS
        assert scene.outcomes() == {("OSERROR", STOPPED): CALLS}  # the gateway has them all
        assert scene.worker.events(LOST) == []
        assert scene.close_code() == GOING_AWAY
        scene.callee.wait_for_reports(CALLS)
        assert scene.callee.stop()["by_outcome"] == {"SUCCESS": CALLS}  # the BYEs lay there until it woke


def test_a_registrar_that_is_frozen(tmp_path: Path) -> None:
    with ExitStack() as opened:
        scene = Scene(opened, tmp_path, 47, registrar_apart=True, SHUTDOWN_TIMEOUT="3")
        scene.registrar.program.signal(signal.SIGSTOP)
        try:
            ends_in_time(scene.worker)
        finally:
            scene.registrar.program.signal(signal.SIGCONT)
        assert scene.worker.event(GIVEN_UP)["endpoints"] == CALLS
        assert sum(scene.outcomes().values()) == 2 * CALLS
        assert scene.worker.events(LOST) == []
        assert scene.close_code() == GOING_AWAY
        assert scene.callee.stop()["by_outcome"] == {"SUCCESS": CALLS}


def test_a_gateway_that_is_frozen(tmp_path: Path) -> None:
    with ExitStack() as opened:
        scene = Scene(opened, tmp_path, 48, SHUTDOWN_TIMEOUT="3")
        scene.path.swallow()  # what is sent would wait for the gateway in the kernel
        scene.lab.gateway.signal(signal.SIGSTOP)
        try:
            ends_in_time(scene.worker)
        finally:
            scene.lab.gateway.signal(signal.SIGCONT)
        [lost] = scene.worker.events(LOST)
        assert lost["reports"] >= CALLS
        assert told(scene.callee, "registration ended") == CALLS
        assert scene.callee.stop()["by_outcome"] == {"SUCCESS": CALLS}


def test_everybody_is_frozen_and_a_second_signal_waits_for_nobody(tmp_path: Path) -> None:
    with ExitStack() as opened:
        scene = Scene(opened, tmp_path, 49, SHUTDOWN_TIMEOUT="3600")
        frozen = [scene.callee.program, scene.lab.gateway]
        for program in frozen:
            program.signal(signal.SIGSTOP)
        try:
            scene.worker.program.signal(signal.SIGTERM)
            scene.worker.event("stopping")
            scene.worker.program.signal(signal.SIGINT)
            assert scene.worker.program.wait() == 143  # the first one says how it ends
        finally:
            for program in frozen:
                program.signal(signal.SIGCONT)


# Before it has begun.


def test_no_gateway_is_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and says nothing
        worker = Worker("cmw_" + "0" * 64, silent.getsockname()[1], "127.40.50.1", SHUTDOWN_TIMEOUT="3600")
        worker.event("worker started")
        worker.program.signal(signal.SIGTERM)
        assert worker.program.wait() == 143


@pytest.mark.peers("unshare", "mount")
@pytest.mark.skipif(os.geteuid() != 0 and not REQUIRE_PEERS, reason="only root makes namespaces of mounts")
@pytest.mark.parametrize("sip_ip", ["", "127.40.51.1"])
def test_no_name_server_answers(tmp_path: Path, sip_ip: str) -> None:
    """Who asks waits for some minutes: with SIP_IP for the gateway's address, without it for our own before that."""
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 127.40.51.53\noptions timeout:30 attempts:5\n")
    mounted = f"mount --bind {resolver} /etc/resolv.conf && exec {sys.executable} -m cmw worker"
    environment = {
        "WORKER_TOKEN": "cmw_" + "0" * 64,
        "CLOUD_URL": "gateway.example:443",
        "SIP_IP": sip_ip,
        "HEALTH_PORT": "3951",
        "LOG_LEVEL": "debug",
    }
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.40.51.53", 53))
        silent.settimeout(30)
        with Program(["unshare", "--mount", "sh", "-c", mounted], environment=environment) as worker:
            assert b"gateway" in silent.recv(4096)
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 143
            worker.wait_for('"event":"worker stopped"')
