"""Captured messages for Homer. Source: HEP3 Network Protocol Specification, revision 12 (sipcapture.org)."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Final

VERSION: Final = b"HEP3"
SIP, RTCP = 1, 5
"""Protocol types of chunk 11; RTCP is told as JSON, see `cmw.rtp.report_document`."""
UDP, TCP = 17, 6
_IPV4, _IPV6 = 2, 10
MAX_PAYLOAD_BYTES: Final = 60_000
"""What is longer is cut: a capture has to fit into a datagram."""


#    |     vendor     |      type      |  length, with these 6 bytes  |  payload ...
def encode_hep(
    payload: bytes,
    *,
    source: tuple[str, int],
    destination: tuple[str, int],
    at_unix_ns: int,
    protocol: int,
    capture_id: int,
    auth_key: str = "",
    correlation_id: str = "",
    kind: int = SIP,
) -> bytes:
    """Return the datagram that tells of a message.

    Args:
        source: literal address and port; `destination` likewise, of the same family.
        protocol: `UDP` or `TCP`.
        capture_id: number of whoever captured it, 32 bits.
        auth_key: what the server wants to see, "" for none.
        correlation_id: Call-ID, "" for none.
        kind: `SIP` or `RTCP`.
    """
    sender, receiver = ip_address(source[0]), ip_address(destination[0])
    is_four = sender.version == 4
    chunks = [
        _chunk(1, bytes([_IPV4 if is_four else _IPV6])),
        _chunk(2, bytes([protocol])),
        _chunk(3 if is_four else 5, sender.packed),
        _chunk(4 if is_four else 6, receiver.packed),
        _chunk(7, struct.pack("!H", source[1])),
        _chunk(8, struct.pack("!H", destination[1])),
        _chunk(9, struct.pack("!I", at_unix_ns // 1_000_000_000)),
        _chunk(10, struct.pack("!I", at_unix_ns % 1_000_000_000 // 1000)),
        _chunk(11, bytes([kind])),
        _chunk(12, struct.pack("!I", capture_id)),
    ]
    if auth_key:
        chunks.append(_chunk(14, auth_key.encode()))
    if correlation_id:
        chunks.append(_chunk(17, correlation_id.encode("utf-8", "replace")[:1000]))
    chunks.append(_chunk(15, payload[:MAX_PAYLOAD_BYTES]))
    body = b"".join(chunks)
    return VERSION + struct.pack("!H", 6 + len(body)) + body


def _chunk(kind: int, payload: bytes) -> bytes:
    return struct.pack("!HHH", 0, kind, 6 + len(payload)) + payload
