"""How a run that goes on sounds and keeps pace."""

from __future__ import annotations

from typing import Any

import pytest

from cmw.cli.run_figures import SPAN_S, Pace, health_text, quality_text
from cmw.gateway.parts import add_progress
from cmw.load.run_link import ProgressReport, Total


def report(**changes: Any) -> dict[str, Any]:
    known = {"second": 3, "endpoints": 2, "calls_active": 2, "calls_attempted": 1, "calls_answered": 1}
    return ProgressReport.model_validate(known | changes).model_dump()


def pace_of(*seen: tuple[int, int, int]) -> str:
    pace = Pace()
    for second, due, placed in seen:
        pace.take({"second": second, "calls_due": due, "calls_attempted": placed})
    return pace.text


def test_means_are_over_the_endpoints_of_all_workers() -> None:
    one = report(quality={"mos": Total(count=3, sum=12.0), "jitter_ms": Total(count=1, sum=0.5)})
    two = report(quality={"mos": Total(count=1, sum=2.0), "fraction_lost": Total(count=2, sum=0.5)})
    assert quality_text(add_progress([one, two])) == "MOS 3.50, loss 0.25 %, jitter 0.5 ms"


def test_the_pace_of_the_next_step_of_a_search_begins_anew() -> None:
    assert pace_of((8, 80, 80), (9, 90, 90), (0, 5, 4), (1, 15, 12)) == "10/s wanted, 8/s placed"


@pytest.mark.parametrize("progress", [{}, {"quality": {}}, {"quality": 5}, {"quality": {"mos": {"count": 0}}}])
def test_what_was_not_measured_is_not_told(progress: dict[str, Any]) -> None:
    assert quality_text(progress) == ""


def test_the_seconds_in_which_the_generator_was_the_limit_are_those_of_all_workers() -> None:
    assert health_text(add_progress([report(), report()])) == "generator healthy"
    both = add_progress([report(untrusted_seconds=2), report(untrusted_seconds=1)])
    assert health_text(both) == "generator the limit in 3 s"


def test_a_rate_is_of_the_last_seconds() -> None:
    assert pace_of((0, 10, 10)) == ""
    assert pace_of((0, 10, 10), (1, 20, 18)) == "10/s wanted, 8/s placed"
    steady = [(second, 10 * second, 10 * second) for second in range(10)]
    burst = (10, 100 + 5 * SPAN_S, 100)
    assert pace_of(*steady, burst) == "15/s wanted, 10/s placed"


def test_a_second_counts_once_and_no_call_is_no_rate() -> None:
    assert pace_of((0, 0, 0), (0, 5, 5), (1, 7, 7)) == "7/s wanted, 7/s placed"
    assert pace_of(*[(second, 7, 7) for second in range(SPAN_S + 2)]) == ""
