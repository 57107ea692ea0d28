"""Digits by RFC 4733 on both engines: what leaves, what is recognised, and what becomes of a queue."""

from __future__ import annotations

import select
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from cmw.core.address import PortRange
from cmw.errors import LocalProtocolError
from cmw.net._media import MediaEngine
from cmw.net.media import DigitEvent, DigitFate, MediaMode, open_media_pair
from cmw.net.media_pure import PureMediaEngine
from cmw.rtp.ports import PortPool
from cmw.rtp.source import make_source
from tests.support.media_ends import Outsider, wait_until

pytestmark = pytest.mark.loopback

IP = "127.0.0.1"
PORTS = PortRange(33000, 33099)
ORDER = {"payload_type": 101, "duration_ms": 60, "pause_ms": 60, "volume": 8}


@pytest.fixture(params=["compiled", "pure"])
def engine(request: pytest.FixtureRequest) -> Iterator[MediaEngine]:
    made: Any = MediaEngine(slots=4) if request.param == "compiled" else PureMediaEngine(slots=4)
    made.start()
    yield made
    made.stop()
    for slot, _ in made.snapshot_all():
        made.close(slot)


@pytest.fixture
def outsider() -> Iterator[Outsider]:
    made = Outsider()
    yield made
    made.socket.close()


POOL = PortPool(PORTS)


def open_stream(engine: MediaEngine, remote_port: int, mode: int = MediaMode.SEND_RECEIVE, **changes: Any) -> int:
    slot, _ = open_media_pair(engine, POOL, IP, 0)
    start(engine, slot, remote_port, mode, **changes)
    return slot


def start(engine: MediaEngine, slot: int, remote_port: int, mode: int = MediaMode.SEND_RECEIVE, **changes: Any) -> None:
    arguments: dict[str, Any] = {
        "remote_ip": IP,
        "remote_rtp_port": remote_port,
        "remote_rtcp_port": 0,
        "payload_type": 0,
        "clock_hz": 8000,
        "ptime_ms": 20,
        "source": engine.add_source(*make_source("tone", "PCMU")),
        "ssrc": 7,
        "sequence": 65530,
        "timestamp": 0xFFFFFF00,
        "cname": b"me@here",
        "mode": mode,
        "event_payload_type": 101,
    }
    engine.start_stream(slot, **(arguments | changes))


def told(engine: MediaEngine, count: int) -> list[DigitEvent]:
    """Return what became of so many digits."""
    found: list[DigitEvent] = []
    while len(found) < count:
        assert select.select([engine.event_fd], [], [], 10)[0]
        events, lost = engine.take_events()
        assert lost == 0
        found += events
    return found


def dial_unhindered(
    engine: MediaEngine, outsider: Outsider, slot: int, count: int
) -> tuple[tuple[int, ...], list[bytes]]:
    """Dial 4# and return the header of a packet before it, and the packets after that one, from a time without skips.

    A machine that stops us for a packet time takes packets out of the pattern; then the digits are dialled again.
    """
    for _ in range(20):
        skipped = engine.snapshot(slot).packets_skipped
        first = struct.unpack("!BBHII", outsider.hear()[:12])
        engine.send_digits(slot, "4#", **ORDER)
        packets = [outsider.hear() for _ in range(count)]
        if engine.snapshot(slot).packets_skipped == skipped:
            return first, packets
        told(engine, 2)
    raise AssertionError("the machine stopped the engine in each of 20 tries")


def test_what_leaves(engine: MediaEngine, outsider: Outsider) -> None:
    """RFC 4733 2.5.1: events instead of audio, at its pace, with its sequence numbers, on its clock."""
    slot = open_stream(engine, outsider.port)
    first, packets = dial_unhindered(engine, outsider, slot, 18)
    headers = [struct.unpack("!BBHII", packet[:12]) for packet in packets]
    assert [header[2] for header in headers] == [(first[2] + 1 + k) % 65536 for k in range(18)]
    assert {header[4] for header in headers} == {7}
    events = [k for k, header in enumerate(headers) if header[1] & 0x7F == 101]
    begin = events[0]
    assert events == [*range(begin, begin + 5), *range(begin + 6, begin + 11)]
    assert [packets[k][12:] for k in events] == [
        bytes([code, end | 8]) + duration.to_bytes(2)
        for code in (4, 11)
        for end, duration in ((0, 160), (0, 320), (128, 480), (128, 480), (128, 480))
    ]
    assert [k for k in events if headers[k][1] > 127] == [begin, begin + 6]
    for k, header in enumerate(headers):
        since = {True: 0, False: 6}[k < begin + 6] if k in events else k - begin
        assert header[3] == (headers[begin][3] + since * 160) % (1 << 32)
        assert len(packets[k]) == (16 if k in events else 172)
    assert told(engine, 2) == [
        DigitEvent(slot, DigitFate.SENT, "4", 60.0),
        DigitEvent(slot, DigitFate.SENT, "#", 60.0),
    ]
    assert engine.take_events() == ([], 0)
    assert engine.snapshot(slot).packets_sent >= 19


def test_both_ends(engine: MediaEngine) -> None:
    """Every digit arrives once with its duration, and the jitter is that of the audio."""
    one, one_port = open_media_pair(engine, POOL, IP, 0)
    two, two_port = open_media_pair(engine, POOL, IP, 0)
    start(engine, one, two_port)
    start(engine, two, one_port)
    engine.send_digits(one, "1D", **ORDER)
    engine.send_digits(one, "*", **(ORDER | {"duration_ms": 40}))
    events = told(engine, 6)
    assert [(event.digit, event.duration_ms) for event in events if event.fate is DigitFate.RECEIVED] == [
        ("1", 60.0),
        ("D", 60.0),
        ("*", 40.0),
    ]
    assert {event.slot for event in events if event.fate is DigitFate.RECEIVED} == {two}
    assert {event.slot for event in events if event.fate is DigitFate.SENT} == {one}
    seen = engine.snapshot(two)
    assert (seen.packets_lost, seen.wrong_payload_type, seen.payload_type_changes, seen.timestamp_jumps) == (0, 0, 0, 0)


def test_a_digit_that_has_ended_is_sent_whatever_becomes_of_the_repetitions(
    engine: MediaEngine, outsider: Outsider
) -> None:
    slot = open_stream(engine, outsider.port)
    engine.send_digits(slot, "12", **ORDER)
    while (packet := outsider.hear())[1] & 0x7F != 101 or not packet[13] & 0x80:
        pass
    engine.set_sending(slot, False)
    assert [(event.fate, event.digit) for event in told(engine, 2)] == [(DigitFate.SENT, "1"), (DigitFate.DROPPED, "2")]
    assert engine.take_events() == ([], 0)


def test_a_digit_whose_end_was_lost(engine: MediaEngine, outsider: Outsider) -> None:
    slot, port = open_media_pair(engine, POOL, IP, 0)
    start(engine, slot, outsider.port, MediaMode.RECEIVE_ONLY)
    for seq in range(3):
        outsider.say(port, seq)
    outsider.say(port, 3, payload_type=101, payload=bytes([9, 10, 1, 64]))
    assert told(engine, 1) == [DigitEvent(slot, DigitFate.RECEIVED, "9", 40.0)]
    outsider.say(port, 4, payload_type=101, payload=bytes([8, 10, 0, 160]))
    wait_until(lambda: engine.snapshot(slot).packets_received == 5)
    engine.stop_stream(slot)  # its end is the end of the digit
    assert told(engine, 1) == [DigitEvent(slot, DigitFate.RECEIVED, "8", 20.0)]


def test_a_silenced_stream_drops_its_digits(engine: MediaEngine, outsider: Outsider) -> None:
    slot = open_stream(engine, outsider.port)
    engine.send_digits(slot, "12", **(ORDER | {"duration_ms": 5000}))
    engine.set_sending(slot, False)
    assert told(engine, 2) == [
        DigitEvent(slot, DigitFate.DROPPED, "1", 0.0),
        DigitEvent(slot, DigitFate.DROPPED, "2", 0.0),
    ]
    with pytest.raises(LocalProtocolError, match="sends no stream of its own"):
        engine.send_digits(slot, "1", **ORDER)
    engine.set_sending(slot, True)
    engine.send_digits(slot, "3", **ORDER)
    assert told(engine, 1) == [DigitEvent(slot, DigitFate.SENT, "3", 60.0)]


def test_what_cannot_be_sent_is_refused(engine: MediaEngine, outsider: Outsider) -> None:
    slot = open_stream(engine, outsider.port, MediaMode.ECHO)
    with pytest.raises(LocalProtocolError, match="sends no stream of its own"):
        engine.send_digits(slot, "1", **ORDER)
    other, _ = open_media_pair(engine, POOL, IP, 0)
    with pytest.raises(LocalProtocolError, match="has no running stream"):
        engine.send_digits(other, "1", **ORDER)
    start(engine, other, outsider.port)
    for digits, changes, expected in (
        ("", {}, "expected 1 .. 32 digits, got 0"),
        ("1" * 33, {}, "expected 1 .. 32 digits, got 33"),
        ("1x", {}, "digit 'x': expected a code of 0 .. 15"),
        ("1", {"volume": 64}, "got 1, 101, 64, 480 and 480"),
        ("1", {"duration_ms": 0}, "got 1, 101, 8, 0 and 480"),
    ):
        with pytest.raises(LocalProtocolError, match=expected):
            engine.send_digits(other, digits, **(ORDER | changes))
    engine.send_digits(other, "1" * 20, **(ORDER | {"duration_ms": 5000}))
    with pytest.raises(LocalProtocolError, match="expected up to 12 digits beside those that wait, got 13"):
        engine.send_digits(other, "1" * 13, **ORDER)
