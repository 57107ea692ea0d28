"""RFC 4733 packet by packet, and over links that lose, repeat and reorder."""

from __future__ import annotations

from random import Random
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.errors import LocalProtocolError
from cmw.rtp import _pure
from cmw.rtp.telephone_event import EVENT_CODES, EventPacket
from tests.support.rtp_streams import Stream

compiled = pytest.importorskip("cmw._rtp")

MS = 1_000_000
STEP = 160


def order(code: int, **changes: int) -> dict[str, int]:
    return {"code": code, "payload_type": 101, "volume": 10, "duration": 480, "pause": 480} | changes


def run(sender: Any, slots: int, *, first: int = 1000, step: int = STEP) -> list[EventPacket | None]:
    return [sender.next_packet((first + k * step) % (1 << 32), step) for k in range(slots)]


def told(packet: EventPacket | None) -> tuple[int, bool, bool, int] | None:
    """Return timestamp, marker, end and duration."""
    if packet is None:
        return None
    return packet.timestamp, packet.marker, packet.payload[1] > 127, int.from_bytes(packet.payload[2:])


class TestSender:
    def test_a_digit(self, rtp_impl: ModuleType) -> None:
        """RFC 4733 2.5.1: one timestamp, the marker first, a growing duration, the final packet three times."""
        sender = rtp_impl.EventSender()
        sender.queue(**order(11))
        packets = run(sender, 7)
        assert [told(packet) for packet in packets] == [
            (1000, True, False, 160),
            (1000, False, False, 320),
            (1000, False, True, 480),
            (1000, False, True, 480),
            (1000, False, True, 480),
            None,
            None,
        ]
        assert packets[0] == EventPacket(bytes([11, 10, 0, 160]), 101, 1000, True, False)
        assert [packet.is_over for packet in packets if packet] == [False, False, True, False, False]
        assert len(sender) == 0

    def test_digits_are_apart_by_their_pause(self, rtp_impl: ModuleType) -> None:
        sender = rtp_impl.EventSender()
        sender.queue(**order(4))
        sender.queue(**order(2, volume=63))
        packets = run(sender, 12)
        at = [k for k, packet in enumerate(packets) if packet and packet.marker]
        assert at == [0, 6]  # 480 units each of sound and of pause
        assert [packets[k] and packets[k].timestamp for k in at] == [1000, 1960]  # type: ignore[union-attr]
        assert packets[5] is None
        assert packets[6] is not None
        assert packets[6].payload == bytes([2, 63, 0, 160])

    def test_without_a_pause_the_next_one_waits_for_the_final_packets(self, rtp_impl: ModuleType) -> None:
        sender = rtp_impl.EventSender()
        sender.queue(**order(1, duration=1, pause=0))
        sender.queue(**order(1, duration=1, pause=0))
        starts = [told(packet) for packet in run(sender, 7)]
        assert starts == [(1000, k == 0, True, 1) for k in range(3)] + [(1480, k == 0, True, 1) for k in range(3)] + [
            None
        ]

    def test_a_packet_that_was_skipped_is_made_up_for(self, rtp_impl: ModuleType) -> None:
        sender = rtp_impl.EventSender()
        sender.queue(**order(5, duration=800))
        assert told(sender.next_packet(1000, STEP)) == (1000, True, False, 160)
        assert told(sender.next_packet(1480, STEP)) == (1000, False, False, 640)

    def test_a_long_event_is_told_in_segments(self, rtp_impl: ModuleType) -> None:
        """RFC 4733 2.5.1.3: 0xFFFF without E, three times, then from there; the marker is set once."""
        sender = rtp_impl.EventSender()
        first = (1 << 32) - 800
        sender.queue(**order(5, duration=0xFFFF + 1000))
        packets = [told(packet) for packet in run(sender, 420, first=first)]
        full = [k for k, packet in enumerate(packets) if packet and packet[3] == 0xFFFF]
        assert full == [409, 410, 411]
        assert [packets[k] for k in full] == [(first, False, False, 0xFFFF)] * 3
        second = (first + 0xFFFF) % (1 << 32)
        assert packets[412:417] == [
            (second, False, False, 413 * STEP - 0xFFFF),
            (second, False, False, 414 * STEP - 0xFFFF),
            (second, False, False, 415 * STEP - 0xFFFF),
            (second, False, True, 1000),
            (second, False, True, 1000),
        ]
        assert sum(packet[1] for packet in packets if packet) == 1
        ends = [packet for packet in packets if packet and packet[2]]
        assert ends == [(second, False, True, 1000)] * 3

    def test_the_longest_single_segment_has_its_end(self, rtp_impl: ModuleType) -> None:
        sender = rtp_impl.EventSender()
        sender.queue(**order(5, duration=0xFFFF))
        ends = [told(packet) for packet in run(sender, 420) if packet and packet.payload[1] > 127]
        assert ends == [(1000, False, True, 0xFFFF)] * 3

    def test_dropped_digits_are_forgotten(self, rtp_impl: ModuleType) -> None:
        sender = rtp_impl.EventSender()
        for code in (1, 2, 3):
            sender.queue(**order(code))
        run(sender, 6)
        assert sender.drop() == 2
        assert run(sender, 3) == [None] * 3
        sender.queue(**order(9))
        assert told(sender.next_packet(77, STEP)) == (77, True, False, 160)

    def test_what_cannot_be_sent_is_refused(self, rtp_impl: ModuleType) -> None:
        sender = rtp_impl.EventSender()
        for bad in ({"code": 16}, {"payload_type": 128}, {"volume": 64}, {"duration": 0}, {"pause": -1}):
            with pytest.raises(ValueError, match=r"expected a code of 0 \.\. 15, .*, got"):
                sender.queue(**(order(1) | bad))
        for _ in range(32):
            sender.queue(**order(1))
        with pytest.raises(LocalProtocolError, match="expected up to 32 digits"):
            sender.queue(**order(1))

    def test_the_stream_goes_on_around_an_event(self, stream: Stream) -> None:
        """Sequence numbers run through; the schedule and what a sender report says keep the stream's time."""
        table = stream.table
        packet = bytearray(16)
        before = table.next_timestamp(0)
        table.stamp(0, packet)
        sequence = int.from_bytes(packet[2:4])
        for k in range(3):
            table.stamp_event(0, packet, 101, before + 160, k == 0)
            assert packet[1] == 101 | (128 if k == 0 else 0)
            assert int.from_bytes(packet[2:4]) == (sequence + 1 + k) % 65536
            assert int.from_bytes(packet[4:8]) == before + 160
        assert table.next_timestamp(0) == before + 4 * 160
        table.stamp(0, packet)
        assert packet[1] == 0
        assert int.from_bytes(packet[4:8]) == before + 4 * 160
        assert table.snapshot(0).packets_sent == 5


class TestReceiver:
    def test_a_digit_is_told_once(self, rtp_impl: ModuleType) -> None:
        receiver = rtp_impl.EventReceiver()
        for duration in (160, 320):
            assert receiver.receive(bytes([11, 10]) + duration.to_bytes(2), 1000, 0) == []
        assert receiver.receive(b"\x0b\x8a\x01\xe0", 1000, 0) == [(11, 480)]
        assert receiver.receive(b"\x0b\x8a\x01\xe0", 1000, 0) == []
        assert receiver.receive(b"\x0b\x0a\x01\x40", 1000, 0) == []  # overtaken by its end
        assert receiver.expire(10**12) == []

    def test_a_lost_start_does_not_matter(self, rtp_impl: ModuleType) -> None:
        assert rtp_impl.EventReceiver().receive(b"\x03\x8a\x01\xe0", 5, 0) == [(3, 480)]

    def test_a_lost_end_is_made_up_for_by_the_next_event(self, rtp_impl: ModuleType) -> None:
        receiver = rtp_impl.EventReceiver()
        assert receiver.receive(b"\x03\x0a\x01\x40", 1000, 0) == []
        assert receiver.receive(b"\x03\x8a\x00\xa0", 3000, 0) == [(3, 320), (3, 160)]

    def test_or_by_time(self, rtp_impl: ModuleType) -> None:
        receiver = rtp_impl.EventReceiver()
        receiver.receive(b"\x03\x0a\x01\x40", 1000, 50 * MS)
        assert receiver.expire(249 * MS) == []
        assert receiver.expire(250 * MS) == [(3, 320)]
        assert receiver.receive(b"\x03\x8a\x01\xe0", 1000, 260 * MS) == []

    def test_an_event_that_was_overtaken_as_a_whole_counts(self, rtp_impl: ModuleType) -> None:
        receiver = rtp_impl.EventReceiver()
        assert receiver.receive(b"\x04\x0a\x00\xa0", 2000, 0) == []
        assert receiver.receive(b"\x03\x8a\x01\xe0", 1000, 0) == [(3, 480)]
        assert receiver.receive(b"\x03\x8a\x01\xe0", 1000, 0) == []
        assert receiver.receive(b"\x04\x8a\x01\xe0", 2000, 0) == [(4, 480)]

    def test_segments_are_one_event(self, rtp_impl: ModuleType) -> None:
        sender, receiver = rtp_impl.EventSender(), rtp_impl.EventReceiver()
        sender.queue(**order(5, duration=3 * 0xFFFF))
        ended = [
            event
            for packet in run(sender, 1300, first=(1 << 32) - 5)
            if packet
            for event in receiver.receive(packet.payload, packet.timestamp, 0)
        ]
        assert ended == [(5, 3 * 0xFFFF)]

    def test_what_is_no_digit_is_passed_over(self, rtp_impl: ModuleType) -> None:
        receiver = rtp_impl.EventReceiver()
        for payload in (b"", b"\x03\x8a\x01", b"\x10\x8a\x01\xe0", b"\xff\x8a\x01\xe0"):
            assert receiver.receive(payload, 1000, 0) == []
        assert receiver.expire(10**12) == []


@given(
    digits=st.text(EVENT_CODES, min_size=1, max_size=20),
    seed=st.integers(0, 1 << 32),
    first=st.integers(0, (1 << 32) - 1),
    step=st.sampled_from([80, 160, 320]),
)
def test_digits_survive_a_bad_link(digits: str, seed: int, first: int, step: int) -> None:
    """One packet of each event is enough, in any order within 40 ms; both twins send and hear the same."""
    random = Random(seed)
    senders, receivers = [], []
    for impl in (_pure, compiled):
        sender = impl.EventSender()
        for digit in digits:
            sender.queue(**order(EVENT_CODES.index(digit), duration=5 * step, pause=5 * step))
        senders.append(sender)
        receivers.append(impl.EventReceiver())
    sent, heard = [run(sender, 10 * len(digits), first=first, step=step) for sender in senders]
    assert sent == heard
    events: dict[int, list[tuple[int, EventPacket]]] = {}
    for k, packet in enumerate(sent):
        if packet is not None:
            events.setdefault(packet.timestamp, []).append((k, packet))
    arrivals = []
    for packets in events.values():
        kept = random.sample(packets, random.randint(1, len(packets)))
        arrivals += [(k + random.uniform(0, 2), packet) for k, packet in kept for _ in range(random.choice((1, 1, 2)))]
    recognised = ["", ""]
    for at, packet in sorted(arrivals, key=lambda each: each[0]):
        for n, receiver in enumerate(receivers):
            for event in receiver.receive(packet.payload, packet.timestamp, int(at * 20 * MS)):
                recognised[n] += EVENT_CODES[event.code]
    for n, receiver in enumerate(receivers):
        recognised[n] += "".join(EVENT_CODES[event.code] for event in receiver.expire(10**12))
    assert recognised == [digits, digits]


@given(
    packets=st.lists(
        st.tuples(
            st.one_of(
                st.binary(max_size=6),
                st.tuples(st.integers(0, 17), st.sampled_from([10, 138]), st.binary(min_size=2, max_size=2)).map(
                    lambda each: bytes(each[:2]) + each[2]
                ),
            ),
            st.sampled_from([0, 5, 0xFFFF, 0xFFFF + 5, (1 << 32) - 1, 1 << 31, 2 * 0xFFFF]),
            st.integers(0, 300 * MS),
        ),
        max_size=30,
    )
)
def test_the_twins_hear_the_same(packets: list[tuple[bytes, int, int]]) -> None:
    pure, fast = _pure.EventReceiver(), compiled.EventReceiver()
    now = 0
    for payload, timestamp, later in packets:
        now += later
        assert pure.receive(payload, timestamp, now) == fast.receive(payload, timestamp, now)
        assert pure.expire(now) == fast.expire(now)
