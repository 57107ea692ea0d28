"""Ratios of calls and registrations: what each counts, and that the page says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmw.core.words import Blame, OutcomeKind
from cmw.load.outcome import CallReport, EndpointReport, RegistrationReport
from cmw.load.ratios import CALL_RATIOS, RATIOS
from tests.load.runs import busy, report, reports, summary


def ended(status: int, phase: str = "CALLING") -> EndpointReport:
    """Return the report of a call that ended with this status, 0 for none, having come so far."""
    call = CallReport(attempted=True, direction="outbound", status_code=status)
    return busy(0, call=call, outcome=OutcomeKind.CALL_FAILED, blame=Blame.TARGET, phase=phase)


TEARDOWN = report(0, "callers", outcome=OutcomeKind.TEARDOWN_ERROR, blame=Blame.TARGET)
ANSWERED = report(1, "callers")
UNCALLED = report(2, "callers", call=CallReport())
CALLS = [ANSWERED, TEARDOWN, UNCALLED, *map(ended, (302, 486, 480, 404, 503, 0, 487, 603))]


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("call_success", 1 / 10),
        ("asr", 2 / 10),
        ("ner", 5 / 10),
        ("ser", 2 / 9),
        ("seer", 5 / 9),
        ("isa", 2 / 10),
        ("scr", 1 / 10),
    ],
)
def test_each_ratio_counts_what_its_source_says(name: str, share: float) -> None:
    assert RATIOS[name].of(CALLS) == pytest.approx(share)


@pytest.mark.parametrize("status", [0, 408, 487])
def test_a_call_that_nobody_answered_reached_who_rang(status: int) -> None:
    assert RATIOS["ner"].of([ended(status, "RINGING")]) == 1
    assert RATIOS["ner"].of([ended(status, "CALLING")]) == 0


@pytest.mark.parametrize("name", ["asr", "ner", "ser", "seer", "isa", "scr"])
def test_a_call_whose_invite_never_left_is_nothing_that_the_network_did(name: str) -> None:
    unsent = ended(0, "REGISTERED")
    assert RATIOS[name].of([unsent]) is None
    assert RATIOS[name].of([unsent, *CALLS]) == RATIOS[name].of(CALLS)
    assert RATIOS["call_success"].of([unsent]) == 0


def test_nothing_attempted_is_no_share() -> None:
    assert [ratio.of([UNCALLED]) for ratio in CALL_RATIOS] == [None] * len(CALL_RATIOS)


def test_only_redirected_calls_have_no_establishment_ratio() -> None:
    assert RATIOS["ser"].of([ended(302)]) is None
    assert RATIOS["asr"].of([ended(302)]) == 0


def test_registrations_are_counted_by_endpoint() -> None:
    failed = report(3, "callers", registration=RegistrationReport(attempted=True, status=403))
    never = report(4, "callers", registration=RegistrationReport())
    assert RATIOS["registration_success"].of([ANSWERED, failed, never]) == 0.5
    assert RATIOS["ira"].of([ANSWERED, failed, never]) == 0.5


def test_a_summary_counts_each_call_once_and_thresholds_judge_it() -> None:
    found = summary(endpoints=[*reports()[:3], busy(3)], thresholds={"ner": ["rate >= 1"], "ser": ["rate >= 0.9"]})
    assert (found.ratios["asr"], found.ratios["ner"], found.ratios["seer"]) == (0.5, 1, 1)
    assert [threshold.passed for threshold in found.thresholds] == [True, False]


def test_the_page_has_every_ratio() -> None:
    page = (Path(__file__).parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")
    for ratio in RATIOS.values():
        assert f"| `{ratio.name}` | {ratio.definition} | {ratio.source} |\n" in page
