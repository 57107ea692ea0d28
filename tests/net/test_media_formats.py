"""Another codec, payload type or packet time during a stream, on both engines."""

from __future__ import annotations

import socket
import struct
from itertools import pairwise

import pytest

from cmw.core.address import PortRange
from cmw.errors import LocalProtocolError
from cmw.net._media import MediaEngine
from cmw.net.media import MediaMode, ReceivedFormat
from cmw.rtp.ports import PortPool
from tests.support.media_ends import FRAME, GENEROUS_S, Outsider, Party, wait_until

pytestmark = pytest.mark.loopback

PORTS = PortRange(24600, 24999)


class TestChangedFormats:
    """Another codec, payload type or packet time during a stream."""

    PCMU = ReceivedFormat(0, "PCMU", 8000, 0)
    PCMA = ReceivedFormat(8, "PCMA", 8000, 8)

    def source(self, engine: MediaEngine, *values: int, frame_bytes: int = FRAME) -> int:
        return engine.add_source(b"".join(bytes([value]) * frame_bytes for value in values), frame_bytes)

    def test_another_codec_goes_on_in_the_same_stream(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider
    ) -> None:
        party = Party(engine, pool)
        frames, others = self.source(engine, 1, 2, 3), self.source(engine, 101, 102, 103)
        party.start(outsider.port, source=frames, remote_rtcp_port=0)
        packets = [outsider.hear() for _ in range(3)]
        engine.change_sending(party.slot, payload_type=96, clock_hz=8000, ptime_ms=20, source=others)
        while packets[-1][1] & 0x7F != 96 or len(packets) < 8:
            packets.append(outsider.hear())
        numbers = [struct.unpack("!BBHII", packet[:12]) for packet in packets]
        assert [n[2] for n in numbers] == [(65530 + k) & 0xFFFF for k in range(len(packets))]
        assert {n[4] for n in numbers} == {party.ssrc}
        types = [n[1] & 0x7F for n in numbers]
        assert types == sorted(types), "none of the former codec after one of the new"
        assert numbers[types.index(96)][1] >> 7 == 1, "a decoder begins anew"
        for packet, number, payload_type in zip(packets, numbers, types, strict=True):
            place = ((number[3] - 0xFFFFFF00) & 0xFFFFFFFF) // FRAME % 3
            assert packet[12] == place + (101 if payload_type == 96 else 1), "the sound goes on where it was"
        engine.stop_stream(party.slot)
        assert party.seen.packets_sent >= len(packets)

    def test_another_source_begins_with_its_first_frame(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider
    ) -> None:
        party = Party(engine, pool)
        party.start(outsider.port, source=self.source(engine, 1, 2, 3, 4), remote_rtcp_port=0)
        packets = [outsider.hear() for _ in range(3)]
        engine.change_source(party.slot, source=self.source(engine, 101, 102, 103))
        while len([packet for packet in packets if packet[12] > 100]) < 7:
            packets.append(outsider.hear())
        numbers = [struct.unpack("!BBHII", packet[:12]) for packet in packets]
        assert [n[2] for n in numbers] == [(65530 + k) & 0xFFFF for k in range(len(packets))], "in the same stream"
        switch = next(k for k, packet in enumerate(packets) if packet[12] > 100)
        for packet, number in zip(packets[switch:], numbers[switch:], strict=True):
            assert packet[12] == 101 + (number[3] - numbers[switch][3]) % (1 << 32) // FRAME % 3
        longer = engine.add_source(b"".join(bytes([value]) * 320 for value in (201, 202, 203)), 320)
        engine.change_sending(party.slot, payload_type=0, clock_hz=8000, ptime_ms=40, source=longer)
        while len(packets[-1]) != 332:
            packets.append(outsider.hear())
        since = (struct.unpack("!I", packets[-1][4:8])[0] - numbers[switch][3]) % (1 << 32) // FRAME
        assert packets[-1][12] - 201 in (since // 2 % 3, (since + 1) // 2 % 3), "the sound goes on where it was"

    def test_only_a_stream_of_its_own_has_a_source_to_change(self, engine: MediaEngine, pool: PortPool) -> None:
        party = Party(engine, pool)
        with pytest.raises(LocalProtocolError, match="no running stream"):
            engine.change_source(party.slot, source=party.source)
        party.start(40000, MediaMode.ECHO)
        with pytest.raises(LocalProtocolError, match="no running stream that sends a source"):
            engine.change_source(party.slot, source=party.source)
        with pytest.raises(LocalProtocolError, match="source 9999 was never added"):
            engine.change_source(party.slot, source=9999)

    def test_another_packet_time(self, engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
        party = Party(engine, pool)
        party.start(outsider.port, remote_rtcp_port=0)
        packets = [outsider.hear()]
        source = self.source(engine, 7, frame_bytes=240)
        engine.change_sending(party.slot, payload_type=0, clock_hz=8000, ptime_ms=30, source=source)
        while sum(len(packet) == 252 for packet in packets) < 4:
            packets.append(outsider.hear())
        stamps = [struct.unpack("!I", packet[4:8])[0] for packet in packets]
        for (before, stamp), (one, other) in zip(pairwise(packets), pairwise(stamps), strict=True):
            length = len(before) - 12
            assert (other - one) & 0xFFFFFFFF == length or stamp[1] >> 7, "but for a packet skipped"

    def test_the_peer_may_send_each_agreed_format_at_any_packet(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider
    ) -> None:
        party = Party(engine, pool)
        party.start(outsider.port, MediaMode.RECEIVE_ONLY, formats=(self.PCMU, self.PCMA))
        for seq in range(8):
            outsider.say(party.port, seq, payload_type=(0, 8, 8, 0)[seq % 4])
        wait_until(lambda: party.seen.packets_received == 8)
        seen = party.seen
        assert (seen.wrong_payload_type, seen.packets_lost, seen.payload_type_changes) == (0, 0, 4)
        outsider.say(party.port, 8, payload_type=18)
        wait_until(lambda: party.seen.wrong_payload_type == 1)

    def test_what_is_under_way_in_the_former_format_still_counts(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider
    ) -> None:
        party = Party(engine, pool)
        party.start(outsider.port, MediaMode.RECEIVE_ONLY)
        outsider.say(party.port, 1)
        wait_until(lambda: party.seen.packets_received == 1)
        engine.change_receiving(party.slot, formats=(self.PCMA,))
        outsider.say(party.port, 2)
        outsider.say(party.port, 3, payload_type=8)
        outsider.say(party.port, 4)
        wait_until(lambda: party.seen.packets_received == 4)
        seen = party.seen
        assert (seen.wrong_payload_type, seen.packets_lost, seen.bytes_received) == (0, 0, 4 * FRAME)

    def test_levels_are_those_of_each_codec(self, engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
        party = Party(engine, pool)
        silent = ReceivedFormat(96, "PCMA", 8000, 96)
        party.start(outsider.port, MediaMode.RECEIVE_ONLY, formats=(self.PCMU,))
        outsider.say(party.port, 0, payload=b"\xff" * FRAME)
        wait_until(lambda: party.seen.received_samples == FRAME)
        assert party.seen.received_energy == 0, "0xff is the zero of PCMU"
        engine.change_receiving(party.slot, formats=(silent,))
        outsider.say(party.port, 4, payload_type=96, payload=b"\xd5" * FRAME)
        wait_until(lambda: party.seen.received_samples == 2 * FRAME)
        level = party.seen.received_level_dbov
        assert level is not None
        assert level < -60, "0xd5 is the zero of PCMA, and far from it in PCMU"

    def test_an_echo_answers_in_the_numbers_of_the_peer(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider
    ) -> None:
        party = Party(engine, pool)
        formats = (ReceivedFormat(0, "PCMU", 8000, 100), ReceivedFormat(8, "PCMA", 8000, 108))
        party.start(outsider.port, MediaMode.ECHO, remote_rtcp_port=0, formats=formats, event_payload_type=101)
        for seq, payload_type in enumerate((0, 8, 101, 0)):
            outsider.say(party.port, seq, payload_type=payload_type)
        assert [outsider.hear()[1] & 0x7F for _ in range(4)] == [100, 108, 101, 100]
        engine.change_receiving(party.slot, formats=(self.PCMA,), event_payload_type=101)
        outsider.say(party.port, 4, payload_type=8)
        assert outsider.hear()[1] & 0x7F == 8

    def test_rtcp_may_go_to_another_host(self, engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
        party = Party(engine, pool)
        control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        control.bind(("127.0.0.2", outsider.port))  # the same port: no reason to share the RTP socket
        control.settimeout(GENEROUS_S)
        party.start(outsider.port, remote_rtcp_port=outsider.port, remote_rtcp_ip="127.0.0.2")
        outsider.hear()
        engine.stop_stream(party.slot)
        _, source = control.recvfrom(2048)
        assert source[1] == party.port + 1
        control.close()

    @pytest.mark.parametrize(
        "formats", [(), (PCMU,) * 9, (PCMU._replace(payload_type=128),), (PCMU._replace(clock_hz=0),)]
    )
    def test_bad_formats_are_refused(
        self, engine: MediaEngine, pool: PortPool, formats: tuple[ReceivedFormat, ...]
    ) -> None:
        party = Party(engine, pool)
        party.start(9)
        with pytest.raises(LocalProtocolError):
            engine.change_receiving(party.slot, formats=formats)

    def test_only_a_running_stream_changes(self, engine: MediaEngine, pool: PortPool) -> None:
        party = Party(engine, pool)
        with pytest.raises(LocalProtocolError, match="no running stream"):
            engine.change_receiving(party.slot, formats=(self.PCMU,))
        with pytest.raises(LocalProtocolError, match="no running stream"):
            engine.change_sending(party.slot, payload_type=8, clock_hz=8000, ptime_ms=20, source=party.source)
        party.start(9)
        with pytest.raises(LocalProtocolError, match="never added"):
            engine.change_sending(party.slot, payload_type=8, clock_hz=8000, ptime_ms=20, source=9999)
