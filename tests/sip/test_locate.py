"""From a URI to hops: row by row of RFC 3263 4.1 and 4.2, with DNS as a table."""

from __future__ import annotations

from collections import Counter

import pytest

from cmw.net.ids import RandomIds
from cmw.sip.hop import Hop, Transport
from cmw.sip.locate import (
    MAX_HOPS,
    Answer,
    AnswerKind,
    Ask,
    Located,
    Naptr,
    Question,
    RecordType,
    Srv,
    locate,
    order_services,
)
from cmw.sip.uri import parse_uri
from tests.support.ids import CountingIds

UDP, TCP, TLS, WS, WSS = Transport
ALL = (UDP, TCP, TLS, WS, WSS)

Zone = dict[str, object]
"""``"NAPTR example.com"`` to records; what is not in it does not exist."""


def answer(zone: Zone, question: Question) -> Answer:
    found = zone.get(f"{question.kind} {question.name}")
    if isinstance(found, Answer):
        return found
    if found is None:
        named = any(key.split(" ")[1] == question.name for key in zone)
        return Answer(AnswerKind.NO_DATA if named else AnswerKind.NO_NAME)
    assert isinstance(found, list)
    if question.kind is RecordType.SRV:
        return Answer(AnswerKind.FOUND, services=tuple(Srv(*row) for row in found))
    if question.kind is RecordType.NAPTR:
        rows = [Naptr(order, preference, "s", service, "", to) for order, preference, service, to in found]
        return Answer(AnswerKind.FOUND, pointers=tuple(rows))
    return Answer(AnswerKind.FOUND, addresses=tuple(found))


def search(
    uri: str, zone: Zone, transports: tuple[Transport, ...] = ALL, families: tuple[int, ...] = (4,)
) -> tuple[Located, list[str]]:
    """Return the end of the search, and what was asked in between."""
    known: dict[Question, Answer] = {}
    asked: list[str] = []
    for _ in range(6):
        step = locate(parse_uri(uri), transports=transports, families=families, known=known, ids=CountingIds())
        if isinstance(step, Located):
            return step, asked
        assert isinstance(step, Ask)
        assert not known.keys() & set(step.questions)
        asked += [f"{question.kind} {question.name}" for question in step.questions]
        known |= {question: answer(zone, question) for question in step.questions}
    raise AssertionError("the search does not end")


def hops(uri: str, zone: Zone, transports: tuple[Transport, ...] = ALL) -> list[str]:
    return [str(hop) for hop in search(uri, zone, transports)[0].hops]


A: Zone = {"A example.com": ["192.0.2.1"]}
HOST = {"A h.example.com": ["192.0.2.7"]}


@pytest.mark.parametrize(
    ("uri", "hop"),
    [
        ("sip:192.0.2.1", "192.0.2.1:5060"),
        ("sip:192.0.2.1:5070", "192.0.2.1:5070"),
        ("sip:192.0.2.1;transport=tcp", "192.0.2.1:5060;transport=tcp"),
        ("sip:192.0.2.1:5070;transport=TCP", "192.0.2.1:5070;transport=tcp"),
        ("sip:192.0.2.1;transport=tls", "192.0.2.1:5061;transport=tls"),
        ("sip:192.0.2.1;transport=ws", "192.0.2.1:80;transport=ws"),
        ("sips:192.0.2.1", "192.0.2.1:5061;transport=tls"),
        ("sips:192.0.2.1:5070", "192.0.2.1:5070;transport=tls"),
        ("sips:192.0.2.1;transport=tcp", "192.0.2.1:5061;transport=tls"),
        ("sips:192.0.2.1;transport=ws", "192.0.2.1:443;transport=wss"),
        ("sip:nobody.example;maddr=192.0.2.1", "192.0.2.1:5060"),
    ],
)
def test_a_literal_address_needs_no_dns(uri: str, hop: str) -> None:
    located, asked = search(uri, {})
    assert ([str(each) for each in located.hops], asked) == ([hop], [])


@pytest.mark.parametrize(
    ("uri", "hop"),
    [
        ("sip:example.com:5070", "192.0.2.1:5070"),
        ("sip:example.com:5070;transport=tcp", "192.0.2.1:5070;transport=tcp"),
        ("sips:example.com:5070", "192.0.2.1:5070;transport=tls"),
        ("sip:EXAMPLE.com.:5070", "192.0.2.1:5070"),
        ("sip:other.example:5070;maddr=example.com", "192.0.2.1:5070"),
    ],
)
def test_a_port_needs_addresses_only(uri: str, hop: str) -> None:
    located, asked = search(uri, A)
    assert ([str(each) for each in located.hops], asked) == ([hop], ["A example.com"])


NAPTR_ZONE: Zone = {
    "NAPTR example.com": [
        (50, 50, "SIPS+D2T", "_sips._tcp.example.com"),
        (90, 50, "SIP+D2T", "_sip._tcp.example.com"),
        (100, 50, "sip+d2u", "_sip._udp.example.com"),
    ],
    "SRV _sips._tcp.example.com": [(0, 1, 5061, "h.example.com")],
    "SRV _sip._tcp.example.com": [(0, 1, 5062, "h.example.com")],
    "SRV _sip._udp.example.com": [(0, 1, 5063, "h.example.com")],
    **HOST,
}


@pytest.mark.parametrize(
    ("uri", "transports", "hop"),
    [
        ("sip:example.com", ALL, "192.0.2.7:5061;transport=tls"),
        ("sip:example.com", (UDP, TCP), "192.0.2.7:5062;transport=tcp"),  # the example of RFC 3263 4.1
        ("sip:example.com", (UDP,), "192.0.2.7:5063"),
        ("sips:example.com", ALL, "192.0.2.7:5061;transport=tls"),
    ],
)
def test_naptr_chooses_the_transport(uri: str, transports: tuple[Transport, ...], hop: str) -> None:
    located, asked = search(uri, NAPTR_ZONE, transports)
    assert [str(each) for each in located.hops] == [hop]
    assert asked[0] == "NAPTR example.com"
    assert len(asked) == 3  # nothing is asked about what is not used


def test_a_transport_in_the_uri_skips_naptr() -> None:
    located, asked = search("sip:example.com;transport=udp", NAPTR_ZONE)
    assert [str(hop) for hop in located.hops] == ["192.0.2.7:5063"]
    assert asked == ["SRV _sip._udp.example.com", "A h.example.com"]


def test_naptr_of_equal_order_goes_by_preference_and_then_by_ours() -> None:
    zone = NAPTR_ZONE | {
        "NAPTR example.com": [
            (50, 20, "SIP+D2U", "_sip._udp.example.com"),
            (50, 10, "SIPS+D2T", "_sips._tcp.example.com"),
            (50, 20, "SIP+D2T", "_sip._tcp.example.com"),
        ]
    }
    assert hops("sip:example.com", zone, transports=(TCP, UDP, TLS)) == [
        "192.0.2.7:5061;transport=tls",
        "192.0.2.7:5062;transport=tcp",
        "192.0.2.7:5063",
    ]


@pytest.mark.parametrize(("service", "uri", "shown"), [("SIP+D2W", "sip", "ws"), ("SIPS+D2W", "sips", "wss")])
def test_naptr_leads_to_websockets(service: str, uri: str, shown: str) -> None:
    zone = {
        "NAPTR example.com": [(1, 1, service, "_x.example.com")],
        "SRV _x.example.com": [(0, 0, 80, "h.example.com")],
    }
    assert hops(f"{uri}:example.com", zone | HOST) == [f"192.0.2.7:80;transport={shown}"]


@pytest.mark.parametrize(
    "pointer",
    [
        Naptr(1, 1, "u", "SIP+D2U", "!.*!sip:x@y!", "."),
        Naptr(1, 1, "", "SIP+D2U", "", "other.example"),
        Naptr(1, 1, "s", "E2U+sip", "", "_sip._udp.example.com"),
        Naptr(1, 1, "s", "SIP+D2U", "!a!b!", "_sip._udp.example.com"),
        Naptr(1, 1, "s", "SIP+D2S", "", "_sip._sctp.example.com"),
    ],
)
def test_other_naptr_records_count_as_none(pointer: Naptr) -> None:
    zone = {**NAPTR_ZONE, "NAPTR example.com": Answer(AnswerKind.FOUND, pointers=(pointer,))}
    assert hops("sip:example.com", zone, transports=(UDP,)) == ["192.0.2.7:5063"]


def test_naptr_may_lead_to_an_address() -> None:
    pointer = Naptr(1, 1, "A", "SIP+D2T", "", "h.example.com.")
    zone: Zone = {"NAPTR example.com": Answer(AnswerKind.FOUND, pointers=(pointer,)), **HOST}
    assert hops("sip:example.com", zone) == ["192.0.2.7:5060;transport=tcp"]


def test_without_naptr_every_transport_is_asked_for_services() -> None:
    zone = {key: value for key, value in NAPTR_ZONE.items() if not key.startswith("NAPTR")}
    located, asked = search("sip:example.com", zone)
    assert [str(hop) for hop in located.hops] == [
        "192.0.2.7:5063",
        "192.0.2.7:5062;transport=tcp",
        "192.0.2.7:5061;transport=tls",
    ]
    assert asked[1:4] == ["SRV _sip._udp.example.com", "SRV _sip._tcp.example.com", "SRV _sips._tcp.example.com"]
    assert hops("sips:example.com", zone) == ["192.0.2.7:5061;transport=tls"]


@pytest.mark.parametrize(
    ("uri", "transports", "hop"),
    [
        ("sip:example.com", ALL, "192.0.2.1:5060"),
        ("sips:example.com", ALL, "192.0.2.1:5061;transport=tls"),
        ("sip:example.com;transport=tcp", ALL, "192.0.2.1:5060;transport=tcp"),
        ("sip:example.com;transport=ws", ALL, "192.0.2.1:80;transport=ws"),
        ("sip:example.com", (TCP,), "192.0.2.1:5060;transport=tcp"),
        ("sip:example.com", (WSS,), "192.0.2.1:443;transport=wss"),
    ],
)
def test_without_services_the_address_and_the_usual_port_are_left(
    uri: str, transports: tuple[Transport, ...], hop: str
) -> None:
    assert hops(uri, A, transports=transports) == [hop]


def test_a_naptr_that_fails_is_done_without_a_service_that_fails_is_not() -> None:
    broken = Answer(AnswerKind.FAILED, detail="timed out")
    assert hops("sip:example.com", {**A, "NAPTR example.com": broken}) == ["192.0.2.1:5060"]
    located, _ = search("sip:example.com", {**A, "SRV _sip._udp.example.com": broken}, (UDP,))
    assert located == Located((), "SRV of _sip._udp.example.com: timed out")


def test_a_domain_may_refuse_a_transport() -> None:
    zone: Zone = {**A, "SRV _sip._udp.example.com": [(0, 0, 0, "")]}
    assert search("sip:example.com", zone, (UDP,))[0].reason == "example.com offers no SIP over UDP"
    zone |= {"SRV _sip._tcp.example.com": [(0, 0, 5060, "example.com")]}
    assert hops("sip:example.com", zone) == ["192.0.2.1:5060;transport=tcp"]


@pytest.mark.parametrize(
    ("uri", "zone", "reason"),
    [
        ("sip:example.com:5060", {}, "host 'example.com' does not exist"),
        ("sip:example.com:5060", {"AAAA example.com": ["2001:db8::1"]}, "host 'example.com' has no IPv4 address"),
        (
            "sip:example.com:5060",
            {"A example.com": Answer(AnswerKind.FAILED, detail="server failure")},
            "host 'example.com' cannot be looked up: server failure",
        ),
        ("sip:[2001:db8::1]", {}, "2001:db8::1 cannot be reached from here: expected an IPv4 address"),
        ("sip:example.com;transport=sctp", {}, "no way to sip over 'sctp'"),
        ("sips:example.com;transport=udp", {}, "no way to sips over 'udp'"),
    ],
)
def test_the_reason_why_there_is_no_hop(uri: str, zone: Zone, reason: str) -> None:
    assert search(uri, zone)[0] == Located((), reason)


def test_what_cannot_be_sent_over_here() -> None:
    assert search("sip:h;transport=tcp", {}, (UDP,))[0].reason == "TCP is asked for, and cannot be sent over here"
    assert search("sips:h", {}, (UDP, TCP))[0].reason == "no transport here for a sips URI"


def test_families_take_turns() -> None:
    zone: Zone = {"A example.com": ["192.0.2.1", "192.0.2.2"], "AAAA example.com": ["2001:db8::1"]}
    located, asked = search("sip:example.com:5060", zone, families=(6, 4))
    assert [hop.host for hop in located.hops] == ["2001:db8::1", "192.0.2.1", "192.0.2.2"]
    assert asked == ["AAAA example.com", "A example.com"]


def test_a_certificate_has_to_name_the_domain_of_the_uri() -> None:
    """RFC 5922 4: what DNS makes of the domain proves nothing."""
    located, _ = search("sips:example.com", NAPTR_ZONE)
    assert located.hops == (Hop("192.0.2.7", 5061, TLS, "example.com"),)
    assert search("sip:example.com;transport=tcp", NAPTR_ZONE)[0].hops[0].server_name == ""
    assert search("sips:192.0.2.1", {})[0].hops[0].server_name == ""


def test_priorities_come_in_order() -> None:
    zone: Zone = {
        "SRV _sip._udp.example.com": [(20, 5, 5060, "b.example.com"), (10, 5, 5060, "a.example.com")],
        "A a.example.com": ["192.0.2.1", "192.0.2.2"],
        "A b.example.com": ["192.0.2.3"],
    }
    found = [hop.host for hop in search("sip:example.com;transport=udp", zone)[0].hops]
    assert found == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_a_server_without_address_is_skipped() -> None:
    zone: Zone = {
        "SRV _sip._udp.example.com": [(1, 5, 5060, "gone.example.com"), (2, 5, 5060, "h.example.com")],
        **HOST,
    }
    assert hops("sip:example.com;transport=udp", zone) == ["192.0.2.7:5060"]


def test_hops_are_bounded_and_named_once() -> None:
    records = [(1, 1, 5060, f"h{number % 40}.example.com") for number in range(500)]
    zone: Zone = {"SRV _sip._udp.example.com": records}
    zone |= {f"A h{number}.example.com": [f"192.0.2.{number}", "192.0.2.250"] * 3 for number in range(40)}
    located, asked = search("sip:example.com;transport=udp", zone)
    assert len(located.hops) == len(set(located.hops)) == MAX_HOPS
    assert len(asked) <= 33


def test_weights_share_the_load() -> None:
    """RFC 2782: in proportion to the weights, and one of weight 0 hardly ever."""
    ids = RandomIds()
    records = [Srv(1, 60, 1, "a"), Srv(1, 30, 1, "b"), Srv(1, 10, 1, "c"), Srv(1, 0, 1, "d")]
    first = Counter(order_services(records, ids)[0].target for _ in range(6000))
    assert first["a"] > first["b"] > first["c"] > first["d"]
    assert abs(first["a"] - 3600) < 300
    assert all(sorted(order_services(records, ids)) == sorted(records) for _ in range(20))


def test_equal_weights_of_nothing_still_give_all() -> None:
    records = [Srv(1, 0, 1, "a"), Srv(1, 0, 1, "b")]
    assert sorted(order_services(records, RandomIds())) == records
