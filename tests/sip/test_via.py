import pytest

from cmw.core.address import Address
from cmw.errors import RemoteProtocolError
from cmw.sip.hop import Hop
from cmw.sip.via import Via, parse_via

SOURCE = Hop("192.0.2.7", 40000)


def test_a_via_is_taken_apart_and_put_together() -> None:
    via = parse_via("SIP/2.0/UDP [2001:db8::9:1]:5061;branch=z9hG4bK87a;TTL=16;rport")
    assert via == Via("UDP", "2001:db8::9:1", 5061, (("branch", "z9hG4bK87a"), ("ttl", "16"), ("rport", None)))
    assert via.branch == "z9hG4bK87a"
    assert str(via) == "SIP/2.0/UDP [2001:db8::9:1]:5061;branch=z9hG4bK87a;ttl=16;rport"
    assert parse_via("sip / 2.0 / tls host : 1 ; a = b").sent_by == Address("host", 1)
    assert parse_via("SIP/2.0/UDP host").sent_by == Address("host", 5060)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0 UDP h",
        "SIP/1.0/UDP h",
        "SIP/2.0/UDP h:",
        "SIP/2.0/UDP h:0",
        "SIP/2.0/UDP h:70000",
        "SIP/2.0/UDP h x",
        "SIP/2.0/UDP h;;a",
        "SIP/2.0/UDP h,SIP/2.0/UDP h",
        "SIP/2.0/UDP [::g]",
        "SIP/2.0/UDP ::1",
        "SIP/2.0/UDP 1.2.3.400",
        "SIP/2.0/UDP ü",
        "SIP/2.0/UDPh",
    ],
)
def test_malformed_vias_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_via(text)
    assert caught.value.hint == 400


@pytest.mark.parametrize(
    ("text", "stamped", "reply"),
    [
        ("SIP/2.0/UDP 192.0.2.7:5062;branch=a", "SIP/2.0/UDP 192.0.2.7:5062;branch=a", Hop("192.0.2.7", 5062)),
        (
            "SIP/2.0/UDP 10.0.0.1;branch=a",
            "SIP/2.0/UDP 10.0.0.1;branch=a;received=192.0.2.7",
            Hop("192.0.2.7", 5060),
        ),
        ("SIP/2.0/UDP h:99;rport", "SIP/2.0/UDP h:99;rport=40000;received=192.0.2.7", SOURCE),
        ("SIP/2.0/UDP h;rport=1;received=1.1.1.1", "SIP/2.0/UDP h;rport=40000;received=192.0.2.7", SOURCE),
        (
            "SIP/2.0/UDP 192.0.2.7;received=1.1.1.1",
            "SIP/2.0/UDP 192.0.2.7;received=192.0.2.7",
            Hop("192.0.2.7", 5060),
        ),
    ],
)
def test_stamping_says_where_it_came_from(text: str, stamped: str, reply: Hop) -> None:
    """RFC 3261 18.2.1, 18.2.2; RFC 3581 4."""
    via = parse_via(text).stamped(SOURCE)
    assert str(via) == stamped
    assert via.reply_hop() == reply


@pytest.mark.parametrize("rport", ["0", "65536", "x", "999999999", ""])
def test_an_rport_that_is_no_port_is_passed_over(rport: str) -> None:
    assert parse_via(f"SIP/2.0/UDP h:7;rport={rport}").reply_hop() == Hop("h", 7)


def test_a_maddr_counts_when_it_is_an_address() -> None:
    assert parse_via("SIP/2.0/UDP h:7;maddr=239.1.1.1;received=1.1.1.1").reply_hop() == Hop("239.1.1.1", 7)
    assert parse_via("SIP/2.0/UDP h:7;maddr=evil.example;received=1.1.1.1").reply_hop() == Hop("1.1.1.1", 7)


def test_ipv6_received_needs_no_brackets() -> None:
    via = parse_via("SIP/2.0/UDP host;rport").stamped(Hop("2001:db8::1", 5))
    assert str(via).endswith(";received=2001:db8::1")
    assert parse_via(str(via)).reply_hop() == Hop("2001:db8::1", 5)
    assert parse_via("SIP/2.0/UDP h;received=[2001:db8::1]").reply_hop() == Hop("2001:db8::1", 5060)
