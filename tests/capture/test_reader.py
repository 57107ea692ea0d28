"""Capture files of both formats, whole, damaged and cut anywhere."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest

from cmw.capture import CaptureError, Frame, read_frames
from tests.support.captures import (
    RAW,
    SECOND,
    START_NS,
    Captured,
    block,
    enhanced,
    interface,
    pcap,
    pcapng,
    section,
)

FRAMES = [Captured(START_NS + i * 20_000_000 + 123_456, bytes([i]) * (40 + i)) for i in range(5)]
EXACT = [Frame(frame.at_ns, RAW, frame.data, len(frame.data)) for frame in FRAMES]
MICROSECONDS = [frame._replace(at_ns=frame.at_ns // 1000 * 1000) for frame in EXACT]


def read(data: bytes) -> list[Frame]:
    return list(read_frames(BytesIO(data)))


def read_until_damage(data: bytes) -> tuple[list[Frame], str]:
    frames: list[Frame] = []
    try:
        for frame in read_frames(BytesIO(data)):
            frames.append(frame)
    except CaptureError as error:
        return frames, str(error)
    return frames, ""


@pytest.mark.parametrize("order", ["<", ">"])
class TestByteOrders:
    def test_pcap(self, order: str) -> None:
        assert read(pcap(FRAMES, order=order)) == MICROSECONDS

    def test_pcap_of_nanoseconds(self, order: str) -> None:
        assert read(pcap(FRAMES, order=order, nanoseconds=True)) == EXACT

    def test_pcapng(self, order: str) -> None:
        assert read(pcapng(FRAMES, order=order)) == MICROSECONDS

    @pytest.mark.parametrize(
        ("tsresol", "units"), [(6, 10**6), (9, 10**9), (3, 10**3), (0x80 | 20, 2**20), (0x80 | 30, 2**30)]
    )
    def test_pcapng_of_other_units(self, order: str, tsresol: int, units: int) -> None:
        options = struct.pack(f"{order}HHB3x", 9, 1, tsresol) + struct.pack(f"{order}HH", 0, 0)
        data = section(order) + interface(RAW, order, options=options)
        data += enhanced(FRAMES[0], order=order, units_per_second=units)
        [frame] = read(data)
        assert 0 <= FRAMES[0].at_ns - frame.at_ns <= SECOND // units + 1


def test_an_offset_in_seconds() -> None:
    options = struct.pack("<HHq", 14, 8, 1000) + bytes(4)
    [frame] = read(section() + interface(RAW, options=options) + enhanced(FRAMES[0]))
    assert frame.at_ns == FRAMES[0].at_ns // 1000 * 1000 + 1000 * SECOND


def test_several_interfaces_and_sections_and_unknown_blocks() -> None:
    data = section() + interface(1) + interface(113) + block(5, bytes(12)) + enhanced(FRAMES[0], 1)
    data += section(">") + interface(276, ">") + block(0x0BAD, b"x" * 9, ">") + enhanced(FRAMES[1], 0, ">")
    assert [frame.link_type for frame in read(data)] == [113, 276]


def test_old_and_simple_packets() -> None:
    units = FRAMES[0].at_ns // 1000
    old = struct.pack("<HHIIII", 0, 0, units >> 32, units & 0xFFFFFFFF, 40, 60) + bytes(40)
    data = section() + interface(RAW) + block(2, old) + block(3, struct.pack("<I", 3) + b"abc")
    first, second = read(data)
    assert (first.at_ns, len(first.data), first.original_bytes) == (units * 1000, 40, 60)
    assert (second.at_ns, second.data) == (first.at_ns, b"abc")


def test_a_frame_of_which_the_end_was_not_kept() -> None:
    for data in (pcap([Captured(START_NS, bytes(100), 60)]), pcapng([Captured(START_NS, bytes(100), 60)])):
        [frame] = read(data)
        assert (len(frame.data), frame.original_bytes) == (40, 100)


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_a_file_cut_anywhere_gives_what_came_before_and_says_where(make) -> None:  # type: ignore[no-untyped-def]
    whole = make(FRAMES)
    for size in range(1, len(whole)):
        try:
            frames, error = read_until_damage(whole[:size])
        except CaptureError as fault:
            frames, error = [], str(fault)
        assert frames == MICROSECONDS[: len(frames)]
        ended_well = size in {len(make(FRAMES[:n])) for n in range(6)} or (make is pcapng and size == len(section()))
        assert ended_well == (error == ""), size
        assert ended_well or "cut short" in error or "expected the first bytes" in error


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(100), "expected the first bytes of a pcap or pcapng file, found 50 4b 03 04"),
        (pcap([])[:4] + b"\x09\x00" + pcap([])[6:], "expected pcap version 2, found 9"),
        (pcap([]) + struct.pack("<IIII", 1, 1, 1 << 25, 1 << 25), "packet at byte 24: expected up to"),
        (section()[:8] + b"abcd" + section()[12:], "expected a byte-order magic"),
        (section() + struct.pack("<II", 1, 13) + bytes(20), "expected a length in whole words"),
        (section() + interface(RAW)[:-4] + bytes(4), "its two lengths are 20 and 0"),
        (section() + enhanced(FRAMES[0]), "interface 0 was never described"),
        (section() + interface(RAW) + block(6, bytes(8)), "too short"),
        (section() + interface(RAW) + enhanced(Captured(1 << 63, b"")), "expected a time from 1970 to 2116"),
        (section() + interface(RAW, options=struct.pack("<HHq", 14, 8, -1)) + enhanced(Captured(0, b"")), "1970"),
        (section() + interface(RAW) + block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99)), "expected 99 bytes of data"),
    ],
)
def test_damage_is_named(data: bytes, words: str) -> None:
    with pytest.raises(CaptureError, match=words):
        read(data)


def test_a_stream_that_gives_little_at_a_time() -> None:
    class Slow(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size, 3) if size is not None else size)

    assert list(read_frames(Slow(pcap(FRAMES)))) == MICROSECONDS
