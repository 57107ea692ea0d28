"""docs/worker-metrics.md, made from what the worker really shows."""

from __future__ import annotations

from cmw.metrics.histogram import ExponentialHistogram
from cmw.worker.exposition import MetricsPage, Vitals, WorkerCounts
from cmw.worker.sip_traffic import SipTraffic

AT_REST = Vitals(
    version="",
    uptime_s=0,
    healthy=True,
    connected=False,
    draining=False,
    capacity=0,
    runs=0,
    spool_reports=0,
    spool_dropped_samples=0,
    links_lost=0,
    loop_lag_s=0,
    loop_tasks=0,
    cpu_s=0,
    rss_bytes=0,
    pacing_us=ExponentialHistogram(),
    packets_skipped=0,
    scheduling="",
    sip=SipTraffic(),
)
"""The vitals of a worker that has done nothing yet."""


def worker_metrics_page() -> str:
    """Return docs/worker-metrics.md."""
    rows = []
    for family in MetricsPage(WorkerCounts(), lambda: AT_REST).collect():
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = sorted({label for sample in family.samples for label in sample.labels if label != "le"})
        shown = ", ".join(f"`{label}`" for label in labels)
        rows.append(f"| `{family.name}{suffix}` | {family.type} | {shown} | {family.documentation} |")
    return _HEAD + "\n".join(rows) + "\n" + _TAIL


_HEAD = """\
# Pages of a worker

Made by `python -m cmw.worker.exposition_page > docs/worker-metrics.md`; a test compares the two.

A worker answers HTTP on `HEALTH_PORT`:

| page | answers |
|---|---|
| `/health` | `status`, `connected`, `uptime`; 503 and a `reason` when something is wrong that only people can mend |
| `/live` | 200 as long as the worker serves anything; for the liveness probe of an orchestrator |
| `/ready` | 200 when a new run would be taken, 503 with the reason otherwise: no link, draining, stopping |
| `/metrics` | the figures below, in Prometheus' text format |

A gateway that is away makes a worker unready, not unhealthy: its runs go on, and it comes back by itself. A refused
token, and ports or open files for no endpoint at all, make it unhealthy.

What a client may do is bounded: requests of 8 KiB, 100 of them on a connection, 64 connections, 5 s without a whole
request.

## Metrics

Units are seconds, bytes and ratios. No label names an endpoint, a call or a peer. Figures of the last second are
absent while no call is measured. `outcome` of a call is one of [the words for outcomes](words.md) in lower case.

| metric | type | labels | meaning |
|---|---|---|---|
"""

_TAIL = """
For an alert on the generator itself: `histogram_quantile(0.99, rate(cmw_rtp_send_lateness_seconds_bucket[1m])) >
0.005` and `rate(cmw_rtp_packets_skipped_total[1m]) > 0`; the verdict of a run judges both,
[words.md](words.md#verdict).
"""

if __name__ == "__main__":
    print(worker_metrics_page(), end="")
