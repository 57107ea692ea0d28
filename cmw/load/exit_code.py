"""What a shell or a CI job sees of a run."""

from __future__ import annotations

from cmw.core.words import RunStatus, Verdict
from cmw.load.summary import Summary

EXIT_PASSED = 0
EXIT_CALLS_FAILED = 1
EXIT_NO_CAPACITY = 75
EXIT_INVALID = 97
EXIT_THRESHOLD_FAILED = 99


def exit_code(summary: Summary) -> int:
    """Return the exit code of a command that ran this run to its end."""
    thresholds_hold = all(threshold.passed for threshold in summary.thresholds)
    return exit_code_of(summary.run.status, summary.run.verdict, thresholds_hold=thresholds_hold)


def exit_code_of(status: RunStatus, verdict: Verdict | None, *, thresholds_hold: bool) -> int:
    """Return the same of what a summary says, where only so much of it is at hand."""
    if status is RunStatus.CANNOT_RUN_FOR_NOW:
        return EXIT_NO_CAPACITY
    if verdict is Verdict.INVALID:
        return EXIT_INVALID
    if not thresholds_hold:
        return EXIT_THRESHOLD_FAILED
    return EXIT_PASSED if verdict is Verdict.PASSED else EXIT_CALLS_FAILED
