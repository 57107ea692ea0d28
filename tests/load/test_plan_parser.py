# ruff: noqa: E501 - a table reads best with few breaks
"""Plans with mistakes: each is named with its place, what was found and what was expected, all at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.errors import SettingsError
from cmw.load.faults import PlanError, Position
from cmw.load.plan_parser import parse_plan
from tests.load.documents import registered, two_groups


def _faults(document: object) -> list[str]:
    with pytest.raises(PlanError) as caught:
        parse_plan(document)
    return str(caught.value).splitlines()


def _set(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    at: Any = document
    *parents, last = path.split(".")
    for part in parents:
        at = at.setdefault(part, {})
    at[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("version", 2, "version: found 2, expected 1"),
        ("version", "1", "version: found '1', expected 1"),
        ("duration", 60, "duration: found 60, expected a duration with its unit from 100ms to 24h, such as 60s"),
        ("duration", "1:30", "duration: found '1:30', expected a duration with its unit"),
        ("duration", "25h", "duration: found '25h', expected a duration with its unit from 100ms to 24h"),
        ("setup_timeout", "0s", "setup_timeout: found '0s', expected a duration from 1s to 1h"),
        ("name", "", "name: found '', expected a text of 1 to 128 printable characters"),
        ("name", "a\nb", r"name: found 'a\nb', expected a text"),
        ("nam", "x", "nam: is not a known field, did you mean 'name'? expected version, name, duration"),
        ("stages", [], "stages: is not supported by this version; expected version"),
        ("groups", {}, "groups: found 0 entries, expected a mapping of one or more names to groups"),
        ("groups", [1], "groups: found a list, expected a mapping of one or more names to groups"),
        ("groups.callers", None, "groups.callers: found nothing, expected a mapping with endpoints, registrar"),
        ("groups.callers.endpoints", True, "endpoints: found true, expected a whole number from 1 to 100000"),
        ("groups.callers.endpoints", "5", "endpoints: found '5', expected a whole number from 1 to 100000"),
        ("groups.callers.endpoints", 2.0, "endpoints: found 2.0, expected a whole number from 1 to 100000"),
        ("groups.callers.endpoints", 0, "endpoints: found 0, expected a whole number from 1 to 100000"),
        ("groups.callers.endpionts", 0, "endpionts: is not a known field, did you mean 'endpoints'?"),
        ("groups.callers.video", {}, "groups.callers.video: is not supported by this version"),
        ("groups.callers.load.rate", "10/x", "groups.callers.load.rate: found '10/x', expected a rate from 0.001/s"),
        ("groups.callers.load.rate", 10, "groups.callers.load.rate: found 10, expected a rate"),
        ("groups.callers.load.rate", "99999/s", "expected a rate from 0.001/s to 10000/s such as 10/s"),
        ("groups.callers.load.arrivals", "const", "found 'const', expected constant, all-at-once, ramp, poisson, steps"),
        ("groups.callers.load", {"arrivals": "all-at-once", "rate": "5/s"},
         "load.rate: found '5/s', expected none, for all calls start at once"),
        ("groups.callers.load.from", 1, "groups.callers.load.from: found 1, expected a rate from 0.001/s to 10000/s"),
        ("groups.callers.audio.codecs", ["opus"], "codecs[0]: found 'opus', expected PCMU or PCMA (opus is not"),
        ("groups.callers.audio.codecs", ["pcmu"], "codecs[0]: found 'pcmu', expected a list of one or more of PCMU,"),
        ("groups.callers.audio.codecs", [], "codecs: found 0 entries, expected a list of one or more of PCMU, PCMA"),
        ("groups.callers.audio.codecs", "PCMU", "codecs: found 'PCMU', expected a list of one or more of PCMU, PCMA"),
        ("groups.callers.audio.codecs", ["PCMU", "PCMU"], "codecs: found a codec twice, expected each once"),
        ("groups.callers.audio.ptime", "25ms", "found '25ms', expected 10ms, 20ms, 30ms, 40ms or 60ms"),
        ("groups.callers.audio.ptime", 20, "audio.ptime: found 20, expected 10ms, 20ms, 30ms, 40ms or 60ms"),
        ("groups.callers.audio.rtcp_mux", "yes", "rtcp_mux: found 'yes', expected true or false"),
        ("groups.callers.audio.source", "file", "found 'file', expected speech, tone, silence, echo or {file: NAME.wav}"),
        ("groups.callers.audio.dscp", 64, "dscp: found 64, expected a whole number from 0 to 63"),
        ("groups.callers.registrar", "lab", "found 'lab', expected a registrar of the plan, which has none"),
        ("groups.callers.answer", {}, "groups.callers.answer: found in a group that calls, expected only in a group"),
        ("groups.callees.load", {}, "groups.callees.load: found in a group that waits for calls, expected only beside"),
        ("groups.callees.answer.after", 500, "answer.after: found 500, expected a duration from 0s to 1h"),
        ("groups.callees.answer.reject", 200, "answer.reject: found 200, expected a SIP status from 400 to 699"),
        ("groups.callees.answer.reject", True, "answer.reject: found true, expected a SIP status from 400 to 699"),
        ("groups.callees.answer.ring", "yes", "answer.ring: found 'yes', expected true, false or forever"),
        ("groups.callers.call", {}, "groups.callers.call: found both or neither of group and uri, expected"),
        ("groups.callers.call.uri", "sip:1@h", "found both or neither of group and uri, expected exactly one of them"),
        ("groups.callers.call", {"uri": "tel:123"}, "found 'tel:123', expected a SIP URI such as sip:600@pbx.example"),
        ("groups.callers.call", {"uri": "sip:1@h:99999"}, "expected a SIP URI"),
        ("groups.callers.call", {"uri": "sip:600"}, "found 'sip:600', expected a SIP URI such as sip:600@pbx.example"),
        ("groups.callers.call", {"uri": "sip:1@h\r\nX: y"}, "expected a SIP URI"),
        ("groups.callers.call", {"uri": "sip:1@h;transport=sctp"}, "expected a URI with a transport of udp, tcp, tls"),
        ("groups.callers.call", {"group": "calees"}, "found 'calees', expected a group of the plan, did you mean"),
        ("groups.callers.call", {"group": "callers"}, "expected another group: a group cannot call itself"),
        ("groups.callees.call", {"group": "callers"}, "expected a group that waits for calls, but that one calls"),
        ("groups.callers.endpoints", 3, "found 3 callers of 'callees', expected at most 2, or pairing: \"3:2\" beside it"),
        ("groups.bad name", {"endpoints": 1}, "groups.bad name: is no name; expected letters, digits"),
        ("thresholds.mos", ["p(5) >= "], "thresholds.mos[0]: found 'p(5) >= ', expected a threshold such as"),
        ("thresholds.mos", "p(5) = 4", "thresholds.mos: found 'p(5) = 4', expected a threshold such as"),
        ("thresholds.call_success", ["rate > 0", "rate >= 99"], "thresholds.call_success[1]: found 'rate >= 99', expected a share from 0 to 1, such as"),
        ("thresholds.mso", ["avg > 4"], "thresholds.mso: is not a metric, did you mean 'mos'?"),
        ("thresholds.mos", [4], "thresholds.mos[0]: found 4, expected an expression such as p(5) >= 4.0, or"),
        ("thresholds.mos", [{"threshold": "avg > x"}], "thresholds.mos[0]: found 'avg > x', expected a threshold such as"),
        ("thresholds.mos", {"threshold": "avg > 4", "delay": 30}, "thresholds.mos[0].delay: found 30, expected a duration"),
        ("thresholds.mos", {"threshold": "avg > 4", "abort": True}, "thresholds.mos[0].abort: is not a known field; expected threshold, abort_on_fail, delay"),
        ("thresholds.mos", {"threshold": "avg > 4", "delay": "5s"}, "delay: found without abort_on_fail, expected only"),
        ("thresholds.mos", [{"abort_on_fail": True}], "thresholds.mos[0].threshold: is missing, expected an expression"),
        ("thresholds.mos{group:caller}", "avg > 4", "found no group 'caller', did you mean 'callers'?"),
        ("thresholds.mos{group:x}", "avg > 4", "found no group 'x', expected one of callees, callers"),
        ("thresholds", [], "thresholds: found a list, expected a mapping of metrics to lists"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(path: str, value: object, message: str) -> None:
    assert any(message in line for line in _faults(_set(two_groups(), path, value)))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("domain", "600", "domain: found '600', expected a host name"),
        ("domain", "pbx example", "domain: found 'pbx example', expected a host name"),
        ("domain", "fe80::1", "domain: found 'fe80::1', expected a host name, an IPv4 address, or an IPv6 address in"),
        ("port", 70000, "port: found 70000, expected a port from 1 to 65535"),
        ("transport", "sctp", "transport: found 'sctp', expected udp, tcp, tls, ws, wss, or auto for what DNS says"),
        ("outbound_proxy", "x", "outbound_proxy[0]: found 'x', expected a SIP URI such as sip:10.0.0.1:5060;lr, or a"),
        ("outbound_proxy", [], "outbound_proxy: found 0 entries, expected a SIP URI"),
        ("path", "/ws", "path: found '/ws', expected none unless the transport is ws or wss"),
        ("tls", {}, "tls: found where nothing goes over TLS, expected it beside a transport of tls, wss or auto"),
        ("tls", {"ca_file": "x"}, "tls.ca_file: found 'x', expected its text as ca; only a plan that is a file can"),
        ("tls", {"key": "sekrit"}, "tls.key: found without a certificate"),
        ("registration", {"connection": "own"}, "registration.connection: found 'own', expected shared, for there are"),
        ("registration", {"retry": {"tries": 0}}, "retry.tries: found 0, expected a whole number from 1 to 100"),
        ("accounts", [], "registrars.lab.accounts: found 0 accounts, expected 4, one for each endpoint"),
        ("accounts", {"file": "a.csv"}, "only a plan that is a file can name a file of accounts"),
        ("registration", {"expires": "10s"}, "registration.expires: found '10s', expected a duration from 60s to 24h"),
    ],
)
def test_a_mistake_in_a_registrar_is_named(path: str, value: object, message: str) -> None:
    assert any(message in line for line in _faults(_set(registered(), f"registrars.lab.{path}", value)))


STEP = "groups.callers.scenario"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("groups.callers.transport", "tls", "transport: found 'tls', expected udp or tcp, by which a worker is reached"),
        ("groups.callers.path", "/ws", "path: found '/ws', expected none unless the transport is ws or wss"),
        ("groups.callees.path", "/ws", "path: found in a group that waits for calls, expected only beside call"),
        ("groups.callees.answer", {"options": 199}, "options: found 199, expected a SIP status from 200 to 699"),
        ("groups.callees.transport", "tcp", "transport: found in a group that waits for calls, expected only beside"),
        ("groups.callees.identity", {}, "identity: found in a group that waits for calls, expected only beside call"),
        ("groups.callees.headers", {"X-A": "b"}, "headers: found in a group that waits for calls, expected answer.head"),
        ("groups.callers.headers", {"v": "b"}, "headers.v: is no name; expected a header that is not written anyway, as"),
        ("groups.callers.headers", {"X A": "b"}, "headers.X A: is no name; expected the name of a header, such as"),
        ("groups.callers.headers", {"X-A": "b\r\nc"}, "headers.X-A: found 'b\\r\\nc', expected a mapping of header"),
        ("groups.callers.identity", {"asserted": "<x"}, "identity.asserted: found '<x', expected true for the address"),
        ("groups.callers.identity", {"asserted": False}, "identity.asserted: found false, expected true for the addr"),
        ("groups.callers.identity", {"privacy": ["ids"]}, "privacy[0]: found 'ids', expected a list of id, user"),
        ("groups.callers.call", {"uri": "tel:+4930123"}, "expected a registrar or an outbound_proxy that knows the way"),
        ("groups.callers.call", {"group": "callees", "redirects": 11}, "redirects: found 11, expected a whole number from"),
        ("groups.callers.call", {"group": "callees", "offer": "no"}, "offer: found 'no', expected early or late"),
        ("groups.callers.sip", {"reliable_provisional": "on"}, "found 'on', expected off, supported or required"),
        ("groups.callers.sip", {"session_timer": {"expires": "60s"}}, "expires: found '60s', expected a duration from 90s"),
        ("groups.callers.sip", {"session_timer": {"min": "1h"}}, "session_timer.min: found more than expires"),
        ("groups.callees.answer", {"reject": 486, "redirect": "sip:1@h"}, "redirect: found beside reject, expected at"),
        ("groups.callees.answer", {"ring": "forever", "reject": 486}, "ring: found forever beside a final answer, expected"),
        ("groups.callees.answer", {"ring": "forever", "after": "1s"}, "ring: found forever beside a final answer, expected"),
        ("groups.callees.answer", {"ring": 1}, "ring: found 1, expected true, false or forever"),
        ("groups.callees.answer", {"ring": "long"}, "ring: found 'long', expected true, false or forever"),
        ("groups.callees.answer", {"redirect": "x"}, "redirect[0]: found 'x', expected a SIP URI such as"),
        ("groups.callees.answer", {"ring": False, "early_media": True}, "early_media: found beside ring: false"),
        ("groups.callees.answer", {"progress": 181}, "progress: found 181, expected 180 or 183"),
        (STEP, [{"do": "hold"}], "scenario[0]: found both or neither of at and on, expected exactly one of them"),
        (STEP, [{"at": "60s", "do": "hold"}], "scenario[0].at: found '1m', expected less than the 1m for which"),
        (STEP, [{"at": "5s", "do": "sing"}], "scenario[0].do: found 'sing', expected one of hold, resume, update"),
        (STEP, [{"at": "5s", "do": {}}], "scenario[0].do: found nothing, expected exactly one of hold"),
        (STEP, [{"at": "5s", "do": {"hold": True, "resume": True}}], "do: found hold and resume, expected exactly one"),
        (STEP, [{"at": "5s", "do": {"hlod": True}}], "do.hlod: is not a known field, did you mean 'hold'?"),
        (STEP, [{"on": "rain", "do": "hold"}], "scenario[0].on: found 'rain', expected one of dtmf, hold, resume"),
        (STEP, [{"at": "1s", "digit": "1", "do": "hold"}], "scenario[0].digit: found without on: dtmf, expected only"),
        (STEP, [{"at": "1s", "do": {"send_dtmf": "1", "via": "rtp"}}], "found 'rtp', expected invite or update for"),
        (STEP, [{"at": "1s", "do": {"send_dtmf": "x", "via": "info"}}], "send_dtmf: found 'x', expected 1 to 32 digits"),
        (STEP, [{"at": "1s", "do": {"hold": True, "length": "1s"}}], "do.length: found beside hold, expected only beside"),
        (STEP, [{"at": "1s", "do": {"send_dtmf": "1", "length": "2m"}}], "found '2m', expected a duration from 40ms to 60s"),
        (STEP, [{"at": "1s", "do": {"hold": True, "via": "info"}}], "do.via: found 'info' beside hold, expected invite"),
        (STEP, [{"at": "1s", "do": {"update": {}}}], "do.update: found nothing, expected codecs, ports, or both"),
        (STEP, [{"at": "1s", "do": {"update": {"ports": 4000}}}], "update.ports: found 4000, expected new"),
        (STEP, [{"at": "1s", "do": {"update": {"codecs": ["G729"]}}}], "codecs[0]: found 'G729', expected PCMU or PCMA"),
        (STEP, [{"at": "1s", "do": {"transfer": {}}}], "transfer: found both or neither of uri and group"),
        (STEP, [{"at": "1s", "do": {"transfer": "x"}}], "transfer.uri: found 'x', expected a SIP URI"),
        (STEP, [{"at": "1s", "do": {"transfer": {"group": "nobody"}}}], "found 'nobody', expected a group of the plan"),
        (STEP, [{"at": "1s", "do": {"transfer": {"group": "callees"}}}], "expected a group that is not part of the call"),
        (STEP, [{"at": f"{k}s", "do": {"transfer": "sip:1@h"}} for k in (1, 2)], "scenario[1].do.transfer: found a second"),
        (STEP, [{"at": "1s", "do": "hold"}] * 31, "scenario: found 31 entries, expected a list of at most 30 steps"),
        (STEP, [{"at": "1s", "do": {"send_info": {"type": "x", "body": "y"}}}], "send_info.type: found 'x', expected a"),
    ],
)  # fmt: skip
def test_a_mistake_about_sip_is_named(path: str, value: object, message: str) -> None:
    lines = _faults(_set(two_groups(), path, value))
    assert any(message in line for line in lines), lines


def test_a_group_with_a_registrar_says_there_how_it_is_reached() -> None:
    lines = _faults(_set(registered(), "groups.callers.transport", "tcp"))
    assert lines == [
        "plan: groups.callers.transport: found in a group with a registrar, expected transport at the registrar"
    ]


def test_transfers_need_an_endpoint_each() -> None:
    document = _set(two_groups(), STEP, [{"at": "1s", "do": {"transfer": {"group": "agents"}}}])
    document["groups"]["agents"] = {"endpoints": 1}
    assert "found calls for 2 endpoints of 'agents', expected for at most 1: callers, and then" in _faults(document)[0]
    document["groups"]["agents"]["endpoints"] = 2
    assert parse_plan(document).total_endpoints == 6


def test_one_server_has_one_kind_of_tls() -> None:
    document = _set(registered(), "registrars.lab.transport", "tls")
    document["registrars"]["lab"]["tls"] = {"verify": "skip"}
    document["registrars"]["other"] = {"domain": "pbx.example", "transport": "tls", "tls": {"verify": "system"}}
    assert "registrars.other.tls: found other settings for pbx.example than elsewhere, expected" in _faults(document)[0]


def test_one_mistake_is_one_line() -> None:
    assert len(_faults(_set(two_groups(), "groups.callers.load.rate", "10/x"))) == 1


def test_all_mistakes_are_listed_at_once() -> None:
    document = two_groups(version=3, color="red", duration="soon", thresholds={"mos": "best"})
    document["groups"]["callees"]["endpoints"] = 0
    document["groups"]["callers"]["call"]["group"] = "nobody"
    assert len(_faults(document)) == 6


def test_lines_come_from_the_nearest_known_ancestor() -> None:
    positions = {("groups",): Position("p.yaml", 3), ("groups", "callers"): Position("p.yaml", 7)}
    document = _set(two_groups(), "groups.callers.load.rate", "x")
    with pytest.raises(SettingsError, match=r"^p\.yaml:7: groups\.callers\.load\.rate: found 'x'"):
        parse_plan(document, positions=positions)


def test_a_duplicate_account_is_named() -> None:
    document = registered()
    document["registrars"]["lab"]["accounts"][3]["username"] = "1001"
    assert _faults(document) == [
        "plan: registrars.lab.accounts[3].username: found '1001', expected each account once: entry 0 has it"
    ]


def test_callers_may_share_an_account() -> None:
    document = registered()
    del document["groups"]["callees"]
    document["groups"]["callers"]["call"] = {"uri": "sip:600@127.0.0.1"}
    for account in document["registrars"]["lab"]["accounts"]:
        account["username"] = "1001"
    assert parse_plan(document).registrars["lab"].accounts[1].username == "1001"


@pytest.mark.parametrize(
    "accounts",
    [["sekrit"], "sekrit", [{"username": "u", "password": ["sekrit"]}], [{"username": "u", "pasword": "sekrit"}],
     {"file": "x", "password": "sekrit"}, [{"username": 5, "password": "sekrit"}], [["u", "sekrit"]],
     [{"username": "u", "password": "sekrit" * 50}], [{"username": "sekrit\n", "password": "x"}]],
)  # fmt: skip
def test_no_fault_shows_a_password(accounts: object) -> None:
    document = registered()
    document["registrars"]["lab"]["accounts"] = accounts
    assert "sekrit" not in "\n".join(_faults(document))


def test_two_groups_may_share_the_endpoints_of_a_third() -> None:
    document = two_groups(callers=2, callees=4)
    document["groups"]["others"] = {"endpoints": 2, "call": {"group": "callees"}}
    assert parse_plan(document).total_endpoints == 8
    document["groups"]["others"]["endpoints"] = 3
    assert (
        "found 3 callers of 'callees', 2 of whose 4 endpoints others call, expected at most 2, or pairing"
        in _faults(document)[0]
    )


def test_too_many_endpoints_in_all_are_refused() -> None:
    document = two_groups(callers=60_000, callees=60_000)
    assert "more than 100000 endpoints in all" in _faults(document)[0]


def test_many_faults_are_cut_short() -> None:
    document = registered(200)
    for account in document["registrars"]["lab"]["accounts"]:
        del account["password"]
    lines = _faults(document)
    assert len(lines) == 51
    assert lines[-1] == "plan: and 150 more faults"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["callers", "callees", "60s", "10/s", "PCMU", "sip:1@h", "lab", "p(5) > 1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["version", "duration", "groups", "registrars", "thresholds", "callers", "callees", "endpoints",
                         "call", "group", "uri", "load", "rate", "answer", "audio", "codecs", "accounts", "mos", "x",
                         "username", "password", "domain", "registrar", "lab", "send.mos"])
        | st.text(max_size=8), inner, max_size=5),
    max_leaves=25,
)  # fmt: skip
PATHS = st.sampled_from(
    ["version", "duration", "groups", "groups.callers", "groups.callees", "groups.callers.call", "groups.callers.load",
     "groups.callers.audio", "groups.callers.audio.codecs", "groups.callees.answer", "registrars", "registrars.lab",
     "registrars.lab.accounts", "registrars.lab.registration", "thresholds", "thresholds.mos", "name"]
)  # fmt: skip


@given(JSON)
def test_any_document_is_a_plan_or_a_list_of_faults(document: object) -> None:
    with pytest.raises(SettingsError, match=r"^plan: "):
        parse_plan({"x": document} if isinstance(document, dict) else document)


@given(st.lists(st.tuples(PATHS, JSON), min_size=1, max_size=3))
def test_a_damaged_plan_is_a_plan_or_a_list_of_faults(changes: list[tuple[str, object]]) -> None:
    document = registered()
    for path, value in changes:
        try:
            _set(document, path, value)
        except (TypeError, AttributeError):
            continue
    try:
        plan = parse_plan(document)
    except SettingsError:
        return
    assert parse_plan(plan.to_document()) == plan


@pytest.mark.parametrize(
    ("caller", "callee", "expected"),
    [
        ({"repeats": -1}, {}, "groups.callers.repeats: found -1, expected a whole number from 0 to 9999"),
        ({"pause": "3s"}, {}, "groups.callers.pause: found without repeats, expected only beside them"),
        (
            {"repeats": 1, "pause": {"uniform": {"min": "9s", "max": "2s"}}},
            {"endpoints": 4},
            "groups.callers.pause.uniform.max: found less than min",
        ),
        (
            {"repeats": 1, "load": {"arrivals": "search", "calls": {"from": 1, "to": 2}}},
            {"endpoints": 4},
            "groups.callers.repeats: found 1 beside a search",
        ),
        ({}, {"repeats": 1}, "groups.callees.repeats: found in a group that waits for calls"),
        ({}, {"pause": "1s"}, "groups.callees.pause: found in a group that waits for calls"),
    ],
)
def test_repeats_that_do_not_fit(caller: dict[str, Any], callee: dict[str, Any], expected: str) -> None:
    document = two_groups()
    document["groups"]["callers"] |= caller
    document["groups"]["callees"] |= callee
    assert any(fault.startswith(f"plan: {expected}") for fault in _faults(document)), _faults(document)


def test_the_bound_of_a_plan_is_for_calls() -> None:
    document = two_groups()
    del document["groups"]["callees"]
    document["groups"]["callers"] |= {"endpoints": 100, "call": {"uri": "sip:6@127.0.0.1"}, "repeats": 999}
    assert parse_plan(document).total_endpoints == 100_000
    document["groups"]["callers"]["repeats"] = 1000
    assert "more than 100000 endpoints in all, each counted once for each of its calls" in _faults(document)[0]


@pytest.mark.parametrize(
    ("name", "is_known"),
    [("callers-0002.3", True), ("callers-0002.4", False), ("callers-0002.1", False), ("callers-0002.03", False),
     ("callers-0003.2", False), ("callers-0002.", False), ("callees-0001.3", True), ("callees-0003.2", False)],
)  # fmt: skip
def test_evidence_of_a_further_call(name: str, is_known: bool) -> None:
    document = two_groups(2, 6, evidence={"endpoints": [name]})
    document["groups"]["callers"] |= {"repeats": 2}
    if is_known:
        assert parse_plan(document).evidence.endpoints == [name]
    else:
        assert f"found {name!r}, expected the name of an endpoint" in _faults(document)[0]
