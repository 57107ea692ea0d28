"""Reports and totals of a run, for the tests of this directory."""

from __future__ import annotations

from typing import Any

from cmw.core.words import Blame, OutcomeKind, RunStatus
from cmw.load.outcome import CallReport, EndpointReport, MediaReport, RegistrationReport, RunTotals
from cmw.load.plan_parser import parse_plan
from cmw.load.summary import RunInfo, Summary, WorkerPart, build_summary
from cmw.metrics.grouped_samples import GroupedSamples
from cmw.metrics.histogram import ExponentialHistogram
from tests.load.documents import two_groups

INFO = RunInfo(
    id="r1", status=RunStatus.COMPLETED, started_at="2026-01-01T00:00:00Z", duration_s=12.5,
    workers=[WorkerPart(id="w1", name="worker one", endpoints=4)],
)  # fmt: skip


def wire(*values: float) -> dict[str, Any]:
    """Return the wire form of a histogram of these values."""
    histogram = ExponentialHistogram()
    histogram.record_many(values)
    return histogram.to_dict()


def totals(**changes: Any) -> RunTotals:
    """Return the totals of a healthy worker."""
    healthy: dict[str, Any] = {
        "endpoints": 4, "pacing_error_us": wire(20, 30, 40), "packets_sent": 10_000, "packets_received": 10_000,
        "loop_lag_ms": wire(0.1, 0.2), "cpu_seconds": 3.5, "rss_bytes": 1 << 26, "cpu_steal_ratio": 0.0,
        "sip_datagrams_received": 1000, "sip_datagrams_sent": 1000, "sip_kernel_drops": 0,
        "kernel_drops": 0, "scheduling": "SCHED_OTHER",
    }  # fmt: skip
    return RunTotals.model_validate(healthy | changes)


def report(index: int, group: str, **changes: Any) -> EndpointReport:
    """Return the report of an endpoint whose call went well."""
    outbound = group == "callers"
    good: dict[str, Any] = {
        "run_id": "r1", "index": index, "name": f"{group}-{index:04d}", "group": group, "worker": "w1",
        "phase": "INCALL", "outcome": OutcomeKind.SUCCESS,
        "registration": RegistrationReport(attempted=True, succeeded=True, status=200, time_ms=8.0 + index),
        "call": CallReport(
            attempted=True, answered=True, direction="outbound" if outbound else "inbound", call_id=f"c{index}@x",
            target="sip:callee@x", status_code=200, codec="PCMU",
            timing={"call_setup_time_ms": 100.0 + index, "time_to_trying_ms": 2.0} if outbound else {},
        ),
        "media": MediaReport(
            send={"packets_sent": 500, "bytes_sent": 80_000, "packets_lost": 1},
            receive={"packets_received": 499, "packets_lost": -1, "mos": 4.0 + index / 10, "rtt_ms": None},
        ),
    }  # fmt: skip
    return EndpointReport.model_validate(good | changes)


def reports() -> list[EndpointReport]:
    """Return the reports of two callers and two callees, all well."""
    return [report(0, "callees"), report(1, "callees"), report(2, "callers"), report(3, "callers")]


def busy(index: int, group: str = "callers", **changes: Any) -> EndpointReport:
    """Return the report of a caller that met 486."""
    call = CallReport(attempted=True, direction="outbound", status_code=486)
    failed: dict[str, Any] = {
        "outcome": OutcomeKind.CALL_FAILED, "blame": Blame.TARGET, "reason": "486 Busy Here", "call": call,
        "media": MediaReport(),
    }  # fmt: skip
    return report(index, group, **(failed | changes))


def summary(
    *, thresholds: dict[str, Any] | None = None, endpoints: list[EndpointReport] | None = None,
    health: dict[str, RunTotals] | None = None, samples: GroupedSamples | None = None, info: RunInfo = INFO,
    planned: tuple[int, int] = (2, 2),
) -> Summary:  # fmt: skip
    """Return the summary of a run of two callers and two callees, or as many as `planned`."""
    plan = parse_plan(two_groups(*planned, thresholds=thresholds or {}))
    return build_summary(
        info,
        plan,
        reports() if endpoints is None else endpoints,
        samples or GroupedSamples(),
        {"w1": totals()} if health is None else health,
    )
