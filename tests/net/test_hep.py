"""HEP3, by a reader of its own."""

from __future__ import annotations

from cmw.net.hep import MAX_PAYLOAD_BYTES, TCP, UDP, encode_hep
from tests.support.hep_reader import ends_of, read_hep

AT_NS = 1_700_000_000_123_456_789
MESSAGE = b"OPTIONS sip:x@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nCall-ID: c\r\n\r\n"
FOUR = {"source": ("192.0.2.1", 5060), "destination": ("192.0.2.2", 5070)}
SIX = {"source": ("2001:db8::1", 5060), "destination": ("2001:db8::2", 5061)}


def test_every_part_is_there() -> None:
    chunks = read_hep(
        encode_hep(
            MESSAGE, **FOUR, at_unix_ns=AT_NS, protocol=UDP, capture_id=2001, auth_key="key", correlation_id="c@x"
        )
    )
    assert ends_of(chunks) == ("192.0.2.1:5060", "192.0.2.2:5070")
    assert (chunks[2], chunks[11], chunks[12]) == (b"\x11", b"\x01", (2001).to_bytes(4, "big"))
    assert (int.from_bytes(chunks[9], "big"), int.from_bytes(chunks[10], "big")) == (1_700_000_000, 123_456)
    assert (chunks[14], chunks[17], chunks[15]) == (b"key", b"c@x", MESSAGE)


def test_ipv6_and_what_is_left_out_or_too_long() -> None:
    chunks = read_hep(encode_hep(b"x" * 70_000, **SIX, at_unix_ns=AT_NS, protocol=TCP, capture_id=0))
    assert ends_of(chunks) == ("2001:db8::1:5060", "2001:db8::2:5061")
    assert len(chunks[15]) == MAX_PAYLOAD_BYTES
    assert chunks.keys().isdisjoint({14, 17})
