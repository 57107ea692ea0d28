"""A step of a search, as its run has ended."""

from __future__ import annotations

from fractions import Fraction

from cmw.load.search import SearchStep
from cmw.load.summary import Summary
from cmw.load.verdict_sentence import verdict_sentence


def search_step(number: int, load: Fraction, summary: Summary) -> SearchStep:
    """Return what became of a load that was tried.

    Args:
        number: of the step, from 1.
        summary: of the step's run.
    """
    first = next(iter(summary.failures), None)
    most = f" {first.count} x {first.outcome}: {first.reason}" if first is not None else ""
    return SearchStep(
        load=float(load),
        verdict=summary.run.verdict,
        run_id=summary.run.id,
        report=f"step-{number:02d}",
        calls_attempted=summary.calls.attempted,
        calls_answered=summary.calls.answered,
        calls_failed=summary.calls.failed,
        post_dial_delay_p95_ms=summary.timing["post_dial_delay_ms"].p95,
        reason=verdict_sentence(summary) + most,
    )
