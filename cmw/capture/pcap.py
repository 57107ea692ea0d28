"""The classic capture format. Source: draft-ietf-opsawg-pcap, sections 4 and 5."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from cmw.capture.frame import MAX_FRAME_BYTES, CaptureError, Frame, Input

MAGICS: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
"""Byte order, and nanoseconds in a unit of the time stamps' fraction."""


#    |                          Magic Number                         |
#    |          Major Version        |         Minor Version         |
#    |                           Reserved1                           |
#    |                           Reserved2                           |
#    |                            SnapLen                            |
#    | FCS |f|0 0 0 0 0 0 0 0 0 0 0 0|         LinkType              |
def read_pcap(source: Input, magic: bytes) -> Iterator[Frame]:
    """Yield the frames that follow the magic number."""
    order, unit_ns = MAGICS[magic]
    major, _, _, _, _, link_type = struct.unpack(f"{order}HHiIII", source.read(20, "the file header"))
    if major != 2:
        raise CaptureError(f"expected pcap version 2, found {major}")
    return _read_records(source, struct.Struct(f"{order}IIII"), unit_ns, link_type & 0xFFFF)


#    |                      Timestamp (Seconds)                      |
#    |            Timestamp (Microseconds or nanoseconds)            |
#    |                    Captured Packet Length                     |
#    |                    Original Packet Length                     |
def _read_records(source: Input, header: struct.Struct, unit_ns: int, link_type: int) -> Iterator[Frame]:
    while head := source.read_or_end(16, "a packet header"):
        seconds, fraction, captured, original = header.unpack(head)
        if captured > MAX_FRAME_BYTES:
            at = source.offset - 16
            raise CaptureError(f"packet at byte {at}: expected up to {MAX_FRAME_BYTES} bytes, found {captured}")
        data = source.read(captured, "a packet")
        yield Frame(seconds * 1_000_000_000 + fraction * unit_ns, link_type, data, max(original, captured))
