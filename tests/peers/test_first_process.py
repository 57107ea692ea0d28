"""The worker as process 1, as in a container: signals reach it, and what others leave behind is buried."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.faults.lab import Lab
from tests.support.namespaces import run
from tests.support.presence import REQUIRE_PEERS
from tests.support.processes import Program

pytestmark = [
    pytest.mark.peers("unshare", "nsenter"),
    pytest.mark.loopback,
    pytest.mark.skipif(os.geteuid() != 0 and not REQUIRE_PEERS, reason="only root makes namespaces of processes"),
]


def test_process_1_takes_signals_and_leaves_no_zombies(tmp_path: Path) -> None:
    with Lab(tmp_path, 10) as lab:
        _, token = lab.create_worker()
        environment = {
            "WORKER_TOKEN": token,
            "CLOUD_URL": f"ws://127.0.0.1:{lab.port}",
            "SIP_IP": "127.40.10.3",
            "HEALTH_PORT": "3931",
        }
        words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-m", "cmw", "worker"]
        with Program(words, environment=environment) as outer:
            outer.wait_for('"event":"link open"')
            [pid] = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
            inside = ["nsenter", "--target", pid, "--pid", "--mount"]
            orphan = 'sh -c "sleep 0 & exec true"; read x < /proc/1/status; echo $x'
            assert "python" in run(*inside, "sh", "-c", orphan)
            found = run(*inside, "sh", "-c", "cat /proc/[0-9]*/stat")
            assert [line for line in found.splitlines() if line.rpartition(")")[2].split()[0] == "Z"] == []
            os.kill(int(pid), 15)
            assert outer.wait() == 143
            outer.wait_for('"event":"worker stopped"')
