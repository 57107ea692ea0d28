"""The trace of packets."""

from __future__ import annotations

import struct
import time

import pytest

from cmw.core.address import PortRange
from cmw.net._media import MediaEngine
from cmw.net.media import MediaMode
from cmw.rtp.ports import PortPool
from tests.support.media_ends import FRAME, IP, Outsider, Party, wait_until

pytestmark = pytest.mark.loopback

PORTS = PortRange(25000, 25019)


class TestTrace:
    def test_each_packet_is_told_in_order(self, pool: PortPool, outsider: Outsider) -> None:
        engine = MediaEngine(slots=1)
        engine.set_trace(True)
        party = Party(engine, pool, ssrc=0xABCDEF01)
        party.start(outsider.port, MediaMode.ECHO)
        engine.start()
        before = time.time_ns()
        outsider.say(party.port, 7, ssrc=5, payload_type=8, payload=b"abc")
        outsider.say(party.port, 8, ssrc=5, payload=bytes(FRAME))
        echoed = outsider.hear()
        wait_until(lambda: party.seen.packets_sent == 1)
        engine.stop_stream(party.slot)
        engine.stop()
        packets, lost = engine.take_trace(100)
        assert lost == 0
        assert engine.take_trace(100) == ([], 0)
        assert [(p.is_sent, p.is_control) for p in packets] == [
            (False, False),
            (False, False),
            (True, False),
            (True, True),
        ]
        first, second, answer, bye = packets
        assert (first.ssrc, first.sequence, first.payload_type, first.size) == (5, 7, 8, 15)
        assert (second.timestamp, second.marker, second.size) == (8 * FRAME, False, 12 + FRAME)
        assert {(p.remote_ip, p.remote_port) for p in packets[:3]} == {(IP, outsider.port)}
        assert (answer.ssrc, answer.sequence) == (party.ssrc, struct.unpack("!H", echoed[2:4])[0])
        assert (bye.ssrc, bye.payload_type, bye.local_port, bye.remote_port) == (
            party.ssrc,
            200,
            party.port + 1,
            outsider.port + 1,
        )
        assert before <= first.at_unix_ns <= answer.at_unix_ns <= time.time_ns()
        engine.close(party.slot)

    def test_what_finds_no_room_is_counted_and_delays_nothing(self, pool: PortPool, outsider: Outsider) -> None:
        engine = MediaEngine(slots=1)
        engine.set_trace(True)
        party = Party(engine, pool)
        party.start(outsider.port, MediaMode.RECEIVE_ONLY)
        engine.start()
        for burst in range(100):
            for seq in range(100):
                outsider.say(party.port, 100 * burst + seq)
            wait_until(lambda so_far=100 * burst + 100: party.seen.packets_received == so_far)
        reports = party.seen.rtcp_sent  # none, unless the packets took seconds
        first, lost = engine.take_trace(5000)
        assert len(first) == 5000
        assert reports <= lost - (10000 - 8192) <= party.seen.rtcp_sent
        one, lost_since = engine.take_trace(1)
        outsider.say(party.port, 10000)
        wait_until(lambda: party.seen.packets_received == 10001)
        rest, lost_at_last = engine.take_trace(9999)
        assert (lost_since, lost_at_last) == (0, 0)
        *kept, last = [p.sequence for p in (*first, *one, *rest) if not p.is_control]
        assert (kept, last) == (list(range(len(kept))), 10000)
        assert 8192 - party.seen.rtcp_sent <= len(kept) <= 8192
        engine.stop()
        engine.close(party.slot)

    def test_without_it_nothing_is_kept(self, engine: MediaEngine) -> None:
        assert engine.take_trace(10) == ([], 0)
