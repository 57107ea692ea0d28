"""The block format with sections and interfaces. Source: draft-ietf-opsawg-pcapng, sections 3 and 4."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from cmw.capture.frame import MAX_FRAME_BYTES, CaptureError, Frame, Input

SECTION_HEADER: Final = b"\x0a\x0d\x0d\x0a"
"""Block type of the section header, the same in both byte orders."""

_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_BYTE_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_TSRESOL, _TSOFFSET = 9, 14
_SECOND_NS = 1_000_000_000
MAX_AT_NS: Final = 1 << 62
"""In the year 2116."""


class _Interface(NamedTuple):
    """What the time stamps and frames of an interface mean."""

    link_type: int
    snap_bytes: int
    units_per_second: int
    offset_s: int


def read_pcapng(source: Input) -> Iterator[Frame]:
    """Yield the frames of all sections; the first four bytes have been read.

    A simple packet has no time of its own and takes that of the frame before it.
    """
    reader = _SectionReader(source)
    body: tuple[int, bytes] | None = reader.begin_section()
    while body is not None:
        block_type, data = body
        frame = reader.take(block_type, data)
        if frame is not None:
            yield frame
        body = reader.next_block()


class _SectionReader:
    """The blocks of one section after another."""

    def __init__(self, source: Input) -> None:
        self._source = source
        self._order = "<"
        self._interfaces: list[_Interface] = []
        self._last_ns = 0

    #    |                          Block Type                           |
    #    |                      Block Total Length                       |
    #    /                          Block Body                           /
    #    |                      Block Total Length                       |
    def next_block(self) -> tuple[int, bytes] | None:
        """Return type and body of the next block; None at the end."""
        head = self._source.read_or_end(4, "a block header")
        if not head:
            return None
        if head == SECTION_HEADER:
            return self.begin_section()
        block_type: int = struct.unpack(f"{self._order}I", head)[0]
        length: int = struct.unpack(f"{self._order}I", self._source.read(4, "a block header"))[0]
        return block_type, self._read_body(length, 8)

    def begin_section(self) -> tuple[int, bytes]:
        """Read the section header after its type, and learn the byte order from it."""
        raw_length = self._source.read(4, "the section header")
        magic = self._source.read(4, "the section header")
        order = _BYTE_ORDERS.get(magic)
        if order is None:
            raise CaptureError(f"section header: expected a byte-order magic, found {magic.hex(' ')}")
        self._order = order
        self._interfaces = []
        body = self._read_body(struct.unpack(f"{order}I", raw_length)[0], 12)
        if len(body) < 4 or struct.unpack_from(f"{order}H", body)[0] != 1:
            raise CaptureError("section header: expected pcapng version 1")
        return _SECTION, body

    def take(self, block_type: int, body: bytes) -> Frame | None:
        """Return the frame in a block, None when it holds none."""
        try:
            if block_type == _INTERFACE:
                self._interfaces.append(self._parse_interface(body))
            elif block_type == _PACKET:
                number, high, low, captured, original = struct.unpack_from(f"{self._order}IIIII", body)
                return self._parse_packet(number, high, low, captured, original, body[20:])
            elif block_type == _OLD_PACKET:
                number, _, high, low, captured, original = struct.unpack_from(f"{self._order}HHIIII", body)
                return self._parse_packet(number, high, low, captured, original, body[20:])
            elif block_type == _SIMPLE_PACKET:
                return self._parse_simple_packet(struct.unpack_from(f"{self._order}I", body)[0], body[4:])
        except struct.error:
            raise CaptureError(f"block of type {block_type} before byte {self._source.offset}: too short") from None
        return None

    def _read_body(self, length: int, head_bytes: int) -> bytes:
        at = self._source.offset - head_bytes
        if length < head_bytes + 4 or length % 4 or length > MAX_FRAME_BYTES:
            raise CaptureError(f"block at byte {at}: expected a length in whole words up to 2^24, found {length}")
        body = self._source.read(length - head_bytes - 4, "a block")
        again = struct.unpack(f"{self._order}I", self._source.read(4, "a block"))[0]
        if again != length:
            raise CaptureError(f"block at byte {at}: its two lengths are {length} and {again}, expected them equal")
        return body

    def _parse_interface(self, body: bytes) -> _Interface:
        link_type, _, snap_bytes = struct.unpack_from(f"{self._order}HHI", body)
        units, offset_s = 1_000_000, 0
        for code, value in self._options(body[8:]):
            if code == _TSRESOL and value:
                exponent = value[0] & 0x7F
                units = 2**exponent if value[0] & 0x80 else 10**exponent
            elif code == _TSOFFSET and len(value) >= 8:
                offset_s = struct.unpack_from(f"{self._order}q", value)[0]
        return _Interface(link_type, snap_bytes, units, offset_s)

    def _options(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        at = 0
        while at + 4 <= len(data):
            code, size = struct.unpack_from(f"{self._order}HH", data, at)
            if code == 0:
                return
            yield code, data[at + 4 : at + 4 + size]
            at += 4 + (size + 3 & ~3)

    #    |                         Interface ID                          |
    #    |                        Timestamp (High)                       |
    #    |                        Timestamp (Low)                        |
    #    |                    Captured Packet Length                     |
    #    |                    Original Packet Length                     |
    #    /                          Packet Data                          /
    def _parse_packet(self, number: int, high: int, low: int, captured: int, original: int, data: bytes) -> Frame:
        interface = self._interface(number)
        if captured > len(data):
            at = self._source.offset
            raise CaptureError(f"packet block before byte {at}: expected {captured} bytes of data, found {len(data)}")
        units = high << 32 | low
        self._last_ns = units * _SECOND_NS // interface.units_per_second + interface.offset_s * _SECOND_NS
        if not 0 <= self._last_ns < MAX_AT_NS:
            at = self._source.offset
            raise CaptureError(
                f"packet block before byte {at}: expected a time from 1970 to 2116, found {self._last_ns} ns"
            )
        return Frame(self._last_ns, interface.link_type, data[:captured], max(original, captured))

    def _parse_simple_packet(self, original: int, data: bytes) -> Frame:
        interface = self._interface(0)
        captured = min(original, interface.snap_bytes or original, len(data))
        return Frame(self._last_ns, interface.link_type, data[:captured], original)

    def _interface(self, number: int) -> _Interface:
        if number >= len(self._interfaces):
            at = self._source.offset
            raise CaptureError(f"packet block before byte {at}: interface {number} was never described")
        return self._interfaces[number]
