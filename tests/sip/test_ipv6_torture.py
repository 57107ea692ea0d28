"""RFC 5118, one test for each of its 12 messages."""

from __future__ import annotations

import pytest

from cmw.errors import RemoteProtocolError
from cmw.sip.events import CallOffered
from cmw.sip.hop import Hop
from cmw.sip.message import Request, parse_message
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.sdp_parser import parse_sdp
from cmw.sip.uri import parse_uri
from tests.sip.test_torture import tell_agent, tell_registrar
from tests.support.torture import IPV6_TORTURE

PEER = Hop("2001:db8::7:1", 5060)


def read_request(section: str) -> Request:
    message = parse_message(IPV6_TORTURE[section])
    assert isinstance(message, Request)
    return message


def offered_body(section: str) -> bytes:
    event = tell_agent(IPV6_TORTURE[section], PEER).events[-1]
    assert isinstance(event, CallOffered)
    return event.body


def test_there_are_twelve() -> None:
    assert len(IPV6_TORTURE) == 12


def test_4_1_an_ipv6_reference() -> None:
    message = read_request("4.1")
    assert parse_uri(message.uri).host == "2001:db8::20"
    assert message.top_via.host == "2001:db8::7:1"
    contact = parse_name_addr(message.headers.get("Contact") or "").sip_uri()
    assert (contact.user, contact.host) == ("mara", "2001:db8::1")
    assert [answer.status for answer in tell_registrar(IPV6_TORTURE["4.1"])] == [200]


def test_4_2_an_ipv6_address_without_brackets() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_uri(read_request("4.2").uri)
    assert caught.value.hint == 400
    assert tell_agent(IPV6_TORTURE["4.2"], PEER).statuses == [400]
    assert [answer.status for answer in tell_registrar(IPV6_TORTURE["4.2"])] == [400]


def test_4_3_a_port_that_is_a_part_of_the_address() -> None:
    uri = parse_uri(read_request("4.3").uri)
    assert (uri.host, uri.port) == ("2001:db8::20:5070", None)


def test_4_4_a_port_outside_of_the_brackets() -> None:
    uri = parse_uri(read_request("4.4").uri)
    assert (uri.host, uri.port) == ("2001:db8::20", 5070)


def test_4_5_1_received_with_brackets() -> None:
    via = read_request("4.5.1").top_via
    assert (via.host, via.param("received")) == ("2001:db8::7:1", "[2001:db8::7:255]")
    assert via.reply_hop().host == "2001:db8::7:255"
    assert tell_agent(IPV6_TORTURE["4.5.1"], PEER).statuses == [481]


def test_4_5_2_received_without_brackets() -> None:
    via = read_request("4.5.2").top_via
    assert (via.host, via.param("received")) == ("2001:db8::7:1", "2001:db8::7:255")
    assert via.reply_hop().host == "2001:db8::7:255"
    assert tell_agent(IPV6_TORTURE["4.5.2"], PEER).statuses == [200]


def test_4_6_ipv6_in_a_session() -> None:
    session = parse_sdp(offered_body("4.6"))
    assert "2001:db8::78" in str(session.connection)


def test_4_7_addresses_of_both_families_in_headers() -> None:
    outcome = tell_agent(IPV6_TORTURE["4.7"], PEER)
    (answer,) = outcome.answers
    assert outcome.destinations == [Hop("2001:db8::7:1", 6050)]
    assert [row.split()[1].partition(";")[0] for row in answer.headers.get_all("Via")] == [
        "[2001:db8::7:1]:6050",
        "192.0.2.1",
        "[2001:db8::7:ff]:6051",
    ]


def test_4_8_addresses_of_both_families_in_a_session() -> None:
    session = parse_sdp(offered_body("4.8"))
    assert ["2001:db8::1" in str(session.media[0].connection), "192.0.2.1" in str(session.media[1].connection)] == [
        True,
        True,
    ]


def test_4_9_mapped_addresses() -> None:
    message = read_request("4.9")
    assert message.top_via.sent_by == ("::ffff:192.0.2.10", 19823)
    assert parse_name_addr(message.headers.get("Contact") or "").sip_uri().host == "::ffff:192.0.2.10"
    assert "::ffff:192.0.2.1" in str(parse_sdp(offered_body("4.9")).connection)


@pytest.mark.parametrize("section", ["4.10.1", "4.10.2"])
def test_4_10_three_colons_mean_two(section: str) -> None:
    message = read_request(section)
    assert parse_uri(message.uri).host == "2001:db8::192.0.2.1"
    assert tell_agent(IPV6_TORTURE[section], PEER).statuses == [200]


@pytest.mark.parametrize(
    "host", ["[fe80::1%25eth0]", "[fe80::1%eth0]", "[:::1]", "[1::2:::3.4.5.6]", "[::1", "::1]", "[]"]
)
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_uri(f"sip:{host}")
