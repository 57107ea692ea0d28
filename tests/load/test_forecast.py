"""What a plan would do."""

from __future__ import annotations

from typing import Any

import pytest

from cmw.load.forecast import Forecast, forecast
from cmw.load.plan_parser import parse_plan
from tests.load.documents import registered, two_groups


def forecast_of(document: dict[str, Any]) -> Forecast:
    return forecast(parse_plan(document))


def test_calls_between_two_groups_have_two_ends_here() -> None:
    found = forecast_of(two_groups(100, 100, duration="4s"))
    assert (found.endpoints, found.calls, found.standing_calls, found.rtp_ports) == (200, 100, 40, 400)
    assert (found.packets_per_second, found.bandwidth_bps) == (4000, 80 * 80_000)
    assert (found.last_call_ends_s, found.hold_s) == (13.9, 4)
    callees, callers = found.groups
    assert (callees.role, callees.arrivals, callees.first_call_s) == ("answers calls", None, None)
    assert (callers.role, callers.arrivals, callers.peak_calls_per_second) == ("calls group callees", "constant", 10)
    assert (callers.first_call_s, callers.last_call_s) == (0, 9.9)


def test_calls_to_a_server_have_one_end_here() -> None:
    group = {"endpoints": 50, "call": {"uri": "sip:600@127.0.0.1"}, "load": {"arrivals": "all-at-once"}}
    found = forecast_of({"version": 1, "duration": "10s", "groups": {"callers": group}})
    assert (found.standing_calls, found.packets_per_second, found.last_call_ends_s) == (50, 2500, 10)
    assert found.groups[0].role == "calls sip:600@127.0.0.1"


def test_a_group_that_strangers_call_may_be_busy_all_at_once() -> None:
    found = forecast_of({"version": 1, "duration": "10s", "groups": {"in": {"endpoints": 7}}})
    assert (found.calls, found.standing_calls, found.packets_per_second) == (7, 7, 350)
    assert (found.timeline, found.last_call_ends_s) == ([], None)


@pytest.mark.parametrize(
    ("answer", "role"),
    [({"reject": 486}, "rejects calls with 486"), ({"redirect": "sip:1@h"}, "redirects calls"), ({}, "answers calls")],
)
def test_the_role_of_who_waits_is_told(answer: dict[str, Any], role: str) -> None:
    document = {"version": 1, "duration": "10s", "groups": {"in": {"endpoints": 1, "answer": answer}}}
    assert forecast_of(document).groups[0].role == role


def test_registrations_begin_at_their_rate() -> None:
    found = forecast_of(registered(4))
    assert (found.registrations, found.registered_after_s) == (4, 0.06)
    assert forecast_of(two_groups()).registered_after_s is None


def test_the_timeline_goes_from_the_first_call_to_the_end_of_the_last() -> None:
    timeline = forecast_of(two_groups(100, 100, duration="4s")).timeline
    assert (timeline[0].at_s, timeline[0].started, timeline[0].standing) == (0, 1, 1)
    assert (timeline[-1].at_s, timeline[-1].started, timeline[-1].standing) == (13.9, 100, 0)
    assert max(point.standing for point in timeline) == 40
    assert [point.started for point in timeline] == sorted(point.started for point in timeline)


def test_repeats_are_further_calls_of_the_same_endpoints() -> None:
    group = {
        "endpoints": 5,
        "call": {"uri": "sip:600@127.0.0.1"},
        "load": {"arrivals": "all-at-once"},
        "repeats": 3,
        "pause": "2s",
    }
    found = forecast_of({"version": 1, "duration": "10s", "groups": {"callers": group}})
    assert (found.endpoints, found.calls, found.standing_calls, found.rtp_ports) == (5, 20, 5, 10)
    assert (found.last_call_ends_s, found.groups[0].last_call_s) == (46, 36)
