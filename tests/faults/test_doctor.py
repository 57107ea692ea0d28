"""The doctor as an operator runs it: beside a gateway, a worker that runs already, and a target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.lab import Lab, Worker
from tests.support.processes import cmw

pytestmark = pytest.mark.loopback

OF_THE_MACHINE = {
    "open files",
    "socket buffers",
    "timer",
    "CPU steal",
    "CPU governor",
    "real-time scheduling",
    "machine",
}
"""Checks that say how this machine is, and how busy."""


def doctor(lab: Lab, worker: Worker, *words: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Run the doctor with the settings of a worker; return its exit code and what it says by check."""
    environment = {
        "WORKER_TOKEN": worker.token,
        "CLOUD_URL": f"ws://127.0.0.1:{lab.port}",
        "HEALTH_PORT": str(worker.health_port),
        "SIP_IP": "127.40.57.1",
    }
    out = lab.data / "doctor.json"
    with cmw("doctor", "--json", *words, environment=environment, stdout=out) as program:
        code = program.wait(60)
        assert program.lines == []
    document = json.loads(out.read_text())
    assert code == (1 if document["status"] == "FAIL" else 0)
    found: dict[str, list[dict[str, Any]]] = {}
    for check in document["checks"]:
        assert (check["remedy"] is None) is (check["status"] == "OK")
        found.setdefault(check["check"], []).append(check)
    assert document["status"] == max((each["status"] for checks in found.values() for each in checks), key=GRADES.index)
    return code, found


GRADES = ["OK", "WARN", "FAIL"]


def test_beside_all_that_it_looks_at(tmp_path: Path) -> None:
    with Lab(tmp_path, 57) as lab:
        callee = lab.start_callee()
        worker = lab.start_worker(lab.create_worker()[1])
        worker.event("link open")
        _, found = doctor(
            lab, worker, "--to", f"{callee.target};transport=tcp", "--to", callee.target, "--capacity", "20"
        )
        status = {check: [each["status"] for each in all_of] for check, all_of in found.items()}
        assert {check: each for check, each in status.items() if check not in OF_THE_MACHINE} == {
            "settings": ["OK"],
            "gateway name": ["OK"],
            "gateway reach": ["OK"],
            "gateway TLS": ["WARN"],
            "gateway": ["OK"],
            "clock": ["OK"],
            "addresses": ["OK", "OK", "OK"],
            "NAT": ["OK", "OK"],
            "SIP ports": ["OK"],
            "RTP ports": ["OK"],
            "health port": ["WARN"],
            "capacity": ["OK"],
        }
        assert set(status) >= OF_THE_MACHINE
        assert found["health port"][0]["found"] == f"{worker.health_port}: a worker answers there"
        assert worker.health()["connected"]  # it was looked at, and not disturbed

        lab.gateway.stop()
        callee.stop()
        worker.program.stop()
        code, found = doctor(lab, worker, "--to", callee.target)
        assert code == 1
        assert [each["status"] for each in found["gateway reach"]] == ["FAIL"]
        assert "Connection refused" in found["NAT"][0]["found"]
        assert [each["status"] for each in found["health port"]] == ["OK"]
