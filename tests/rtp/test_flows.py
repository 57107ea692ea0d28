"""Streams found among datagrams, and measured as live ones."""

from __future__ import annotations

import random
import struct

import pytest

from cmw.core.address import Address
from cmw.rtp.flows import FlowTable, Stream
from cmw.rtp.payload_types import Codec
from tests.support.captures import SSRC, START_NS, rtp

A, B = Address("192.0.2.1", 10000), Address("192.0.2.2", 20000)
MS = 1_000_000


def receive(flows: FlowTable, *packets: bytes, start: int = 0, source: Address = A) -> list[bool]:
    return [flows.receive(source, B, data, START_NS + (start + i) * 20 * MS) for i, data in enumerate(packets)]


def found(*packets: bytes, codecs: dict[int, Codec] | None = None) -> list[Stream]:
    flows = FlowTable(lambda source, destination, at_ns: codecs)
    receive(flows, *packets)
    return flows.finish()


def test_three_packets_make_a_stream_and_all_count() -> None:
    [stream] = found(*(rtp(seq) for seq in range(3)))
    assert stream.snapshot().packets_received == 3
    assert (stream.ssrc, stream.payload_type, stream.codec) == (SSRC, 0, Codec("PCMU", 8000))
    assert not stream.announced


def test_two_packets_make_none_unless_a_description_announced_them() -> None:
    assert found(rtp(0), rtp(1)) == []
    [stream] = found(rtp(0), codecs={0: Codec("PCMU", 8000)})
    assert stream.announced
    assert stream.snapshot().packets_received == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(20),  # STUN
        b"\x16\xfe\xfd" + bytes(60),  # DTLS
        b"OPTIONS sip:a@b SIP/2.0\r\n\r\n",
        b"\x80\x48" + bytes(30),  # payload type 72 would be RTCP without its marker
    ],
)
def test_other_protocols_are_none(data: bytes) -> None:
    assert found(*[data] * 20) == []


def test_random_bytes_are_none() -> None:
    rng = random.Random(1)
    assert found(*(b"\x80" + rng.randbytes(rng.randrange(11, 100)) for _ in range(5000))) == []


def test_numbers_that_leap_make_no_stream() -> None:
    assert found(*(rtp(seq * 5000) for seq in range(13))) == []


def test_the_same_ssrc_elsewhere_is_another_stream() -> None:
    flows = FlowTable()
    for seq in range(10):
        receive(flows, rtp(seq), start=seq)
        receive(flows, rtp(seq + 500), start=seq, source=Address("192.0.2.3", 10000))
    assert [stream.source.host for stream in flows.finish()] == ["192.0.2.1", "192.0.2.3"]


class TestSwitches:
    def test_another_ssrc_between_the_same_addresses(self) -> None:
        first, second = found(*(rtp(seq) for seq in range(50)), *(rtp(seq, ssrc=7) for seq in range(900, 950)))
        assert (first.ssrc_switches, second.ssrc_switches) == (0, 1)
        assert second.snapshot().packets_received == 50

    def test_two_sources_at_once_are_none(self) -> None:
        packets = [data for seq in range(50) for data in (rtp(seq), rtp(seq, ssrc=7))]
        assert [stream.ssrc_switches for stream in found(*packets)] == [0, 0]


class TestPayloadTypes:
    def test_a_dynamic_one_by_its_description(self) -> None:
        codecs = {111: Codec("opus", 48000), 101: Codec("telephone-event", 48000)}
        packets = [rtp(seq, timestamp=960 * seq, payload_type=111) for seq in range(100)]
        [stream] = found(*packets, codecs=codecs)
        assert stream.codec == Codec("opus", 48000)
        assert stream.snapshot().jitter_max_ms == 0

    @pytest.mark.parametrize(("clock_hz", "step"), [(8000, 160), (16000, 320), (48000, 960), (90000, 1800)])
    def test_the_clock_of_one_that_nobody_named(self, clock_hz: int, step: int) -> None:
        [stream] = found(*(rtp(seq, timestamp=step * seq, payload_type=96) for seq in range(100)))
        assert stream.codec == Codec("", clock_hz)
        assert stream.snapshot().packets_received == 100
        assert stream.snapshot().jitter_max_ms == 0

    def test_a_short_stream_of_one_that_nobody_named(self) -> None:
        [stream] = found(*(rtp(seq, timestamp=320 * seq, payload_type=96) for seq in range(4)))
        assert stream.codec.clock_hz == 16000

    @pytest.mark.parametrize("codecs", [None, {0: Codec("PCMU", 8000), 101: Codec("telephone-event", 8000)}])
    def test_events_do_not_move_the_jitter(self, codecs: dict[int, Codec] | None) -> None:
        events = [rtp(seq, timestamp=50 * 160, payload_type=101, payload=b"\x01\x0a\x00\xa0") for seq in range(50, 60)]
        packets = [rtp(seq) for seq in range(50)] + events + [rtp(seq) for seq in range(60, 100)]
        [stream] = found(*packets, codecs=codecs)
        now = stream.snapshot()
        assert (now.jitter_max_ms, now.packets_received, now.payload_type_changes) == (0, 100, 0)
        assert (stream.payload_type, stream.payload_types) == (0, [0, 101])

    def test_a_stream_that_begins_with_an_event(self) -> None:
        events = [rtp(seq, timestamp=0, payload_type=101, payload=b"\x01\x0a\x00\xa0") for seq in range(10)]
        [stream] = found(*events, *(rtp(seq) for seq in range(10, 60)))
        now = stream.snapshot()
        assert (stream.payload_type, stream.codec.name) == (0, "PCMU")
        assert (now.packets_received, now.jitter_max_ms) == (60, 0)

    def test_another_codec_on_the_way(self) -> None:
        packets = [rtp(seq) for seq in range(50)] + [rtp(seq, payload_type=8) for seq in range(50, 100)]
        [stream] = found(*packets)
        now = stream.snapshot()
        assert (stream.payload_type, stream.codec.name, stream.payload_types) == (8, "PCMA", [0, 8])
        assert (now.packets_received, now.packets_lost, now.payload_type_changes, now.jitter_max_ms) == (100, 0, 1, 0)

    def test_comfort_noise_is_no_other_codec(self) -> None:
        packets = [rtp(seq, payload_type=13 if seq % 10 == 9 else 0) for seq in range(100)]
        [stream] = found(*packets)
        now = stream.snapshot()
        assert (stream.payload_type, now.packets_received, now.payload_type_changes) == (0, 100, 0)

    def test_one_that_was_not_offered_still_counts(self) -> None:
        [stream] = found(*(rtp(seq) for seq in range(10)), codecs={8: Codec("PCMA", 8000)})
        assert (stream.codec.name, stream.snapshot().packets_received) == ("PCMU", 10)


class TestControl:
    REPORT = struct.pack("!BBHIQIII", 0x80, 200, 6, SSRC, 1 << 40, 160, 77, 7700)

    @pytest.mark.parametrize("port", [0, 1])
    def test_on_the_port_of_the_stream_or_the_next(self, port: int) -> None:
        flows = FlowTable()
        source, destination = Address(A.host, A.port + port), Address(B.host, B.port + port)
        assert flows.receive(source, destination, self.REPORT, START_NS)
        receive(flows, *(rtp(seq) for seq in range(50)))
        flows.receive(source, destination, self.REPORT, START_NS + 10**9)
        [stream] = flows.finish()
        now = stream.snapshot()
        assert (now.rtcp_received, now.remote_packets_sent, now.packets_received) == (2, 77, 50)
        assert (flows.rtp_packets, flows.rtcp_packets) == (50, 2)

    def test_what_only_looks_like_it_is_not_counted(self) -> None:
        flows = FlowTable()
        assert not flows.receive(A, B, b"\x80\xc8" + bytes(30), START_NS)
        assert flows.rtcp_packets == 0


def test_more_streams_than_a_table_holds() -> None:
    flows = FlowTable()
    for seq in range(5):
        for n in range(100):
            receive(flows, rtp(seq, ssrc=n), start=seq, source=Address(A.host, 1000 + n))
    assert [stream.snapshot().packets_received for stream in flows.finish()] == [5] * 100


def test_candidates_are_bounded() -> None:
    flows = FlowTable()
    for n in range(10_000):
        receive(flows, rtp(0, ssrc=n))
    assert len(flows._candidates) <= 4096
