"""Who calls whom when several callers share a receiver, and the room that this takes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.errors import CapacityError, SettingsError
from cmw.load.deal import deal
from cmw.load.forecast import forecast
from cmw.load.lines import Lines
from cmw.load.plan_pairing import Pairing, pairing_for
from cmw.load.plan_parser import parse_plan
from cmw.load.search import greatest_step
from cmw.load.share import EndpointShare, RunShare
from cmw.load.split import split_run, whole_run
from tests.load.documents import registered, two_groups


def paired(callers: int, callees: int, pairing: str, **more: Any) -> dict[str, Any]:
    document = two_groups(callers, callees)
    document["groups"]["callers"]["call"]["pairing"] = pairing
    document["groups"]["callers"] |= more
    return document


def called(share: RunShare, group: str = "callers") -> list[int | None]:
    return [e.callee.position if e.callee else None for e in share.groups[group].endpoints]


def lines_of(share: RunShare, group: str = "callees") -> Counter[int]:
    return Counter(e.position for e in share.groups[group].endpoints if e.follows is None)


def waiting(share: RunShare, group: str = "callees") -> list[EndpointShare]:
    return share.groups[group].endpoints


@pytest.mark.parametrize(
    ("pairing", "callers", "receivers"),
    [("5:1", 10, 2), ("5:1", 11, 3), ("3:2", 10, 7), ("1:1", 4, 4), ("10:3", 10, 3), ("100:1", 3, 1), ("2:2", 3, 3)],
)
def test_so_many_callers_need_so_many_receivers(pairing: str, callers: int, receivers: int) -> None:
    parse_plan(paired(callers, receivers, pairing))
    if receivers > 1:
        with pytest.raises(SettingsError, match=rf"found {callers} callers of 'callees', expected at most "):
            parse_plan(paired(callers, receivers - 1, pairing))


@pytest.mark.parametrize(
    "pairing", ["1:2", "0:1", "5:0", "5", 5, 5.1, "5/1", "-5:1", "5:1:1", "10001:1", "a:b", "", True]
)
def test_what_is_no_pairing_is_named(pairing: Any) -> None:
    with pytest.raises(SettingsError, match=r"groups\.callers\.call\.pairing: found .*expected callers to receivers"):
        parse_plan(paired(10, 10, pairing))


def test_a_pairing_with_a_uri_is_refused() -> None:
    document = paired(2, 2, "2:1")
    document["groups"]["callers"]["call"] = {"uri": "sip:6@127.0.0.1", "pairing": "2:1"}
    with pytest.raises(SettingsError, match=r"call\.pairing: found '2:1', expected only beside group"):
        parse_plan(document)


@given(st.integers(1, 60), st.integers(1, 60))
def test_the_pairing_that_is_proposed_fits(callers: int, receivers: int) -> None:
    if receivers > callers:
        callers, receivers = receivers, callers
    document = paired(callers, receivers, str(pairing_for(callers, receivers)))
    assert set(called(whole_run(parse_plan(document), "r"))) == set(range(receivers))


def test_callers_are_shared_out_in_turn() -> None:
    plan = parse_plan(paired(5, 2, "3:1"))
    share = whole_run(plan, "r")
    assert called(share) == [0, 1, 0, 1, 0]
    assert lines_of(share) == {0: 3, 1: 2}
    assert [(e.name, e.position, e.line, e.expects_call) for e in waiting(share)] == [
        ("callees-0001", 0, 0, True),
        ("callees-0002", 1, 0, True),
        ("callees-0001.2", 0, 1, True),
        ("callees-0002.2", 1, 1, True),
        ("callees-0001.3", 0, 2, True),
    ]
    assert (plan.total_endpoints, plan.seats, share.total_endpoints, share.seats) == (10, 10, 10, 10)


def test_a_receiver_registers_once_for_all_its_calls() -> None:
    document = registered(4)
    document["groups"]["callers"] |= {"endpoints": 3, "call": {"group": "callees", "pairing": "3:1"}}
    document["groups"]["callees"]["endpoints"] = 1
    share = whole_run(parse_plan(document), "r")
    assert [e.register_at_ns is not None for e in waiting(share)] == [True, False, False]
    assert {e.target for e in waiting(share)} == {"sip:1001@pbx.example:5070"}
    assert {e.user for e in waiting(share)} == {"1001"}


def test_repeats_go_to_the_same_receiver_and_take_no_more_room() -> None:
    plan = parse_plan(paired(4, 2, "2:1", repeats=2))
    share = whole_run(plan, "r")
    assert called(share) == [0, 1, 0, 1] * 3
    assert (plan.total_endpoints, plan.seats) == (24, 8)
    assert Counter(e.position for e in waiting(share)) == {0: 6, 1: 6}
    by_index = {e.index: e for e in waiting(share)}
    for endpoint in waiting(share):
        if endpoint.follows is not None:
            before = by_index[endpoint.follows]
            assert (before.position, before.line) == (endpoint.position, endpoint.line)


def test_groups_that_call_one_have_receivers_of_their_own_there() -> None:
    document = paired(4, 4, "4:1")
    document["groups"]["others"] = {"endpoints": 3, "call": {"group": "callees", "pairing": "3:2"}}
    share = whole_run(parse_plan(document), "r")
    assert called(share) == [0, 0, 0, 0]
    assert called(share, "others") == [1, 2, 1]
    assert lines_of(share) == {0: 4, 1: 2, 2: 1, 3: 1}
    assert [e.expects_call for e in waiting(share)[:4]] == [True, True, True, False]
    document["groups"]["others"]["endpoints"] = 6
    expected = '1 of whose 4 endpoints others call, expected at most 4, or pairing: "2:1"'
    with pytest.raises(SettingsError, match=f"found 6 callers of 'callees', {expected}"):
        parse_plan(document)


def test_each_call_of_a_receiver_is_transferred_to_an_endpoint_of_its_own() -> None:
    document = paired(4, 2, "2:1")
    document["groups"]["callees"]["scenario"] = [{"at": "1s", "do": {"transfer": {"group": "agents"}}}]
    document["groups"]["agents"] = {"endpoints": 4}
    share = whole_run(parse_plan(document), "r")
    led_to = {(e.position, e.line): e.transfers_to and e.transfers_to.position for e in waiting(share)}
    assert sorted(position for position in led_to.values() if position is not None) == [0, 1, 2, 3]
    assert all(e.hangs_up and e.expects_call for e in waiting(share, "agents"))
    document["groups"]["agents"]["endpoints"] = 3
    with pytest.raises(SettingsError, match="found calls for 4 endpoints of 'agents', expected for at most 3"):
        parse_plan(document)


def test_callers_who_transfer_lead_to_one_endpoint_each_however_often_they_call() -> None:
    document = two_groups(2, 2)
    document["groups"]["callers"] |= {
        "repeats": 1,
        "scenario": [{"at": "1s", "do": {"transfer": {"group": "agents"}}}],
    }
    document["groups"]["agents"] = {"endpoints": 3}
    share = whole_run(parse_plan(document), "r")
    assert [e.transfers_to and e.transfers_to.position for e in share.groups["callers"].endpoints] == [0, 1, 0, 1]
    assert Counter(e.position for e in waiting(share, "agents")) == {0: 2, 1: 2, 2: 1}
    assert [e.expects_call for e in waiting(share, "agents")] == [True, True, False, True, True]


@given(
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(0, 2),
    st.integers(0, 3),
    st.lists(st.integers(0, 30), min_size=1, max_size=5),
    st.integers(0, 9),
)
def test_calls_and_room_come_out_even_for_any_workers(
    callers: int, ratio: int, receivers: int, repeats: int, alone: int, capacities: list[int], seed: int
) -> None:
    pairing = Pairing(max(ratio, receivers), receivers)
    callees = pairing.receivers_of(callers) + alone
    plan = parse_plan(paired(callers, callees, str(pairing), repeats=repeats))
    whole = whole_run(plan, "r")
    assert plan.total_endpoints == whole.total_endpoints
    assert plan.seats == whole.seats
    expected = Counter(called(whole))
    taking = Counter(e.position for e in waiting(whole) if e.expects_call)
    assert taking == expected
    try:
        shares = split_run(plan, "r", [(f"w{k}", room) for k, room in enumerate(capacities)], seed)
    except CapacityError:
        assert sum(capacities) < plan.seats or max(lines_of(whole).values()) > 1
        return
    carried = [
        (e.index, worker) for worker, share in shares.items() for g in share.groups.values() for e in g.endpoints
    ]
    assert sorted(index for index, _ in carried) == list(range(whole.total_endpoints))
    for worker, share in shares.items():
        assert share.seats <= capacities[int(worker[1:])]
        assert all(e.line == 0 or e.name.startswith(f"callees-{e.position + 1:04d}.") for e in waiting_all(share))
    places = {(e.position, worker) for worker, share in shares.items() for e in waiting_all(share)}
    assert len(places) == callees


def waiting_all(share: RunShare) -> list[EndpointShare]:
    return share.groups["callees"].endpoints if "callees" in share.groups else []


def test_who_takes_much_room_is_placed_first() -> None:
    seats = {("small", 0): 1, ("small", 1): 1, ("large", 0): 3, ("large", 1): 2}
    carriers = deal(seats, [("a", 4), ("b", 3)], 0)
    rooms = Counter({worker: sum(seats[key] for key, at in carriers.items() if at == worker) for worker in "ab"})
    assert rooms == {"a": 4, "b": 3}
    assert carriers["large", 0] != carriers["large", 1]


def test_a_receiver_that_fits_nowhere_is_named() -> None:
    plan = parse_plan(paired(4, 1, "4:1"))
    with pytest.raises(CapacityError, match="callees-0001 takes 4 calls at a time, no worker has room left for them"):
        split_run(plan, "r", [("a", 3), ("b", 3), ("c", 3)])


def test_a_share_with_a_line_of_nobody_is_refused() -> None:
    share = whole_run(parse_plan(paired(2, 1, "2:1")), "r").to_wire()
    RunShare.model_validate(share)
    share["groups"]["callees"]["endpoints"] = share["groups"]["callees"]["endpoints"][1:]
    with pytest.raises(ValueError, match=r"found callees-0001\.2 on line 1, expected one on line 0 before it"):
        RunShare.model_validate(share)


def test_the_forecast_counts_endpoints_once_and_ports_for_each_call() -> None:
    found = forecast(parse_plan(paired(10, 2, "5:1")))
    assert (found.endpoints, found.calls, found.standing_calls, found.rtp_ports) == (12, 10, 10, 40)
    assert [group.role for group in found.groups] == ["answers calls", "calls group callees, 5:1"]


def test_a_step_of_a_search_has_the_receivers_that_it_needs() -> None:
    load = {"arrivals": "search", "calls": {"from": 2, "to": 10}, "rate": "50/s"}
    plan = parse_plan(paired(30, 6, "5:1", load=load))
    step = greatest_step(plan)
    assert (step.groups["callers"].endpoints, step.groups["callees"].endpoints) == (10, 2)
    assert Lines(step.groups).used("callees") == 2


def test_a_plan_with_a_pairing_is_written_and_read_back() -> None:
    plan = parse_plan(paired(10, 2, "5:1"))
    document = plan.to_document()
    assert document["groups"]["callers"]["call"]["pairing"] == "5:1"
    assert parse_plan(document) == plan
