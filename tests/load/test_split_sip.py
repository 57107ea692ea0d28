"""What a plan says of SIP reaches the share of each worker, secrets only over the link."""

from __future__ import annotations

from typing import Any

import pytest

from cmw.core.clock import SECOND
from cmw.load.plan_parser import parse_plan
from cmw.load.share import RunShare
from cmw.load.split import whole_run
from tests.load.documents import registered, two_groups

PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


def share_of(document: dict[str, Any]) -> RunShare:
    share = whole_run(parse_plan(document), "r1")
    assert RunShare.model_validate(share.to_wire()) == share
    return share


def test_the_way_to_a_registrar() -> None:
    document = registered()
    document["registrars"]["lab"] |= {
        "port": 5061,
        "transport": "tls",
        "outbound_proxy": ["sip:10.0.0.1", "sip:10.0.0.2;lr"],
        "tls": {"ca": PEM, "certificate": PEM, "key": PEM.replace("x", "sekrit"), "server_name": "pbx.lab"},
        "registration": {"retry": {"tries": 3, "base": "2s", "max": "10s"}, "outbound": True, "connection": "own"},
    }
    share = share_of(document)
    lab = share.registrars["lab"]
    assert (lab.uri, lab.transport, lab.own_connections, lab.outbound) == ("sip:pbx.example:5061", "tls", True, True)
    assert lab.way.routes == ["sip:10.0.0.1;lr", "sip:10.0.0.2;lr"]
    assert lab.way.hosts == ["pbx.example", "10.0.0.1", "10.0.0.2"]
    assert lab.way.tls is not None
    assert (lab.way.tls.ca, lab.way.tls.verified, lab.way.tls.server_name) == (PEM, True, "pbx.lab")
    assert "sekrit" not in f"{share!r} {share.model_dump_json()}"
    assert "sekrit" in str(share.to_wire())
    assert share.groups["callees"].endpoints[0].target == "sip:1001@pbx.example"  # 5061 is the usual port of TLS
    assert share.register_within_ns > 64 * SECOND + 2 * 64 * SECOND  # every try has its time


def test_the_way_of_a_group_without_a_registrar() -> None:
    document = two_groups()
    document["groups"]["callers"] |= {
        "call": {"uri": "sip:1@pbx.example", "redirects": 2},
        "transport": "wss",
        "path": "/sip",
        "tls": {"verify": "skip", "hosts": ["media.example", "10.0.0.7"]},
    }
    document["groups"]["callees"]["answer"] = {"options": 486}
    share = share_of(document)
    way = share.groups["callers"].way
    assert (way.transport, way.path, way.hosts) == ("wss", "/sip", ["media.example", "10.0.0.7", "pbx.example"])
    answer = share.groups["callees"].answer
    assert answer is not None
    assert answer.options_status == 486


def test_a_number_is_called_through_its_registrar() -> None:
    document = registered()
    document["groups"]["callers"]["call"] = {"uri": "tel:+49-30-123;ext=4"}
    callee = share_of(document).groups["callers"].endpoints[0].callee
    assert callee is not None
    assert callee.uri == "sip:+4930123;ext=4@pbx.example:5070;user=phone"


def test_what_calls_use() -> None:
    document = two_groups()
    document["groups"]["callers"] |= {
        "transport": "tcp",
        "identity": {"user": "+4930{n}", "asserted": True, "preferred": "sip:a@b", "privacy": ["id", "critical"]},
        "headers": {"x-tenant": "blue {n}"},
        "sip": {"session_timer": {"mode": "required", "expires": "3m", "refresher": "uac"}, "transfers": "reject"},
        "call": {"group": "callees", "offer": "late", "redirects": 3},
        "scenario": [
            {"on": "dtmf", "digit": "1", "do": {"send_dtmf": "4d#", "via": "info"}},
            {"at": "1s", "do": "hold"},
        ],
    }
    document["groups"]["callees"]["answer"] = {"early_media": True, "redirect": "sip:1@h", "after": "1s"}
    share = share_of(document)
    callers, callees = share.groups["callers"], share.groups["callees"]
    assert (callers.way.transport, callers.late_offer, callers.redirects) == ("tcp", True, 3)
    assert callers.headers == {"X-Tenant": "blue {n}"}
    assert callers.identity is not None
    assert (callers.identity.asserted, callers.identity.preferred) == ([], ["sip:a@b"])
    assert callers.sip.timer is not None
    assert (callers.sip.timer.mode, callers.sip.timer.expires_s, callers.sip.takes_transfers) == (
        "required",
        180,
        False,
    )
    assert [(step.action, step.via, step.body) for step in callers.scenario] == [
        ("send_dtmf", "info", "4D#"), ("hold", "invite", ""),
    ]  # fmt: skip
    assert callees.answer is not None
    assert (callees.answer.progress, callees.answer.redirect) == (183, ["sip:1@h"])


def test_transfers_lead_to_the_endpoints_that_no_call_takes() -> None:
    document = two_groups()
    document["groups"]["agents"] = {"endpoints": 4}
    document["groups"]["others"] = {"endpoints": 1, "call": {"group": "agents"}}
    document["groups"]["callers"]["scenario"] = [{"at": "5s", "do": {"transfer": {"group": "agents"}}}]
    share = share_of(document)
    agents = share.groups["agents"]
    led_to = [e.transfers_to.position for e in share.groups["callers"].endpoints if e.transfers_to is not None]
    assert led_to == [1, 2]
    assert [e.expects_call for e in agents.endpoints] == [True, True, True, False]
    assert [e.hangs_up for e in agents.endpoints] == [False, True, True, False]
    assert agents.answer is not None
    assert (
        agents.answer.wait_ns > 60 * SECOND + 5 * SECOND + 60 * SECOND
    )  # setup of the call, its time, the second setup


@pytest.mark.parametrize(("transport", "port"), [("udp", 5060), ("tls", 5061), ("wss", 443)])
def test_usual_ports_are_left_out_of_addresses(transport: str, port: int) -> None:
    document = registered()
    document["registrars"]["lab"] |= {"transport": transport, "port": port}
    assert share_of(document).groups["callees"].endpoints[0].target == "sip:1001@pbx.example"
