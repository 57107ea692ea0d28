"""Yardsticks for what we measure of ourselves: the least that packets cost on a machine, and its own punctuality.

`python -m cmw.net.yardstick` is one end of an exchange between two processes; see `main`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Self

from cmw.metrics.histogram import ExponentialHistogram
from cmw.net._yardstick import ClockReader, exchange

MEDIA_PRIORITY = 10
"""SCHED_FIFO priority of the media thread, and so of what is compared with it."""

CONTROL_PRIORITY = 20
"""Above it: our own load cannot keep the control thread from running."""

CONTROL_STEPS = 3000
"""Multiplications by which a control thread measures the speed of its core once a millisecond, some microseconds."""

SPAN_US = 20_000.0
"""Length of a span of which that is averaged."""


class BareCost(NamedTuple):
    """What a bare exchange took."""

    sent: int
    received: int
    cpu_seconds: float

    @property
    def us_per_pair(self) -> float | None:
        """Return the CPU microseconds for one packet sent and one received; None without packets."""
        pairs = (self.sent + self.received) / 2
        return 1e6 * self.cpu_seconds / pairs if pairs else None


class BareEnd:
    """Sockets that exchange packets with others and measure nothing; see `cmw.net._yardstick.exchange`.

    Raises:
        OSError: the address is not ours, or no descriptor is left.
    """

    def __init__(self, ip: str, count: int) -> None:
        self._sockets: list[socket.socket] = []
        self._ip = ip
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            for _ in range(count):
                self._sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
                self._sockets[-1].bind((ip, 0))
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def peers(self) -> list[tuple[str, int]]:
        """Return the address and port of each socket."""
        return [(self._ip, each.getsockname()[1]) for each in self._sockets]

    def exchange(self, peers: list[tuple[str, int]], seconds: float) -> BareCost:
        """Exchange packets with `peers`, one for each socket, on a thread scheduled as the media thread is."""
        descriptors = [each.fileno() for each in self._sockets]

        def work() -> BareCost:
            ask_for_realtime(MEDIA_PRIORITY)
            sent, received, cpu_ns = exchange(descriptors, peers, seconds)
            return BareCost(sent, received, cpu_ns / 1e9)

        with ThreadPoolExecutor(1, "cmw-bare") as threads:
            return threads.submit(work).result()

    def close(self) -> None:
        """Close the sockets."""
        for each in self._sockets:
            each.close()


def bare_cost(ip: str, count: int, seconds: float) -> BareCost:
    """Return what `count` sockets (an even number) take whose neighbours send to each other, all on one thread."""
    with BareEnd(ip, count) as end:
        peers = end.peers
        return end.exchange([peers[n ^ 1] for n in range(count)], seconds)


class ClockReading(NamedTuple):
    """How late the control threads woke, all of them together; the cores were not ours for so long."""

    p99_us: float | None
    max_us: float | None
    cpu_seconds: float
    scheduling: str
    spans_ns: tuple[float, ...] = ()
    """What the same work took in each span of 20 ms, of the slowest core in each."""


class ClockControl:
    """Threads that only read the clock, one pinned to each of `cpus`, for as long as the context lasts.

    They rank above everything of ours: where they are late, the machine was busy elsewhere, and a packet that was late
    at the same time is not our doing.

    Args:
        cpus: numbers of the cores.
        steps: work that each does once a millisecond, to tell a slower core; see `ClockReader`.
    """

    def __init__(self, cpus: Iterable[int], *, steps: int = 0) -> None:
        self._readers = [(cpu, ClockReader(steps=steps)) for cpu in cpus]
        self._threads: list[threading.Thread] = []
        self._granted: list[bool] = []

    def __enter__(self) -> Self:
        for cpu, reader in self._readers:
            thread = threading.Thread(target=self._run, args=(cpu, reader), name="cmw-control", daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        for _, reader in self._readers:
            reader.stop()
        for thread in self._threads:
            thread.join()

    def reading(self) -> ClockReading:
        """Return what was read, once the context has ended."""
        merged, cpu_seconds = ExponentialHistogram(), 0.0
        for _, reader in self._readers:
            lateness, seconds = reader.result()
            merged.merge(ExponentialHistogram.from_dict(lateness))
            cpu_seconds += seconds
        scheduling = "SCHED_FIFO" if self._granted and all(self._granted) else "SCHED_OTHER"
        spans = tuple(map(max, zip(*(reader.spans() for _, reader in self._readers), strict=False)))
        return ClockReading(merged.quantile(0.99), merged.max, cpu_seconds, scheduling, spans)

    def _run(self, cpu: int, reader: ClockReader) -> None:
        with contextlib.suppress(OSError):  # the core may have been taken from us
            os.sched_setaffinity(0, {cpu})  # of this thread
        self._granted.append(ask_for_realtime(CONTROL_PRIORITY))
        reader.read_clock()


def backlog_us(spans_ns: Sequence[float], best_ns: float, load: float) -> list[float]:
    """Return how far behind a load would have been after each span, had it only waited for the core.

    Args:
        spans_ns: what the same work took in each span.
        best_ns: what it takes when nothing slows the core down.
        load: the share of such a core that the load takes, 0 to 1.
    """
    behind, found = 0.0, []
    for took_ns in spans_ns:
        behind = max(0.0, behind + SPAN_US * (load * took_ns / best_ns - 1.0))
        found.append(behind)
    return found


def ask_for_realtime(priority: int) -> bool:
    """Ask for SCHED_FIFO for this thread; tell whether it was granted."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError:
        return False
    return True


def main(arguments: Sequence[str], read: Callable[[], str] = sys.stdin.readline) -> None:
    """Be one end: bind, print the peers as JSON, read those of the other end, exchange, print the cost.

    Args:
        arguments: address, number of sockets, seconds, and the cores to run on, separated by commas.
    """
    ip, sockets, seconds, cpus = arguments
    os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    with BareEnd(ip, int(sockets)) as end:
        print(json.dumps(end.peers), flush=True)
        peers = [(str(host), int(port)) for host, port in json.loads(read())]
        print(json.dumps(end.exchange(peers, float(seconds))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
