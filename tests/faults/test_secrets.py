"""A trace log shows all of SIP but what answers a challenge."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults.lab import Lab
from tests.support.runs import write_accounts

pytestmark = pytest.mark.loopback

USERS = {f"user{k}": f"hidden-{k}-treasure" for k in range(4)}


def test_trace_log_masks_secrets(tmp_path: Path) -> None:
    accounts = write_accounts(tmp_path / "accounts.csv", USERS)
    with Lab(tmp_path, 8) as lab:
        registrar = lab.start_callee("--registrar", "--accounts", str(accounts), "--log-level", "trace")
        host = registrar.target.partition("@")[2]
        _, token = lab.create_worker()
        worker = lab.start_worker(token, LOG_LEVEL="trace")
        worker.event("link open")
        listed = [{"username": user, "password": password} for user, password in USERS.items()]
        plan = {
            "version": 1,
            "name": "secret",
            "duration": "1s",
            "registrars": {"lab": {"domain": host, "accounts": listed}},
            "groups": {
                "callees": {"endpoints": 2, "registrar": "lab"},
                "callers": {"endpoints": 2, "registrar": "lab", "call": {"group": "callees"}},
            },
        }
        run_id = lab.call("POST", "/runs", {"plan": plan})["id"]
        lab.until_over(run_id)
        reports = lab.call("GET", f"/runs/{run_id}/endpoints")
        assert {report["outcome"] for report in reports} == {"SUCCESS"}, reports
        worker.program.wait_for("run finished")
        for program in (worker.program, registrar.program):
            traced = [line for line in program.lines if '"event":"SIP"' in line]
            assert any("REGISTER sip:" in line for line in traced)
            assert any("m=audio" in line for line in traced)
            answers = [line for line in traced if "uthorization: Digest" in line]
            assert answers
            for line in answers:
                responses = re.findall(r'\bresponse=\\"([^\\"]*)', line)
                assert responses
                assert set(responses) == {"****"}
        for secret in (token, *USERS.values()):
            lab.check_secret(secret)
