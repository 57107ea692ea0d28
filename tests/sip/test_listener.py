from __future__ import annotations

import re

import pytest

from cmw.core.address import Address
from cmw.errors import LocalProtocolError
from cmw.sip.hop import Hop, Transport
from cmw.sip.listener import Listener, OwnAddresses
from cmw.sip.via import parse_via
from tests.support.ids import CountingIds

HERE = Address("192.0.2.1", 5060)


def own(*listeners: Listener) -> OwnAddresses:
    return OwnAddresses(listeners, CountingIds())


@pytest.mark.parametrize(
    ("transport", "contact", "secure"),
    [
        (Transport.UDP, "sip:bob@192.0.2.1:5060", "sips:bob@192.0.2.1:5060"),
        (Transport.TCP, "sip:bob@192.0.2.1:5060;transport=tcp", "sips:bob@192.0.2.1:5060"),
        (Transport.TLS, "sip:bob@192.0.2.1:5060;transport=tls", "sips:bob@192.0.2.1:5060"),
        (Transport.WS, "sip:bob@192.0.2.1:5060;transport=ws", "sips:bob@192.0.2.1:5060"),
        (Transport.WSS, "sip:bob@192.0.2.1:5060;transport=ws", "sips:bob@192.0.2.1:5060;transport=ws"),
    ],
)
def test_via_and_contact_say_the_transport(transport: Transport, contact: str, secure: str) -> None:
    here = own(Listener(transport, HERE)).first
    assert here.via_start.startswith(f"SIP/2.0/{transport} 192.0.2.1:5060;")
    assert here.contact("bob", is_secure=False) == contact
    assert here.contact("bob", is_secure=True) == secure


def test_a_websocket_client_has_a_name_that_does_not_exist() -> None:
    here = own(Listener(Transport.WSS, Address("192.0.2.1", 0))).first
    assert re.fullmatch(r"SIP/2\.0/WSS [0-9a-f]{12}\.invalid;branch=", here.via_start)
    assert re.fullmatch(r"sip:[0-9a-f]{12}\.invalid;transport=ws", here.contact("", is_secure=False))
    assert not here.is_reachable


def test_peers_see_what_is_advertised() -> None:
    here = own(Listener(Transport.TCP, HERE, Address("203.0.113.1", 15060))).first
    assert here.via_start == "SIP/2.0/TCP 203.0.113.1:15060;rport;branch="


def test_each_transport_and_family_has_its_own() -> None:
    ours = own(
        Listener(Transport.UDP, HERE),
        Listener(Transport.UDP, Address("2001:db8::1", 5062)),
        Listener(Transport.TCP, Address("192.0.2.1", 5064)),
    )
    assert ours.towards(Hop("192.0.2.9", 5060)).sent_by == "192.0.2.1:5060"
    assert ours.towards(Hop("2001:db8::9", 5060)).sent_by == "[2001:db8::1]:5062"
    assert ours.towards(Hop("192.0.2.9", 5060, Transport.TCP)).sent_by == "192.0.2.1:5064"
    assert (ours.transports, ours.families) == ((Transport.UDP, Transport.TCP), (4, 6))
    assert Transport.TCP in ours
    assert Transport.TLS not in ours


@pytest.mark.parametrize(
    "listeners",
    [
        (),
        (Listener(Transport.UDP, HERE), Listener(Transport.UDP, Address("192.0.2.2", 5060))),
        (Listener(Transport.TCP, Address("192.0.2.1", 0)),),
    ],
)
def test_listeners_that_make_no_sense_are_refused(listeners: tuple[Listener, ...]) -> None:
    with pytest.raises(LocalProtocolError):
        own(*listeners)


@pytest.mark.parametrize(
    ("sent_by", "is_ours"),
    [
        ("192.0.2.1:5060", True),
        ("192.0.2.1", True),
        ("192.0.2.1:5061", False),
        ("192.0.2.10:5060", False),
        ("[2001:db8:0:0::1]:5070", True),
        ("[2001:DB8::1]:5070", True),
        ("[2001:db8::1]", False),
        ("pbx.example", False),
    ],
)
def test_we_know_the_vias_that_we_wrote_in_any_spelling(sent_by: str, is_ours: bool) -> None:
    listeners = [
        Listener(Transport.UDP, Address("192.0.2.1", 5060)),
        Listener(Transport.UDP, Address("2001:db8::1", 5070)),
    ]
    via = parse_via(f"SIP/2.0/UDP {sent_by};branch=z9hG4bK1")
    assert OwnAddresses(listeners, CountingIds()).has_written(via) is is_ours
