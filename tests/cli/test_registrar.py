"""`cmw answer --registrar`: a plan with accounts runs with no other server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Callee
from tests.support.runs import run_plan, write_accounts

pytestmark = pytest.mark.loopback

PAIRS = 20

NewIp = Callable[[], str]


def plan(directory: Path, domain: str, passwords: dict[str, str]) -> dict[str, Any]:
    accounts = write_accounts(directory / "of-the-plan.csv", passwords)
    half = len(passwords) // 2
    return {
        "name": "through our own registrar",
        "duration": "1s",
        "setup_timeout": "20s",
        "registrars": {"lab": {"domain": domain, "accounts": {"file": accounts.name}}},
        "groups": {
            "callees": {"endpoints": half, "registrar": "lab"},
            "callers": {"endpoints": half, "registrar": "lab", "call": {"group": "callees"}, "load": {"rate": "20/s"}},
        },
    }


def registrar(directory: Path, ip: str, passwords: dict[str, str]) -> Callee:
    accounts = write_accounts(directory / "of-the-registrar.csv", passwords)
    return Callee(directory, ip, "--registrar", "--accounts", str(accounts))


def right_passwords(count: int) -> dict[str, str]:
    return {f"user{number:03d}": f"secret-{number}" for number in range(count)}


def test_two_groups_register_and_call_each_other(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip, passwords = loopback_ip(), right_passwords(2 * PAIRS)
    with registrar(tmp_path, ip, passwords) as lab:
        result = run_plan(tmp_path, loopback_ip(), plan(tmp_path, ip, passwords))
        totals = lab.stop()
    result.expect(0)
    assert result.summary["registrations"] == {"attempted": 2 * PAIRS, "succeeded": 2 * PAIRS, "failed": 0}
    assert result.summary["calls"]["answered"] == PAIRS
    assert result.outcomes == {"SUCCESS": 2 * PAIRS}
    assert all(int(row["receive.packets_received"]) > 20 for row in result.endpoints)
    assert totals["calls"] == 0, "calls to registered users are sent on to them"
    for event in ("registered", "registration ended"):
        assert {entry["user"] for entry in lab.log if entry["event"] == event} == set(passwords)


def test_an_account_calls_the_callee_beside_the_registrar(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip, passwords = loopback_ip(), right_passwords(4)
    document = plan(tmp_path, ip, passwords)
    document["groups"] = {"callers": {"endpoints": 4, "registrar": "lab", "call": {"uri": f"sip:echo@{ip}"}}}
    with registrar(tmp_path, ip, passwords) as lab:
        result = run_plan(tmp_path, loopback_ip(), document)
        totals = lab.stop()
    result.expect(0)
    assert result.summary["calls"]["by_status_code"] == {"200": 4}
    assert totals["by_outcome"] == {"SUCCESS": 4}


def test_a_wrong_password(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip, passwords = loopback_ip(), right_passwords(4)
    with registrar(tmp_path, ip, passwords):
        result = run_plan(tmp_path, loopback_ip(), plan(tmp_path, ip, passwords | {"user001": "guessed"}))
    result.expect(1)
    assert result.summary["registrations"] == {"attempted": 4, "succeeded": 3, "failed": 1}
    refused, caller = result.endpoints[1], result.endpoints[3]
    assert (refused["outcome"], refused["blame"]) == ("REGISTRATION_FAILED", "TARGET")
    assert refused["registration_status"] in ("401", "403")
    assert (caller["outcome"], caller["blame"]) == ("CALL_FAILED", "UNKNOWN")
    assert result.endpoints[0]["outcome"] == result.endpoints[2]["outcome"] == "SUCCESS"
    assert "guessed" not in result.told
