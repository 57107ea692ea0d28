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
    if summary.run.status is RunStatus.CANNOT_RUN_FOR_NOW:
        return EXIT_NO_CAPACITY
    if summary.run.verdict is Verdict.INVALID:
        return EXIT_INVALID
    if not all(threshold.passed for threshold in summary.thresholds):
        return EXIT_THRESHOLD_FAILED
    return EXIT_PASSED if summary.run.verdict is Verdict.PASSED else EXIT_CALLS_FAILED
