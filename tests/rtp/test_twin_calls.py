"""Random calls made of what calls are made of: the twins agree in every verdict and every field, all along."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rtp.test_twins import agree, tables
from tests.support.rtp_streams import OUR_SSRC, SECOND, SSRC

MS = 1_000_000
CLOCK_HZ = 8000

Part = tuple[str, tuple[int, ...]]

counts = st.integers(1, 60)
talk = st.tuples(st.just("talk"), st.tuples(counts, st.sampled_from([10, 20, 20, 20, 30, 60, 7, 113])))
parts = st.one_of(
    *[talk] * 8,
    # milliseconds, whether the timestamps go on, whether a marker ends it
    st.tuples(st.just("silence"), st.tuples(st.integers(20, 30_000), st.integers(0, 1), st.integers(0, 1))),
    st.tuples(st.just("stall"), st.tuples(counts, st.integers(0, 3000))),  # then all at once
    st.tuples(st.just("lose"), st.tuples(st.one_of(st.integers(1, 5), st.integers(90, 140), st.just(3000)))),
    st.tuples(st.just("swap"), st.tuples(st.integers(1, 130))),
    st.tuples(st.just("repeat"), st.tuples(st.integers(1, 130))),
    st.tuples(st.just("switch"), st.tuples(st.integers(1, 4), st.integers(0, 1 << 32), st.integers(0, 65535))),
    st.tuples(st.just("renumber"), st.tuples(st.integers(-70000, 70000), st.integers(-(1 << 31), 1 << 31))),
    st.tuples(st.just("digit"), st.tuples(st.integers(0, 15), st.integers(1, 12))),
    st.tuples(st.just("noise"), st.tuples(st.integers(1, 3))),
    st.tuples(st.just("format"), st.tuples(st.sampled_from([0, 8, 96]), st.sampled_from([8000, 16000]))),
    st.tuples(st.just("report"), st.tuples(st.integers(-200, 200), st.integers(0, 1))),
    st.tuples(st.just("ours"), st.tuples(st.integers(0, 1))),
    st.tuples(st.just("interval"), st.just(())),
)


class Packet(NamedTuple):
    """What comes, and when."""

    data: bytes
    at_ns: int
    is_control: bool = False


class Caller:
    """Says the parts of a call; `now` is when the next packet comes, and everything wraps."""

    def __init__(self, seq: int, timestamp: int, jitter: list[int]) -> None:
        self.seq, self.timestamp, self.ssrc = seq, timestamp, SSRC
        self.payload_type, self.marker = 0, 1
        self.now = 1000 * SECOND
        self._jitter = jitter
        self._said = 0

    def packet(self, *, back: int = 0, payload_type: int | None = None, payload: bytes = bytes(20)) -> Packet:
        kind = self.payload_type if payload_type is None else payload_type
        header = struct.pack(
            "!BBHII",
            0x80,
            self.marker << 7 | kind,
            (self.seq - back) % 65536,
            (self.timestamp - 160 * back) % (1 << 32),
            self.ssrc,
        )
        self.marker = 0
        self._said += 1
        return Packet(header + payload, self.now + self._jitter[self._said % len(self._jitter)])

    def go_on(self, ptime_ms: int = 20) -> None:
        self.seq += 1
        self.timestamp += ptime_ms * CLOCK_HZ // 1000
        self.now += ptime_ms * MS

    def talk(self, count: int, ptime_ms: int) -> Iterator[Packet]:
        for _ in range(count):
            yield self.packet()
            self.go_on(ptime_ms)

    def silence(self, ms: int, goes_on: int, marker: int) -> Iterator[Packet]:
        self.now += ms * MS
        self.timestamp += goes_on * ms * CLOCK_HZ // 1000
        self.marker = marker
        yield self.packet()
        self.go_on()

    def stall(self, count: int, ms: int) -> Iterator[Packet]:
        release = self.now + ms * MS
        for _ in range(count):
            yield self.packet()._replace(at_ns=max(release, self.now))
            self.go_on()

    def lose(self, count: int) -> Iterator[Packet]:
        for _ in range(count):
            self.go_on()
        yield self.packet()
        self.go_on()

    def swap(self, back: int) -> Iterator[Packet]:
        for _ in range(back):
            self.go_on()
        for step in (0, back, back // 2):
            yield self.packet(back=step)
        self.go_on()

    def repeat(self, back: int) -> Iterator[Packet]:
        yield self.packet(back=back)

    def switch(self, ssrc: int, timestamp: int, seq: int) -> Iterator[Packet]:
        self.ssrc, self.timestamp, self.seq = ssrc, timestamp, seq
        return self.talk(3, 20)

    def renumber(self, seq: int, timestamp: int) -> Iterator[Packet]:
        self.seq += seq
        self.timestamp += timestamp
        return self.talk(3, 20)

    def digit(self, code: int, count: int) -> Iterator[Packet]:
        began, self.marker = self.timestamp, 1
        for n in range(count):
            event = struct.pack("!BBH", code, (n >= count - 3) << 7 | 10, 160 * (n + 1))
            now, self.timestamp = self.timestamp, began
            yield self.packet(payload_type=101, payload=event)
            self.timestamp = now
            self.go_on()

    def noise(self, count: int) -> Iterator[Packet]:
        for _ in range(count):
            yield self.packet(payload_type=13, payload=b"\x40")
            self.go_on()

    def format(self, payload_type: int, _clock_hz: int) -> Iterator[Packet]:
        self.payload_type = payload_type
        return self.talk(2, 20)

    def report(self, ppm: int, bye: int) -> Iterator[Packet]:
        ntp = self.now * (1 << 32) // SECOND
        rtp = self.now * CLOCK_HZ // SECOND * (1_000_000 + ppm) // 1_000_000
        block = struct.pack("!IIIIII", OUR_SSRC, 3 << 24 | 5, self.seq % (1 << 32), 9, ntp >> 16 & 0xFFFFFFFF, 65536)
        data = struct.pack("!BBHIQIII", 0x81, 200, 12, self.ssrc, ntp % (1 << 64), rtp % (1 << 32), 1, 2) + block
        yield Packet(data + (struct.pack("!BBHI", 0x81, 203, 1, self.ssrc) if bye else b""), self.now, True)


@settings(max_examples=300, deadline=None)
@given(
    seq=st.sampled_from([0, 65500, 40000]),
    timestamp=st.sampled_from([0, (1 << 32) - 3000, 12345]),
    jitter=st.sampled_from([0, 3 * MS, 400 * MS]).flatmap(lambda most: st.lists(st.integers(0, most), min_size=1)),
    call=st.lists(parts, min_size=1, max_size=25),
)
def test_random_calls(seq: int, timestamp: int, jitter: list[int], call: list[Part]) -> None:
    pair = tables(start_ns=1000 * SECOND)
    caller = Caller(seq, timestamp, jitter)
    for name, values in call:
        if name == "ours":
            agree(pair, "build_rtcp", 0, now=caller.now)
        elif name == "interval":
            agree(pair, "close_interval", 0, now=caller.now)
        else:
            if name == "format":
                changed: dict[str, Any] = {"payload_type": values[0], "clock_hz": values[1]}
                agree(pair, "change_payload", 0, event_payload_type=101, **changed)
            for packet in getattr(caller, name)(*values):
                agree(pair, "receive_rtcp" if packet.is_control else "receive", 0, packet.data, packet.at_ns)
        agree(pair, "snapshot", 0)
    agree(pair, "build_rtcp", 0, now=caller.now)
    agree(pair, "snapshot", 0)
