"""The generator watching itself: what the worker's own machine did to the figures of a run."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from typing import Protocol

from cmw.core.clock import MILLISECOND, Nanos
from cmw.load.outcome import RunTotals
from cmw.metrics.histogram import ExponentialHistogram
from cmw.net.media import PacingSnapshot
from cmw.worker.alarm import ALARM_LATE_NS, Alarm

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

    def add_pacing(self, pacing: PacingSnapshot) -> None:
        """Take what the media engine sent since it was last asked."""
        self._pacing.merge(ExponentialHistogram.from_dict(pacing.histogram))
        self._packets_skipped += pacing.skipped

    def add_lag(self, lag_ms: float) -> None:
        """Take how late the signalling loop woke, milliseconds."""
        self._lag.record(lag_ms)

    def observe(self) -> None:
        """Look once more; to be called about once a second."""
        self._generator.pull_pacing()
        self._rss_bytes = max(self._rss_bytes, rss_bytes())

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
    ) -> RunTotals:
        """Look a last time, stop watching, and return the totals of the run."""
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
            samples_dropped=samples_dropped,
            loop_lag_ms=self._lag.to_dict() if self._lag.count else None,
            cpu_seconds=cpu_seconds() - self._cpu_seconds,
            rss_bytes=self._rss_bytes,
            cpu_steal_ratio=self._steal_ratio(),
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
