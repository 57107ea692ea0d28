# ruff: noqa: E501 - tables of messages
"""The shape of a load as a plan writes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cmw.core.clock import SECOND
from cmw.errors import SettingsError
from cmw.load.arrivals import schedule
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from cmw.load.split import split_run, whole_run
from tests.load.documents import two_groups


def plan_of(load: dict[str, Any], callers: int = 40, **top: Any) -> Plan:
    document = two_groups(callers, callers, **top)
    document["groups"]["callers"]["load"] = load
    return parse_plan(document)


def starts(plan: Plan) -> list[float]:
    return [(e.starts_at_ns or 0) / SECOND for e in whole_run(plan, "r").groups["callers"].endpoints]


LOADS: list[dict[str, Any]] = [
    {},
    {"arrivals": "all-at-once"},
    {"arrivals": "poisson", "rate": "20/s"},
    {"arrivals": "ramp", "from": "0/s", "to": "10/s", "over": "10s"},
    {"arrivals": "steps", "steps": [{"rate": "1/s", "for": "10s"}, {"rate": "5/s", "for": "20s"}]},
    {"arrivals": "profile", "profile": [{"at": "0s", "rate": "0/s"}, {"at": "5s", "rate": "10/s"}]},
]


@pytest.mark.parametrize("load", LOADS, ids=lambda load: str(load.get("arrivals")))
def test_a_load_survives_its_document_and_is_the_same_for_any_number_of_workers(load: dict[str, Any]) -> None:
    plan = plan_of(load)
    assert parse_plan(json.loads(json.dumps(plan.to_document()))) == plan
    one = {e.index: e.starts_at_ns for e in whole_run(plan, "r").groups["callers"].endpoints}
    for workers in (2, 4):
        shares = split_run(plan, "r", [(f"w{k}", 80) for k in range(workers)], seed=workers)
        parts = [e for share in shares.values() if "callers" in share.groups for e in share.groups["callers"].endpoints]
        assert {e.index: e.starts_at_ns for e in parts} == one


def test_a_ramp_goes_on_at_its_last_rate() -> None:
    at = starts(plan_of({"arrivals": "ramp", "from": "0/s", "to": "4/s", "over": "10s"}))
    assert (at[0], at[5], at[20], at[24]) == (0, 5, 10, 11)


def test_steps_go_on_at_their_last_rate() -> None:
    at = starts(plan_of(LOADS[4]))
    assert at[:11] == [float(k) for k in range(11)]
    assert at[11] == pytest.approx(10.2)


def test_a_profile_begins_at_its_first_rate_and_goes_evenly_between_points() -> None:
    load = {"arrivals": "profile", "profile": [{"at": "2s", "rate": "2/s"}, {"at": "6s", "rate": "0/s"}]}
    at = starts(plan_of(load, callers=9))
    assert at[:5] == [0, 0.5, 1, 1.5, 2]
    assert at[7] == pytest.approx(4)
    assert at[8] == pytest.approx(6)


def test_the_seed_of_the_plan_decides_over_random_arrivals() -> None:
    load = {"arrivals": "poisson", "rate": "5/s"}
    assert starts(plan_of(load, seed=3)) == starts(plan_of(load, seed=3))
    assert starts(plan_of(load, seed=3)) != starts(plan_of(load, seed=4))
    assert starts(plan_of(load)) == starts(plan_of(load, seed=1))


def test_a_receiver_waits_for_the_last_call_of_any_shape() -> None:
    plan = plan_of(LOADS[3])
    answer = whole_run(plan, "r").groups["callees"].answer
    load = plan.groups["callers"].load
    assert answer is not None
    assert load is not None
    assert answer.wait_ns > schedule(load.stages, 40)[-1] + plan.setup_timeout


@pytest.mark.parametrize(
    ("load", "message"),
    [
        ({"arrivals": "serch"}, "arrivals: found 'serch', expected constant, all-at-once, ramp, poisson, steps, profile or search"),
        ({"arrivals": "search"}, "load.from: is missing, expected with search arrivals, or calls: {from, to}"),
        ({"arrivals": "search", "from": "1/s", "to": "5/s", "for": "10s"},
         "load.to: found a search with up to 50 calls in a step, expected at most the 40 endpoints of the group"),
        ({"arrivals": "search", "from": "0/s", "to": "4/s", "for": "10s"}, "load.to: found 4 after 0, expected a search that goes up"),
        ({"arrivals": "search", "calls": {"from": 5, "to": 5}}, "load.calls.to: found 5 after 5, expected a search that goes up"),
        ({"arrivals": "search", "calls": {"from": 5, "to": 40}, "rate": "0.5/s"},
         "load.rate: found 0.5/s, at which 40 calls take 1m18s to start, expected less than their duration, 1m"),
        ({"arrivals": "search", "calls": {"from": 5, "to": 40}, "for": "3s"}, "load.for: found '3s', expected none, with search arrivals"),
        ({"arrivals": "search", "calls": {"from": 0, "to": 40}}, "load.calls.from: found 0, expected a whole number from 1"),
        ({"calls": {"from": 5, "to": 40}}, "load.calls: found 5 to 40, expected none, with constant arrivals"),
        ({"arrivals": "ramp", "from": "1/s", "over": "5s"}, "load.to: is missing, expected with ramp arrivals"),
        ({"arrivals": "ramp", "from": "1/s", "to": "0/s", "over": "5s"}, "load.to: found '0/s', expected a rate from"),
        ({"from": "1/s"}, "load.from: found '1/s', expected none, with constant arrivals"),
        ({"arrivals": "steps"}, "load.steps: is missing, expected with steps arrivals"),
        ({"arrivals": "steps", "steps": []}, "load.steps: found 0 entries, expected a list of {rate, for}"),
        ({"arrivals": "steps", "steps": [{"rate": "1/s"}]}, "load.steps[0].for: is missing, expected a duration"),
        ({"arrivals": "steps", "steps": [{"rate": "1/s", "fro": "1s"}]}, "fro: is not a known field, did you mean 'for'?"),
        ({"arrivals": "steps", "rate": "1/s", "steps": [{"rate": "1/s", "for": "9s"}]},
         "load.rate: found '1/s', expected none, with steps arrivals"),
        ({"arrivals": "steps", "steps": [{"rate": "1/s", "for": "9s"}, {"rate": "0/s", "for": "9s"}]},
         "load.steps: found a load that ends with 0/s after 10 calls, expected one that places the 40 calls"),
        ({"arrivals": "profile", "profile": [{"at": "0s", "rate": "0/s"}]}, "ends with 0/s after 0 calls"),
        ({"arrivals": "profile", "profile": [{"at": "3s", "rate": "1/s"}, {"at": "3s", "rate": "2/s"}]},
         "load.profile[1].at: found an instant that is not after the one before it"),
        ({"arrivals": "profile", "profile": {"file": "p.csv"}}, "only a plan that is a file can name a file of a profile"),
        ({"rate": "0/s"}, "load.rate: found '0/s', expected a rate from 0.001/s to 10000/s"),
        ({"arrivals": "steps", "steps": [{"rate": "0.0001/s", "for": "9s"}]}, "steps[0].rate: found '0.0001/s', expected"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(load: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        plan_of(load)
    assert message in str(caught.value)
