"""What a 2xx to REGISTER says. Source: RFC 3261 10.2.4, RFC 3327, RFC 3608, RFC 5626, RFC 7315."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.sip.message import Response, parse_message
from cmw.sip.register_answer import BoundContact, OwnContact, RegisterAnswer, read_register_answer
from cmw.sip.uri import parse_uri

URI = "sip:alice@192.0.2.1:5060"
OWN = OwnContact(URI, parse_uri(URI))
FLOW = OwnContact(URI, parse_uri(URI), "<urn:uuid:00000000-0000-4000-8000-000000000001>", "1")


def read(*lines: str, own: OwnContact = OWN) -> RegisterAnswer:
    head = [
        "SIP/2.0 200 OK",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
        "From: <sip:alice@lab.example>;tag=1",
        "To: <sip:alice@lab.example>;tag=2",
        "Call-ID: c",
        "CSeq: 1 REGISTER",
    ]
    response = parse_message("\r\n".join([*head, *lines, "", ""]).encode())
    assert isinstance(response, Response)
    return read_register_answer(response, own, 300)


def test_ours_is_found_among_many() -> None:
    answer = read(
        "Contact: <sip:bob@192.0.2.9>;expires=7;q=0.5, <sip:%61lice@192.0.2.1:5060>;expires=120", "Expires: 9"
    )
    assert (answer.expires_s, answer.is_listed) == (120, True)
    assert answer.others == (BoundContact("sip:bob@192.0.2.9", 7, "0.5"),)


@pytest.mark.parametrize(
    "other",
    [
        "sip:alice@192.0.2.1",  # the default port is not the same as none
        "sip:alice@192.0.2.1:5060;transport=tcp",
        "sip:Alice@192.0.2.1:5060",
        "sips:alice@192.0.2.1:5060",
        "tel:+15551234",
    ],
)
def test_what_only_looks_like_ours_is_anothers(other: str) -> None:
    """RFC 3261 19.1.4."""
    answer = read(f"Contact: <{other}>;expires=7", "Expires: 60")
    assert (answer.expires_s, answer.is_listed, answer.others) == (60, False, (BoundContact(other, 7),))


def test_our_flow_is_known_by_its_instance() -> None:
    """RFC 5626 6: the registrar may have changed the URI."""
    params = '+sip.instance="<urn:uuid:00000000-0000-4000-8000-000000000001>";expires=90'
    assert read(f"Contact: <sip:x@192.0.2.77>;reg-id=1;{params}", own=FLOW).expires_s == 90
    assert not read(f"Contact: <sip:x@192.0.2.77>;reg-id=2;{params}", own=FLOW).is_listed


@pytest.mark.parametrize(
    ("lines", "expires_s"),
    [
        ((), 300),
        (("Expires: 60",), 60),
        (("Expires: 60", f"Contact: <{URI}>"), 60),
        (("Expires: 60", f"Contact: <{URI}>;expires=0"), 0),
        (("Expires: soon", f"Contact: <{URI}>;expires=-1"), 300),
        ((f"Contact: <{URI}>;expires=99999999999",), 300),
        ((f"Contact: <{URI}>;expires=9999999999",), 2**32 - 1),
        ((f"Contact: <{URI}>;expires=3600",), 3600),
    ],
)
def test_the_lifetime(lines: tuple[str, ...], expires_s: int) -> None:
    assert read(*lines).expires_s == expires_s


def test_routes_are_kept_in_order() -> None:
    answer = read(
        "Service-Route: <sip:p2.example;lr>, <sip:p3.example;lr>",
        "Service-Route: <sip:p4.example;lr>",
        "Path: <sip:p1.example;lr>,<sip:p0.example;lr>",
        "P-Associated-URI: <sip:alice@lab.example>, <tel:+15551234>",
        "Require: outbound",
        "Flow-Timer: 120",
        "Date: Sat, 13 Nov 2010 23:29:00 GMT",
        f'Contact: <{URI}>;expires=5;pub-gruu="sip:alice@lab.example;gr=1"',
    )
    assert answer.service_routes == ("<sip:p2.example;lr>", "<sip:p3.example;lr>", "<sip:p4.example;lr>")
    assert answer.paths == ("<sip:p1.example;lr>", "<sip:p0.example;lr>")
    assert answer.associated_uris == ("<sip:alice@lab.example>", "<tel:+15551234>")
    assert (answer.is_outbound, answer.flow_timer_s) == (True, 120)
    assert answer.date == "Sat, 13 Nov 2010 23:29:00 GMT"
    assert answer.public_gruu == "sip:alice@lab.example;gr=1"


def test_a_service_route_that_is_none_leaves_no_half_of_it() -> None:
    assert read("Service-Route: <sip:p1.example;lr>, <sip:a b>").service_routes == ()
    assert read("Service-Route: <tel:1>").service_routes == ()


PIECES = ["Contact", "Expires", "Service-Route", "Path", "P-Associated-URI", "Require", "Flow-Timer"]
VALUES = [
    "*",
    "",
    "<",
    f"<{URI}>;expires",
    f'<{URI}>;+sip.instance="',
    '"',
    "1",
    "99999999999999999",
    "\u00e9",
    "a,b,,",
]


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(VALUES)), max_size=6))
def test_nothing_in_it_raises(rows: list[tuple[str, str]]) -> None:
    response = Response(200, "OK")
    for name, value in rows:
        response.headers.add(name, value)
    for own in (OWN, FLOW):
        assert read_register_answer(response, own, 300).expires_s >= 0
