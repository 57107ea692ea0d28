"""Worker and gateway as process 1, as in a container: signals reach it, and what others leave behind is buried."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.lab import Lab, free_tcp_port
from tests.support.namespaces import run
from tests.support.presence import REQUIRE_PEERS
from tests.support.processes import Program

pytestmark = [
    pytest.mark.peers("unshare", "nsenter"),
    pytest.mark.loopback,
    pytest.mark.skipif(os.geteuid() != 0 and not REQUIRE_PEERS, reason="only root makes namespaces of processes"),
]


@contextmanager
def first_process(*words: str, environment: dict[str, str] | None = None) -> Iterator[tuple[Program, int]]:
    """Start our program as the first of a namespace of processes; yield what ends with it, and its number out here."""
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-m", "cmw", *words]
    with Program(command, environment=environment) as outer:
        outer.wait_for("gateway at" if words[0] == "gateway" else '"event":"link open"')
        [pid] = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        yield outer, int(pid)


def leave_orphans(pid: int) -> None:
    """Have a process in there leave another to the first one; fail if that is not buried."""
    inside = ["nsenter", "--target", str(pid), "--pid", "--mount"]
    orphan = 'sh -c "sleep 0 & exec true"; read x < /proc/1/status; echo $x'
    assert "python" in run(*inside, "sh", "-c", orphan)
    found = run(*inside, "sh", "-c", "cat /proc/[0-9]*/stat")
    assert [line for line in found.splitlines() if line.rpartition(")")[2].split()[0] == "Z"] == []


def test_a_worker_takes_signals_and_leaves_no_zombies(tmp_path: Path) -> None:
    with Lab(tmp_path, 10) as lab:
        _, token = lab.create_worker()
        environment = {
            "WORKER_TOKEN": token,
            "CLOUD_URL": f"ws://127.0.0.1:{lab.port}",
            "SIP_IP": "127.40.10.3",
            "HEALTH_PORT": "3931",
        }
        with first_process("worker", environment=environment) as (outer, pid):
            leave_orphans(pid)
            os.kill(pid, 15)
            assert outer.wait() == 143
            outer.wait_for('"event":"worker stopped"')


def test_so_does_a_gateway(tmp_path: Path) -> None:
    words = ["gateway", "--listen", f"127.40.10.4:{free_tcp_port('127.40.10.4')}", "--data", str(tmp_path)]
    with first_process(*words) as (outer, pid):
        leave_orphans(pid)
        os.kill(pid, 15)
        assert outer.wait() == 143
