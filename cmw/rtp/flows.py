"""RTP streams among datagrams that nobody announced: which are RTP, of which codec, and what became of each stream.

A stream is (source, destination, SSRC). It is taken for one when a session description names its destination, or when
MIN_PACKETS of it came with near sequence numbers; what came before it was known is then counted too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cmw.core.address import Address
from cmw.core.clock import SECOND, Nanos
from cmw.rtp import StreamTable
from cmw.rtp.jitter_buffer import USUAL_BUFFER, BufferSettings
from cmw.rtp.packet import PacketError, RtpHeader, parse_header
from cmw.rtp.payload_types import DYNAMIC, STATIC, TELEPHONE_EVENT, Codec
from cmw.rtp.rtcp import ControlError, split_compound
from cmw.rtp.sequence import SEQ_MOD, signed16, signed32
from cmw.rtp.snapshot import StreamSnapshot
from cmw.rtp.statistics import COMFORT_NOISE, LATE_LIMIT_NS
from cmw.rtp.timeline import Timeline
from cmw.rtp.verdict import NO_PAYLOAD_TYPE, PacketVerdict

MIN_PACKETS: Final = 3
"""So many packets with one SSRC and near sequence numbers make a stream; random data does so once in 2^64."""
CLOCK_PACKETS: Final = 50
CLOCK_SPAN_NS: Final = SECOND
"""A clock that nobody named is measured over so many packets, or so long."""
MAX_CANDIDATES: Final = 4096
"""Streams in doubt at a time; the one that began first gives way."""
CLOCKS_HZ: Final = (8000, 16000, 24000, 32000, 44100, 48000, 90000)
EVENT_BYTES: Final = 4
"""A payload of an event. Source: RFC 4733 2.3."""
BLOCK_SLOTS: Final = 32
"""Streams of one table."""

Codecs = Callable[[Address, Address, Nanos], dict[int, Codec] | None]
"""What a session description says of the payload types from one address to another at a time; None without one."""


class Measuring(NamedTuple):
    """What the figures depend on beside the packets."""

    buffer: BufferSettings = USUAL_BUFFER
    late_limit_ns: Nanos = LATE_LIMIT_NS
    timelines: bool = False
    """Whether streams keep how they fared over time."""


USUAL_MEASURING: Final = Measuring()


class _Key(NamedTuple):
    source: Address
    destination: Address
    ssrc: int


class _Packet(NamedTuple):
    header: RtpHeader
    data: bytes
    at_ns: Nanos


@dataclass(slots=True)
class _Candidate:
    """Packets that may become a stream."""

    announced: dict[int, Codec] | None
    packets: list[_Packet] = field(default_factory=list)

    def is_stream(self) -> bool:
        return self.announced is not None or len(self.packets) >= MIN_PACKETS

    def has_settled(self) -> bool:
        """Tell whether it is known what to measure: the clock of a dynamic payload type shows after a while."""
        if _codec(self.packets[0].header.payload_type, self.announced).clock_hz:
            return True
        span_ns = self.packets[-1].at_ns - self.packets[0].at_ns
        return len(self.packets) >= CLOCK_PACKETS or span_ns >= CLOCK_SPAN_NS


@dataclass(slots=True)
class Stream:
    """One stream, measured by the code that measures live ones."""

    source: Address
    destination: Address
    ssrc: int
    payload_type: int
    """Of its newest codec."""
    codec: Codec
    payload_types: list[int]
    """All of them in the order of their first packet, events and comfort noise included."""
    announced: bool
    """A session description named its destination."""
    ssrc_switches: int = 0
    """1 when it followed another SSRC between the same addresses."""
    timeline: Timeline | None = None

    _table: StreamTable = field(kw_only=True, repr=False)
    _slot: int = field(kw_only=True, repr=False)
    _codecs: dict[int, Codec] | None = field(kw_only=True, repr=False)
    _event_payload_type: int = field(default=NO_PAYLOAD_TYPE, kw_only=True, repr=False)

    def snapshot(self) -> StreamSnapshot:
        """Return its figures; instants are those that the packets were given with."""
        return self._table.snapshot(self._slot)

    def receive(self, packet: _Packet) -> None:
        header = packet.header
        if header.payload_type not in (self.payload_type, self._event_payload_type):
            self._meet(header)
        if header.payload_type not in self.payload_types:
            self.payload_types.append(header.payload_type)
        self._table.receive(self._slot, packet.data, packet.at_ns)
        if self.timeline is not None and self.timeline.is_due(packet.at_ns):
            self.timeline.add(self.snapshot(), packet.at_ns)

    def receive_rtcp(self, data: bytes, at_ns: Nanos) -> None:
        self._table.receive_rtcp(self._slot, data, at_ns)

    def _meet(self, header: RtpHeader) -> None:
        """Take a payload type that is not the present one: events beside it, or another codec from now on."""
        if _is_event(header, self._codecs):
            self._event_payload_type = header.payload_type
        elif header.payload_type != COMFORT_NOISE:
            codec = _codec(header.payload_type, self._codecs)
            self.payload_type = header.payload_type
            self.codec = codec if codec.clock_hz else Codec(codec.name, self.codec.clock_hz)
        else:
            return
        self._table.change_payload(
            self._slot,
            payload_type=self.payload_type,
            event_payload_type=self._event_payload_type,
            clock_hz=self.codec.clock_hz,
        )


@dataclass(slots=True)
class _Pair:
    """Which source is heard between two addresses, to see it change."""

    current: int
    rival: int | None = None


class FlowTable:
    """Finds the streams among datagrams.

    Args:
        codecs: what session descriptions say; asked when a stream begins.
        measuring: of every stream.
    """

    def __init__(
        self, codecs: Codecs = lambda source, destination, at_ns: None, measuring: Measuring = USUAL_MEASURING
    ) -> None:
        self._codecs = codecs
        self._measuring = measuring
        self._streams: dict[_Key, Stream] = {}
        self._candidates: dict[_Key, _Candidate] = {}
        self._pairs: dict[tuple[Address, Address], _Pair] = {}
        self._switches: list[_Key] = []
        self._early_control: dict[tuple[int, str, str], list[tuple[bytes, Nanos]]] = {}
        self._by_host: dict[tuple[int, str, str], Stream] = {}
        self._table: StreamTable | None = None
        self._used_slots = 0
        self.rtp_packets = 0
        self.rtcp_packets = 0

    def receive(self, source: Address, destination: Address, data: bytes, at_ns: Nanos) -> bool:
        """Take one datagram; tell whether it is RTP or RTCP, or may be.

        Args:
            at_ns: when it came, 0 or above.
        """
        try:
            header = parse_header(data)
        except PacketError as error:
            return error.verdict is PacketVerdict.IS_RTCP and self._take_control(source, destination, data, at_ns)
        key = _Key(source, destination, header.ssrc)
        packet = _Packet(header, data, at_ns)
        stream = self._streams.get(key)
        if stream is not None:
            self._see_source(key)
            self.rtp_packets += 1
            stream.receive(packet)
            return True
        return self._consider(key, packet)

    def finish(self) -> list[Stream]:
        """Return the streams in the order of their first packet; nothing more may be received."""
        for key in [key for key, candidate in self._candidates.items() if candidate.is_stream()]:
            self._open(key)
        for key in self._switches:
            if key in self._streams:
                self._streams[key].ssrc_switches += 1
        return sorted(self._streams.values(), key=lambda stream: stream.snapshot().first_packet_at_ns or 0)

    # --- private

    def _consider(self, key: _Key, packet: _Packet) -> bool:
        candidate = self._candidates.get(key)
        if candidate is None:
            announced = self._codecs(key.source, key.destination, packet.at_ns)
            if not _is_usual(packet.header.payload_type, announced):
                return False
            candidate = self._begin(key, announced)
        elif abs(signed16(packet.header.seq - candidate.packets[-1].header.seq)) > SEQ_MOD // 64:
            candidate.packets.clear()  # no stream so far
        candidate.packets.append(packet)
        self._see_source(key)
        if candidate.is_stream() and candidate.has_settled():
            self._open(key)
        return True

    def _begin(self, key: _Key, announced: dict[int, Codec] | None) -> _Candidate:
        if len(self._candidates) >= MAX_CANDIDATES:
            del self._candidates[next(iter(self._candidates))]
        candidate = self._candidates[key] = _Candidate(announced)
        return candidate

    def _open(self, key: _Key) -> None:
        candidate = self._candidates.pop(key)
        first = candidate.packets[0].header
        events = _is_event(first, candidate.announced)
        payload_type = _first_audible(candidate).payload_type if events else first.payload_type
        codec = _codec(payload_type, candidate.announced)
        if not codec.clock_hz:
            codec = Codec(codec.name, measure_clock(candidate.packets))
        stream = self._streams[key] = Stream(
            *key,
            payload_type=payload_type,
            codec=codec,
            payload_types=[],
            announced=candidate.announced is not None,
            timeline=Timeline() if self._measuring.timelines else None,
            _table=self._room(),
            _slot=self._used_slots,
            _codecs=candidate.announced,
            _event_payload_type=first.payload_type if events else NO_PAYLOAD_TYPE,
        )
        self._used_slots += 1
        stream._table.open(
            stream._slot,
            start_ns=0,
            period_ns=1,
            ssrc=0,
            sequence=0,
            timestamp=0,
            timestamp_step=0,
            clock_hz=codec.clock_hz,
            payload_type=payload_type,
            event_payload_type=stream._event_payload_type,
            late_limit_ns=self._measuring.late_limit_ns,
            buffer=self._measuring.buffer,
        )
        for packet in candidate.packets:
            self.rtp_packets += 1
            stream.receive(packet)
        at_hosts = key.ssrc, key.source.host, key.destination.host
        self._by_host[at_hosts] = stream
        for data, at_ns in self._early_control.pop(at_hosts, ()):
            stream.receive_rtcp(data, at_ns)

    def _room(self) -> StreamTable:
        """Return a table whose slot `_used_slots` is free."""
        if self._table is None or self._used_slots == BLOCK_SLOTS:
            self._table = StreamTable(BLOCK_SLOTS)
            self._used_slots = 0
        return self._table

    def _see_source(self, key: _Key) -> None:
        """Note a change of source between two addresses: two packets in a row of another one, as live."""
        pair = self._pairs.get(key[:2])
        if pair is None:
            self._pairs[key[:2]] = _Pair(key.ssrc)
        elif key.ssrc == pair.current:
            pair.rival = None
        elif key.ssrc == pair.rival:
            pair.current, pair.rival = key.ssrc, None
            self._switches.append(key)
        else:
            pair.rival = key.ssrc

    def _take_control(self, source: Address, destination: Address, data: bytes, at_ns: Nanos) -> bool:
        """Take RTCP for the stream of its sender: on its port or on the next."""
        try:
            split_compound(data)
        except ControlError:
            return False
        self.rtcp_packets += 1
        at_hosts = int.from_bytes(data[4:8], "big"), source.host, destination.host
        stream = self._by_host.get(at_hosts)
        if stream is not None:
            stream.receive_rtcp(data, at_ns)
        elif len(self._early_control) < MAX_CANDIDATES:
            early = self._early_control.setdefault(at_hosts, [])
            if len(early) < MIN_PACKETS:
                early.append((data, at_ns))
        return True


def measure_clock(packets: list[_Packet]) -> int:
    """Return the usual clock nearest to the rate of the timestamps, 8000 Hz when they do not tell."""
    first, last = packets[0], packets[-1]
    span_ns = last.at_ns - first.at_ns
    units = signed32(last.header.timestamp - first.header.timestamp)
    if span_ns <= 0 or units <= 0:
        return CLOCKS_HZ[0]
    rate = units * SECOND / span_ns
    return min(CLOCKS_HZ, key=lambda hz: max(hz / rate, rate / hz))


def _codec(payload_type: int, announced: dict[int, Codec] | None) -> Codec:
    return (announced or {}).get(payload_type) or STATIC.get(payload_type) or Codec("", 0)


def _is_event(header: RtpHeader, announced: dict[int, Codec] | None) -> bool:
    known = (announced or {}).get(header.payload_type)
    if known is not None:
        return known.name == TELEPHONE_EVENT
    return header.payload_type in DYNAMIC and header.payload_bytes == EVENT_BYTES


def _first_audible(candidate: _Candidate) -> RtpHeader:
    """Return the first header that is neither an event's nor comfort noise's, or the first of all."""
    for packet in candidate.packets:
        if packet.header.payload_type != COMFORT_NOISE and not _is_event(packet.header, candidate.announced):
            return packet.header
    return candidate.packets[0].header


def _is_usual(payload_type: int, announced: dict[int, Codec] | None) -> bool:
    return payload_type in STATIC or payload_type in DYNAMIC or payload_type in (announced or ())
