"""The generator watching itself: what the worker's own machine did to the figures of a run."""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cmw.core.clock import MILLISECOND, Nanos
from cmw.load.generator_bounds import WindowReading, above_run_bounds, broken_by
from cmw.load.outcome import MAX_UNTRUSTED, RunTotals, UntrustedSecond
from cmw.metrics.histogram import ExponentialHistogram
from cmw.net.media import PacingSnapshot
from cmw.rtp.snapshot import StreamSnapshot
from cmw.worker.alarm import ALARM_LATE_NS, Alarm
from cmw.worker.sip_traffic import SipTraffic

LAG_PERIOD_NS: Nanos = 20 * MILLISECOND
"""How often the signalling loop is asked how late it wakes."""


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Jiffies of the whole machine since it started."""

    total: int
    steal: int

    @classmethod
    def read(cls, path: str = "/proc/stat") -> CpuTimes | None:
        """Read the first line of `path`: user nice system idle iowait irq softirq steal. Source: proc(5).

        None where it cannot be read or does not tell the steal.
        """
        try:
            with open(path, encoding="ascii") as file:
                fields = [int(word) for word in file.readline().split()[1:9]]
        except (OSError, ValueError):
            return None
        return cls(sum(fields), fields[7]) if len(fields) > 7 else None

    def steal_ratio_since(self, earlier: CpuTimes) -> float | None:
        """Return the share of machine time that the hypervisor kept from us since `earlier`, 0 .. 1.

        None when no time has passed by this clock.
        """
        total = self.total - earlier.total
        return max(0, self.steal - earlier.steal) / total if total > 0 else None


def cpu_seconds() -> float:
    """Return the CPU time of this process, all threads, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def rss_bytes() -> int:
    """Return the resident set of this process in bytes; 0 where it cannot be read."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.readline().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


class PacingSource(Protocol):
    """The media engine, as far as this file needs it."""

    @property
    def scheduling(self) -> str: ...

    def close_pacing_interval(self) -> PacingSnapshot: ...


class Traffic(NamedTuple):
    """Packets of streams."""

    sent: int = 0
    received: int = 0
    send_errors: int = 0
    kernel_drops: int = 0

    @classmethod
    def of(cls, snapshot: StreamSnapshot) -> Traffic:
        """Return what a stream has counted so far."""
        return cls(snapshot.packets_sent, snapshot.packets_received, snapshot.send_errors, snapshot.kernel_drops)


class TrafficMeter:
    """What streams counted since they were last read, by number: a stream that began anew counts from its beginning."""

    def __init__(self) -> None:
        self._last: dict[int, Traffic] = {}

    def read(self, streams: Iterable[tuple[int, StreamSnapshot]]) -> Traffic:
        """Return the packets of all streams since the last reading."""
        totals = [0, 0, 0, 0]
        seen: dict[int, Traffic] = {}
        for number, snapshot in streams:
            now = seen[number] = Traffic.of(snapshot)
            before = self._last.get(number)
            if before is None or now.sent < before.sent or now.received < before.received:
                before = Traffic()
            for i in range(len(totals)):
                totals[i] += now[i] - before[i]
        self._last = seen
        return Traffic(*totals)


@dataclass(slots=True)
class _Window:
    """What was read since the last second was closed."""

    began_with: CpuTimes | None
    pacing: ExponentialHistogram = field(default_factory=ExponentialHistogram)
    packets_skipped: int = 0
    stall_ms: float = 0.0
    lag_ms: float = 0.0
    shortages: Counter[str] = field(default_factory=Counter)

    def reading(self, traffic: Traffic, sip: SipTraffic, times: CpuTimes | None) -> WindowReading:
        return WindowReading(
            pacing_p99_us=self.pacing.quantile(0.99),
            packets_sent=traffic.sent,
            packets_received=traffic.received,
            packets_skipped=self.packets_skipped,
            send_errors=traffic.send_errors,
            kernel_drops=traffic.kernel_drops,
            media_stall_ms=self.stall_ms,
            loop_lag_ms=self.lag_ms,
            cpu_steal_ratio=None
            if times is None or self.began_with is None
            else times.steal_ratio_since(self.began_with),
            sip_datagrams_received=sip.received,
            sip_datagrams_sent=sip.sent,
            sip_kernel_drops=sip.kernel_drops,
            sip_unsent=sip.unsent,
            shortages=dict(self.shortages),
        )


class GeneratorWatch:
    """The worker's own health over one run: CPU, memory, steal, loop lag and pacing, from `Generator.watch` on."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._pacing = ExponentialHistogram()
        self._lag = ExponentialHistogram()
        self._cpu_seconds = cpu_seconds()
        self._cpu_times = CpuTimes.read()
        self._rss_bytes = rss_bytes()
        self._packets_skipped = 0
        self._window = _Window(self._cpu_times)
        self._shortages: Counter[str] = Counter()
        self._seconds = 0
        self._untrusted_seconds = 0
        self._untrusted: list[UntrustedSecond] = []
        self._first_seconds: dict[str, int] = {}

    def add_pacing(self, pacing: PacingSnapshot) -> None:
        """Take what the media engine sent since it was last asked."""
        histogram = ExponentialHistogram.from_dict(pacing.histogram)
        self._pacing.merge(histogram)
        self._packets_skipped += pacing.skipped
        self._window.pacing.merge(histogram)
        self._window.packets_skipped += pacing.skipped
        self._window.stall_ms = max(self._window.stall_ms, pacing.stall_ms)

    def add_lag(self, lag_ms: float) -> None:
        """Take how late the signalling loop woke, milliseconds."""
        self._lag.record(lag_ms)
        self._window.lag_ms = max(self._window.lag_ms, lag_ms)

    def add_shortage(self, resource: str) -> None:
        """Take a call that could not be carried, for nothing was left of a resource."""
        self._shortages[resource] += 1
        self._window.shortages[resource] += 1

    def observe(self) -> None:
        """Look once more; to be called about once a second."""
        self._generator.pull_pacing()
        self._rss_bytes = max(self._rss_bytes, rss_bytes())

    def begin_windows(self) -> None:
        """Begin the first second of the run; what was read before belongs to none."""
        self.observe()
        self._window = _Window(CpuTimes.read())

    @property
    def untrusted_seconds(self) -> int:
        """Return in how many seconds so far a bound was broken."""
        return self._untrusted_seconds

    def close_window(self, first: int, last: int, traffic: Traffic, sip: SipTraffic | None = None) -> int:
        """Judge the seconds `first` .. `last` of the run, which are more than one when the loop stood still.

        Args:
            traffic: of the run's streams since the last window.
            sip: what passed of SIP since the last window, and was lost here.

        Returns:
            The bounds that were broken: 2 to the power of their numbers, added up; 0 when the seconds count.
        """
        self.observe()
        self._window.lag_ms = max(self._window.lag_ms, self._generator.overdue_ms())
        times = CpuTimes.read()
        reading = self._window.reading(traffic, sip or SipTraffic(), times)
        broken = broken_by(reading)
        for metric in above_run_bounds(reading):
            self._first_seconds.setdefault(metric, first)
        self._window = _Window(times)
        self._seconds += last + 1 - first
        self._untrusted_seconds += (last + 1 - first) * bool(broken)
        rows = [
            UntrustedSecond(second=second, bound=number, value=value)
            for second in range(first, last + 1)
            for number, value in broken
        ]
        self._untrusted += rows[: MAX_UNTRUSTED - len(self._untrusted)]
        return sum(1 << number for number, _ in broken)

    def close(self) -> None:
        """Stop watching."""
        self._generator.forget(self)

    def finish(
        self,
        *,
        endpoints: int,
        packets_sent: int,
        packets_received: int,
        send_errors: int,
        kernel_drops: int,
        samples_dropped: int,
        sip: SipTraffic | None = None,
    ) -> RunTotals:
        """Look a last time, stop watching, and return the totals of the run.

        Args:
            sip: what passed of SIP, and was lost here; None for a run that never came so far.
        """
        self.observe()
        self.close()
        return RunTotals(
            endpoints=endpoints,
            pacing_error_us=self._pacing.to_dict() if self._pacing.count else None,
            packets_sent=packets_sent,
            packets_received=packets_received,
            packets_skipped=self._packets_skipped,
            send_errors=send_errors,
            kernel_drops=kernel_drops,
            sip_datagrams_received=sip.received if sip is not None else 0,
            sip_datagrams_sent=sip.sent if sip is not None else 0,
            sip_kernel_drops=sip.kernel_drops if sip is not None else None,
            sip_unsent=sip.unsent if sip is not None else 0,
            samples_dropped=samples_dropped,
            loop_lag_ms=self._lag.to_dict() if self._lag.count else None,
            cpu_seconds=cpu_seconds() - self._cpu_seconds,
            rss_bytes=self._rss_bytes,
            cpu_steal_ratio=self._steal_ratio(),
            shortages=dict(self._shortages),
            seconds=self._seconds,
            untrusted_seconds=self._untrusted_seconds,
            untrusted=self._untrusted,
            first_seconds=self._first_seconds,
            scheduling=self._generator.scheduling,
        )

    def _steal_ratio(self) -> float | None:
        now = CpuTimes.read()
        return None if now is None or self._cpu_times is None else now.steal_ratio_since(self._cpu_times)


class Generator:
    """What the runs of a process watch together: its media engine and its signalling loop."""

    def __init__(self, engine: PacingSource, alarm: Alarm) -> None:
        self.watches: list[GeneratorWatch] = []
        self.lag_ms = 0.0
        self.pacing = ExponentialHistogram()
        """How late every packet since the start left, microseconds."""
        self.packets_skipped = 0
        self._engine = engine
        self._alarm = alarm
        self._due = alarm.now() + LAG_PERIOD_NS
        self._timer = alarm.at(self._due, self._wake)

    @property
    def scheduling(self) -> str:
        """Return the scheduling class that the media thread got."""
        return self._engine.scheduling

    def watch(self) -> GeneratorWatch:
        """Begin to watch for one run."""
        self.pull_pacing()
        watch = GeneratorWatch(self)
        self.watches.append(watch)
        return watch

    def forget(self, watch: GeneratorWatch) -> None:
        """Tell `watch` nothing more; it may be forgotten already."""
        if watch in self.watches:
            self.watches.remove(watch)

    def pull_pacing(self) -> None:
        """Hand what was sent since the last time to every watch."""
        pacing = self._engine.close_pacing_interval()
        self.pacing.merge(ExponentialHistogram.from_dict(pacing.histogram))
        self.packets_skipped += pacing.skipped
        for watch in self.watches:
            watch.add_pacing(pacing)

    def overdue_ms(self) -> float:
        """Return how late the loop is at this moment: who asks may be served before the timer that would tell."""
        return max(0, self._alarm.now() - self._due - ALARM_LATE_NS) / MILLISECOND

    def close(self) -> None:
        """Stop asking the loop how late it is."""
        self._timer.cancel()

    def _wake(self) -> None:
        now = self._alarm.now()
        late_ns = max(0, now - self._due - ALARM_LATE_NS)  # an alarm is set late on purpose
        self.lag_ms = late_ns / MILLISECOND
        # Whoever had come meanwhile would have waited too, each a period less: a long stall is more than one value.
        for waited_ns in range(late_ns, -1, -LAG_PERIOD_NS):
            for watch in self.watches:
                watch.add_lag(waited_ns / MILLISECOND)
        self._due = now + LAG_PERIOD_NS
        self._timer = self._alarm.at(self._due, self._wake)
