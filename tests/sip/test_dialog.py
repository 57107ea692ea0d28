"""Dialogs: route sets, targets and sequence numbers. Source: RFC 3261 12, RFC 3665."""

from __future__ import annotations

import pytest

from cmw.sip.dialog import Dialog
from cmw.sip.headers import Headers
from cmw.sip.hop import Hop, Transport
from cmw.sip.lookup import literal_hop
from cmw.sip.message import Request, Response

PEER = Hop("192.0.2.9", 5090)


def make_dialog(*record_routes: str, contact: str = "<sip:bob@192.0.2.2:5070>") -> Dialog:
    invite = Request(
        "INVITE",
        "sip:bob@example.com",
        Headers(
            [
                ("From", "<sip:alice@example.com>;tag=a"),
                ("To", "<sip:bob@example.com>"),
                ("Call-ID", "c"),
                ("CSeq", "7 INVITE"),
            ]
        ),
    )
    rows = [("From", "<sip:alice@example.com>;tag=a"), ("To", "<sip:bob@example.com>;tag=b"), ("Call-ID", "c")]
    rows += [("CSeq", "7 INVITE"), ("Contact", contact)]
    rows += [("Record-Route", route) for route in record_routes]
    return Dialog.of_caller(invite, Response(200, "OK", Headers(rows)), PEER)


def test_without_routes_requests_go_to_the_contact() -> None:
    dialog = make_dialog()
    bye = dialog.make_request("BYE")
    assert bye.uri == "sip:bob@192.0.2.2:5070"
    assert bye.headers.get_all("Route") == []
    assert dialog.next_hop() == Hop("192.0.2.2", 5070)
    assert str(bye.cseq) == "8 BYE"
    assert (bye.from_.tag, bye.to.tag) == ("a", "b")


def test_loose_routes_are_reversed_for_the_caller_and_the_first_is_the_next_hop() -> None:
    dialog = make_dialog("<sip:192.0.2.20;lr>", "<sip:192.0.2.10:5080;lr>")
    bye = dialog.make_request("BYE")
    assert bye.uri == "sip:bob@192.0.2.2:5070"
    assert bye.headers.get_all("Route") == ["<sip:192.0.2.10:5080;lr>", "<sip:192.0.2.20;lr>"]
    assert dialog.next_hop() == Hop("192.0.2.10", 5080)


def test_a_strict_router_gets_its_own_uri_and_the_target_as_last_route() -> None:
    dialog = make_dialog("<sip:192.0.2.20;lr>", "<sip:192.0.2.10;method=INVITE>")
    bye = dialog.make_request("BYE")
    assert bye.uri == "sip:192.0.2.10"
    assert bye.headers.get_all("Route") == ["<sip:192.0.2.20;lr>", "<sip:bob@192.0.2.2:5070>"]
    assert dialog.next_hop() == Hop("192.0.2.10", 5060)


def test_a_parameter_that_only_begins_with_lr_is_not_loose() -> None:
    assert make_dialog("<sip:192.0.2.10;lrx=1>").make_request("BYE").uri == "sip:192.0.2.10;lrx=1"


@pytest.mark.parametrize("contact", ["<sip:bob@pbx.example>", "<tel:+1>", "*", "<broken"])
def test_where_a_name_leads_is_not_known_before_dns_is_asked(contact: str) -> None:
    """Odd contacts count as none, and then the name is that of the Request-URI."""
    assert make_dialog(contact=contact).next_hop() is None


def test_a_name_that_nobody_can_look_up_stands_for_where_the_peer_sent_from() -> None:
    assert make_dialog(contact="<sip:bob@df7jal23ls0d.invalid;transport=ws>").next_hop() == PEER


@pytest.mark.parametrize(
    ("contact", "is_found"),
    [
        ("<sip:bob@10.0.0.7:5060;transport=tcp>", True),
        ("<sip:bob@8.8.8.8;transport=tcp>", False),
        ("<sip:bob@8.8.8.8;transport=tcp;ob>", True),
        ("<sip:bob@10.0.0.7:5060>", False),
    ],
)
def test_a_contact_behind_a_nat_is_reached_by_the_connection_that_it_came_by(contact: str, is_found: bool) -> None:
    dialog = make_dialog(contact=contact)
    dialog.peer = Hop("9.9.9.9", 40001, Transport.TCP, flow=7)
    assert (dialog.next_hop() == dialog.peer) is is_found


def test_the_callee_takes_record_routes_as_they_stand() -> None:
    rows = [("From", "<sip:alice@example.com>;tag=a"), ("To", "<sip:bob@example.com>"), ("Call-ID", "c")]
    rows += [("CSeq", "7 INVITE"), ("Contact", "<sip:alice@192.0.2.1>")]
    rows += [("Record-Route", "<sip:192.0.2.20;lr>"), ("Record-Route", "<sip:192.0.2.10;lr>")]
    dialog = Dialog.of_callee(Request("INVITE", "sip:bob@192.0.2.2", Headers(rows)), "b", 100, PEER)
    bye = dialog.make_request("BYE")
    assert bye.headers.get_all("Route") == ["<sip:192.0.2.20;lr>", "<sip:192.0.2.10;lr>"]
    assert bye.uri == "sip:alice@192.0.2.1"
    assert (bye.from_.tag, bye.to.tag) == ("b", "a")
    assert bye.cseq.number == 101


def test_sequence_numbers_of_the_peer_only_grow() -> None:
    dialog = make_dialog()
    assert dialog.accepts(5)
    assert dialog.accepts(6)
    assert not dialog.accepts(5)
    assert dialog.accepts(6)


def test_the_ack_keeps_the_number_of_its_invite() -> None:
    dialog = make_dialog()
    assert str(dialog.make_request("ACK", seq=7).cseq) == "7 ACK"
    assert str(dialog.make_request("BYE").cseq) == "8 BYE"


def test_a_target_refresh_moves_the_next_hop() -> None:
    dialog = make_dialog()
    assert dialog.next_hop() == Hop("192.0.2.2", 5070)
    dialog.refresh_target(Request("UPDATE", "sip:a", Headers([("Contact", "<sip:bob@192.0.2.3>")])))
    assert dialog.next_hop() == Hop("192.0.2.3", 5060)
    assert dialog.make_request("BYE").uri == "sip:bob@192.0.2.3"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:a@192.0.2.1", Hop("192.0.2.1", 5060)),
        ("sip:a@[2001:db8::1]:5070", Hop("2001:db8::1", 5070)),
        ("sip:a@pbx.example;maddr=192.0.2.7", Hop("192.0.2.7", 5060)),
        ("sip:a@pbx.example", None),
        ("tel:+1", None),
    ],
)
def test_literal_addresses_are_read_from_uris(uri: str, expected: Hop | None) -> None:
    assert literal_hop(uri) == expected


@pytest.mark.parametrize("broken", ["??", "<sip:192.0.2.10;lr", "", '"<sip:a>'])
def test_a_route_that_cannot_be_read_leaves_none(broken: str) -> None:
    dialog = make_dialog("<sip:192.0.2.20;lr>", broken)
    assert dialog.make_request("ACK", seq=7).headers.get_all("Route") == []
    assert dialog.next_hop() == Hop("192.0.2.2", 5070)
