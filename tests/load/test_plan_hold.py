"""How long calls are held."""

from __future__ import annotations

import json
from math import exp, log
from statistics import mean, median
from typing import Any

import pytest

from cmw.core.clock import SECOND
from cmw.errors import SettingsError
from cmw.load.forecast import forecast
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from cmw.load.split import split_run, whole_run
from cmw.worker.choices import endpoint_settings
from tests.load.documents import two_groups

RANDOM: list[dict[str, Any]] = [
    {"uniform": {"min": "10s", "max": "60s"}},
    {"exponential": "30s"},
    {"lognormal": {"median": "20s", "p95": "120s"}},
]


def plan_of(hold: Any, callers: int = 2000, **load: Any) -> Plan:
    document = two_groups(callers, callers, duration="7s")
    document["groups"]["callers"]["hold"] = hold
    if load:
        document["groups"]["callers"]["load"] = load
    return parse_plan(document)


def holds_s(plan: Plan) -> list[float]:
    group = whole_run(plan, "r").groups["callers"]
    return [(e.hold_ns or group.hold_ns) / SECOND for e in group.endpoints]


def test_without_one_it_is_the_duration_of_the_plan() -> None:
    assert set(holds_s(parse_plan(two_groups(3, 3, duration="7s")))) == {7}


@pytest.mark.parametrize("hold", ["45s", {"fixed": "45s"}])
def test_one_for_all(hold: Any) -> None:
    plan = plan_of(hold, 3)
    assert set(holds_s(plan)) == {45}
    assert plan.longest_hold("callers") == plan.longest_hold("callees") == 45 * SECOND


def test_even_ones_stay_between_their_bounds() -> None:
    held = holds_s(plan_of(RANDOM[0]))
    assert 10 <= min(held) < 11
    assert 59 < max(held) <= 60
    assert mean(held) == pytest.approx(35, abs=1)


def test_exponential_ones_have_their_mean_and_an_end() -> None:
    held = holds_s(plan_of(RANDOM[1], 20_000))
    assert mean(held) == pytest.approx(30, rel=0.02)
    assert max(held) == pytest.approx(-log(0.001) * 30)
    assert sum(time > 30 for time in held) / len(held) == pytest.approx(exp(-1), abs=0.01)
    assert min(held) >= 0.1


def test_log_normal_ones_have_their_median_and_their_95_percent_point() -> None:
    held = sorted(holds_s(plan_of(RANDOM[2], 20_000)))
    assert median(held) == pytest.approx(20, rel=0.03)
    assert held[19_000] == pytest.approx(120, rel=0.05)


@pytest.mark.parametrize("hold", ["45s", *RANDOM], ids=str)
def test_they_are_the_same_for_any_number_of_workers_and_survive_the_document(hold: Any) -> None:
    plan = plan_of(hold, 40)
    assert parse_plan(json.loads(json.dumps(plan.to_document()))) == plan
    one = holds_s(plan)
    for workers in (2, 4):
        shares = split_run(plan, "r", [(f"w{k}", 80) for k in range(workers)])
        groups = [share.groups["callers"] for share in shares.values() if "callers" in share.groups]
        parts = sorted((e.index, (e.hold_ns or group.hold_ns) / SECOND) for group in groups for e in group.endpoints)
        assert [held for _, held in parts] == one


def test_another_seed_draws_others() -> None:
    plan = plan_of(RANDOM[1], 40)
    assert holds_s(plan) != holds_s(plan.model_copy(update={"seed": 2}))


def test_who_takes_part_waits_for_the_longest() -> None:
    share = whole_run(plan_of(RANDOM[0], 40), "r")
    assert share.groups["callees"].hold_limit_ns >= 60 * SECOND
    assert share.run_within_ns > whole_run(plan_of("10s", 40), "r").run_within_ns + 45 * SECOND


def test_an_endpoint_is_told_its_own() -> None:
    group = whole_run(plan_of(RANDOM[0], 3), "r").groups["callers"]
    told = [endpoint_settings(group, e, None, None, user="u", own_uri="sip:u@h").hold_ns for e in group.endpoints]
    assert told == [e.hold_ns for e in group.endpoints]


def test_the_forecast_counts_with_them() -> None:
    found = forecast(plan_of(RANDOM[0], arrivals="all-at-once"))
    assert found.hold_s == pytest.approx(35, abs=1)
    assert found.longest_hold_s == found.last_call_ends_s
    assert 59 < found.longest_hold_s <= 60
    standing = {round(point.at_s): point.standing for point in found.timeline}
    assert standing[0] == 2000
    assert standing[round(found.timeline[10].at_s)] == pytest.approx(
        2000 * (60 - found.timeline[10].at_s) / 50, abs=100
    )


@pytest.mark.parametrize(
    ("hold", "said"),
    [
        ({}, "groups.callers.hold: found nothing, expected a duration such as 60s, or one of"),
        ({"fixed": "1s", "exponential": "2s"}, "groups.callers.hold: found fixed and exponential, expected a duration"),
        (
            {"uniform": {"min": "5s", "max": "4s"}},
            "groups.callers.hold.uniform.max: found less than min, expected at least as much",
        ),
        (
            {"lognormal": {"median": "5s", "p95": "5s"}},
            "groups.callers.hold.lognormal.p95: found no more than median, expected more",
        ),
        ({"uniform": {"min": "5s"}}, "groups.callers.hold.uniform.max: is missing"),
        ({"gaussian": "5s"}, "groups.callers.hold.gaussian: is not a known field"),
        ("5", "groups.callers.hold.fixed: found '5', expected a duration with its unit from 100ms to 24h, such as 60s"),
        (5, "groups.callers.hold.fixed: found 5, expected a duration with its unit"),
        (["5s"], "groups.callers.hold: found a list, expected a duration such as 60s"),
        (True, "groups.callers.hold: found true, expected a duration such as 60s"),
    ],
    ids=str,
)
def test_what_is_none_is_told(hold: Any, said: str) -> None:
    with pytest.raises(SettingsError) as told:
        plan_of(hold, 3)
    assert said in str(told.value)


def test_a_group_that_waits_has_none() -> None:
    document = two_groups(3, 3)
    document["groups"]["callees"]["hold"] = "5s"
    with pytest.raises(SettingsError, match=r"groups\.callees\.hold: found in a group that waits for calls"):
        parse_plan(document)


def test_a_search_has_one_for_all() -> None:
    assert plan_of("30s", 40, arrivals="search", calls={"from": 2, "to": 40}, rate="5/s")
    with pytest.raises(SettingsError, match=r"groups\.callers\.hold: found times drawn at random beside a search"):
        plan_of(RANDOM[1], 40, arrivals="search", calls={"from": 2, "to": 40}, rate="5/s")


def test_steps_of_a_scenario_come_before_the_longest_ends() -> None:
    document = two_groups(3, 3, duration="7s")
    document["groups"]["callers"] |= {"hold": RANDOM[0], "scenario": [{"at": "50s", "do": "hold"}]}
    assert parse_plan(document)
    document["groups"]["callers"]["scenario"] = [{"at": "60s", "do": "hold"}]
    with pytest.raises(SettingsError, match="expected less than the 1m for which a call is held"):
        parse_plan(document)
