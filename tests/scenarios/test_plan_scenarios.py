"""What a plan has its endpoints do during their calls, played by the installed program against itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Callee
from tests.support.runs import Result, call, run_plan

pytestmark = pytest.mark.loopback

NewIp = Callable[[], str]


def two(steps: list[dict[str, Any]] | None = None, **groups: Any) -> dict[str, Any]:
    """Return a plan in which one endpoint calls another one of the same worker."""
    callers = {"endpoints": 1, "call": {"group": "callees"}, "scenario": steps or []}
    return {"duration": "2s", "groups": {"callers": callers, "callees": {"endpoints": 1}, **groups}}


def rows(result: Result) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in result.endpoints}


def actions(row: dict[str, str]) -> tuple[int, int]:
    return int(row["scenario_actions_executed"]), int(row["scenario_actions_failed"])


def test_holds_updates_messages_and_digits(tmp_path: Path, loopback_ip: NewIp) -> None:
    steps = [
        {"at": "200ms", "do": "hold"},
        {"at": "500ms", "do": "resume"},
        {"at": "800ms", "do": {"hold": True, "via": "update"}},
        {"at": "1s", "do": {"resume": True, "via": "update"}},
        {"at": "1100ms", "do": {"update": {"codecs": ["PCMA"]}}},
        {"at": "1150ms", "do": {"update": {"ports": "new"}}},
        {"at": "1200ms", "do": {"send_dtmf": "42#", "via": "info"}},
        {"at": "1400ms", "do": {"send_message": "hello"}},
        {"at": "1500ms", "do": "send_options"},
        {"at": "1600ms", "do": {"send_info": {"type": "text/plain", "body": "news"}}},
    ]
    echo = [
        {"on": "hold", "do": {"send_message": "held"}},
        {"on": "resume", "do": {"send_message": "back"}},
        {"on": "dtmf", "digit": "2", "do": {"send_dtmf": "9"}},
        {"on": "message", "do": "send_options"},
    ]
    result = run_plan(tmp_path, loopback_ip(), two(steps, callees={"endpoints": 1, "scenario": echo}))
    result.expect(0)
    caller, callee = rows(result)["callers-0001"], rows(result)["callees-0001"]
    assert result.outcomes == {"SUCCESS": 2}, result.endpoints
    assert actions(caller) == (10, 0)
    assert actions(callee) == (4, 0)  # each once, though it was held twice
    assert (callee["dtmf_received"], callee["infos_received"], callee["messages_received"]) == ("42#", "4", "1")
    told = caller["dtmf_received"], caller["infos_received"], caller["messages_received"]
    assert told == ("9", "0", "2")  # by RFC 4733, which every description of ours offers
    assert result.summary["signalling"]["scenario_actions_executed"] == 14
    heard = result.summary["media"]["receive"]
    assert heard["payload_type_changes"] == 2, heard  # PCMA from the update on, at both sides
    assert (heard["wrong_payload_type_packets"], heard["packets_lost"]) == (0, 0), heard  # none by the new ports


def test_a_step_that_fails_is_a_warning_with_its_reason(tmp_path: Path, loopback_ip: NewIp) -> None:
    steps = [{"at": "200ms", "do": "hold"}, {"at": "500ms", "do": {"send_dtmf": "1", "via": "info"}}]
    result = run_plan(tmp_path, loopback_ip(), two(steps) | {"thresholds": {"scenario_actions_failed": "total == 0"}})
    result.expect(99)
    caller = rows(result)["callers-0001"]
    assert (caller["outcome"], caller["blame"]) == ("COMPLETED_WITH_WARNINGS", "UNKNOWN")
    assert caller["reason"].startswith("scenario: send_dtmf at 500ms: the call is on hold")
    assert actions(caller) == (1, 1)
    assert rows(result)["callees-0001"]["outcome"] == "SUCCESS"


@pytest.mark.parametrize("attended", [False, True])
@pytest.mark.parametrize("who", ["callers", "callees"])
def test_calls_are_transferred(tmp_path: Path, loopback_ip: NewIp, *, attended: bool, who: str) -> None:
    plan = two(agents={"endpoints": 1})
    steps = [{"at": "300ms", "do": {"transfer": {"group": "agents", "attended": attended}}}]
    plan["groups"][who]["scenario"] = steps
    result = run_plan(tmp_path, loopback_ip(), plan)
    result.expect(0)
    assert result.outcomes == {"SUCCESS": 3}, result.endpoints
    assert actions(rows(result)[f"{who}-0001"]) == (1, 0)
    assert [int(rows(result)[f"{group}-0001"]["transfers"]) for group in ("callers", "callees")] == [1, 1]
    assert rows(result)["agents-0001"]["call_answered"] == "true"


def test_a_transfer_that_leads_nowhere_leaves_the_call(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip = loopback_ip()
    result = run_plan(tmp_path, ip, two([{"at": "200ms", "do": {"transfer": f"sip:nobody@{ip}:5060"}}]))
    result.expect(0)
    caller, callee = rows(result)["callers-0001"], rows(result)["callees-0001"]
    assert actions(caller) == (0, 1)
    assert caller["reason"] == "scenario: transfer at 200ms: REFER was answered 404 Not Found"
    assert callee["reason"].endswith("the call was answered 404 Not Found")
    assert float(caller["call_duration_ms"]) > 1900


def test_transfers_may_be_refused_and_a_step_may_hang_up(tmp_path: Path, loopback_ip: NewIp) -> None:
    steps = [{"at": "200ms", "do": {"transfer": "sip:nobody@127.0.0.1"}}, {"at": "600ms", "do": "hang_up"}]
    callees = {"endpoints": 1, "sip": {"transfers": "reject"}}
    result = run_plan(tmp_path, loopback_ip(), two(steps, callees=callees))
    result.expect(0)
    caller = rows(result)["callers-0001"]
    assert caller["reason"] == "scenario: transfer at 200ms: REFER was answered 603 Decline"
    assert actions(caller) == (1, 1)
    assert rows(result)["callees-0001"]["outcome"] == "SUCCESS"
    assert float(caller["call_duration_ms"]) < 1500


def test_early_media_late_offers_prack_timers_and_headers(tmp_path: Path, loopback_ip: NewIp) -> None:
    plan = two()
    plan["groups"]["callers"] |= {
        "transport": "tcp",
        "identity": {"display_name": "Alice {n}", "user": "+4930{n}", "asserted": True, "privacy": ["id"]},
        "headers": {"X-Caller": "number {n}"},
        "sip": {"reliable_provisional": "required", "session_timer": {"mode": "required", "expires": "90s"}},
    }
    plan["groups"]["callees"] |= {"answer": {"after": "600ms", "early_media": True, "headers": {"X-Callee": "{n}"}}}
    result = run_plan(tmp_path, loopback_ip(), plan)
    result.expect(0)
    assert result.outcomes == {"SUCCESS": 2}, result.endpoints
    assert result.summary["signalling"]["early_media_calls"] == 1
    assert rows(result)["callees-0001"]["target"].startswith("sip:+49301@")
    sent = int(rows(result)["callers-0001"]["receive.packets_received"])
    assert sent > 110  # 2 s of call, and more of what came before


def test_late_offer_and_redirects(tmp_path: Path, loopback_ip: NewIp) -> None:
    with (
        Callee(tmp_path / "last", loopback_ip(), "--early-media", "--delay", "200ms") as last,
        Callee(tmp_path / "first", loopback_ip(), "--redirect", last.target) as first,
    ):
        words = ["--late-offer", "--duration", "500ms", "--header", "X-Test: {n}", "--display-name", "Alice"]
        result = call(tmp_path, loopback_ip(), first.target, "--redirects", "1", *words)
        result.expect(0)
        [row] = result.endpoints
        assert (row["outcome"], row["redirects"]) == ("SUCCESS", "1")
        assert int(row["receive.packets_received"]) > 0
        refused = call(tmp_path, loopback_ip(), first.target, *words)
        refused.expect(1)
        reason = f"the call was answered 302 Moved Temporarily: <{last.target}>"
        assert [row["reason"] for row in refused.endpoints] == [reason]
        assert first.stop()["by_outcome"] == {"SUCCESS": 2}
        assert last.stop()["by_outcome"] == {"SUCCESS": 1}


def test_the_callee_of_the_lab_follows_a_transfer(tmp_path: Path, loopback_ip: NewIp) -> None:
    with Callee(tmp_path / "one", loopback_ip()) as one, Callee(tmp_path / "two", loopback_ip()) as other:
        steps = [{"at": "200ms", "do": {"transfer": other.target}}]
        group = {"endpoints": 1, "call": {"uri": one.target}, "scenario": steps}
        result = run_plan(tmp_path, loopback_ip(), {"duration": "2s", "groups": {"callers": group}})
        result.expect(0)
        [row] = result.endpoints
        assert (row["outcome"], actions(row)) == ("SUCCESS", (1, 0))
        assert one.stop()["by_outcome"] == {"SUCCESS": 1}
        assert other.stop()["by_outcome"] == {"SUCCESS": 1}
