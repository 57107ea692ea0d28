"""The bare exchange and the control thread do what they are to be compared with."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Callable

import pytest

from cmw.net import yardstick
from cmw.net._yardstick import ClockReader, exchange
from cmw.net.yardstick import BareCost, BareEnd, ClockControl, backlog_us, bare_cost

pytestmark = pytest.mark.loopback


def test_neighbours_exchange_a_packet_every_20_ms(loopback_ip: Callable[[], str]) -> None:
    cost = bare_cost(loopback_ip(), 20, 0.2)
    assert cost.sent == cost.received == 20 * 10
    assert cost.us_per_pair is not None
    assert cost.us_per_pair > 0


def test_no_packets_cost_nothing_that_is_known() -> None:
    assert BareCost(0, 0, 0.1).us_per_pair is None


def test_two_ends_exchange_packets(loopback_ip: Callable[[], str]) -> None:
    found: list[BareCost] = []
    with BareEnd(loopback_ip(), 4) as one, BareEnd(loopback_ip(), 4) as other:
        thread = threading.Thread(target=lambda: found.append(one.exchange(other.peers, 0.2)))
        thread.start()
        found.append(other.exchange(one.peers, 0.2))
        thread.join()
    assert [cost.sent for cost in found] == [40, 40]
    assert all(cost.received > 0 for cost in found)


def test_an_end_says_where_it_is_and_what_it_took(
    loopback_ip: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    ip, cpus = loopback_ip(), os.sched_getaffinity(0)
    with BareEnd(ip, 2) as other:
        there = io.StringIO(json.dumps(other.peers))
        yardstick.main([ip, "2", "0.1", ",".join(map(str, cpus))], there.readline)
    peers, cost = map(json.loads, capsys.readouterr().out.splitlines())
    assert [host for host, _ in peers] == [ip, ip]
    assert cost[:2] == [10, 0]


def test_a_socket_without_a_peer_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a peer for each socket"):
        exchange([1], [], 0.1)


def test_only_ipv4_is_measured(loopback_ip: Callable[[], str]) -> None:
    with BareEnd(loopback_ip(), 1) as end, pytest.raises(ValueError, match="expected an IPv4 address, got ::1"):
        end.exchange([("::1", 5000)], 0.1)


def test_the_control_threads_read_every_point_of_the_grid() -> None:
    done = threading.Event()
    with ClockControl(os.sched_getaffinity(0)) as control:
        done.wait(0.1)
    reading = control.reading()
    assert reading.p99_us is not None
    assert reading.max_us is not None
    assert reading.max_us >= reading.p99_us * 0.9 > 0
    assert reading.cpu_seconds > 0
    assert reading.scheduling in ("SCHED_FIFO", "SCHED_OTHER")


def test_the_control_threads_tell_how_long_the_same_work_took() -> None:
    done = threading.Event()
    with ClockControl([min(os.sched_getaffinity(0))], steps=100) as control:
        done.wait(0.1)
    spans = control.reading().spans_ns
    assert spans
    assert all(span > 0 for span in spans)


def test_a_load_falls_behind_where_the_core_is_slower_and_catches_up_where_it_is_not() -> None:
    assert backlog_us([100, 150, 150, 100, 100], 100, 0.8) == pytest.approx([0, 4000, 8000, 4000, 0])
    assert backlog_us([200], 100, 0.5) == [0]


def test_a_control_without_cores_knows_nothing() -> None:
    with ClockControl([]) as control:
        pass
    assert control.reading().p99_us is None


def test_a_grid_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="expected tick_us in 100"):
        ClockReader(tick_us=1)
    with pytest.raises(ValueError, match="steps not below 0"):
        ClockReader(steps=-1)
