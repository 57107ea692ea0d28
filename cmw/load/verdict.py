"""The verdict on the generator, and then on the run. A figure counts only when the generator was healthy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import BaseModel

from cmw.core.words import Blame, RunStatus, Verdict
from cmw.load.generator_bounds import BOUNDS, MAX_WORKER_FAULTS, UNTRUSTED_FREE, UNTRUSTED_MOST
from cmw.load.outcome import EndpointReport, RunTotals


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
    first_second: int | None = None
    """The first second of the run in which it showed; None when it did in none."""


def generator_limits(
    totals: Mapping[str, RunTotals], workers: Mapping[str, str], reports: Iterable[EndpointReport]
) -> list[Limit]:
    """Return every bound that was broken; none means that the generator was healthy.

    Args:
        totals: what each worker reported at its end, by id.
        workers: id and name of every worker that took part.
        reports: of every endpoint.
    """
    shown = shown_names(workers)
    limits = [
        _unknown(name, "worker", "run totals", "the worker did not report its end; its health is not known")
        for worker, name in shown.items()
        if worker not in totals
    ]
    for worker, figures in totals.items():
        limits += _broken(shown.get(worker, worker), figures)
    return limits + _own_faults(list(reports), shown)


def shown_names(workers: Mapping[str, str]) -> dict[str, str]:
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


def run_blame(decided: Verdict, status: RunStatus, failed: Iterable[EndpointReport], *, measured: bool) -> Blame | None:
    """Return whose doing the verdict is; None for PASSED.

    Of INVALID the generator's. Of FAILED that of most of the endpoints that failed. When none did, and it is figures
    that fell short, the target's, or that of the path to it: the generator kept its bounds.

    Args:
        failed: endpoints.
        measured: a threshold failed that had a value.
    """
    if decided is not Verdict.FAILED:
        return Blame.WORKER if decided is Verdict.INVALID else None
    blames = Counter(report.blame or Blame.UNKNOWN for report in failed)
    if blames:
        return blames.most_common(1)[0][0]
    return Blame.TARGET if measured and status is RunStatus.COMPLETED else Blame.UNKNOWN


def _broken(worker: str, totals: RunTotals) -> list[Limit]:
    limits = []
    for number, bound in enumerate(BOUNDS):
        value = bound.value(totals)
        if bound.most is not None and value is not None and value > bound.most:
            limits.append(
                Limit(
                    resource=bound.resource,
                    metric=bound.metric,
                    worker=worker,
                    value=float(f"{value:.6g}"),
                    bound=bound.most,
                    reason=bound.reason,
                    first_second=_first_second(totals, number),
                )
            )
    if totals.packets_sent and totals.pacing_error_us is None:
        limits.append(
            _unknown(worker, "media thread", "pacing_error_us", "packets were sent, their pacing is not known")
        )
    return limits + _too_many_seconds(worker, totals)


def _first_second(totals: RunTotals, number: int) -> int | None:
    """Return the first second in which a figure was above its bound of the whole run; None when that is not known."""
    known = [row.second for row in totals.untrusted if row.bound == number]
    first = totals.first_seconds.get(BOUNDS[number].metric)
    return min([*known, *([] if first is None else [first])], default=None)


def _too_many_seconds(worker: str, totals: RunTotals) -> list[Limit]:
    """Return the limit of a worker that was one in too many seconds, naming what was so most often."""
    count = totals.untrusted_seconds
    known = [row for row in totals.untrusted if row.bound < len(BOUNDS)]
    if count <= UNTRUSTED_FREE or count <= UNTRUSTED_MOST * totals.seconds or not known:
        return []
    number, _ = Counter(row.bound for row in known).most_common(1)[0]
    worst = max(row.value for row in known if row.bound == number)
    bound = BOUNDS[number]
    return [
        Limit(
            resource=bound.resource,
            metric="untrusted seconds ratio",
            worker=worker,
            value=float(f"{count / totals.seconds:.6g}"),
            bound=UNTRUSTED_MOST,
            reason=f"the worker was the limit in {count} of {totals.seconds} seconds, mostly by {bound.metric}: up to "
            f"{worst:g}, in one second at most {bound.window_most:g}",
            first_second=min(row.second for row in known),
        )
    ]


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
