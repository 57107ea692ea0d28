"""The verdict on the generator, and then on the run. A figure counts only when the generator was healthy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from cmw.core.words import Blame, RunStatus, Verdict
from cmw.load.outcome import EndpointReport, RunTotals
from cmw.metrics.histogram import ExponentialHistogram


class Limit(BaseModel):
    """A broken bound of the generator: which resource of which worker, the value, the bound, and why it is one."""

    resource: str
    metric: str
    worker: str
    """Its name; with its id where two workers of the run have the same."""
    value: float | None
    """None when the figure itself is missing."""
    bound: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Bound:
    """The largest value of a figure of a worker with which its run still counts.

    Args:
        resource: what is short when the bound is broken.
        metric: the figure, as in the summary's generator part.
        reason: why this value.
        value: reads the figure from a worker's totals; None when it was not measured or means nothing.
    """

    resource: str
    metric: str
    most: float
    reason: str
    value: Callable[[RunTotals], float | None]


def _p99(wire: dict[str, object] | None) -> float | None:
    return None if wire is None else ExponentialHistogram.from_dict(wire).quantile(0.99)


def _ratio(count: int | None, total: int) -> float | None:
    return None if count is None or total <= 0 else count / total


BOUNDS: tuple[Bound, ...] = (
    Bound(
        "media thread",
        "pacing_error_us p99",
        10_000,
        "half a packet time: beyond it the jitter that the target sees is mostly ours",
        lambda totals: _p99(totals.pacing_error_us),
    ),
    Bound(
        "media thread",
        "packets_skipped ratio",
        0.001,
        "loss of our own making must stay below what changes a MOS: 0.1 % is 0.4 points of R",
        lambda totals: _ratio(totals.packets_skipped, totals.packets_sent + totals.packets_skipped),
    ),
    Bound(
        "network interface",
        "send_errors ratio",
        0.001,
        "packets that the kernel refused look like loss to the target",
        lambda totals: _ratio(totals.send_errors, totals.packets_sent + totals.send_errors),
    ),
    Bound(
        "socket buffers",
        "kernel_drops ratio",
        0.001,
        "packets that came but were dropped here look like loss by the target",
        lambda totals: _ratio(totals.kernel_drops, totals.packets_received + (totals.kernel_drops or 0)),
    ),
    Bound(
        "signalling loop",
        "loop_lag_ms p99",
        50,
        "times of signalling are read in bands of 100 ms; half a band may be ours",
        lambda totals: _p99(totals.loop_lag_ms),
    ),
    Bound(
        "host CPU",
        "cpu_steal_ratio",
        0.05,
        "a machine that takes a twentieth of our time away stalls streams without our knowing",
        lambda totals: totals.cpu_steal_ratio,
    ),
)
"""Every bound of the generator; each worker is judged on its own, so that a sick one cannot hide among others."""

MAX_WORKER_FAULTS = 0.001
"""Share of endpoints that may fail by our own fault: more, and the failed calls speak of us, not of the target."""


def generator_limits(
    totals: Mapping[str, RunTotals], workers: Mapping[str, str], reports: Iterable[EndpointReport]
) -> list[Limit]:
    """Return every bound that was broken; none means that the generator was healthy.

    Args:
        totals: what each worker reported at its end, by id.
        workers: id and name of every worker that took part.
        reports: of every endpoint.
    """
    shown = _shown_names(workers)
    limits = [
        _unknown(name, "worker", "run totals", "the worker did not report its end; its health is not known")
        for worker, name in shown.items()
        if worker not in totals
    ]
    for worker, figures in totals.items():
        limits += _broken(shown.get(worker, worker), figures)
    return limits + _own_faults(list(reports), shown)


def _shown_names(workers: Mapping[str, str]) -> dict[str, str]:
    """Return what each worker is called: its name, with its id where another has the same."""
    names = Counter(workers.values())
    return {worker: name if names[name] == 1 else f"{name} ({worker})" for worker, name in workers.items()}


def verdict(*, limits: list[Limit], status: RunStatus, attempted: int, failed: int, thresholds: list[bool]) -> Verdict:
    """Return what the run decides.

    INVALID when the generator was the limit. FAILED when the run did not complete, nothing was attempted, a threshold
    failed, or there is no threshold and something failed. Otherwise PASSED.

    Args:
        attempted: calls.
        failed: endpoints that failed.
        thresholds: whether each threshold passed.
    """
    if limits:
        return Verdict.INVALID
    if status in (RunStatus.FAILED, RunStatus.CANNOT_RUN_FOR_NOW) or not attempted or not all(thresholds):
        return Verdict.FAILED
    return Verdict.FAILED if failed and not thresholds else Verdict.PASSED


def _broken(worker: str, totals: RunTotals) -> list[Limit]:
    limits = []
    for bound in BOUNDS:
        value = bound.value(totals)
        if value is not None and value > bound.most:
            limits.append(
                Limit(
                    resource=bound.resource,
                    metric=bound.metric,
                    worker=worker,
                    value=float(f"{value:.6g}"),
                    bound=bound.most,
                    reason=bound.reason,
                )
            )
    if totals.packets_sent and totals.pacing_error_us is None:
        limits.append(
            _unknown(worker, "media thread", "pacing_error_us", "packets were sent, their pacing is not known")
        )
    return limits


def _unknown(worker: str, resource: str, metric: str, reason: str) -> Limit:
    return Limit(resource=resource, metric=metric, worker=worker, value=None, bound=None, reason=reason)


def _own_faults(reports: list[EndpointReport], shown: Mapping[str, str]) -> list[Limit]:
    """Return a limit for each worker whose own faults failed more than MAX_WORKER_FAULTS of the run's endpoints."""
    faults: dict[str, list[EndpointReport]] = {}
    for report in reports:
        if report.blame is Blame.WORKER and not report.ended_well:
            worker = shown.get(report.worker_id, report.worker)
            faults.setdefault(worker, []).append(report)
    return [
        Limit(
            resource="worker",
            metric="endpoints failed by the worker, ratio",
            worker=worker,
            value=float(f"{len(failed) / len(reports):.6g}"),
            bound=MAX_WORKER_FAULTS,
            reason=f"these failures are ours, not the target's; the first: {failed[0].reason or failed[0].outcome}",
        )
        for worker, failed in faults.items()
        if len(failed) / len(reports) > MAX_WORKER_FAULTS
    ]
