"""What a worker shows at `/metrics`: counted as it reports, put into Prometheus' words when somebody asks.

`WorkerCounts` listens to what runs hand to the gateway, so that the page costs nothing between two looks. No label
names an endpoint, a call or a peer: the number of series does not grow with the load.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isnan
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from cmw.core.words import OutcomeKind, Phase
from cmw.link.samples import ABSENT_COUNT, SampleBatch
from cmw.metrics.histogram import ExponentialHistogram
from cmw.worker.sip_traffic import SipTraffic

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LATENESS_BOUNDS_S = (50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1)
"""Upper bounds of the buckets of `cmw_rtp_send_lateness_seconds`."""

SENT, RECEIVED, LOST = "send.packets_sent", "receive.packets_received", "receive.packets_lost"
_GAUGES = {"mos": "receive.mos", "jitter_ms": "receive.jitter_ms", "rtt_ms": "send.rtt_ms"}


class Vitals(NamedTuple):
    """How the worker is at the moment of the look; None for what is not there yet.

    Args:
        loop_tasks: how many tasks of the signalling loop are not done.
        pacing_us: how late every packet since the start left, microseconds.
    """

    version: str
    uptime_s: float
    healthy: bool
    connected: bool
    draining: bool
    capacity: int
    runs: int
    spool_reports: int
    spool_dropped_samples: int
    links_lost: int
    loop_lag_s: float
    loop_tasks: int
    cpu_s: float
    rss_bytes: int
    pacing_us: ExponentialHistogram | None
    packets_skipped: int
    scheduling: str
    sip: SipTraffic


class WorkerCounts:
    """Count the endpoints, calls and packets of all runs, from the reports that go to the gateway."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        """By direction and outcome, once a call has ended."""
        self.registrations: Counter[str] = Counter()
        self.runs_finished = 0
        self.packets: Counter[str] = Counter()
        self.last_second: dict[str, dict[str, float]] = {}
        """By run: means over its calls in the last second that was measured."""
        self._phases: dict[str, Mapping[str, int]] = {}
        self._seen: dict[tuple[str, int], tuple[int, int, int]] = {}

    def take_report(self, kind: str, run_id: str, data: Mapping[str, Any]) -> None:
        """Take a report as the gateway gets it."""
        if kind == "endpoint":
            self._take_endpoint(run_id, data)
        elif kind == "progress":
            self._phases[run_id] = data["by_phase"]
        elif kind == "run_done":
            self.runs_finished += 1
            self._phases.pop(run_id, None)
            self.last_second.pop(run_id, None)

    def take_samples(self, batch: SampleBatch) -> None:
        """Take the samples of a second as the gateway gets them."""
        columns = [batch.columns.get(key) for key in (SENT, RECEIVED, LOST)]
        for k, endpoint in enumerate(batch.endpoints):
            sent, received, lost = (_count(column, k) for column in columns)
            self._advance(batch.run_id, endpoint, sent, received, lost)
        means = {name: _mean(batch.columns.get(key)) for name, key in _GAUGES.items()}
        mos = [value for value in batch.columns.get("receive.mos", ()) if not isnan(value)]
        means["mos_min"] = min(mos) if mos else None
        means["loss_ratio"] = _mean(batch.columns.get("receive.fraction_lost"))
        self.last_second[batch.run_id] = {name: value for name, value in means.items() if value is not None}

    def by_phase(self) -> dict[str, int]:
        """Return how many endpoints of all runs are in each phase."""
        total = dict.fromkeys((phase.name for phase in Phase), 0)
        for phases in self._phases.values():
            for name, count in phases.items():
                total[name] = total.get(name, 0) + count
        return total

    def now(self, name: str, combine: Callable[[Iterable[float]], float]) -> float | None:
        """Return one figure of the last second over all runs; None when no run has it."""
        found = [figures[name] for figures in self.last_second.values() if name in figures]
        return combine(found) if found else None

    def _take_endpoint(self, run_id: str, data: Mapping[str, Any]) -> None:
        registration, call, media = data["registration"], data["call"], data["media"]
        if registration["attempted"]:
            self.registrations["success" if registration["succeeded"] else "failure"] += 1
        if call["attempted"]:
            self.calls[call["direction"], data["outcome"].lower()] += 1
        sent, received = media["send"].get("packets_sent", 0), media["receive"].get("packets_received", 0)
        self._advance(run_id, data["index"], int(sent), int(received), int(media["receive"].get("packets_lost", 0)))
        self._seen.pop((run_id, data["index"]), None)

    def _advance(self, run_id: str, endpoint: int, sent: int, received: int, lost: int) -> None:
        """Add what a call's own counters have grown by; a count of losses may shrink, and then waits."""
        key = run_id, endpoint
        before = self._seen.get(key, (0, 0, 0))
        after = max(sent, before[0]), max(received, before[1]), max(lost, before[2])
        self._seen[key] = after
        for name, new, old in zip(("sent", "received", "lost"), after, before, strict=True):
            self.packets[name] += new - old


class MetricsPage(Collector):
    """The page, made anew for each look.

    Args:
        counts: what was reported so far.
        vitals: tells how the worker is.
    """

    def __init__(self, counts: WorkerCounts, vitals: Callable[[], Vitals]) -> None:
        self._counts = counts
        self._vitals = vitals
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self) -> bytes:
        """Return the page in Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterator[Metric]:
        """Describe nothing: the registry need not ask, for nobody else registers here."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Return every metric, in the order of docs/worker-metrics.md."""
        vitals = self._vitals()
        yield from self._worker(vitals)
        yield from self._link(vitals)
        yield from self._load(vitals)
        yield from self._media(vitals)

    def _worker(self, now: Vitals) -> Iterator[Metric]:
        yield InfoMetricFamily("cmw_build", "Version of the worker.", {"version": now.version})
        yield _gauge("cmw_uptime_seconds", "Time since the worker started.", now.uptime_s)
        yield _gauge("cmw_healthy", "1 while /health answers 200.", now.healthy)
        yield _gauge("cmw_draining", "1 while no new runs are taken.", now.draining)
        yield _gauge("cmw_capacity_endpoints", "Endpoints that fit at once.", now.capacity)
        yield _gauge("cmw_event_loop_lag_seconds", "How late the signalling loop woke last.", now.loop_lag_s)
        yield _gauge("cmw_event_loop_tasks", "Tasks of the signalling loop that are not done.", now.loop_tasks)
        yield _counter("cmw_process_cpu_seconds", "CPU time of the process, all threads.", now.cpu_s)
        yield _gauge("cmw_process_resident_memory_bytes", "Resident memory.", now.rss_bytes)

    def _link(self, now: Vitals) -> Iterator[Metric]:
        yield _gauge("cmw_link_connected", "1 while the link to the gateway is open.", now.connected)
        yield _counter("cmw_link_losses", "Times that the link was lost or could not be opened.", now.links_lost)
        yield _gauge(
            "cmw_link_unacknowledged_reports", "Reports that the gateway has not committed.", now.spool_reports
        )
        help_text = "Batches of samples given up because the gateway was away for too long."
        yield _counter("cmw_link_dropped_sample_batches", help_text, now.spool_dropped_samples)

    def _load(self, now: Vitals) -> Iterator[Metric]:
        counts = self._counts
        yield _gauge("cmw_runs", "Runs that are here now.", now.runs)
        yield _counter("cmw_runs_finished", "Runs that have ended here.", counts.runs_finished)
        phases = GaugeMetricFamily("cmw_endpoints", "Endpoints of the present runs by phase.", labels=["phase"])
        for phase, count in counts.by_phase().items():
            phases.add_metric([phase.lower()], count)
        yield phases
        calls = CounterMetricFamily("cmw_calls", "Calls that have ended.", labels=["direction", "outcome"])
        for direction in ("inbound", "outbound"):
            for kind in OutcomeKind:
                calls.add_metric([direction, kind.lower()], counts.calls[direction, kind.lower()])
        yield calls
        registrations = CounterMetricFamily("cmw_registrations", "Registrations tried.", labels=["outcome"])
        for outcome in ("success", "failure"):
            registrations.add_metric([outcome], counts.registrations[outcome])
        yield registrations
        datagrams = CounterMetricFamily("cmw_sip_messages", "SIP messages.", labels=["direction"])
        datagrams.add_metric(["received"], now.sip.received)
        datagrams.add_metric(["sent"], now.sip.sent)
        yield datagrams
        help_text = "SIP datagrams lost here: no room in our socket, or the network took nothing for too long."
        lost = CounterMetricFamily("cmw_sip_messages_lost", help_text, labels=["direction"])
        lost.add_metric(["received"], now.sip.kernel_drops)
        lost.add_metric(["sent"], now.sip.unsent)
        yield lost

    def _media(self, now: Vitals) -> Iterator[Metric]:
        counts = self._counts
        for name in ("sent", "received", "lost"):
            yield _counter(f"cmw_rtp_packets_{name}", f"RTP packets {name}.", counts.packets[name])
        skipped = "RTP packets not sent, because it was too late for them."
        yield _counter("cmw_rtp_packets_skipped", skipped, now.packets_skipped)
        yield _lateness(now.pacing_us)
        scheduling = GaugeMetricFamily("cmw_media_thread", "1, with the scheduling class.", labels=["scheduling"])
        scheduling.add_metric([now.scheduling], 1)
        yield scheduling
        yield from self._quality("cmw_receive_mos", "Mean MOS of the calls in the last second.", "mos", _middle)
        yield from self._quality("cmw_receive_mos_min", "Least MOS of a call in the last second.", "mos_min", min)
        yield from self._quality("cmw_receive_loss_ratio", "Mean share of packets lost, 0 to 1.", "loss_ratio", _middle)
        yield from self._quality("cmw_receive_jitter_seconds", "Mean jitter.", "jitter_ms", _middle, 1e-3)
        yield from self._quality("cmw_send_round_trip_seconds", "Mean round-trip time.", "rtt_ms", _middle, 1e-3)

    def _quality(
        self, name: str, help_text: str, figure: str, combine: Callable[[Iterable[float]], float], unit: float = 1
    ) -> Iterator[Metric]:
        value = self._counts.now(figure, combine)
        family = GaugeMetricFamily(name, help_text)
        if value is not None:
            family.add_metric([], value * unit)
        yield family


def cumulative(histogram: ExponentialHistogram, bounds: Iterable[float]) -> list[int]:
    """Return how many values are not above each bound, within the histogram's own error of 1 %."""
    wire = histogram.to_dict()
    base = 2.0 ** (2.0 ** -wire["scale"])
    below = wire["zero_count"] + sum(wire.get("negative_counts", ()))
    limits = [base ** (wire["offset"] + k + 1) for k in range(len(wire["counts"]))]
    within = [sum(n for n, limit in zip(wire["counts"], limits, strict=True) if limit <= bound) for bound in bounds]
    return [below + count for count in within]


def _lateness(pacing_us: ExponentialHistogram | None) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "cmw_rtp_send_lateness_seconds", "How late RTP packets left, against their schedule."
    )
    if pacing_us is None:
        pacing_us = ExponentialHistogram()
    counts = cumulative(pacing_us, [bound * 1e6 for bound in LATENESS_BOUNDS_S])
    buckets = [(repr(float(bound)), float(count)) for bound, count in zip(LATENESS_BOUNDS_S, counts, strict=True)]
    family.add_metric([], [*buckets, ("+Inf", float(pacing_us.count))], pacing_us.sum / 1e6)
    return family


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value=float(value))


def _counter(name: str, help_text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, help_text, value=float(value))


def _count(column: array[Any] | None, k: int) -> int:
    return 0 if column is None or column[k] == ABSENT_COUNT else int(column[k])


def _mean(column: Iterable[float] | None) -> float | None:
    known = [value for value in column or () if not isnan(value)]
    return sum(known) / len(known) if known else None


def _middle(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)
