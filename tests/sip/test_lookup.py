from __future__ import annotations

import pytest

from cmw.sip.hop import Hop, Transport
from cmw.sip.lookup import literal_hop, question
from cmw.sip.uri import parse_uri


@pytest.mark.parametrize(
    ("uri", "hop"),
    [
        ("sip:192.0.2.1", Hop("192.0.2.1", 5060)),
        ("sip:bob@192.0.2.1:5070", Hop("192.0.2.1", 5070)),
        ("sip:bob@[2001:db8::1]", Hop("2001:db8::1", 5060)),
        ("sip:192.0.2.1;transport=TCP", Hop("192.0.2.1", 5060, Transport.TCP)),
        ("sip:192.0.2.1;transport=tls", Hop("192.0.2.1", 5061, Transport.TLS)),
        ("sip:192.0.2.1;transport=ws", Hop("192.0.2.1", 80, Transport.WS)),
        ("sip:192.0.2.1:443;transport=wss", Hop("192.0.2.1", 443, Transport.WSS)),
        ("sips:192.0.2.1", Hop("192.0.2.1", 5061, Transport.TLS)),
        ("sips:192.0.2.1;transport=tcp", Hop("192.0.2.1", 5061, Transport.TLS)),
        ("sips:192.0.2.1;transport=ws", Hop("192.0.2.1", 443, Transport.WSS)),
        ("sip:pbx.example;maddr=192.0.2.9", Hop("192.0.2.9", 5060)),
        ("sip:192.0.2.1;maddr=pbx.example", None),
        ("sips:192.0.2.1;transport=udp", None),
        ("sip:192.0.2.1;transport=sctp", None),
        ("sip:pbx.example", None),
        ("tel:+1", None),
        ("", None),
    ],
)
def test_a_literal_address_needs_no_lookup(uri: str, hop: Hop | None) -> None:
    assert literal_hop(uri) == hop


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("sip:bob:secret@PBX.example;user=phone?subject=x", "sip:pbx.example"),
        ("sips:pbx.example:5071;lr;transport=TCP", "sips:pbx.example:5071;transport=tcp"),
        ("sip:192.0.2.1;maddr=pbx.example", "sip:192.0.2.1;maddr=pbx.example"),
    ],
)
def test_a_question_has_what_decides_on_the_way_and_nothing_else(uri: str, asked: str) -> None:
    assert question(uri) == parse_uri(asked)


@pytest.mark.parametrize("uri", ["sip:x@df7jal23ls0d.invalid;transport=ws", "tel:+1", "sips:a.example;transport=udp"])
def test_dns_is_not_asked_what_it_cannot_know(uri: str) -> None:
    assert question(uri) is None
