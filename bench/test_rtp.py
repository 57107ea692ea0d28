"""What receiving and stamping a packet costs, and what a table of streams takes of one core, on both twins.

Each bench handles one second of the traffic of `STREAMS` streams at 50 packets a second; `extra_info` has the cost per
packet and the fraction of one core. Results are asserted before anything is timed.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from itertools import count
from types import ModuleType
from typing import Any

import pytest

from cmw.rtp import _pure

try:
    import cmw._rtp as _compiled

    IMPLEMENTATIONS: list[ModuleType] = [_pure, _compiled]
except ModuleNotFoundError:
    IMPLEMENTATIONS = [_pure]

SECOND = 1_000_000_000
PERIOD_NS = 20_000_000
STREAMS = 20
PACKETS = 50
PAYLOAD = bytes(160)


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda module: module.__name__.rpartition(".")[2])
def table(request: pytest.FixtureRequest) -> Any:
    """Return a table of one twin with every slot open."""
    table = request.param.StreamTable(STREAMS)
    for slot in range(STREAMS):
        table.open(
            slot,
            start_ns=slot * PERIOD_NS // STREAMS,
            period_ns=PERIOD_NS,
            ssrc=slot,
            sequence=0,
            timestamp=0,
            timestamp_step=160,
            clock_hz=8000,
            payload_type=0,
            cname=b"bench",
        )
    return table


def report(benchmark: Any, packets: int) -> None:
    """Add the cost per packet and the fraction of one core of a bench that handled one second of traffic."""
    if benchmark.stats is None:  # --benchmark-disable
        return
    seconds = benchmark.stats.stats.median
    benchmark.extra_info["us_per_packet"] = round(seconds / packets * 1e6, 4)
    benchmark.extra_info["fraction_of_one_core"] = round(seconds, 6)


def one_second(second: int) -> list[tuple[int, bytes, int]]:
    """Return (slot, packet, arrival) of each packet of one second, in order of arrival."""
    return [
        (
            slot,
            struct.pack("!BBHII", 0x80, 0, k % 65536, k * 160 % (1 << 32), slot) + PAYLOAD,
            SECOND + k * PERIOD_NS + slot * 1000 + k % 7 * 10_000,
        )
        for k in range(second * PACKETS, (second + 1) * PACKETS)
        for slot in range(STREAMS)
    ]


def receive_all(table: Any, packets: list[tuple[int, bytes, int]]) -> None:
    receive = table.receive
    for slot, data, arrival_ns in packets:
        receive(slot, data, arrival_ns)


def send_second(table: Any, start_ns: int, packet: bytearray, out: array[int]) -> int:
    """Pull on a grid of 1 ms and stamp what is due; return how many packets."""
    sent = 0
    for now in range(start_ns, start_ns + SECOND, 1_000_000):
        found = table.pull_due(now, 0, out)
        for slot in out[:found]:
            table.stamp(slot, packet)
        sent += found
    return sent


def timed(benchmark: Any, function: Callable[..., object], setup: Callable[[], tuple[Any, Any]]) -> None:
    benchmark.pedantic(function, setup=setup, rounds=20, warmup_rounds=1)


@pytest.mark.benchmark(group="rtp receive")
def test_receive(benchmark: Any, table: Any) -> None:
    receive_all(table, one_second(0))
    for slot in range(STREAMS):
        now = table.snapshot(slot)
        assert (now.packets_received, now.packets_lost, now.duplicate_packets) == (PACKETS, 0, 0)
        assert 0 < now.jitter_ms < 0.1
    seconds = count(1)
    timed(benchmark, receive_all, lambda: ((table, one_second(next(seconds))), {}))
    assert table.snapshot(0).packets_lost == 0
    report(benchmark, STREAMS * PACKETS)


@pytest.mark.benchmark(group="rtp send")
def test_pull_due_and_stamp(benchmark: Any, table: Any) -> None:
    packet, out = bytearray(12) + PAYLOAD, array("i", [0] * STREAMS)
    assert send_second(table, 0, packet, out) == STREAMS * PACKETS
    assert table.snapshot(0).packets_skipped == 0
    seconds = count(1)
    timed(benchmark, send_second, lambda: ((table, next(seconds) * SECOND, packet, out), {}))
    assert table.snapshot(STREAMS - 1).packets_skipped == 0
    report(benchmark, STREAMS * PACKETS)


@pytest.mark.benchmark(group="rtp snapshot")
def test_snapshot(benchmark: Any, table: Any) -> None:
    receive_all(table, one_second(0))
    snapshot = benchmark(table.snapshot, 3)
    assert snapshot.packets_received == PACKETS


@pytest.mark.benchmark(group="rtcp")
def test_build_and_receive_a_report(benchmark: Any, table: Any) -> None:
    receive_all(table, one_second(0))
    table.stamp(0, bytearray(172))

    def round_trip() -> int:
        verdict: int = table.receive_rtcp(0, table.build_rtcp(0, now=2 * SECOND), 2 * SECOND)
        return verdict

    assert round_trip() == 0
    assert table.snapshot(0).remote_packets_sent == 1
    assert benchmark(round_trip) == 0
