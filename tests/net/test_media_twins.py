"""Random datagrams and commands: both engines come to the same figures, whoever speaks and whatever is agreed."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmw.core.address import PortRange
from cmw.errors import LocalProtocolError
from cmw.net._media import MediaEngine
from cmw.net.media import MediaMode, ReceivedFormat, open_media_pair, open_pair_beside
from cmw.net.media_pure import PureMediaEngine
from cmw.rtp.ports import PortPool
from cmw.rtp.snapshot import StreamSnapshot
from tests.support.media_ends import GENEROUS_S

pytestmark = pytest.mark.loopback

US, PEER, ELSEWHERE = "127.23.7.1", "127.23.7.2", "127.23.7.3"
OURS, THEIRS = 99, 7
PCMU, PCMA = ReceivedFormat(0, "PCMU", 8000, 0), ReceivedFormat(8, "PCMA", 8000, 8)
OTHER = ReceivedFormat(96, "L16", 16000, 97)
FORMATS = st.sampled_from([(PCMU,), (PCMA,), (PCMU, PCMA), (OTHER, PCMU), (PCMU._replace(clock_hz=16000),)])
EVENTS = st.sampled_from([101, 101, None, 96])

# What depends on instants, which differ between the two: they read different sockets.
TIMED = {
    name
    for name in StreamSnapshot._fields
    if name.endswith(("_ms", "_ns", "_ppm")) or name.startswith(("buffer_", "burst_", "gap_"))
} | {
    "late_packets",
    "timestamp_jumps",
    "rtcp_sent",
    "packets_skipped",
    "send_errors",
    "network_errors",
    "rtcp_send_errors",
}
PACED = {"packets_sent", "bytes_sent"}

Step = tuple[str, Any]


class Twin:
    """One engine with a slot, traced, so that it is known when a datagram was taken."""

    def __init__(self, engine: Any, ports: PortRange) -> None:
        self.engine, self.pool = engine, PortPool(ports)
        engine.set_trace(True)
        engine.start()
        self.source = engine.add_source(bytes(range(160)) * 3, 160)

    def begin(self) -> None:
        self.slot, port = open_media_pair(self.engine, self.pool, US, 0)
        self.ports, self.taken = [port], 0
        self.engine.take_trace(8192)

    def end(self) -> None:
        self.engine.close(self.slot)
        for port in self.ports:
            self.pool.release(port)

    def take(self, count: int) -> None:
        """Wait until so many datagrams were taken since the beginning."""
        deadline = time.monotonic() + GENEROUS_S
        while self.taken < count:
            packets, lost = self.engine.take_trace(500)
            self.taken += sum(not packet.is_sent for packet in packets)
            assert lost == 0
            assert time.monotonic() < deadline, "it was never taken"

    def is_done(self, name: str, arguments: dict[str, Any]) -> bool:
        """Carry out a command, if it is allowed."""
        if name in ("start_stream", "change_sending", "change_source"):
            arguments = arguments | {"source": self.source}
        try:
            if name == "open_beside":
                if len(self.ports) < 2:
                    self.ports.append(open_pair_beside(self.engine, self.slot, self.pool, US, 0))
            else:
                getattr(self.engine, name)(self.slot, **arguments)
        except LocalProtocolError:
            return False
        return True


class Speakers:
    """Whoever sends: three ports of the peer's host, two of another."""

    def __init__(self) -> None:
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(5)]
        for i, made in enumerate(self.sockets):
            made.bind((PEER if i < 3 else ELSEWHERE, 0))

    def address(self, number: int) -> tuple[str, int]:
        ip, port = self.sockets[number].getsockname()
        return ip, port


@pytest.fixture(scope="module")
def twins() -> Iterator[tuple[Twin, Twin]]:
    pair = (
        Twin(MediaEngine(slots=1), PortRange(26000, 26019)),
        Twin(PureMediaEngine(slots=1), PortRange(26020, 26039)),
    )
    yield pair
    for twin in pair:
        twin.engine.stop()


@pytest.fixture(scope="module")
def speakers() -> Iterator[Speakers]:
    made = Speakers()
    yield made
    for one in made.sockets:
        one.close()


# --- what happens

who = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 4])
ssrcs = st.sampled_from([THEIRS] * 4 + [8, OURS])
packets = st.tuples(
    who,
    ssrcs,
    st.sampled_from([1] * 12 + [0, 2, 3, -1, -2, -99, -100, -101, 200, 2999, 3000, 20000, -5000]),  # sequence step
    st.sampled_from([160] * 10 + [320, 80, 1 << 31]),  # timestamp step
    st.sampled_from([0] * 10 + [8, 8, 101, 101, 13, 96, 5, 72, 127]),  # payload type
    st.booleans(),  # marker
    st.sampled_from([0x80] * 15 + [0xA0, 0x90, 0x81, 0x8F, 0x40]),  # padding, extension, sources, version
    st.sampled_from([200] * 20 + [0, 1, 8, 11, 12, 13]),  # bytes kept
)
reports = st.tuples(
    who,
    ssrcs,
    st.booleans(),  # on the port of RTP
    st.sampled_from(["sender", "receiver", "goodbye", "cut", "padded first", "no words left", "too long", "extended"]),
)
places = st.tuples(
    st.sampled_from([0, 0, 0, 1, 3]),
    st.sampled_from([None, None, None, 9]),  # an RTP port that nobody speaks from
    st.sampled_from([0, 1, None]),  # RTCP there or above; none
    st.booleans(),
)
commands = st.one_of(
    st.tuples(st.just("change_remote"), places),
    st.tuples(st.just("change_receiving"), st.fixed_dictionaries({"formats": FORMATS, "event_payload_type": EVENTS})),
    st.tuples(st.just("set_sending"), st.fixed_dictionaries({"on": st.booleans()})),
    st.tuples(
        st.just("change_sending"),
        st.fixed_dictionaries(
            {"payload_type": st.sampled_from([0, 8]), "clock_hz": st.just(8000), "ptime_ms": st.just(20)}
        ),
    ),
    *[
        st.tuples(st.just(name), st.just({}))
        for name in ("open_beside", "change_pair", "close_beside", "change_source", "stop_stream")
    ],
)
starts = st.tuples(places, st.sampled_from(MediaMode), FORMATS, EVENTS)
steps = st.one_of(
    *[st.tuples(st.just("packet"), packets)] * 6, st.tuples(st.just("report"), reports), commands
)  # fmt: skip


def to_report(ssrc: int, kind: str) -> bytes:
    sender = struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, 5 << 32, 40000, 5, 6)
    receiver = struct.pack("!BBHIIIIIII", 0x81, 201, 7, ssrc, OURS, 1 << 24 | 3, 5, 6, 0, 0)
    return {
        "sender": sender,
        "receiver": receiver,
        "goodbye": receiver + struct.pack("!BBHI", 0x81, 203, 1, ssrc),
        "cut": sender[:-4],
        "padded first": bytes([0xA0]) + sender[1:],
        "no words left": receiver + b"\0\0",
        "too long": receiver + struct.pack("!BBH", 0x80, 204, 0xFFFF),
        "extended": sender + struct.pack("!BBHIBBHIHHII", 0x80, 207, 6, ssrc, 6, 0xF0, 4, OURS, 1, 9, 3, 1),
    }[kind]


class History:
    """The same to both twins, step by step."""

    def __init__(self, twins: tuple[Twin, Twin], speakers: Speakers) -> None:
        self.twins, self.speakers = twins, speakers
        self.sent = 0
        self.numbers: dict[tuple[int, int], tuple[int, int]] = {}
        self.mode = MediaMode.RECEIVE_ONLY

    def take(self, step: Step) -> None:
        name, value = step
        if name == "packet":
            self.say(value)
        elif name == "report":
            speaker, ssrc, shared, kind = value
            self.send(speaker, to_report(ssrc, kind), above=not shared)
        elif name == "change_remote":
            self.command(name, self.remote(value))
        else:
            self.command(name, value)

    def start(self, how: tuple[Any, ...]) -> None:
        place, self.mode, formats, events = how
        fixed: dict[str, Any] = {"payload_type": 0, "clock_hz": 8000, "ptime_ms": 20, "ssrc": OURS, "sequence": 65530}
        fixed |= {"timestamp": (1 << 32) - 100, "cname": b"me"}
        chosen = {"mode": self.mode, "formats": formats, "event_payload_type": events}
        self.command("start_stream", self.remote(place) | fixed | chosen)

    def say(self, packet: tuple[Any, ...]) -> None:
        speaker, ssrc, seq_step, timestamp_step, payload_type, marker, first, kept = packet
        seq, timestamp = self.numbers.get((speaker, ssrc), (65530, 1 << 31))
        seq, timestamp = (seq + seq_step) % 65536, (timestamp + timestamp_step) % (1 << 32)
        self.numbers[speaker, ssrc] = seq, timestamp
        payload = struct.pack("!BBH", seq % 16, 0x8A, 160) if payload_type == 101 else bytes(range(160))
        header = struct.pack("!BBHII", first, marker << 7 | payload_type, seq, timestamp, ssrc)
        self.send(speaker, (header + payload)[:kept])

    def send(self, speaker: int, data: bytes, *, above: bool = False) -> None:
        self.sent += 1
        for twin in self.twins:
            port = twin.ports[self.sent % len(twin.ports)]
            self.speakers.sockets[speaker].sendto(data, (US, port + above))
        for twin in self.twins:
            twin.take(self.sent)

    def command(self, name: str, arguments: dict[str, Any]) -> None:
        one, other = (twin.is_done(name, arguments) for twin in self.twins)
        assert one == other, (name, arguments)
        if one and name == "change_pair":
            for twin in self.twins:
                twin.ports.reverse()
        if name == "close_beside":
            for twin in self.twins:
                for port in twin.ports[1:]:
                    twin.pool.release(port)
                del twin.ports[1:]

    def remote(self, place: tuple[Any, ...]) -> dict[str, Any]:
        number, port, above, symmetric = place
        ip, own = self.speakers.address(number)
        port = port or own
        control = 0 if above is None else port + above
        return {"remote_ip": ip, "remote_rtp_port": port, "remote_rtcp_port": control, "symmetric": symmetric}

    def compare(self) -> None:
        one, other = (twin.engine.snapshot(twin.slot)._asdict() for twin in self.twins)
        left_out = TIMED | (PACED if self.mode is MediaMode.SEND_RECEIVE else set())
        for name in one.keys() - left_out:
            assert one[name] == pytest.approx(other[name]), name


@settings(max_examples=300, deadline=None)
@given(
    early=st.lists(packets, max_size=6),
    how=starts,
    happening=st.lists(steps, min_size=5, max_size=60),
)
def test_the_same_figures(
    twins: tuple[Twin, Twin], speakers: Speakers, early: list[Any], how: tuple[Any, ...], happening: list[Step]
) -> None:
    for twin in twins:
        twin.begin()
    try:
        history = History(twins, speakers)
        for packet in early:
            history.say(packet)
        history.start(how)
        for step in happening:
            history.take(step)
            history.compare()
    finally:
        for twin in twins:
            twin.end()
