"""A pod of the chart that is to end: what Kubernetes has it do before SIGTERM waits for the runs that it has."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.lab import Lab
from tests.support.namespaces import run
from tests.support.presence import REQUIRE_PEERS
from tests.support.processes import Program

helm = pytest.importorskip("helm_python", reason="Helm as a library is there for Linux on x86-64 alone")

pytestmark = [
    pytest.mark.peers("unshare", "nsenter", "curl"),
    pytest.mark.loopback,
    pytest.mark.skipif(os.geteuid() != 0 and not REQUIRE_PEERS, reason="only root makes namespaces of processes"),
]

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "cmw"
FIRST_HEALTH_PORT, POD = 3940, 2
CALLS = 2


def container() -> dict[str, Any]:
    with helm.Chart.load(CHART) as chart:
        made = chart.render(
            {"worker": {"replicas": 3, "drainSeconds": 60, "healthPort": FIRST_HEALTH_PORT}}, name="load"
        )
    [worker, *_] = yaml.safe_load_all(made["cmw/templates/worker.yaml"])
    found: dict[str, Any] = worker["spec"]["template"]["spec"]["containers"][0]
    return found


def test_it_drains_waits_for_its_run_and_cuts_no_call(tmp_path: Path) -> None:
    pod = container()
    names = [f"POD_NAME=load-worker-{POD}", f"HEALTH_PORT_OF_0={FIRST_HEALTH_PORT}"]
    with Lab(tmp_path, 25) as lab:
        callee = lab.start_callee()
        _, token = lab.create_worker()
        environment = {
            "WORKER_TOKEN": token,
            "CLOUD_URL": f"ws://127.0.0.1:{lab.port}",
            "SIP_IP": "127.40.25.1",
            "HEALTH_PORT": str(FIRST_HEALTH_PORT + POD),
        }
        words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-m", "cmw", "worker"]
        with Program(words, environment=environment) as outer:
            outer.wait_for('"event":"link open"')
            [pid] = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
            inside = ["nsenter", "--target", pid, "--pid", "--mount", "env", *names]
            run(*inside, *pod["startupProbe"]["exec"]["command"])
            run(*inside, *pod["readinessProbe"]["exec"]["command"])
            run_id = lab.start_run(callee.target, endpoints=CALLS, duration="4s")
            lab.until_in_call(run_id, CALLS)
            run(*inside, *pod["lifecycle"]["preStop"]["exec"]["command"])
            events = [json.loads(line)["event"] for line in outer.lines if line.startswith("{")]
            assert events.index("draining: no new runs are taken") < events.index("run finished")
            run(*inside, *pod["livenessProbe"]["exec"]["command"])
            with pytest.raises(AssertionError):  # curl fails: it is not ready any more
                run(*inside, *pod["readinessProbe"]["exec"]["command"])
            lab.until_over(run_id)
            reports = lab.call("GET", f"/runs/{run_id}/endpoints")
            assert {report["outcome"] for report in reports} == {"SUCCESS"}, reports
            os.kill(int(pid), 15)
            assert outer.wait() == 143
