"""The search for what a target carries, against targets with a known limit."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from cmw.core.words import Verdict
from cmw.errors import SettingsError
from cmw.load.forecast import forecast
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from cmw.load.search import Search, SearchPart, SearchStep, greatest_step, searched_group, step_plan
from cmw.load.split import whole_run
from tests.load.documents import two_groups

CALLS = {"arrivals": "search", "calls": {"from": 5, "to": 200}, "rate": "100/s"}
RATE = {"arrivals": "search", "from": "2/s", "to": "100/s", "for": "2s"}


def plan_of(load: dict[str, Any], endpoints: int = 200, callees: int = 210) -> Plan:
    document = two_groups(endpoints, callees)
    document["groups"]["callers"]["load"] = load
    return parse_plan(document)


def step(load: Fraction, verdict: Verdict, delay_ms: float | None = 10.0) -> SearchStep:
    return SearchStep(
        load=float(load), verdict=verdict, run_id=f"r{load}", report="step", calls_attempted=1, calls_answered=1,
        calls_failed=0, post_dial_delay_p95_ms=delay_ms, reason="",
    )  # fmt: skip


def search(load: dict[str, Any], judge: Callable[[Fraction], Verdict]) -> tuple[SearchPart, list[float]]:
    found = Search(plan_of(load))
    while (wanted := found.next_load()) is not None:
        found.record(step(wanted, judge(wanted)))
    return found.result(), [each.load for each in found.steps]


def carries(limit: float) -> Callable[[Fraction], Verdict]:
    return lambda load: Verdict.PASSED if load <= limit else Verdict.FAILED


@pytest.mark.parametrize("limit", range(5, 200))
def test_the_limit_is_found_to_the_last_call(limit: int) -> None:
    part, tried = search(CALLS, carries(limit))
    assert (part.held, part.breaking_point) == (limit, limit + 1)
    assert len(tried) <= 15
    assert len(set(tried)) == len(tried)
    assert part.found == f"{limit} calls at a time held, {limit + 1} broke it"


def test_a_limit_of_37_takes_eight_steps() -> None:
    assert search(CALLS, carries(37))[1] == [5, 10, 20, 40, 30, 35, 37, 38]


@pytest.mark.parametrize("limit", [2, 3.7, 12.34, 61, 99.9])
def test_a_rate_is_found_within_a_twentieth(limit: float) -> None:
    part, _ = search(RATE, carries(limit))
    assert part.held is not None
    assert part.breaking_point is not None
    assert part.held <= limit < part.breaking_point <= part.held * 1.05 + 0.001
    assert part.unit == "calls per second"


def test_a_search_may_come_to_its_end_without_a_break() -> None:
    part, tried = search(CALLS, carries(1000))
    assert tried == [5, 10, 20, 40, 80, 160, 200]
    assert (part.held, part.breaking_point) == (200, None)
    assert part.found == "200 calls at a time held, and nothing broke it"


def test_a_first_step_that_breaks_ends_the_search() -> None:
    part, tried = search(CALLS, carries(1))
    assert (tried, part.held, part.breaking_point, part.knee) == ([5], None, 5, None)
    assert part.found == "5 calls at a time, the least that was asked for, broke it already"


def test_a_step_in_which_the_generator_was_the_limit_ends_the_search_and_stands_for_it() -> None:
    found = Search(plan_of(CALLS))
    for verdict in (Verdict.PASSED, Verdict.PASSED, Verdict.INVALID):
        load = found.next_load()
        assert load is not None
        found.record(step(load, verdict))
    assert found.next_load() is None
    told = found.result().told
    assert told is not None
    assert (told.load, told.verdict) == (20, Verdict.INVALID)
    part = found.result()
    assert (part.held, part.breaking_point) == (10, None)
    assert part.found == "the generator was the limit at 20 calls at a time; the target's limit is not known"


def test_the_greatest_step_that_held_stands_for_the_search_and_else_the_first() -> None:
    found = Search(plan_of(CALLS))
    assert found.result().told is None
    while (load := found.next_load()) is not None:
        found.record(step(load, carries(12)(load)))
    told = found.result().told
    assert told is not None
    assert told.load == 12
    found = Search(plan_of(CALLS))
    found.record(step(Fraction(5), Verdict.FAILED))
    told = found.result().told
    assert told is not None
    assert told.load == 5


def test_the_knee_is_where_the_delay_stays_near_that_of_the_first_step() -> None:
    delays = {5: 30.0, 10: 31.0, 20: 59.0, 40: 80.0, 80: 150.0}
    found = Search(plan_of(CALLS | {"calls": {"from": 5, "to": 80}}))
    while (load := found.next_load()) is not None:
        found.record(step(load, Verdict.PASSED, delays[int(load)]))
    assert found.result().knee == 20


def test_a_search_without_delays_has_no_knee() -> None:
    found = Search(plan_of(CALLS))
    found.record(step(Fraction(5), Verdict.PASSED, None))
    assert found.result().knee is None


def test_a_search_that_was_stopped_says_so() -> None:
    found = Search(plan_of(CALLS))
    found.stop()
    assert found.next_load() is None
    assert found.result().found == "the search was stopped before its end"


def test_a_step_has_so_many_callers_and_as_many_fewer_callees() -> None:
    plan = plan_of(CALLS)
    tried = step_plan(plan, Fraction(20))
    assert searched_group(tried) is None
    assert (tried.groups["callers"].endpoints, tried.groups["callees"].endpoints) == (20, 30)
    starts = [endpoint.starts_at_ns for endpoint in whole_run(tried, "r").groups["callers"].endpoints]
    assert starts[:3] == [0, 10_000_000, 20_000_000]
    assert parse_plan(tried.to_document()) == tried


def test_a_step_of_a_rate_places_its_calls_for_as_long_as_the_plan_says() -> None:
    tried = step_plan(plan_of(RATE), Fraction(25, 2))
    group = tried.groups["callers"]
    assert group.load is not None
    assert (group.endpoints, str(group.load.rate)) == (25, "12.5/s")


def test_the_forecast_of_a_search_is_that_of_its_greatest_step() -> None:
    plan = plan_of(RATE)
    found = forecast(plan)
    assert found.calls == 200
    assert found.search == "2 to 100 calls per second of callers, doubled until a step breaks, then halved in between"
    assert forecast(greatest_step(plan)).search is None


def test_a_plan_has_one_search() -> None:
    document = two_groups(10, 20)
    document["groups"]["callers"]["load"] = {"arrivals": "search", "calls": {"from": 1, "to": 10}}
    document["groups"]["others"] = document["groups"]["callers"]
    with pytest.raises(SettingsError, match="found a second search beside that of 'callers', expected one in a plan"):
        parse_plan(document)
