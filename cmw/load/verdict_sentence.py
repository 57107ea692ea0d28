"""The one sentence that says why a verdict is what it is."""

from __future__ import annotations

from cmw.core.words import OutcomeKind, Verdict
from cmw.load.summary import Summary


def verdict_sentence(summary: Summary) -> str:
    """Return one sentence that says why the verdict is what it is, and who is to blame; of a search, what was found."""
    if summary.search is not None:
        return f"{summary.search.found[:1].upper()}{summary.search.found[1:]}."
    blame = f" Blame: {summary.run.blame}." if summary.run.verdict is Verdict.FAILED and summary.run.blame else ""
    return _why(summary) + blame


def _why(summary: Summary) -> str:
    if summary.run.verdict is Verdict.INVALID:
        limits = summary.generator.limits
        resources = ", ".join(dict.fromkeys(limit.resource for limit in limits))
        first = min((limit.first_second for limit in limits if limit.first_second is not None), default=None)
        since = "" if first is None else f", first in second {first}"
        return f"The generator was the limit ({resources}{since}): the figures say nothing about the target."
    failing = [threshold for threshold in summary.thresholds if not threshold.passed]
    ending = next((threshold for threshold in failing if threshold.ended_run_in_second is not None), None)
    if ending is not None:
        return f"{ending.metric} {ending.expression} ended the run in second {ending.ended_run_in_second}."
    if failing:
        return f"{len(failing)} of {len(summary.thresholds)} thresholds failed."
    if summary.run.verdict is Verdict.PASSED:
        held = " Every threshold held." if summary.thresholds else ""
        well = f"{summary.calls.attempted - summary.calls.failed} of {summary.calls.attempted} calls ended well"
        return f"{well}{_warnings(summary)}.{held}"
    if not summary.calls.attempted:
        failed = summary.registrations.failed
        why = f": {failed} of {summary.registrations.attempted} registrations failed" if failed else ""
        return f"No call was attempted{why}."
    failed = sum(count for kind, count in summary.endpoints.by_outcome.items() if OutcomeKind(kind).severity >= 10)
    if failed:
        return f"{failed} of {summary.endpoints.total} endpoints failed, and the plan has no threshold that allows it."
    if summary.calls.failed:
        return f"{summary.calls.failed} of {summary.calls.attempted} calls had no answer when the run was stopped."
    return f"The run ended as {summary.run.status}."


def _warnings(summary: Summary) -> str:
    """Return how many ended well only with a warning, such as that nothing was heard, or that the run was stopped."""
    warned = summary.endpoints.by_outcome.get(OutcomeKind.COMPLETED_WITH_WARNINGS, 0)
    return f", but {warned} of {summary.endpoints.total} endpoints with warnings" if warned else ""
