"""The media engine on loopback: real sockets, real time, but no sleeping and no assertion on how long things take."""

from __future__ import annotations

import struct
import time
from itertools import pairwise

import pytest

from cmw.core.address import PortRange
from cmw.errors import LocalProtocolError
from cmw.net._media import MediaEngine
from cmw.net.media import MediaMode
from cmw.rtp.jitter_buffer import BufferSettings
from cmw.rtp.ports import PortPool
from cmw.rtp.snapshot import StreamSnapshot
from cmw.rtp.source import make_source
from tests.support.media_ends import FRAME, GENEROUS_S, IP, Outsider, Party, wait_until

pytestmark = pytest.mark.loopback

PORTS = PortRange(23000, 23999)


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


def test_echo_of_another_source_goes_on_with_our_timestamps(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party = Party(engine, pool)
    party.start(outsider.port, MediaMode.ECHO)
    for seq, ssrc in ((10, 1), (11, 1), (9000, 2), (9001, 2), (9002, 2)):  # the first of the new one is held
        outsider.say(party.port, seq, ssrc=ssrc)
    echoed = [struct.unpack("!HII", outsider.hear()[2:12]) for _ in range(4)]
    assert [sequence for sequence, _, _ in echoed] == [65530, 65531, 65532, 65533]
    assert {ssrc for _, _, ssrc in echoed} == {party.ssrc}
    steps = [(later[1] - earlier[1]) & 0xFFFFFFFF for earlier, later in pairwise(echoed)]
    assert (steps[0], steps[2]) == (FRAME, FRAME)
    assert steps[1] < 8000 * GENEROUS_S, "the time since the packet before, by our clock"


def test_echo_of_a_party_comes_back_whole(engine: MediaEngine, pool: PortPool) -> None:
    speaker, mirror = Party(engine, pool, ssrc=5), Party(engine, pool, ssrc=6)
    mirror.start(speaker.port, MediaMode.ECHO)
    speaker.start(mirror.port)
    wait_until(lambda: speaker.seen.packets_received >= 20)
    engine.stop_stream(mirror.slot)
    engine.stop_stream(speaker.slot)
    assert speaker.seen.packets_received == mirror.seen.packets_sent == mirror.seen.packets_received
    assert speaker.seen.packets_lost == 0


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
