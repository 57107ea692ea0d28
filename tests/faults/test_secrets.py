"""A trace log shows all of SIP but what answers a challenge."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.faults.lab import Lab
from tests.support.processes import cmw
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


def test_a_run_of_a_test_leaves_no_secret_behind(tmp_path: Path) -> None:
    accounts = write_accounts(tmp_path / "accounts.csv", USERS)
    listed = [{"username": user, "password": password} for user, password in USERS.items()]
    with Lab(tmp_path, 9) as lab:
        key = (lab.data / "api-key").read_text().strip()
        lab.gateway.stop()
        lab.start_gateway("--log-level", "trace")
        registrar = lab.start_callee("--registrar", "--accounts", str(accounts), "--log-level", "trace")
        _, token = lab.create_worker()
        spool = tmp_path / "spool"
        lab.start_worker(token, LOG_LEVEL="trace", SPOOL_DIR=str(spool)).event("link open")
        lab.call("POST", "/projects", {"name": "lab"})
        settings = {"domain": registrar.target.partition("@")[2], "accounts": listed}
        made = lab.call("POST", "/projects/lab/registrars", {"name": "pbx", "settings": settings})
        groups = {
            "callees": {"endpoints": 2, "registrar": "pbx"},
            "callers": {"endpoints": 2, "registrar": "pbx", "call": {"group": "callees"}},
        }
        kept = {"endpoints": ["callers-0001", "callees-0001"]}
        plan = {"version": 1, "name": "secret", "duration": "1s", "groups": groups, "evidence": kept}
        test = lab.call("POST", "/projects/lab/tests", {"plan": plan})
        run_id = lab.call("POST", f"/projects/lab/tests/{test['id']}/run", {})["id"]
        lab.until_over(run_id)
        assert {one["outcome"] for one in lab.call("GET", f"/runs/{run_id}/endpoints")} == {"SUCCESS"}
        with pytest.raises(HTTPError) as refused:
            lab.call("POST", "/projects/lab/registrars", {"name": "x", "settings": settings | {"port": "five"}})
        paths = ["/keys", "/workers", "/projects", "/projects/lab/registrars", "/projects/lab/tests", "/runs"]
        paths += [f"/projects/lab/registrars/{made['id']}/accounts", f"/runs/{run_id}", f"/runs/{run_id}/plan"]
        paths += [f"/runs/{run_id}/{part}" for part in ("summary", "endpoints", "samples", "evidence")]
        paths += [f"/runs/{run_id}/evidence/{one['endpoint']}" for one in lab.call("GET", f"/runs/{run_id}/evidence")]
        told = json.dumps([lab.call("GET", path) for path in paths]) + refused.value.read().decode()
        assert "Authorization: Digest" in told  # the messages are there, what answers a challenge is not
        report = cmw(
            *("runs", "report", run_id, "--gateway", f"http://127.0.0.1:{lab.port}"),
            *("--api-key-file", str(lab.data / "api-key"), "--output", str(tmp_path / "report")),
        )
        assert report.wait() == 0
        copy = cmw("gateway", "backup", "--data", str(lab.data), str(tmp_path / "backup"))
        assert copy.wait() == 0
        lab.programs += [report, copy]
        places = [path for name in ("report", "backup", "spool") for path in (tmp_path / name).rglob("*")]
        left = [path for path in places if path.is_file() and path.name != "api-key"]
        assert {path.suffix for path in left} >= {".html", ".pcapng", ".db"}
        with closing(sqlite3.connect(lab.data / "gateway.db")) as store:
            dump = "\n".join(store.iterdump())
        (lab.data / "api-key").unlink()  # the one place where the key is
        for secret in (token, key, *USERS.values()):
            assert secret not in told
            assert secret not in dump
            assert secret.encode().hex().upper() not in dump
            lab.check_secret(secret)
            for path in left:
                assert secret.encode() not in path.read_bytes(), path
