"""Splitting a run: the same calls at the same times for any number of workers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cmw.core.clock import MILLISECOND, SECOND
from cmw.errors import CapacityError
from cmw.load.plan_parser import parse_plan
from cmw.load.share import EndpointShare, RunShare
from cmw.load.split import split_run, whole_run
from tests.load.documents import registered, two_groups

CAPACITIES = st.lists(st.integers(min_value=0, max_value=60), min_size=1, max_size=6)


def _endpoints(shares: dict[str, RunShare]) -> list[EndpointShare]:
    found = [endpoint for share in shares.values() for group in share.groups.values() for endpoint in group.endpoints]
    return sorted(found, key=lambda endpoint: endpoint.index)


@given(CAPACITIES, st.integers(0, 9), st.integers(1, 30), st.integers(0, 10))
def test_who_does_what_and_when_does_not_depend_on_the_workers(
    capacities: list[int], seed: int, callers: int, spare: int
) -> None:
    plan = parse_plan(two_groups(callers, callers + spare))
    workers = [(f"w{k}", capacity) for k, capacity in enumerate(capacities)]
    if sum(capacities) < plan.total_endpoints:
        with pytest.raises(CapacityError):
            split_run(plan, "r", workers, seed)
        return
    shares = split_run(plan, "r", workers, seed)
    assert _endpoints(shares) == _endpoints({"all": whole_run(plan, "r")})
    assert all(0 < share.total_endpoints <= dict(workers)[worker] for worker, share in shares.items())
    assert shares == split_run(plan, "r", workers, seed)


def test_workers_are_filled_in_proportion_and_group_by_group() -> None:
    shares = split_run(parse_plan(two_groups(30, 30)), "r", [("big", 200), ("small", 100)])
    for share, count in ((shares["big"], 20), (shares["small"], 10)):
        assert [len(group.endpoints) for group in share.groups.values()] == [count, count]


def test_the_seed_picks_the_first_among_equals() -> None:
    plan = parse_plan(two_groups(1, 1))
    carriers = [split_run(plan, "r", [("a", 5), ("b", 5)], seed)["a"].groups.keys() for seed in (0, 1)]
    assert [list(groups) for groups in carriers] == [["callees"], ["callers"]]


def test_the_message_says_what_is_missing() -> None:
    with pytest.raises(CapacityError, match="the plan needs 4 endpoints, the workers have room for 3"):
        split_run(parse_plan(two_groups()), "r", [("a", 3), ("b", -5)])


def test_callers_meet_callees_one_to_one() -> None:
    document = two_groups(2, 5)
    document["groups"]["others"] = {"endpoints": 2, "call": {"group": "callees"}, "load": {"arrivals": "all-at-once"}}
    groups = whole_run(parse_plan(document), "r").groups
    pairs = [e.callee.position for name in ("callers", "others") for e in groups[name].endpoints if e.callee]
    assert pairs == [0, 1, 2, 3]
    assert [e.expects_call for e in groups["callees"].endpoints] == [True] * 4 + [False]
    assert [e.starts_at_ns for e in groups["callers"].endpoints] == [0, 100 * MILLISECOND]
    assert [e.starts_at_ns for e in groups["others"].endpoints] == [0, 0]


def test_indexes_and_names_count_through_the_plan() -> None:
    groups = whole_run(parse_plan(two_groups(2, 3)), "r").groups
    assert [e.index for group in groups.values() for e in group.endpoints] == [0, 1, 2, 3, 4]
    assert [e.name for e in groups["callers"].endpoints] == ["callers-0001", "callers-0002"]
    assert groups["callers"].endpoints[0].user == "callers-0001"


def test_accounts_are_dealt_in_the_order_of_the_plan() -> None:
    groups = whole_run(parse_plan(registered(4)), "r").groups
    endpoints = [e for group in groups.values() for e in group.endpoints]
    assert [e.user for e in endpoints] == ["1001", "1002", "1003", "1004"]
    assert [e.target for e in endpoints] == [f"sip:{user}@pbx.example:5070" for user in (1001, 1002, 1003, 1004)]
    assert [e.register_at_ns for e in endpoints] == [k * 20 * MILLISECOND for k in range(4)]


def test_the_default_port_and_odd_user_names_make_good_uris() -> None:
    document = registered(2)
    document["registrars"]["lab"]["port"] = 5060
    document["registrars"]["lab"]["accounts"][0]["username"] = "jürgen @home"
    (callee,) = whole_run(parse_plan(document), "r").groups["callees"].endpoints
    assert callee.target == "sip:j%C3%BCrgen%20%40home@pbx.example"


def test_receivers_wait_for_the_last_arrival_and_its_set_up() -> None:
    groups = whole_run(parse_plan(two_groups(11, 11, setup_timeout="20s")), "r").groups
    answer = groups["callees"].answer
    assert answer is not None
    assert answer.wait_ns == 1 * SECOND + 20 * SECOND + 5 * SECOND
    assert groups["callers"].answer is None
    assert groups["callers"].calls


def test_receivers_of_strangers_wait_a_minute_or_as_told() -> None:
    for settings, wait_s in (({}, 60), ({"answer": {"wait": "2m"}}, 120)):
        document = {"version": 1, "duration": "5s", "groups": {"g": {"endpoints": 1, **settings}}}
        answer = whole_run(parse_plan(document), "r").groups["g"].answer
        assert answer is not None
        assert answer.wait_ns == wait_s * SECOND


def test_a_share_crosses_the_link_with_its_passwords_and_hides_them_otherwise() -> None:
    for share in split_run(parse_plan(registered(6)), "r", [("a", 4), ("b", 4)]).values():
        wire = json.loads(json.dumps(share.to_wire()))
        assert RunShare.model_validate(wire) == share
        assert "pass-" in json.dumps(wire)
        assert "pass-" not in repr(share) + str(share.model_dump()) + share.model_dump_json()


def test_a_share_has_only_the_registrars_that_it_needs() -> None:
    document = registered(2)
    document["registrars"]["unused"] = {"domain": "x"}
    (share,) = split_run(parse_plan(document), "r", [("a", 9)]).values()
    assert list(share.registrars) == ["lab"]


def test_the_run_ends_after_everything_that_may_happen_in_it() -> None:
    share = whole_run(parse_plan(two_groups(11, 11)), "r")
    latest = max(e.starts_at_ns or 0 for e in share.groups["callers"].endpoints)
    assert share.run_within_ns > latest + 60 * SECOND + 60 * SECOND


@given(CAPACITIES, st.integers(0, 9), st.integers(1, 20), st.integers(0, 3))
def test_calls_of_an_endpoint_that_calls_again_are_the_same_for_any_workers(
    capacities: list[int], seed: int, callers: int, repeats: int
) -> None:
    document = two_groups(callers, callers)
    document["groups"]["callers"] |= {
        "repeats": repeats,
        "hold": {"exponential": "30s"},
    } | ({"pause": {"uniform": {"min": "1s", "max": "20s"}}} if repeats else {})
    plan = parse_plan(document)
    workers = [(f"w{k}", capacity) for k, capacity in enumerate(capacities)]
    if sum(capacities) < 2 * callers:
        with pytest.raises(CapacityError):
            split_run(plan, "r", workers, seed)
        return
    shares = split_run(plan, "r", workers, seed)
    assert _endpoints(shares) == _endpoints({"all": whole_run(plan, "r")})
    for worker, share in shares.items():
        assert 0 < share.seats <= dict(workers)[worker]
        here = {endpoint.index: endpoint for endpoint in _endpoints({worker: share})}
        for endpoint in here.values():
            if endpoint.follows is not None:
                assert here[endpoint.follows].position == endpoint.position


def test_a_share_in_which_a_call_follows_none_of_it_is_refused() -> None:
    document = two_groups(1, 2)
    document["groups"]["callers"] |= {"repeats": 1}
    share = whole_run(parse_plan(document), "r").to_wire()
    first, second = share["groups"]["callers"]["endpoints"]
    assert second["follows"] == first["index"]
    RunShare.model_validate(share)
    share["groups"]["callers"]["endpoints"] = [second]
    with pytest.raises(ValidationError, match=r"found callers-0001\.2 after 3, expected a call of its line before it"):
        RunShare.model_validate(share)


def test_further_calls_follow_the_one_before_them() -> None:
    document = two_groups(2, 2, duration="10s")
    document["groups"]["callers"] |= {"repeats": 2, "pause": "4s"}
    shares = whole_run(parse_plan(document), "r").groups["callers"].endpoints
    assert [(e.index, e.follows, e.name, e.pause_ns // SECOND) for e in shares] == [
        (6, None, "callers-0001", 0),
        (7, None, "callers-0002", 0),
        (8, 6, "callers-0001.2", 4),
        (9, 7, "callers-0002.2", 4),
        (10, 8, "callers-0001.3", 4),
        (11, 9, "callers-0002.3", 4),
    ]
    starts = [endpoint.starts_at_ns for endpoint in shares]
    assert starts == [k % 2 * SECOND // 10 + k // 2 * 14 * SECOND for k in range(6)]
    assert [endpoint.callee and endpoint.callee.position for endpoint in shares] == [0, 1, 0, 1, 0, 1]


def test_a_receiver_waits_for_the_latest_call_that_may_come() -> None:
    def wait_ns(repeats: int) -> int:
        document = two_groups(2, 2, duration="10s", setup_timeout="20s")
        document["groups"]["callers"] |= {"repeats": repeats}
        answer = whole_run(parse_plan(document), "r").groups["callees"].answer
        assert answer is not None
        return answer.wait_ns

    longest = 20 + (10 + 32) + 32 + 1  # unanswered, held, taken down, the usual pause
    assert wait_ns(2) - wait_ns(0) == 2 * longest * SECOND


def test_an_endpoint_registers_once_however_often_it_calls() -> None:
    document = registered(2)
    document["groups"]["callees"]["endpoints"] = 1
    document["groups"]["callers"] |= {"call": {"uri": "sip:600@pbx.example"}, "repeats": 3}
    shares = whole_run(parse_plan(document), "r").groups["callers"].endpoints
    assert len(shares) == 4
    assert len({endpoint.user for endpoint in shares}) == 1
    assert [endpoint.register_at_ns is None for endpoint in shares] == [False, True, True, True]
