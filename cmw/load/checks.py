"""What a run was checked for, one line each: what CI systems show beside the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cmw.core.words import OutcomeKind, RunStatus
from cmw.load.summary import Summary


class CheckResult(Enum):
    """How a check came out; ERROR when it says nothing about the target."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a run was checked for.

    Args:
        group: ``run``, ``generator``, ``calls`` or ``thresholds``.
        message: what was found; empty when it passed.
    """

    group: str
    name: str
    result: CheckResult
    message: str = ""


def checks_of(summary: Summary) -> list[Check]:
    """Return every check of a run: that it came to its end, that the generator was healthy, calls, thresholds.

    With thresholds the calls are judged by them alone, as the verdict is. When the generator was the limit, nothing is
    said about the target: what failed is an error, not a failure.
    """
    bad = CheckResult.FAILED if summary.generator.valid else CheckResult.ERROR
    checks = [_run(summary), _generator(summary)]
    if not summary.thresholds:
        checks.append(_calls(summary, bad))
    for threshold in summary.thresholds:
        name = f"{threshold.metric} {threshold.expression}"
        found = threshold.note or (f"found {threshold.value:.6g}" if threshold.value is not None else "found nothing")
        checks.append(
            Check("thresholds", name, CheckResult.PASSED)
            if threshold.passed
            else Check("thresholds", name, bad, f"{found}; expected {threshold.expression}")
        )
    return checks


def _run(summary: Summary) -> Check:
    name = "the run came to its end"
    if summary.run.status is RunStatus.COMPLETED:
        return Check("run", name, CheckResult.PASSED)
    return Check("run", name, CheckResult.ERROR, f"the run ended as {summary.run.status}")


def _generator(summary: Summary) -> Check:
    name = "the generator was healthy"
    if summary.generator.valid:
        return Check("generator", name, CheckResult.PASSED)
    limits = "; ".join(f"{limit.resource} of {limit.worker}: {limit.reason}" for limit in summary.generator.limits)
    return Check("generator", name, CheckResult.ERROR, limits)


def _calls(summary: Summary, bad: CheckResult) -> Check:
    name = "every endpoint ended well"
    failed = sum(count for kind, count in summary.endpoints.by_outcome.items() if OutcomeKind(kind).severity >= 10)
    if not summary.calls.attempted:
        return Check("calls", name, bad, "no call was attempted")
    if not failed and not summary.calls.failed:
        return Check("calls", name, CheckResult.PASSED)
    kinds = "; ".join(f"{f.count} x {f.outcome}: {f.reason} (such as {f.example})" for f in summary.failures[:5])
    found = f"{failed} of {summary.endpoints.total} endpoints failed, {summary.calls.failed} calls"
    return Check("calls", name, bad, f"{found}: {kinds}" if kinds else found)
