"""The media engine on loopback: real sockets, real time, but no sleeping and no assertion on how long things take."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from cmw.core.address import PortRange
from cmw.errors import CapacityError, LocalProtocolError
from cmw.net._media import MediaEngine
from cmw.net.media import MediaMode, ReceivedFormat, open_media_pair, open_pair_beside
from cmw.net.media_pure import PureMediaEngine
from cmw.rtp.jitter_buffer import BufferSettings
from cmw.rtp.ports import PortPool
from cmw.rtp.snapshot import StreamSnapshot
from cmw.rtp.source import make_source

pytestmark = pytest.mark.loopback

IP = "127.0.0.1"
PORTS = PortRange(21000, 22199)
GENEROUS_S = 20.0
FRAME = 160


def wait_until(condition: Callable[[], bool]) -> None:
    """Look until it is so; the deadline is there to end a broken run, not to measure."""
    deadline = time.monotonic() + GENEROUS_S
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.002)


@pytest.fixture(params=["compiled", "pure"])
def engine(request: pytest.FixtureRequest) -> Iterator[MediaEngine]:
    made: Any = MediaEngine(slots=64) if request.param == "compiled" else PureMediaEngine(slots=64)
    made.start()
    yield made
    made.stop()
    for slot, _ in made.snapshot_all():
        made.close(slot)


@pytest.fixture(scope="module")
def pool() -> PortPool:
    return PortPool(PORTS)


class Party:
    """One end: a slot and what it needs to start."""

    def __init__(
        self, engine: MediaEngine, pool: PortPool, *, ip: str = IP, codec: str = "PCMU", ssrc: int = 1
    ) -> None:
        self.engine = engine
        self.ip = ip
        self.slot, self.port = open_media_pair(engine, pool, ip, 46)
        self.source = engine.add_source(*make_source("tone", codec))
        self.payload_type = 0 if codec == "PCMU" else 8
        self.ssrc = ssrc

    def start(self, remote_port: int, mode: int = MediaMode.SEND_RECEIVE, **changes: Any) -> None:
        arguments: dict[str, Any] = {
            "remote_ip": self.ip,
            "remote_rtp_port": remote_port,
            "remote_rtcp_port": remote_port + 1,
            "payload_type": self.payload_type,
            "clock_hz": 8000,
            "ptime_ms": 20,
            "source": self.source,
            "ssrc": self.ssrc,
            "sequence": 65530,
            "timestamp": 0xFFFFFF00,
            "cname": b"me@here",
            "mode": mode,
        }
        self.engine.start_stream(self.slot, **(arguments | changes))

    @property
    def seen(self) -> StreamSnapshot:
        return self.engine.snapshot(self.slot)


class Outsider:
    """A plain socket that plays the peer, or somebody else."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((IP, 0))
        self.socket.settimeout(GENEROUS_S)
        self.port: int = self.socket.getsockname()[1]

    def say(self, to: int, seq: int, *, ssrc: int = 77, payload_type: int = 0, payload: bytes = bytes(FRAME)) -> None:
        header = struct.pack("!BBHII", 0x80, payload_type, seq & 0xFFFF, seq * FRAME & 0xFFFFFFFF, ssrc)
        self.socket.sendto(header + payload, (IP, to))

    def hear(self) -> bytes:
        return self.socket.recv(2048)


@pytest.fixture
def outsider() -> Iterator[Outsider]:
    made = Outsider()
    yield made
    made.socket.close()


# --- two parties


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_two_parties_hear_each_other_and_the_counts_agree(
    engine: MediaEngine, pool: PortPool, ip: str, codec: str
) -> None:
    one = Party(engine, pool, ip=ip, codec=codec, ssrc=0xDEADBEEF)
    two = Party(engine, pool, ip=ip, codec=codec, ssrc=1)
    one.start(two.port)
    two.start(one.port)
    wait_until(lambda: min(one.seen.packets_received, two.seen.packets_received) >= 50)
    engine.stop()  # nobody sends any more; what is under way waits in the sockets
    engine.stop_stream(one.slot)
    engine.stop_stream(two.slot)
    a, b = one.seen, two.seen
    assert a.packets_sent == b.packets_received == b.packets_expected
    assert b.packets_sent == a.packets_received == a.packets_expected
    assert a.packets_lost == b.packets_lost == 0
    assert a.bytes_received == FRAME * a.packets_received
    assert a.duplicate_packets == a.out_of_order_packets == a.ssrc_switches == a.strangers == a.malformed == 0
    assert a.received_level_dbov == pytest.approx(-13.0, abs=0.2)
    assert a.first_packet_at_ns is not None
    assert a.last_packet_at_ns is not None
    assert a.first_packet_at_ns < a.last_packet_at_ns <= time.monotonic_ns()


def test_what_one_sends_the_other_receives_to_the_last_packet(engine: MediaEngine, pool: PortPool) -> None:
    speaker, listener = Party(engine, pool), Party(engine, pool)
    listener.start(speaker.port, MediaMode.RECEIVE_ONLY)
    speaker.start(listener.port)
    wait_until(lambda: listener.seen.packets_received >= 30)
    engine.stop_stream(speaker.slot)
    engine.stop_stream(listener.slot)
    sent, heard = speaker.seen, listener.seen
    assert sent.packets_sent == heard.packets_received == heard.packets_expected
    assert sent.bytes_sent == heard.bytes_received == FRAME * sent.packets_sent
    assert heard.packets_sent == 0
    assert sent.packets_received == 0


def test_frames_are_sent_in_order_and_start_again(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party = Party(engine, pool)
    frames = [bytes([n]) * FRAME for n in range(3)]
    party.start(outsider.port, source=engine.add_source(b"".join(frames), FRAME), remote_rtcp_port=0)
    packets = [outsider.hear() for _ in range(8)]
    numbers = [struct.unpack("!BBHII", packet[:12]) for packet in packets]
    assert [n[2] for n in numbers] == [(65530 + k) & 0xFFFF for k in range(8)]
    steps = {(b[3] - a[3]) & 0xFFFFFFFF for a, b in pairwise(numbers)}
    assert all(step % FRAME == 0 for step in steps)
    assert [n[1] >> 7 for n in numbers][:1] == [1], "the first packet begins a talkspurt"
    for packet, number in zip(packets, numbers, strict=True):
        assert packet[12:] == frames[((number[3] - 0xFFFFFF00) & 0xFFFFFFFF) // FRAME % 3]


def test_reports_and_bye_reach_the_peer(engine: MediaEngine, pool: PortPool) -> None:
    one, two = Party(engine, pool), Party(engine, pool, ssrc=2)
    one.start(two.port)
    two.start(one.port)
    wait_until(lambda: one.seen.rtt_ms is not None and two.seen.rtt_ms is not None)
    assert one.seen.rtcp_sent >= 1
    rtt_ms = one.seen.rtt_ms
    assert rtt_ms is not None
    assert 0 <= rtt_ms < 1000 * GENEROUS_S
    assert one.seen.remote_fraction_lost == 0
    assert one.seen.remote_packets_lost == 0
    before = one.seen.rtcp_sent
    engine.stop_stream(one.slot)
    assert one.seen.rtcp_sent == before + 1


def test_extended_reports_say_levels_and_what_we_were_told_of_the_quality(engine: MediaEngine, pool: PortPool) -> None:
    one, two = Party(engine, pool), Party(engine, pool, ssrc=2)
    one.start(two.port)
    two.start(one.port, jitter_buffer=BufferSettings(60_000_000, 60_000_000, 60_000_000))
    wait_until(lambda: two.seen.received_samples > 0)
    engine.rate_streams([(two.slot, 71, 38, 36)])
    engine.stop_stream(two.slot)
    wait_until(lambda: one.seen.remote_voip is not None)
    told = one.seen.remote_voip
    assert told is not None
    assert (told.r_factor, told.mos_lq_q10, told.mos_cq_q10) == (71, 38, 36)
    assert (told.signal_level_db, told.noise_level_db) == (-7, 127)  # a tone of -13 dBov, without pauses
    assert (told.configuration, told.buffer_nominal_ms, told.buffer_abs_max_ms) == (0x20, 60, 60)
    assert told.end_system_delay_ms == 80


def test_late_is_what_the_caller_says(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    found = []
    for limit_ms in (1, 60_000):
        party = Party(engine, pool)
        party.start(outsider.port, MediaMode.RECEIVE_ONLY, late_limit_ns=limit_ms * 1_000_000)
        for sequence, behind in (1000, 0), (1001, 400), (1002, 400):  # 50 ms
            header = struct.pack("!BBHII", 0x80, 0, sequence, sequence * FRAME - behind, 77)
            outsider.socket.sendto(header + bytes(FRAME), (IP, party.port))
        wait_until(lambda party=party: party.seen.packets_received == 3)  # type: ignore[misc]
        found.append(party.seen.late_packets)
    assert found == [2, 0]
    with pytest.raises(LocalProtocolError, match="late_limit_ns: expected 0"):
        Party(engine, pool).start(outsider.port, late_limit_ns=60_000_000_001)


# --- echo


def test_echo_returns_each_payload_as_our_own_stream(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party = Party(engine, pool)
    party.start(outsider.port, MediaMode.ECHO, remote_rtcp_port=0)
    for seq in (10, 11, 11, 13):  # a duplicate is said once, a gap stays a gap in time
        outsider.say(party.port, seq, payload=bytes([seq]) * FRAME)
    packets = [outsider.hear() for _ in range(3)]
    numbers = [struct.unpack("!BBHII", packet[:12]) for packet in packets]
    assert [packet[12] for packet in packets] == [10, 11, 13]
    assert [n[2] for n in numbers] == [65530, 65531, 65532]
    assert [n[3] for n in numbers] == [(0xFFFFFF00 + k * FRAME) & 0xFFFFFFFF for k in (0, 1, 3)]
    assert {n[4] for n in numbers} == {party.ssrc}
    wait_until(lambda: party.seen.packets_received == 4)
    assert (party.seen.packets_sent, party.seen.duplicate_packets, party.seen.packets_lost) == (3, 1, 0)


def test_echo_of_a_party_comes_back_whole(engine: MediaEngine, pool: PortPool) -> None:
    speaker, mirror = Party(engine, pool, ssrc=5), Party(engine, pool, ssrc=6)
    mirror.start(speaker.port, MediaMode.ECHO)
    speaker.start(mirror.port)
    wait_until(lambda: speaker.seen.packets_received >= 20)
    engine.stop_stream(mirror.slot)
    engine.stop_stream(speaker.slot)
    assert speaker.seen.packets_received == mirror.seen.packets_sent == mirror.seen.packets_received
    assert speaker.seen.packets_lost == 0


# --- who may speak


def test_another_address_is_a_stranger(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party = Party(engine, pool)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY, remote_ip="127.0.0.9")
    outsider.say(party.port, 1)
    wait_until(lambda: party.seen.strangers == 1)
    assert party.seen.packets_received == 0


def test_another_port_is_a_stranger_once_the_peer_has_spoken(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party, other = Party(engine, pool), Outsider()
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    outsider.say(party.port, 1)
    wait_until(lambda: party.seen.packets_received == 1)
    other.say(party.port, 2)
    wait_until(lambda: party.seen.strangers == 1)
    assert (party.seen.packets_received, party.seen.ssrc_switches) == (1, 0)
    other.socket.close()


def test_a_peer_that_sends_from_another_port_is_followed(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party = Party(engine, pool)
    party.start(1, MediaMode.RECEIVE_ONLY, remote_rtcp_port=0)
    for seq in range(5):
        outsider.say(party.port, seq)
    wait_until(lambda: party.seen.packets_received == 5)
    assert party.seen.strangers == 0


def test_from_another_port_nothing_counts_before_two_packets_in_a_row(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party, stray = Party(engine, pool), Outsider()
    party.start(1, MediaMode.RECEIVE_ONLY, remote_rtcp_port=0)
    outsider.say(party.port, 10)
    stray.say(party.port, 500, ssrc=9)  # one packet of somebody else shuts nobody out
    outsider.say(party.port, 11, ssrc=8)  # another source
    outsider.say(party.port, 13, ssrc=8)  # not in a row
    stray.socket.sendto(b"hello", (IP, party.port))
    wait_until(lambda: party.seen.strangers == 5)
    assert (party.seen.packets_received, party.seen.first_packet_at_ns) == (0, None)
    outsider.say(party.port, 14, ssrc=8)
    outsider.say(party.port, 15, ssrc=8)
    wait_until(lambda: party.seen.packets_received == 3)
    assert (party.seen.packets_lost, party.seen.strangers, party.seen.ssrc_switches) == (0, 4, 0)
    stray.say(party.port, 501, ssrc=9)
    stray.say(party.port, 502, ssrc=9)
    wait_until(lambda: party.seen.strangers == 6)
    stray.socket.close()


class TestSymmetric:
    def test_rtp_goes_where_the_description_says_whoever_speaks(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider
    ) -> None:
        party, other = Party(engine, pool), Outsider()
        party.start(outsider.port)
        for seq in range(4):
            other.say(party.port, seq)
        wait_until(lambda: party.seen.packets_received == 4)
        sent = party.seen.packets_sent
        wait_until(lambda: party.seen.packets_sent > sent + 2)
        assert len([outsider.hear() for _ in range(sent)]) == sent
        other.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.hear()
        other.socket.close()

    @pytest.mark.parametrize("remote_ip", ["127.23.0.9", IP])
    def test_it_goes_once_to_where_two_packets_in_a_row_came_from(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider, remote_ip: str
    ) -> None:
        party, other = Party(engine, pool), Outsider()
        party.start(9, remote_ip=remote_ip, remote_rtcp_port=10, symmetric=True)
        other.say(party.port, 1)
        outsider.say(party.port, 70, ssrc=5)
        outsider.say(party.port, 71, ssrc=5)
        assert struct.unpack("!I", outsider.hear()[8:12]) == (party.ssrc,)
        for seq in range(2, 6):
            other.say(party.port, seq)
        wait_until(lambda: party.seen.strangers == 5)
        assert (party.seen.packets_received, party.seen.packets_lost) == (2, 0)
        other.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.hear()
        other.socket.close()

    def test_a_peer_that_speaks_from_the_negotiated_address_ends_the_search(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider
    ) -> None:
        party, other = Party(engine, pool), Outsider()
        party.start(outsider.port, symmetric=True)
        outsider.say(party.port, 1)
        wait_until(lambda: party.seen.packets_received == 1)
        for seq in range(3):
            other.say(party.port, seq)
        wait_until(lambda: party.seen.strangers == 3)
        assert party.seen.packets_received == 1
        other.socket.close()

    @pytest.mark.parametrize("shared", [False, True])
    def test_rtcp_follows(self, engine: MediaEngine, pool: PortPool, outsider: Outsider, shared: bool) -> None:
        party, control = Party(engine, pool), Outsider()
        party.start(
            9, MediaMode.SEND_RECEIVE, remote_ip="127.23.0.9", remote_rtcp_port=9 if shared else 10, symmetric=True
        )
        outsider.say(party.port, 1)
        outsider.say(party.port, 2)
        wait_until(lambda: party.seen.packets_received == 2)
        report = struct.pack("!BBHI", 0x80, 201, 1, 77)
        speaker = outsider if shared else control
        speaker.socket.sendto(report, (IP, party.port if shared else party.port + 1))
        wait_until(lambda: party.seen.rtcp_received == 1 and party.seen.packets_sent > 0)
        engine.stop_stream(party.slot)
        wait_until(lambda: 200 <= speaker.hear()[1] <= 201)
        control.socket.close()

    def test_a_new_agreement_is_learnt_anew(self, engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
        party, other = Party(engine, pool), Outsider()
        party.start(9, remote_ip="127.23.0.9", symmetric=True)
        outsider.say(party.port, 1)
        outsider.say(party.port, 2)
        wait_until(lambda: party.seen.packets_received == 2)
        engine.change_remote(party.slot, remote_ip="127.23.0.8", remote_rtp_port=9, remote_rtcp_port=10, symmetric=True)
        other.say(party.port, 3)
        other.say(party.port, 4)
        assert len(other.hear()) == 12 + FRAME
        other.socket.close()


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


@pytest.mark.parametrize("ptime_ms", [10, 20, 30])
def test_streams_spread_over_the_packet_time_however_they_start(
    engine: MediaEngine, pool: PortPool, outsider: Outsider, ptime_ms: int
) -> None:
    """Each slot has its own millisecond of the packet time, which shows in the order that packets come in."""
    source = engine.add_source(bytes(8 * ptime_ms), 8 * ptime_ms)
    for n in range(40):
        party = Party(engine, pool, ssrc=n)
        assert party.slot == n
        party.start(outsider.port, ptime_ms=ptime_ms, source=source, remote_rtcp_port=0)
    expected = sorted(range(40), key=lambda slot: (slot % ptime_ms, slot))
    expected = expected[expected.index(0) :] + expected[: expected.index(0)]
    heard: list[int] = []

    def is_in_order() -> bool:
        heard.append(struct.unpack("!I", outsider.hear()[8:12])[0])
        turn = heard[-40:]
        return len(turn) == 40 and 0 in turn and turn[turn.index(0) :] + turn[: turn.index(0)] == expected

    deadline = time.monotonic() + GENEROUS_S
    while not is_in_order():
        assert time.monotonic() < deadline, "the order of the slots never came"


def test_the_negotiated_port_wins_over_one_that_spoke_first(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party, early = Party(engine, pool), Outsider()
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    for seq in range(3):
        early.say(party.port, 900 + seq, ssrc=1)
    wait_until(lambda: party.seen.packets_received == 3)
    outsider.say(party.port, 1)
    wait_until(lambda: party.seen.strangers == 3)
    early.say(party.port, 903, ssrc=1)
    wait_until(lambda: party.seen.strangers == 4)
    seen = party.seen
    assert (seen.packets_received, seen.packets_lost, seen.ssrc_switches) == (1, 0, 0)
    early.socket.close()


def test_wrong_payload_type_and_nonsense_are_counted_apart(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party = Party(engine, pool)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    outsider.say(party.port, 1)
    outsider.say(party.port, 2, payload_type=8)
    outsider.socket.sendto(b"not rtp at all", (IP, party.port))
    outsider.socket.sendto(b"", (IP, party.port))
    outsider.say(party.port, 3)
    wait_until(lambda: party.seen.packets_received == 3 and party.seen.malformed == 2)
    assert party.seen.wrong_payload_type == 1


def test_packets_outside_the_stream_are_counted_apart(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party = Party(engine, pool)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    outsider.say(party.port, 2)
    wait_until(lambda: party.seen.packets_received == 1)
    engine.stop_stream(party.slot)
    frozen = party.seen
    outsider.say(party.port, 3)
    wait_until(lambda: party.seen.packets_after_stop == 1)
    assert party.seen == frozen._replace(packets_after_stop=1)


def test_what_came_before_sending_was_kept_back_is_known(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party = Party(engine, pool)
    party.start(outsider.port)
    outsider.say(party.port, 1)
    wait_until(lambda: party.seen.packets_received == 1)
    assert party.seen.packets_at_mute is None
    engine.set_sending(party.slot, False)
    for sequence in (2, 3):
        outsider.say(party.port, sequence)
    wait_until(lambda: party.seen.packets_received == 3)
    assert party.seen.packets_at_mute == 1


def frames_of(name: str) -> list[bytes]:
    source = make_source(name, "PCMU")
    return [source.frames[at : at + FRAME] for at in range(0, len(source.frames), FRAME)]


class TestLevels:
    """What is said of G.711, by every fourth packet."""

    def hear(self, party: Party, outsider: Outsider, frames: list[bytes]) -> StreamSnapshot:
        party.start(outsider.port, MediaMode.RECEIVE_ONLY)
        for sequence, frame in enumerate(frames):
            outsider.say(party.port, 4 * sequence, payload=frame)
            if sequence % 50 == 49:  # no more than the socket holds
                wait_until(lambda sequence=sequence: party.seen.packets_received == sequence + 1)  # type: ignore[misc]
        wait_until(lambda: party.seen.packets_received == len(frames))
        return party.seen

    def test_speech_and_its_pauses(self, engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
        seen = self.hear(Party(engine, pool), outsider, frames_of("speech"))
        assert seen.signal_level_dbov == pytest.approx(-21, abs=2)
        assert seen.noise_level_dbov is not None
        assert -70 < seen.noise_level_dbov < -40
        assert seen.received_level_dbov is not None
        assert seen.signal_level_dbov is not None
        assert seen.noise_level_dbov < seen.received_level_dbov < seen.signal_level_dbov

    def test_a_tone_has_no_pauses(self, engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
        seen = self.hear(Party(engine, pool), outsider, frames_of("tone"))
        assert seen.signal_level_dbov == pytest.approx(-13, abs=0.2)
        assert seen.noise_level_dbov is None

    def test_silence_has_no_speech(self, engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
        seen = self.hear(Party(engine, pool), outsider, [b"\xff" * FRAME] * 20)
        assert (seen.signal_level_dbov, seen.noise_level_dbov, seen.received_level_dbov) == (None, -100, -100)

    def test_nothing_heard_has_no_level(self, engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
        party = Party(engine, pool)
        party.start(outsider.port, MediaMode.RECEIVE_ONLY)
        seen = party.seen
        assert (seen.signal_level_dbov, seen.noise_level_dbov, seen.received_level_dbov) == (None, None, None)


def test_packets_that_overtake_the_answer_count_when_the_stream_starts(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party = Party(engine, pool)
    for sequence in (7, 8, 10):
        outsider.say(party.port, sequence)
    wait_until(lambda: party.seen.packets_before_start == 3)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    seen = party.seen
    assert (seen.packets_before_start, seen.packets_received, seen.packets_lost) == (0, 3, 1)
    assert seen.early_packets == 3
    outsider.say(party.port, 9)
    wait_until(lambda: party.seen.packets_received == 4)
    assert party.seen.early_packets == 3
    assert (party.seen.packets_lost, party.seen.out_of_order_packets) == (0, 1)


def test_a_stream_moves_to_other_ports_and_hears_both_meanwhile(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party = Party(engine, pool)
    party.start(outsider.port)
    ssrc, first = outsider.hear()[8:12], party.port
    second = open_pair_beside(engine, party.slot, pool, IP, 46)
    outsider.say(second, 1)
    outsider.say(first, 2)
    wait_until(lambda: party.seen.packets_received == 2)
    engine.change_pair(party.slot)
    wait_until(lambda: outsider.socket.recvfrom(2048)[1] == (IP, second))
    outsider.say(first, 3)
    outsider.say(second, 4)
    wait_until(lambda: party.seen.packets_received == 4)
    engine.close_beside(party.slot)
    pool.release(first)
    assert outsider.hear()[8:12] == ssrc
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((IP, first))  # given back
    party.port = second
    engine.stop_stream(party.slot)
    seen = party.seen
    assert (seen.packets_received, seen.packets_lost, seen.out_of_order_packets, seen.strangers) == (4, 0, 0, 0)
    engine.close_beside(party.slot)  # there is none


def test_there_are_two_pairs_at_most_and_closing_closes_both(engine: MediaEngine, pool: PortPool) -> None:
    party = Party(engine, pool)
    with pytest.raises(LocalProtocolError, match="no second pair"):
        engine.change_pair(party.slot)
    second = open_pair_beside(engine, party.slot, pool, IP, 46)
    free = pool.free
    with pytest.raises(LocalProtocolError, match="two pairs"):
        open_pair_beside(engine, party.slot, pool, IP, 46)
    with pytest.raises(LocalProtocolError, match="family"):
        engine.open_beside(party.slot, "::1", second + 2, 46)
    assert pool.free == free
    engine.close(party.slot)
    for port in (party.port, second):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((IP, port))


def test_a_report_before_the_stream_is_no_early_media(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party = Party(engine, pool)
    outsider.say(party.port + 1, 0, payload_type=200)  # on the control port, whatever it says
    wait_until(lambda: party.seen.rtcp_strangers == 1)
    assert party.seen.packets_before_start == 0


def test_early_packets_of_others_and_of_an_earlier_opening_do_not_count(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    earlier = Party(engine, pool)
    outsider.say(earlier.port, 1)
    wait_until(lambda: earlier.seen.packets_before_start == 1)
    engine.close(earlier.slot)
    party = Party(engine, pool)
    assert party.slot == earlier.slot
    outsider.say(party.port, 1)
    wait_until(lambda: party.seen.packets_before_start == 1)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY, remote_ip="127.0.0.2")
    assert (party.seen.packets_received, party.seen.strangers) == (0, 1)


def test_the_oldest_early_packets_give_way(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party = Party(engine, pool)
    count = 2048 + 10
    for sequence in range(count):
        outsider.say(party.port, sequence)
        if sequence % 64 == 63:
            wait_until(lambda sequence=sequence: party.seen.packets_before_start == sequence + 1)  # type: ignore[misc]
    wait_until(lambda: party.seen.packets_before_start == count)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    assert (party.seen.packets_received, party.seen.packets_lost, party.seen.packets_before_start) == (2048, 0, 10)


def test_what_waits_in_the_socket_counts_when_the_stream_stops(pool: PortPool, outsider: Outsider) -> None:
    engine = MediaEngine(slots=1)  # never started: nobody reads the socket but stop_stream
    party = Party(engine, pool)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    for seq in range(40):
        outsider.say(party.port, seq)
    engine.stop_stream(party.slot)
    assert (party.seen.packets_received, party.seen.packets_lost) == (40, 0)
    engine.close(party.slot)


def test_packets_that_the_kernel_dropped_are_counted(pool: PortPool, outsider: Outsider) -> None:
    engine = MediaEngine(slots=1)
    party = Party(engine, pool)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    for seq in range(1000):
        outsider.say(party.port, seq)
    engine.start()
    wait_until(lambda: party.seen.packets_received > 0)
    outsider.say(party.port, 1000)
    wait_until(lambda: party.seen.kernel_drops > 0)
    wait_until(lambda: party.seen.packets_received + party.seen.kernel_drops == 1001)
    assert party.seen.packets_lost == party.seen.kernel_drops
    engine.stop()
    engine.close(party.slot)


def test_a_closed_port_at_the_peer_costs_errors_but_no_packets(engine: MediaEngine, pool: PortPool) -> None:
    gone = Outsider()
    gone.socket.close()
    party = Party(engine, pool)
    party.start(gone.port)
    wait_until(lambda: party.seen.network_errors >= 5)
    assert party.seen.packets_sent >= 5
    assert party.seen.send_errors == 0, "our own kernel refused none"
    engine.stop_stream(party.slot)


# --- slots


def test_a_slot_starts_again_with_new_figures(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party = Party(engine, pool)
    for _ in range(3):
        party.start(outsider.port)
        outsider.say(party.port, 1)
        wait_until(lambda: party.seen.packets_sent >= 2 and party.seen.packets_received == 1)
        engine.stop_stream(party.slot)
    assert party.seen.packets_received == 1


def test_changing_the_remote_keeps_the_figures(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party, moved = Party(engine, pool), Outsider()
    party.start(outsider.port)
    outsider.say(party.port, 1)
    wait_until(lambda: party.seen.packets_received == 1)
    first = struct.unpack("!H", outsider.hear()[2:4])[0]
    engine.change_remote(party.slot, remote_ip=IP, remote_rtp_port=moved.port, remote_rtcp_port=0)
    later = struct.unpack("!H", moved.hear()[2:4])[0]
    assert 0 < (later - first) & 0xFFFF < 1000
    moved.say(party.port, 2)
    wait_until(lambda: party.seen.packets_received == 2)
    assert party.seen.packets_lost == 0
    moved.socket.close()


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


def test_streams_come_and_go_while_others_run(engine: MediaEngine, pool: PortPool) -> None:
    speaker, listener = Party(engine, pool), Party(engine, pool)
    listener.start(speaker.port, MediaMode.RECEIVE_ONLY)
    speaker.start(listener.port)
    for _ in range(20):
        other = Party(engine, pool)
        other.start(speaker.port, remote_ip="127.0.0.7")
        engine.close(other.slot)
        pool.release(other.port)
    wait_until(lambda: listener.seen.packets_received >= 10)
    engine.stop_stream(speaker.slot)
    engine.stop_stream(listener.slot)
    assert speaker.seen.packets_sent == listener.seen.packets_received
    assert listener.seen.packets_lost == 0


def test_no_descriptor_leaks(engine: MediaEngine, pool: PortPool) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    for _ in range(200):
        party = Party(engine, pool) if _ % 2 else None
        slot, port = (party.slot, party.port) if party else open_media_pair(engine, pool, IP, 0)
        if party:
            party.start(9)
        engine.close(slot)
        pool.release(port)
        with pytest.raises(OSError, match="assign"):
            engine.open("192.0.2.1", port, 0)
    assert descriptors() == before
    assert engine.snapshot_all() == []


def test_a_taken_pair_is_refused_whole_and_the_next_one_is_tried(engine: MediaEngine) -> None:
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind((IP, 21403))
    with pytest.raises(OSError, match="in use") as caught:
        engine.open(IP, 21402, 0)
    assert caught.value.errno == errno.EADDRINUSE
    pool = PortPool(PortRange(21402, 21405))
    slot, port = open_media_pair(engine, pool, IP, 0)
    assert port == 21404
    with pytest.raises(CapacityError, match=r"21402-21405: 2 pairs, 1 in use here, 1 taken by other programs"):
        open_media_pair(engine, pool, IP, 0)
    engine.close(slot)
    other.close()


def test_slots_run_out_with_a_clear_error(pool: PortPool) -> None:
    engine = MediaEngine(slots=1)
    slot, port = open_media_pair(engine, pool, IP, 0)
    free = pool.free
    with pytest.raises(CapacityError, match="all 1 media slots"):
        open_media_pair(engine, pool, IP, 0)
    assert pool.free == free
    engine.close(slot)
    pool.release(port)


def test_an_address_that_is_not_ours_is_not_hidden(engine: MediaEngine, pool: PortPool) -> None:
    free = pool.free
    with pytest.raises(OSError, match="assign"):
        open_media_pair(engine, pool, "192.0.2.1", 0)
    assert pool.free == free


def test_dscp_is_set_on_both_families(engine: MediaEngine, pool: PortPool) -> None:
    for ip, receiver_family, level, option in (
        ("127.0.0.1", socket.AF_INET, socket.IPPROTO_IP, socket.IP_RECVTOS),
        ("::1", socket.AF_INET6, socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS),
    ):
        heard = socket.socket(receiver_family, socket.SOCK_DGRAM)
        heard.bind((ip, 0))
        heard.settimeout(GENEROUS_S)
        heard.setsockopt(level, option, 1)
        party = Party(engine, pool, ip=ip)
        party.start(heard.getsockname()[1], remote_rtcp_port=0)
        _, ancillary, _, _ = heard.recvmsg(2048, 64)
        assert ancillary[0][2][0] == 46 << 2
        engine.close(party.slot)
        heard.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"payload_type": 128},
        {"ptime_ms": 0},
        {"clock_hz": 0},
        {"source": 99},
        {"cname": b"x" * 256},
        {"remote_ip": "localhost"},
        {"remote_ip": "::1"},
        {"remote_rtp_port": 65536},
        {"remote_rtcp_port": -1},
    ],
)
def test_bad_arguments_change_nothing(engine: MediaEngine, pool: PortPool, changes: dict[str, Any]) -> None:
    party = Party(engine, pool)
    with pytest.raises(LocalProtocolError):
        party.start(9, **changes)
    party.start(9)


def test_commands_in_the_wrong_state_are_refused(engine: MediaEngine, pool: PortPool) -> None:
    party = Party(engine, pool)
    with pytest.raises(LocalProtocolError, match="no running stream"):
        engine.change_remote(party.slot, remote_ip=IP, remote_rtp_port=9, remote_rtcp_port=0)
    engine.stop_stream(party.slot)
    party.start(9)
    with pytest.raises(LocalProtocolError, match="has a running stream"):
        party.start(9)
    engine.close(party.slot)
    for command in (engine.snapshot, engine.stop_stream, engine.close):
        with pytest.raises(LocalProtocolError, match=f"slot {party.slot} is not open"):
            command(party.slot)
    with pytest.raises(LocalProtocolError, match="runs already"):
        engine.start()


# --- the thread


def test_pacing_counts_each_scheduled_packet(engine: MediaEngine, pool: PortPool) -> None:
    parties = [Party(engine, pool) for _ in range(4)]
    for party in parties:
        party.start(parties[0].port)
    wait_until(lambda: min(party.seen.packets_sent for party in parties) >= 5)
    first = engine.close_pacing_interval()
    assert first.packets >= 20
    assert first.min_us is not None
    for party in parties:
        engine.stop_stream(party.slot)
    whole = engine.pacing()
    assert whole.packets == sum(party.seen.packets_sent for party in parties)
    assert whole.skipped == sum(party.seen.packets_skipped for party in parties)
    rest = engine.close_pacing_interval()
    assert first.packets + rest.packets == whole.packets
    assert first.ticks + rest.ticks >= whole.ticks > 0
    assert engine.close_pacing_interval().packets == 0
    assert engine.pacing().packets == whole.packets


def test_figures_of_the_thread() -> None:
    engine = MediaEngine(slots=1, realtime=False)
    assert engine.scheduling == ""
    engine.start()
    assert engine.scheduling == "SCHED_OTHER"
    wait_until(lambda: engine.cpu_seconds() > 0 and engine.pacing().ticks > 3)
    engine.stop()
    assert (engine.cpu_seconds(), engine.pacing().ticks) == (engine.cpu_seconds(), engine.pacing().ticks)
    engine.stop()
    engine.start()
    engine.stop()


def test_many_threads_may_command_at_once(engine: MediaEngine) -> None:
    ports = [PortPool(PortRange(21500 + 20 * n, 21519 + 20 * n)) for n in range(4)]
    faults: list[BaseException] = []

    def live(pool: PortPool) -> None:
        try:
            for _ in range(100):
                one, two = Party(engine, pool), Party(engine, pool)
                one.start(two.port)
                two.start(one.port, MediaMode.ECHO)
                engine.snapshot_all()
                engine.stop_stream(one.slot)
                for party in (one, two):
                    engine.close(party.slot)
                    pool.release(party.port)
                engine.close_pacing_interval()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=live, args=(pool,)) for pool in ports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert engine.snapshot_all() == []


def test_a_slot_closed_twice_at_once_is_closed_once(engine: MediaEngine, pool: PortPool) -> None:
    for _ in range(50):
        party = Party(engine, pool)
        gone: list[int] = []

        def close(slot: int = party.slot, gone: list[int] = gone) -> None:
            with contextlib.suppress(LocalProtocolError):
                engine.close(slot)
            gone.append(slot)

        threads = [threading.Thread(target=close) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pool.release(party.port)
        assert len(gone) == 2
    assert engine.snapshot_all() == []


@pytest.mark.parametrize("arguments", [{"slots": 0}, {"slots": 1, "tick_us": 99}, {"slots": 1, "tick_us": 20001}])
def test_an_engine_of_impossible_size_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        MediaEngine(**arguments)
