"""Slots of both engines: ports and descriptors come and go, and nothing leaks."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from typing import Any

import pytest

from cmw.core.address import PortRange
from cmw.errors import CapacityError, LocalProtocolError
from cmw.net._media import MediaEngine
from cmw.net.media import MediaMode, open_media_pair, open_pair_beside
from cmw.rtp.ports import PortPool
from tests.support.media_ends import GENEROUS_S, IP, Outsider, Party, wait_until

pytestmark = pytest.mark.loopback

PORTS = PortRange(25100, 25799)


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


def test_a_slot_starts_again_with_new_figures(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party = Party(engine, pool)
    for _ in range(3):
        party.start(outsider.port)
        outsider.say(party.port, 1)
        wait_until(lambda: party.seen.packets_sent >= 2 and party.seen.packets_received == 1)
        engine.stop_stream(party.slot)
    assert party.seen.packets_received == 1


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
    other.bind((IP, 25803))
    with pytest.raises(OSError, match="in use") as caught:
        engine.open(IP, 25802, 0)
    assert caught.value.errno == errno.EADDRINUSE
    pool = PortPool(PortRange(25802, 25805))
    slot, port = open_media_pair(engine, pool, IP, 0)
    assert port == 25804
    with pytest.raises(CapacityError, match=r"25802-25805: 2 pairs, 1 in use here, 1 taken by other programs"):
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


def test_many_threads_may_command_at_once(engine: MediaEngine) -> None:
    ports = [PortPool(PortRange(25820 + 20 * n, 25839 + 20 * n)) for n in range(4)]
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
