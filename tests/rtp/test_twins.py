"""Random histories: the twins agree in every verdict, every byte and every field."""

from __future__ import annotations

import struct
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmw.rtp import _pure
from cmw.rtp.extended_report import VoipRating
from tests.support.rtp_streams import OUR_SSRC, SECOND, SSRC

compiled = pytest.importorskip("cmw._rtp")

OPEN: dict[str, Any] = {
    "start_ns": SECOND,
    "period_ns": 20_000_000,
    "ssrc": OUR_SSRC,
    "sequence": 65500,
    "timestamp": (1 << 32) - 5000,
    "timestamp_step": 160,
    "clock_hz": 8000,
    "payload_type": 0,
    "event_payload_type": 101,
    "cname": b"twin",
    "unix_offset_ns": 1_700_000_000 * SECOND + 1,
    "seed": 42,
    "extended_reports": True,
}


def tables(**changes: Any) -> tuple[Any, Any]:
    pair = _pure.StreamTable(1), compiled.StreamTable(1)
    for table in pair:
        table.open(0, **(OPEN | changes))
    return pair


def agree(pair: tuple[Any, Any], name: str, *args: Any, **kwargs: Any) -> Any:
    """Call both and return what both returned."""
    mine, theirs = (getattr(table, name)(*args, **kwargs) for table in pair)
    assert mine == theirs, (name, args, kwargs)
    return mine


packets = st.tuples(
    st.one_of(st.integers(0, 4), st.integers(-130, 130), st.integers(-32768, 32767)),  # sequence step
    st.one_of(st.just(160), st.just(0), st.integers(-(1 << 31), 1 << 31)),  # timestamp step
    st.sampled_from([SSRC] * 8 + [7, 0]),
    st.sampled_from([0] * 8 + [101, 8]),
    st.booleans(),
    st.one_of(st.just(20_000_000), st.integers(0, 3 * SECOND), st.integers(-50_000_000, 50_000_000)),  # arrival step
    st.integers(0, 200),  # payload
)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 65535),
    st.integers(0, (1 << 32) - 1),
    st.sampled_from([8000, 16000, 44100, 48000, 90000, 1]),
    st.lists(packets, min_size=1, max_size=80),
)
def test_random_streams(seq: int, timestamp: int, clock_hz: int, history: list[tuple[Any, ...]]) -> None:
    pair = tables(clock_hz=clock_hz)
    arrival_ns = 10_000 * SECOND
    for i, (seq_step, timestamp_step, ssrc, payload_type, marker, arrival_step, size) in enumerate(history):
        seq = (seq + seq_step) % 65536
        timestamp = (timestamp + timestamp_step) % (1 << 32)
        arrival_ns = max(0, arrival_ns + arrival_step)
        header = struct.pack("!BBHII", 0x80, marker << 7 | payload_type, seq, timestamp, ssrc)
        agree(pair, "receive", 0, header + bytes(size), arrival_ns)
        if i % 7 == 6:
            agree(pair, "snapshot", 0)
        if i % 11 == 10:
            agree(pair, "close_interval", 0, now=arrival_ns)
        if i % 23 == 22:
            agree(
                pair, "change_payload", 0, payload_type=i % 2 * 8, event_payload_type=101, clock_hz=8000 + i % 3 * 8000
            )
    agree(pair, "snapshot", 0)
    agree(pair, "rate", 0, VoipRating(-20, -60, seq % 101, 10 + timestamp % 36, timestamp % 50))
    agree(pair, "build_rtcp", 0, now=arrival_ns + 1)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_long_streams_with_loss_and_reorder(data: st.DataObject) -> None:
    """Losses and swaps over several windows, so that bits leave it."""
    pair = tables()
    numbers = list(range(65400, 65400 + 400))
    for _ in range(data.draw(st.integers(0, 12))):
        start = data.draw(st.integers(0, len(numbers) - 1))
        if data.draw(st.booleans()):
            del numbers[start : start + data.draw(st.integers(1, 30))]
            numbers = numbers or [65400]
        else:
            late = numbers.pop(start)
            numbers.insert(start + data.draw(st.integers(0, 140)), late)
    for i, seq in enumerate(numbers):
        header = struct.pack("!BBHII", 0x80, 0, seq % 65536, seq * 160 % (1 << 32), SSRC)
        agree(pair, "receive", 0, header, SECOND + 20_000_000 * i + i * i % 977 * 1000)
        if i % 50 == 0:
            agree(pair, "snapshot", 0)
    agree(pair, "snapshot", 0)


mutated = st.tuples(
    st.sampled_from(
        [
            struct.pack("!BBHII", 0x80, 0, 1, 2, SSRC) + bytes(20),
            struct.pack("!BBHII", 0xB2, 0, 1, 2, SSRC) + bytes(8) + b"\xbe\xde\0\x01abcd" + b"pay\x02",
        ]
    ),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4),
    st.integers(0, 60),
).map(lambda parts: _mutate(*parts))


def _mutate(data: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    changed = bytearray(data)
    for position, value in changes:
        changed[position % len(changed)] = value
    return bytes(changed[: max(0, len(changed) - cut // 3)])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=64), mutated), max_size=20))
def test_hostile_packets(datagrams: list[bytes]) -> None:
    pair = tables()
    for i, datagram in enumerate(datagrams):
        agree(pair, "receive", 0, datagram, SECOND + i)
    agree(pair, "snapshot", 0)


control_packets = st.tuples(
    st.sampled_from([200, 201, 200, 201, 202, 203, 204, 207, 207]),
    st.integers(0, 3),
    st.booleans(),  # padding bit
    st.integers(0, 20),  # words of body
    st.binary(min_size=0, max_size=8),
).map(lambda parts: _control(*parts))


def _control(packet_type: int, count: int, padding: bool, words: int, start: bytes) -> bytes:
    ssrcs = struct.pack("!III", OUR_SSRC, SSRC, 4)
    body = (start + ssrcs * 8)[: 4 * words]
    if packet_type == 207 and start:
        blocks = {4: 2, 5: 3, 6: 9, 7: 8}
        kind = 4 + start[0] % 4
        about = struct.pack("!II", SSRC, OUR_SSRC)
        body = (
            about[:4]
            + struct.pack("!BBH", kind, 0, blocks[kind])
            + about[4:]
            + (start + bytes(36))[: 4 * blocks[kind] - 4]
        )
        words = len(body) // 4
    if padding and body:
        body = body[:-1] + b"\x04"
    return struct.pack("!BBH", 0x80 | padding << 5 | count, packet_type, words) + body


@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.lists(control_packets, max_size=4).map(b"".join)), max_size=8))
def test_hostile_control(datagrams: list[bytes]) -> None:
    pair = tables()
    agree(pair, "receive", 0, struct.pack("!BBHII", 0x80, 0, 1, 2, SSRC), SECOND)
    for i, datagram in enumerate(datagrams):
        agree(pair, "receive_rtcp", 0, datagram, 2 * SECOND + i * 1_000_000)
        agree(pair, "snapshot", 0)
        agree(pair, "next_rtcp_due", 0)
    agree(pair, "build_rtcp", 0, now=4 * SECOND)


steps = st.one_of(
    st.tuples(st.just("time"), st.one_of(st.integers(0, 30_000_000), st.integers(0, 500_000_000))),
    st.tuples(st.just("failed"), st.just(0)),
    st.tuples(st.just("echo"), st.integers(0, (1 << 32) - 1)),
    st.tuples(st.just("report"), st.just(0)),
    st.tuples(st.just("format"), st.integers(0, 5)),
)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 20_000_000), st.integers(0, 1_000_000), st.lists(steps, max_size=60))
def test_random_pacing(late_bound_ns: int, slack_ns: int, history: list[tuple[str, int]]) -> None:
    pair = tables(late_bound_ns=late_bound_ns)
    now = SECOND
    stamped = False
    for kind, value in history:
        if kind == "time":
            now += value
            out = array("i", [0])
            if agree(pair, "pull_due", now, slack_ns, out):
                stamped = _stamp_both(pair, "stamp", 0)
        elif kind == "echo":
            stamped = _stamp_both(pair, "stamp_as", 0, value, True, now=now)
        elif kind == "failed" and stamped:
            agree(pair, "send_failed", 0)
            stamped = False
        elif kind == "report":
            agree(pair, "build_rtcp", 0, now=now)
        elif kind == "format":
            clock_hz, ms = 8000 + value % 3 * 8000, (20, 30)[value % 2]
            format_ = {"payload_type": value, "clock_hz": clock_hz, "timestamp_step": clock_hz * ms // 1000}
            agree(pair, "change_sending", 0, period_ns=ms * 1_000_000, **format_)
        agree(pair, "next_due")
    agree(pair, "snapshot", 0)
    agree(pair, "pacing")


def _stamp_both(pair: tuple[Any, Any], name: str, slot: int, *args: Any, **kwargs: Any) -> bool:
    written = []
    for table in pair:
        packet = bytearray(b"\xff" * 30)
        getattr(table, name)(slot, packet, *args, **kwargs)
        written.append(packet)
    assert written[0] == written[1]
    return True


reports = st.tuples(
    st.sampled_from([SSRC] * 6 + [7]),
    st.one_of(st.just(5 << 32), st.integers(0, 1 << 36), st.integers(0, 1 << 64)),  # NTP step
    st.one_of(st.just(40_000), st.integers(0, 80_000), st.integers(0, 1 << 32)),  # timestamp step
    st.one_of(st.just(5 * SECOND), st.integers(0, 60 * SECOND)),  # arrival step
    st.booleans(),  # BYE
)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 64), st.lists(reports, max_size=40))
def test_random_sender_reports(ntp: int, history: list[tuple[int, int, int, int, bool]]) -> None:
    """Clock rates, report intervals and what we answer."""
    pair = tables(start_ns=0)
    timestamp, now = 5, 0
    for ssrc, ntp_step, timestamp_step, step_ns, bye in history:
        ntp, timestamp, now = (ntp + ntp_step) % (1 << 64), (timestamp + timestamp_step) % (1 << 32), now + step_ns
        agree(pair, "receive", 0, struct.pack("!BBHII", 0x80, 0, now // SECOND % 65536, timestamp, SSRC), now)
        report = struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, ntp, timestamp, 1, 2)
        goodbye = struct.pack("!BBHI", 0x81, 203, 1, SSRC) if bye else b""
        agree(pair, "receive_rtcp", 0, report + goodbye, now)
        if agree(pair, "rtcp_due", 0, now=now):
            agree(pair, "build_rtcp", 0, now=now)
        agree(pair, "next_rtcp_due", 0)
        agree(pair, "snapshot", 0)
