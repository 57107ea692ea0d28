"""Thresholds that end a run: judged over what is known by then."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from cmw.load.early_end import EarlyEnd, EarlyEndJudge, may_end_early
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from cmw.metrics.grouped_samples import GroupedSamples
from tests.load.documents import two_groups
from tests.load.runs import busy, report

GROUP_OF = {0: "callees", 1: "callees", 2: "callers", 3: "callers"}
MOS = "receive.mos"


def plan_of(**thresholds: Any) -> Plan:
    return parse_plan(two_groups(2, 2, thresholds=thresholds))


def judge(
    expression: str, metric: str = "mos", delay: str = "0s", samples: GroupedSamples | None = None
) -> EarlyEndJudge:
    rule = {"threshold": expression, "abort_on_fail": True, "delay": delay}
    return EarlyEndJudge(plan_of(**{metric: [rule]}), GROUP_OF, samples)


def test_only_those_that_say_so_may_end_a_run() -> None:
    assert not may_end_early(plan_of(mos=["p(5) >= 4", {"threshold": "avg > 4", "abort_on_fail": False}]))
    assert may_end_early(plan_of(mos=["p(5) >= 4", {"threshold": "avg > 4", "abort_on_fail": True}]))
    watched = EarlyEndJudge(plan_of(mos=["avg >= 4", {"threshold": "avg >= 2", "abort_on_fail": True}]), GROUP_OF)
    watched.add_samples([2], {MOS: array("f", [3.0])})
    assert watched.judge(1000) is None


def test_a_gauge_ends_a_run_by_all_that_was_measured_so_far() -> None:
    watched = judge("avg >= 4")
    assert watched.judge(0) is None
    watched.add_samples([2, 3], {MOS: array("f", [4.5, 4.5])})
    assert watched.judge(1000) is None
    watched.add_samples([2, 3], {MOS: array("f", [1.0, 1.0])})
    assert watched.judge(2500) == EarlyEnd(metric="mos", expression="avg >= 4", value=2.75, second=2)


def test_nothing_ends_a_run_before_its_delay() -> None:
    watched = judge("avg >= 4", delay="5s")
    watched.add_samples([2], {MOS: array("f", [1.0])})
    assert watched.judge(4999) is None
    assert watched.judge(5000) is not None


def test_calls_that_are_up_count_as_they_stand() -> None:
    watched = judge("rate >= 0.5", "call_success")
    watched.add_samples([0, 1, 2], {MOS: array("f", [4.0, 4.0, 4.0])})
    watched.add_report(busy(3))
    assert watched.judge(1000) is None  # one of two callers is in a call
    watched.add_report(busy(2))
    found = watched.judge(2000)
    assert found is not None
    assert found.value == 0.0


def test_a_group_is_judged_by_its_own_endpoints() -> None:
    samples = GroupedSamples(GROUP_OF)
    samples.add([0, 2], {MOS: array("f", [1.0, 4.5])})
    assert judge("avg >= 4", "mos{group:callers}", samples=samples).judge(1000) is None
    assert judge("avg >= 4", "mos{group:callees}", samples=samples).judge(1000) is not None


@pytest.mark.parametrize("metric", ["call_setup_time_ms", "registration_time_ms"])
def test_what_is_not_known_yet_ends_nothing(metric: str) -> None:
    watched = judge("p(95) < 1", metric)
    watched.add_samples([2], {MOS: array("f", [4.0])})
    assert watched.judge(1000) is None
    watched.add_report(report(2, "callers"))
    assert watched.judge(2000) is not None


def test_registrations_of_endpoints_in_calls_have_succeeded() -> None:
    document = two_groups(2, 2, thresholds={"registration_success": {"threshold": "rate >= 1", "abort_on_fail": True}})
    document["registrars"] = {"lab": {"domain": "pbx.example", "accounts": [{"username": "u", "password": "p"}] * 2}}
    document["groups"]["callers"]["registrar"] = "lab"
    watched = EarlyEndJudge(parse_plan(document), GROUP_OF)
    watched.add_samples([0, 2], {MOS: array("f", [4.0, 4.0])})
    assert watched.judge(1000) is None
