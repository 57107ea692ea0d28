"""Phase and outcome move one way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cmw.core.words import Blame, Outcome, OutcomeKind, Phase
from cmw.load.lifecycle import Lifecycle


def test_an_endpoint_that_nobody_spoke_of_succeeds() -> None:
    lifecycle = Lifecycle()
    assert (lifecycle.phase, lifecycle.outcome, lifecycle.is_closed) == (Phase.INITIALIZING, None, False)
    assert lifecycle.close() == Outcome(OutcomeKind.SUCCESS)
    assert lifecycle.is_closed


def test_the_first_failure_stays() -> None:
    lifecycle = Lifecycle()
    first = Outcome(OutcomeKind.TIMEOUT, Blame.TARGET, "no answer")
    assert lifecycle.settle(Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS))
    assert lifecycle.settle(first)
    assert not lifecycle.settle(Outcome(OutcomeKind.TEARDOWN_ERROR))
    assert not lifecycle.settle(Outcome(OutcomeKind.SUCCESS))
    assert lifecycle.close() is first


@given(st.lists(st.sampled_from(list(Phase))))
def test_the_phase_never_goes_back(phases: list[Phase]) -> None:
    lifecycle = Lifecycle()
    for phase in phases:
        before = lifecycle.phase
        assert lifecycle.advance(phase) is (phase > before)
        assert lifecycle.phase is max(before, phase)


@given(st.lists(st.sampled_from(list(OutcomeKind)), min_size=1))
def test_the_outcome_is_the_first_of_the_highest_severity(kinds: list[OutcomeKind]) -> None:
    lifecycle = Lifecycle()
    for kind in kinds:
        lifecycle.settle(Outcome(kind))
    assert lifecycle.close().kind is max(kinds, key=lambda kind: kind.severity)
