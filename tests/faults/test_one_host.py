"""Several workers on one host, whose ports are the host's own: ranges apart, and a clear word on what is taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.lab import Lab

pytestmark = pytest.mark.loopback


def test_workers_share_an_address_by_ranges_of_their_own(tmp_path: Path) -> None:
    ranges = [("5060", "5069", "10000", "10999"), ("5070", "5079", "11000", "11999")]
    names = ("SIP_PORT_START", "SIP_PORT_END", "RTP_PORT_MIN", "RTP_PORT_MAX")
    with Lab(tmp_path, 22) as lab:
        workers = []
        for number, ports in enumerate(ranges):
            _, token = lab.create_worker(f"w{number}")
            workers.append(lab.start_worker(token, **dict(zip(names, ports, strict=True))))
        started = [worker.event("worker started") for worker in workers]
        assert [said["sip"] for said in started] == ["127.40.22.1:5060", "127.40.22.1:5070"]
        for worker in workers:
            worker.event("link open")
        assert [worker["state"] for worker in lab.call("GET", "/workers")] == ["ONLINE", "ONLINE"]


@pytest.mark.parametrize(
    ("taken", "code", "words"),
    [
        ("HEALTH_PORT", 78, "which another program has taken, expected a free TCP port"),
        ("SIP_PORT_END", 75, "expected a free UDP and TCP port in 5060-5060 on 127.40.23.1"),
    ],
)
def test_a_port_that_is_taken_is_named(tmp_path: Path, taken: str, code: int, words: str) -> None:
    with Lab(tmp_path, 23) as lab:
        _, token = lab.create_worker()
        first = lab.start_worker(token)
        first.event("worker started")
        value = {"HEALTH_PORT": str(first.health_port), "SIP_PORT_END": "5060"}[taken]
        second = lab.start_worker(token, **{taken: value})
        assert second.program.wait() == code
        assert words in second.program.output
        assert not any(json.loads(line)["level"] == "error" for line in first.program.lines)
