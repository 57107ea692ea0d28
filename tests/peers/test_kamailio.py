"""Two groups register with kamailio and call each other through it, with digest in MD5 and in SHA-256."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.peers import kamailio, kamailio_registrations
from tests.support.runs import Result, run_plan, write_accounts

pytestmark = pytest.mark.peers("kamailio")

PAIRS = 50

NewIp = Callable[[], str]


def two_groups(directory: Path, domain: str, passwords: dict[str, str]) -> dict[str, Any]:
    """Return a plan in which the second half of the accounts calls the first."""
    accounts = write_accounts(directory / "accounts.csv", passwords)
    half = len(passwords) // 2
    return {
        "name": "through kamailio",
        "duration": "2500ms",
        "setup_timeout": "20s",
        "registrars": {"pbx": {"domain": domain, "accounts": {"file": accounts.name}}},
        "groups": {
            "callees": {"endpoints": half, "registrar": "pbx", "answer": {"after": "200ms"}},
            "callers": {
                "endpoints": half,
                "registrar": "pbx",
                "call": {"group": "callees"},
                "load": {"arrivals": "constant", "rate": "20/s"},
            },
        },
    }


@pytest.mark.parametrize("transport", ["tcp", "tls", "ws"])
def test_over_every_other_transport(tmp_path: Path, loopback_ip: NewIp, transport: str) -> None:
    pbx, pairs = loopback_ip(), 10
    authority = Authority(tmp_path)
    plan = two_groups(tmp_path, pbx, right_passwords(2 * pairs))
    way = plan["registrars"]["pbx"]
    way["transport"] = transport
    if transport == "tls":
        way["tls"] = {"ca_file": Path(authority.file).name}
    if transport == "ws":
        way["port"] = 5080
    certificate = authority.issue(addresses=[pbx])
    with kamailio(tmp_path / "kamailio", 5060, "WSPORT=5080", ip=pbx, certificate=certificate):
        result = run_plan(tmp_path, loopback_ip(), plan)
        assert kamailio_registrations(pbx).now == 0, "somebody did not un-register"
    expect_all_well(result, pairs)


def test_every_request_of_a_call_is_challenged(tmp_path: Path, loopback_ip: NewIp) -> None:
    pbx, pairs = loopback_ip(), 5
    plan = two_groups(tmp_path, pbx, right_passwords(2 * pairs))
    with kamailio(tmp_path / "kamailio", 5060, "CHALLENGEALL", ip=pbx):
        result = run_plan(tmp_path, loopback_ip(), plan)
    expect_all_well(result, pairs)


def right_passwords(count: int) -> dict[str, str]:
    return {f"user{number:03d}": f"pw-user{number:03d}" for number in range(count)}


def expect_all_well(result: Result, pairs: int) -> None:
    """Fail unless everybody registered, everybody's call was answered, and everybody heard what the other said."""
    result.expect(0)
    assert result.summary["registrations"] == {"attempted": 2 * pairs, "succeeded": 2 * pairs, "failed": 0}
    calls = result.summary["calls"]
    assert (calls["attempted"], calls["answered"], calls["failed"]) == (pairs, pairs, 0)
    assert result.outcomes == {"SUCCESS": 2 * pairs}
    assert all(int(row["receive.packets_received"]) > 50 for row in result.endpoints)
    assert {row["receive.packets_lost"] for row in result.endpoints} == {"0"}
    assert {row["direction"] for row in result.endpoints} == {"inbound", "outbound"}


@pytest.mark.parametrize("sha256", [False, True], ids=["md5", "sha256"])
def test_a_hundred_accounts_and_fifty_calls(tmp_path: Path, loopback_ip: NewIp, *, sha256: bool) -> None:
    pbx = loopback_ip()
    plan = two_groups(tmp_path, pbx, right_passwords(2 * PAIRS))
    with kamailio(tmp_path / "kamailio", 5060, sha256=sha256, ip=pbx):
        result = run_plan(tmp_path, loopback_ip(), plan)
        registrations = kamailio_registrations(pbx)
    assert registrations.accepted >= 2 * 2 * PAIRS
    assert registrations.now == 0, "somebody did not un-register"
    expect_all_well(result, PAIRS)
    by_pair = zip(result.endpoints[:PAIRS], result.endpoints[PAIRS:], strict=True)
    for callee, caller in by_pair:
        assert (callee["group"], caller["group"]) == ("callees", "callers")
        assert caller["target"] == f"sip:user{int(callee['name'][-4:]) - 1:03d}@{pbx}"
        assert int(callee["receive.packets_received"]) == int(caller["send.packets_sent"])


def test_ten_callers_share_two_receivers_of_one_registration_each(tmp_path: Path, loopback_ip: NewIp) -> None:
    pbx = loopback_ip()
    plan = two_groups(tmp_path, pbx, right_passwords(12))
    plan["groups"]["callees"]["endpoints"] = 2
    plan["groups"]["callers"] |= {"endpoints": 10, "call": {"group": "callees", "pairing": "5:1"}}
    with kamailio(tmp_path / "kamailio", 5060, ip=pbx):
        result = run_plan(tmp_path, loopback_ip(), plan)
        assert kamailio_registrations(pbx).now == 0
    result.expect(0)
    assert result.summary["registrations"] == {"attempted": 12, "succeeded": 12, "failed": 0}
    assert result.outcomes == {"SUCCESS": 20}
    targets = Counter(row["target"] for row in result.endpoints if row["group"] == "callers")
    assert targets == {f"sip:user{number:03d}@{pbx}": 5 for number in range(2)}
    taken = [row["name"] for row in result.endpoints if row["group"] == "callees"]
    assert sorted(taken) == sorted(f"callees-000{r}{k}" for r in (1, 2) for k in ("", ".2", ".3", ".4", ".5"))
    assert all(int(row["receive.packets_received"]) > 50 for row in result.endpoints)
    assert {row["receive.packets_lost"] for row in result.endpoints} == {"0"}


def test_a_wrong_password(tmp_path: Path, loopback_ip: NewIp) -> None:
    pbx = loopback_ip()
    passwords = right_passwords(4) | {"user001": "guessed"}
    with kamailio(tmp_path / "kamailio", 5060, ip=pbx):
        result = run_plan(tmp_path, loopback_ip(), two_groups(tmp_path, pbx, passwords))
        assert kamailio_registrations(pbx).now == 0
    result.expect(1)
    assert result.summary["registrations"] == {"attempted": 4, "succeeded": 3, "failed": 1}
    refused, caller = result.endpoints[1], result.endpoints[3]
    assert (refused["outcome"], refused["blame"]) == ("REGISTRATION_FAILED", "TARGET")
    assert refused["registration_status"] == "401"
    assert "401 Unauthorized" in refused["reason"]
    assert (caller["outcome"], caller["blame"]) == ("CALL_FAILED", "UNKNOWN")
    assert [result.endpoints[index]["outcome"] for index in (0, 2)] == ["SUCCESS", "SUCCESS"]
    assert "guessed" not in result.told
