"""What is kept of packets: the first and the last ones, whole, with everything between them counted; on both twins."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.core.address import PortRange
from cmw.net.media import MediaMode
from cmw.net.media_engines import MediaEngines
from cmw.net.packet_log import LOGGED_BYTES, LoggedPacket, PacketLog
from cmw.rtp.ports import PortPool
from tests.support.media_ends import FRAME, IP, Outsider, Party, wait_until

HEAD_BYTES, ENTRY_BYTES = 64, 56
PORTS = PortRange(29000, 29199)


def packet(number: int, size: int = 100, **changes: Any) -> LoggedPacket:
    data = number.to_bytes(4, "big") + bytes(max(0, size - 4))
    plain = LoggedPacket(number, 7, False, False, 10000, "10.0.0.2", 4000, len(data), data[:LOGGED_BYTES])
    return plain._replace(**changes)


def taken(size: int) -> int:
    return (ENTRY_BYTES + min(size, LOGGED_BYTES) + 7) & ~7


def check_ends(kept: list[LoggedPacket], passed: list[LoggedPacket], log: PacketLog, first: int, last: int) -> None:
    """The beginning of what passed, as much as fits, and its end, as far as the ring goes."""
    assert log.left_out == len(passed) - len(kept)
    begun = 0
    while begun < len(passed) and sum(taken(each.size) for each in passed[: begun + 1]) <= first:
        begun += 1
    assert kept[:begun] == passed[:begun]
    ended, fitting = kept[begun:], [each for each in passed[begun:] if taken(each.size) <= last]
    assert ended == fitting[len(fitting) - len(ended) :]
    room = last - sum(taken(each.size) for each in ended)
    assert room >= 0
    if len(ended) < len(fitting):
        assert room < 2 * max(taken(each.size) for each in fitting)


@given(
    st.lists(st.integers(4, 300), max_size=80),
    st.integers(0, 1500),
    st.integers(0, 1500),
)
def test_the_first_and_the_last_ones_stay(sizes: list[int], first: int, last: int) -> None:
    log = PacketLog(first, last)
    passed = [packet(number, size) for number, size in enumerate(sizes)]
    for each in passed:
        log.add(each)
    check_ends(list(log), passed, log, first & ~7, last & ~7)
    assert len(log.buffer) == HEAD_BYTES + (first & ~7) + (last & ~7)
    log.clear()
    assert (list(log), log.left_out) == ([], 0)


def test_every_field_comes_back() -> None:
    log = PacketLog(4000)
    six = packet(1, is_sent=True, is_control=True, remote_ip="2001:db8::9", remote_port=65535, label=-(1 << 62))
    jumbo = packet(2, 3000)
    log.add(six)
    log.add(jumbo)
    assert list(log) == [six, jumbo]
    assert (jumbo.size, len(jumbo.data)) == (3000, LOGGED_BYTES)


@pytest.mark.loopback
class TestEngine:
    def test_both_ways_are_kept_whole_with_what_came_before_the_start(self, engine: Any, outsider: Outsider) -> None:
        party, log = Party(engine, PortPool(PORTS), ssrc=0xABCDEF01), PacketLog(1 << 16)
        engine.set_label(party.slot, 42)
        engine.set_log(party.slot, log)
        outsider.say(party.port, 7, ssrc=5, payload=b"early")
        wait_until(lambda: party.seen.packets_before_start == 1)
        party.start(outsider.port, MediaMode.ECHO)
        outsider.say(party.port, 8, ssrc=5, payload=bytes(FRAME))
        echoed = outsider.hear()
        wait_until(lambda: party.seen.packets_sent == 1)
        engine.stop_stream(party.slot)
        engine.close(party.slot)
        rtp = [each for each in log if not each.is_control]
        early, second, answer = rtp
        assert early.data[12:] == b"early"
        assert (second.data[12:], second.size, second.remote_ip) == (bytes(FRAME), 12 + FRAME, IP)
        assert (answer.is_sent, answer.data) == (True, echoed)
        assert {(each.label, each.local_port, each.remote_port) for each in rtp} == {(42, party.port, outsider.port)}
        assert early.at_unix_ns <= second.at_unix_ns <= answer.at_unix_ns
        bye = list(log)[-1]
        assert (bye.is_sent, bye.is_control, bye.data[1]) == (True, True, 200)
        assert (bye.local_port, bye.remote_port) == (party.port + 1, outsider.port + 1)

    def test_a_long_call_keeps_its_beginning_and_its_end(self, engine: Any, outsider: Outsider) -> None:
        party, first, last = Party(engine, PortPool(PORTS)), 2000, 3000
        log, sizes = PacketLog(first, last), random.Random(7)
        engine.set_log(party.slot, log)
        party.start(outsider.port, MediaMode.RECEIVE_ONLY, remote_rtcp_port=0)
        passed = []
        for seq in range(400):
            payload = seq.to_bytes(4, "big") + bytes(sizes.randrange(500))
            outsider.say(party.port, seq, payload=payload)
            passed.append(payload)
            if seq % 50 == 49:
                wait_until(lambda so_far=seq + 1: party.seen.packets_received == so_far)
        engine.close(party.slot)
        kept = list(log)
        told = [packet(0, 12 + len(each), data=each) for each in passed]
        check_ends([packet(0, each.size, data=each.data[12:]) for each in kept], told, log, first, last)
        assert log.left_out == 400 - len(kept) > 0

    def test_after_its_end_a_slot_is_kept_no_more(self, engine: Any, outsider: Outsider) -> None:
        pool, log = PortPool(PORTS), PacketLog(1 << 12)
        party = Party(engine, pool)
        engine.set_log(party.slot, log)
        engine.set_log(party.slot, None)
        outsider.say(party.port, 1)
        wait_until(lambda: party.seen.packets_before_start == 1)
        engine.set_log(party.slot, log)
        engine.close(party.slot)
        other = Party(engine, pool)
        assert other.slot == party.slot
        outsider.say(other.port, 1)
        wait_until(lambda: other.seen.packets_before_start == 1)
        assert list(log) == []
        engine.close(other.slot)

    def test_reports_of_every_slot_are_kept_by_their_labels(self, engine: Any, outsider: Outsider) -> None:
        pool, log = PortPool(PORTS), PacketLog(1 << 16)
        parties = [Party(engine, pool, ssrc=number) for number in (1, 2)]
        engine.set_control_log(log)
        for party in parties:
            engine.set_label(party.slot, party.ssrc)
            party.start(outsider.port)
        wait_until(lambda: all(party.seen.packets_sent for party in parties))
        for party in parties:
            engine.stop_stream(party.slot)
        engine.set_control_log(None)
        for party in parties:
            engine.close(party.slot)
        byes = {each.label: each for each in log}
        assert {label: int.from_bytes(each.data[4:8], "big") for label, each in byes.items()} == {1: 1, 2: 2}
        assert all(each.is_control and each.is_sent for each in log)


@pytest.mark.loopback
def test_every_thread_has_a_log_of_its_own() -> None:
    engines = MediaEngines(slots=4, threads=2)
    engines.start()
    log = PacketLog(1 << 12)
    slot = engines.open(IP, PORTS.first, 0)
    engines.set_log(slot, log)
    engines.set_label(slot, 9)
    engines.set_control_logs([PacketLog(1 << 12) for _ in range(len(engines))])
    outsider = Outsider()
    outsider.say(PORTS.first, 1)
    wait_until(lambda: engines.snapshot(slot).packets_before_start == 1)
    engines.set_control_logs([None] * len(engines))
    engines.close(slot)
    engines.stop()
    outsider.socket.close()
    assert [each.label for each in log] == [9]
