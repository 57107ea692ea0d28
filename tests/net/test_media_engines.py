"""Several media threads have the face of one: streams spread, numbers stay apart, figures add up."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cmw.core.address import PortRange
from cmw.errors import CapacityError, LocalProtocolError
from cmw.metrics.histogram import ExponentialHistogram
from cmw.net import media_engines
from cmw.net.media import MediaMode, open_media_pair
from cmw.net.media_engines import MediaEngines
from cmw.rtp.ports import PortPool
from tests.support.media_ends import wait_until

pytestmark = pytest.mark.loopback
IP = "127.23.0.1"
PORTS = PortRange(22300, 22599)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[MediaEngines]:
    monkeypatch.setattr(media_engines, "STREAMS_OF_A_THREAD", 4)
    made = MediaEngines(slots=24, threads=3)
    made.start()
    yield made
    made.stop()
    for slot, _ in made.snapshot_all():
        made.close(slot)


def threads_of_process() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def start(engines: MediaEngines, slot: int, to: int, source: int, **changes: Any) -> None:
    settings: dict[str, Any] = {
        "remote_ip": IP,
        "remote_rtp_port": to,
        "remote_rtcp_port": to + 1,
        "payload_type": 0,
        "clock_hz": 8000,
        "ptime_ms": 20,
        "source": source,
        "ssrc": slot + 1,
        "sequence": 1,
        "timestamp": 1,
        "cname": b"me@here",
        "mode": MediaMode.SEND_RECEIVE,
    }
    engines.start_stream(slot, **(settings | changes))


def test_streams_on_all_threads_hear_each_other_and_the_figures_add_up(engines: MediaEngines) -> None:
    pool = PortPool(PORTS)
    source = engines.add_source(bytes(160), 160)
    ends = [open_media_pair(engines, pool, IP, 0) for _ in range(24)]
    assert len({slot for slot, _ in ends}) == 24
    for n, (slot, _) in enumerate(ends):
        start(engines, slot, ends[n ^ 1][1], source)
    wait_until(lambda: all(seen.packets_received > 5 for _, seen in engines.snapshot_all()))
    engines.rate_streams([(slot, 93, 41, 44) for slot, _ in ends])
    for slot, _ in ends:
        engines.set_sending(slot, False)
    for slot, _ in ends:
        engines.stop_stream(slot)
    seen = dict(engines.snapshot_all())
    assert set(seen) == {slot for slot, _ in ends}
    assert all(seen[slot].packets_sent == engines.snapshot(slot).packets_sent for slot, _ in ends)
    sent = sum(one.packets_sent for one in seen.values())
    assert sent == sum(one.packets_received for one in seen.values())
    pacing = engines.close_pacing_interval()
    histogram = ExponentialHistogram.from_dict(pacing.histogram)
    assert histogram.count == pacing.packets >= sent
    assert pacing.min_us == histogram.min
    assert pacing.max_us == histogram.max
    assert engines.close_pacing_interval().packets == 0
    assert engines.pacing().packets == pacing.packets
    assert pacing.stall_ms > 0
    assert engines.cpu_seconds() > 0


def test_a_thread_is_started_when_there_are_streams_for_it(engines: MediaEngines) -> None:
    pool = PortPool(PORTS)
    before = threads_of_process()
    ends = [open_media_pair(engines, pool, IP, 0) for _ in range(4)]
    assert threads_of_process() == before
    ends += [open_media_pair(engines, pool, IP, 0) for _ in range(4)]
    assert threads_of_process() == before + 1
    assert [slot % 3 for slot, _ in ends[4:]] == [1, 1, 1, 1]
    ends += [open_media_pair(engines, pool, IP, 0) for _ in range(16)]
    assert threads_of_process() == before + 2
    loads = [sum(slot % 3 == index for slot, _ in ends) for index in range(3)]
    assert loads == [8, 8, 8]
    assert engines.scheduling in ("SCHED_FIFO", "SCHED_OTHER")
    for slot, port in [ends[4], ends[5]]:
        engines.close(slot)
        pool.release(port)
    assert {open_media_pair(engines, pool, IP, 0)[0] % 3 for _ in range(2)} == {1}


def test_full_is_told_with_the_number_of_all(engines: MediaEngines) -> None:
    pool = PortPool(PORTS)
    for _ in range(24):
        open_media_pair(engines, pool, IP, 0)
    with pytest.raises(CapacityError, match="all 24 media slots are in use"):
        open_media_pair(engines, pool, IP, 0)
    assert pool.in_use == 24


def test_commands_and_the_trace_reach_every_thread(engines: MediaEngines) -> None:
    pool = PortPool(PORTS)
    source = engines.add_source(bytes(160), 160)
    other = engines.add_source(bytes(240), 240)
    ends = [open_media_pair(engines, pool, IP, 0) for _ in range(12)]
    engines.set_trace(True)
    for n, (slot, _) in enumerate(ends):
        start(engines, slot, ends[n ^ 1][1], source)
        engines.change_sending(slot, payload_type=0, clock_hz=8000, ptime_ms=30, source=other)
        engines.change_receiving(slot, formats=[(0, "PCMU", 8000, 0)])
        engines.change_remote(slot, remote_ip=IP, remote_rtp_port=ends[n ^ 1][1], remote_rtcp_port=0)
    wait_until(lambda: all(seen.packets_received > 2 for _, seen in engines.snapshot_all()))
    packets, lost = engines.take_trace(1000)
    assert lost == 0
    assert {packet.local_port for packet in packets if packet.is_sent} == {port for _, port in ends}
    assert {packet.size for packet in packets} == {252}
    assert packets == sorted(packets)
    engines.set_trace(False)
    engines.take_trace(10000)
    assert engines.take_trace(10) == ([], 0)


def test_in_plain_python_there_is_one_thread_and_the_results_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMW_PURE", "1")
    engines = MediaEngines(slots=4, threads=3)
    assert (len(engines), engines.is_compiled) == (1, False)
    assert "plain Python" in engines.scheduling
    pool = PortPool(PORTS)
    source = engines.add_source(bytes(160), 160)
    engines.start()
    ends = [open_media_pair(engines, pool, IP, 0) for _ in range(2)]
    for n, (slot, _) in enumerate(ends):
        start(engines, slot, ends[n ^ 1][1], source)
    wait_until(lambda: all(seen.packets_received > 5 for _, seen in engines.snapshot_all()))
    engines.stop()
    for slot, _ in ends:
        engines.stop_stream(slot)
    seen = dict(engines.snapshot_all())
    assert [one.packets_lost for one in seen.values()] == [0, 0]
    assert engines.close_pacing_interval().packets == sum(one.packets_sent for one in seen.values())
    for slot, _ in ends:
        engines.close(slot)


def test_a_missing_module_is_a_reason_to_fall_back_and_a_broken_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CMW_PURE", raising=False)
    assert media_engines.is_compiled()
    monkeypatch.setitem(sys.modules, "cmw.net._media", None)
    with pytest.raises(ModuleNotFoundError):
        __import__("cmw.net._media")
    assert not media_engines.is_compiled()


def test_one_thread_or_more() -> None:
    with pytest.raises(LocalProtocolError, match="threads: expected 1 or more, got 0"):
        MediaEngines(slots=1, threads=0)
