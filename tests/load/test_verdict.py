"""The generator is judged first, then the run."""

from __future__ import annotations

from typing import Any

import pytest

from cmw.core.words import Blame, OutcomeKind, RunStatus, Verdict
from cmw.load.exit_code import exit_code
from cmw.load.generator_bounds import BOUNDS, WindowReading, broken_by
from cmw.load.outcome import EndpointReport, RunTotals, UntrustedSecond
from cmw.load.summary import RunInfo
from cmw.load.verdict import generator_limits
from cmw.load.verdict_sentence import verdict_sentence
from tests.load.runs import INFO, busy, report, reports, summary, totals, wire


@pytest.mark.parametrize(
    ("changes", "resource", "metric"),
    [
        ({"pacing_error_us": wire(*[20_000.0] * 5)}, "media thread", "pacing_error_us p99"),
        ({"packets_skipped": 20}, "media thread", "packets_skipped ratio"),
        ({"send_errors": 20}, "network interface", "send_errors ratio"),
        ({"kernel_drops": 20}, "socket buffers", "kernel_drops ratio"),
        ({"sip_kernel_drops": 2}, "SIP socket buffer", "sip_kernel_drops ratio"),
        ({"sip_unsent": 2}, "SIP socket buffer", "sip_unsent ratio"),
        ({"loop_lag_ms": wire(*[80.0] * 5)}, "signalling loop", "loop_lag_ms p99"),
        ({"cpu_steal_ratio": 0.2}, "host CPU", "cpu_steal_ratio"),
        ({"pacing_error_us": None}, "media thread", "pacing_error_us"),
        ({"shortages": {"RTP ports": 1}}, "RTP ports", "calls without RTP ports"),
        ({"shortages": {"media slots": 1}}, "media slots", "calls without media slots"),
        ({"shortages": {"descriptors": 1}}, "descriptors", "calls without descriptors"),
    ],
)
def test_each_bound_invalidates_the_run_and_names_its_resource(
    changes: dict[str, Any], resource: str, metric: str
) -> None:
    result = summary(health={"w1": totals(**changes)})
    (limit,) = result.generator.limits
    assert (limit.resource, limit.metric, limit.worker) == (resource, metric, "worker one")
    assert limit.reason
    assert (result.run.verdict, result.generator.valid, exit_code(result)) == (Verdict.INVALID, False, 97)


def test_a_healthy_generator_has_no_limits_at_its_bounds() -> None:
    assert generator_limits({"w": totals(cpu_steal_ratio=0.05, packets_skipped=10)}, {"w": "w"}, reports()) == []


def test_what_was_not_measured_breaks_no_bound() -> None:
    idle = totals(
        pacing_error_us=None, loop_lag_ms=None, packets_sent=0, packets_received=0, kernel_drops=None,
        sip_datagrams_received=0, sip_datagrams_sent=0, sip_kernel_drops=None,
        cpu_steal_ratio=None,
    )  # fmt: skip
    assert generator_limits({"w": idle}, {"w": "w"}, reports()) == []


def test_a_sick_worker_does_not_hide_among_healthy_ones() -> None:
    health = {f"w{k}": totals() for k in range(20)} | {"sick": totals(cpu_steal_ratio=0.5)}
    names = {worker: f"name of {worker}" for worker in health}
    assert [limit.worker for limit in generator_limits(health, names, [])] == ["name of sick"]


def test_limits_name_the_worker_and_add_the_id_where_two_have_the_same_name() -> None:
    ours = [
        report(index, "callers", worker="twin", worker_id=worker, outcome=OutcomeKind.OSERROR, blame=Blame.WORKER)
        for index, worker in enumerate(["id-1", "id-2", "id-3"])
    ]
    names = {"id-1": "twin", "id-2": "twin", "id-3": "other"}
    limits = generator_limits({"id-1": totals(cpu_steal_ratio=0.5)}, names, ours)
    assert [(limit.metric, limit.worker) for limit in limits] == [
        ("run totals", "twin (id-2)"),
        ("run totals", "other"),
        ("cpu_steal_ratio", "twin (id-1)"),
        ("endpoints failed by the worker, ratio", "twin (id-1)"),
        ("endpoints failed by the worker, ratio", "twin (id-2)"),
        ("endpoints failed by the worker, ratio", "other"),
    ]


def test_a_worker_that_never_reported_its_end_makes_the_run_invalid() -> None:
    result = summary(health={})
    assert (result.run.verdict, result.generator.limits[0].metric) == (Verdict.INVALID, "run totals")


def test_failures_of_our_own_make_the_run_invalid() -> None:
    ours = report(3, "callers", outcome=OutcomeKind.OSERROR, blame=Blame.WORKER, reason="no RTP port is free")
    result = summary(endpoints=[*reports()[:3], ours])
    assert result.run.verdict is Verdict.INVALID
    assert "no RTP port is free" in result.generator.limits[0].reason


def test_every_bound_says_why() -> None:
    assert all(bound.reason and bound.resource and bound.window_most >= (bound.most or 0) for bound in BOUNDS)


@pytest.mark.parametrize(
    ("thresholds", "failing", "verdict", "code"),
    [
        ({}, False, Verdict.PASSED, 0),
        ({}, True, Verdict.FAILED, 1),
        ({"call_success": "rate >= 0.5"}, True, Verdict.PASSED, 0),
        ({"call_success": "rate >= 0.99"}, True, Verdict.FAILED, 99),
        ({"call_success": "rate >= 0.99"}, False, Verdict.PASSED, 0),
        ({"rtt_ms": "avg < 100"}, False, Verdict.FAILED, 99),
    ],
)
def test_thresholds_decide_when_there_are_any(
    thresholds: dict[str, str], failing: bool, verdict: Verdict, code: int
) -> None:
    endpoints = [*reports()[:3], busy(3)] if failing else reports()
    result = summary(thresholds=thresholds, endpoints=endpoints)
    assert (result.run.verdict, exit_code(result)) == (verdict, code)


@pytest.mark.parametrize(
    ("thresholds", "endpoints", "health", "blame"),
    [
        ({}, reports(), totals(), None),
        ({"call_success": "rate >= 1"}, [*reports()[:3], busy(3)], totals(), Blame.TARGET),
        ({}, [*reports()[:3], busy(3, blame=Blame.UNKNOWN)], totals(), Blame.UNKNOWN),
        ({}, [*reports()[:1], busy(1), busy(2, blame=Blame.UNKNOWN), busy(3)], totals(), Blame.TARGET),
        ({"call_setup_time_ms": "p(95) < 10"}, reports(), totals(), Blame.TARGET),
        ({"rtt_ms": "avg < 100"}, reports(), totals(), Blame.UNKNOWN),
        ({"call_setup_time_ms": "p(95) < 10"}, reports(), totals(cpu_steal_ratio=0.5), Blame.WORKER),
    ],
    ids=["passed", "refused", "nobody knows", "most", "slow", "not measured", "generator"],
)
def test_who_is_to_blame_for_the_verdict(
    thresholds: dict[str, str], endpoints: list[EndpointReport], health: RunTotals, blame: Blame | None
) -> None:
    result = summary(thresholds=thresholds, endpoints=endpoints, health={"w1": health})
    assert result.run.blame is blame
    assert (f"Blame: {blame}." in verdict_sentence(result)) is (result.run.verdict is Verdict.FAILED)


@pytest.mark.parametrize("thresholds", [{}, {"registration_success": "rate >= 1"}])
def test_a_run_without_a_call_never_passes(thresholds: dict[str, str]) -> None:
    quiet = [one.model_copy(update={"call": one.call.model_copy(update={"attempted": False})}) for one in reports()]
    result = summary(thresholds=thresholds, endpoints=quiet)
    assert (result.run.verdict, exit_code(result)) == (Verdict.FAILED, 1)


@pytest.mark.parametrize(("status", "code"), [(RunStatus.FAILED, 1), (RunStatus.CANNOT_RUN_FOR_NOW, 75)])
def test_a_run_that_did_not_complete_fails(status: RunStatus, code: int) -> None:
    result = summary(info=RunInfo(id="r", status=status))
    assert (result.run.verdict, exit_code(result)) == (Verdict.FAILED, code)


def test_invalid_comes_before_thresholds() -> None:
    result = summary(thresholds={"call_success": "rate > 1"}, health={"w1": totals(cpu_steal_ratio=0.5)}, info=INFO)
    assert exit_code(result) == 97


def untrusted(*seconds: int, bound: int = 2, value: float = 120.0) -> list[UntrustedSecond]:
    return [UntrustedSecond(second=second, bound=bound, value=value) for second in seconds]


READINGS = {
    "pacing_error_us p99": WindowReading(pacing_p99_us=10_001),
    "packets_skipped ratio": WindowReading(packets_sent=98, packets_skipped=2),
    "media_stall_ms": WindowReading(media_stall_ms=40.1),
    "send_errors ratio": WindowReading(packets_sent=98, send_errors=2),
    "kernel_drops ratio": WindowReading(packets_received=98, kernel_drops=2),
    "sip_kernel_drops ratio": WindowReading(sip_datagrams_received=98, sip_kernel_drops=2),
    "sip_unsent ratio": WindowReading(sip_datagrams_sent=98, sip_unsent=2),
    "loop_lag_ms p99": WindowReading(loop_lag_ms=101),
    "cpu_steal_ratio": WindowReading(cpu_steal_ratio=0.11),
    "calls without RTP ports": WindowReading(shortages={"RTP ports": 1}),
    "calls without media slots": WindowReading(shortages={"media slots": 1}),
    "calls without descriptors": WindowReading(shortages={"descriptors": 1}),
}


def test_each_bound_of_a_second_is_tripped_by_its_reading_and_by_no_other() -> None:
    assert READINGS.keys() == {bound.metric for bound in BOUNDS}
    for metric, reading in READINGS.items():
        [(number, value)] = broken_by(reading)
        assert BOUNDS[number].metric == metric
        assert value > BOUNDS[number].window_most


@pytest.mark.parametrize("reading", [WindowReading(), WindowReading(packets_sent=5000, loop_lag_ms=100.0)])
def test_a_second_that_nothing_is_known_of_or_within_its_bounds_counts(reading: WindowReading) -> None:
    assert broken_by(reading) == []


def test_few_untrusted_seconds_are_marked_and_do_no_harm() -> None:
    result = summary(health={"w1": totals(seconds=30, untrusted_seconds=3, untrusted=untrusted(4, 5, 9))})
    assert result.generator.valid
    assert (result.generator.seconds, result.generator.untrusted_seconds) == (30, 3)
    first = result.generator.untrusted[0]
    assert (first.worker, first.second, first.resource, first.metric) == (
        "worker one",
        4,
        "media thread",
        "media_stall_ms",
    )
    assert (first.value, first.bound) == (120, 40)
    short = summary(health={"w1": totals(seconds=3, untrusted_seconds=2, untrusted=untrusted(0, 1))})
    assert short.generator.valid


def test_too_many_untrusted_seconds_make_the_run_invalid_by_resource_and_first_second() -> None:
    rows = untrusted(7, bound=5, value=150.0) + untrusted(8, 9, 10)
    result = summary(health={"w1": totals(seconds=30, untrusted_seconds=4, untrusted=rows)})
    (limit,) = result.generator.limits
    assert (limit.resource, limit.metric, limit.first_second) == ("media thread", "untrusted seconds ratio", 7)
    assert limit.value == pytest.approx(4 / 30, rel=1e-4)
    assert "4 of 30 seconds, mostly by media_stall_ms: up to 120, in one second at most 40" in limit.reason
    assert result.run.verdict is Verdict.INVALID
    assert "first in second 7" in verdict_sentence(result)


def test_a_broken_bound_of_the_run_tells_the_second_in_which_it_showed_first() -> None:
    rows = untrusted(12, 11, bound=1, value=0.5)
    (limit,) = summary(
        health={"w1": totals(packets_skipped=20, seconds=30, untrusted_seconds=2, untrusted=rows)}
    ).generator.limits
    assert (limit.metric, limit.first_second) == ("packets_skipped ratio", 11)


def test_a_run_that_is_above_its_bound_by_many_seconds_within_theirs_tells_the_first_of_them() -> None:
    little = totals(
        packets_skipped=20, seconds=30, first_seconds={"packets_skipped ratio": 4, "pacing_error_us p99": 1}
    )
    result = summary(health={"w1": little})
    (limit,) = result.generator.limits
    assert (limit.metric, limit.first_second) == ("packets_skipped ratio", 4)
    assert "first in second 4" in verdict_sentence(result)


def test_bounds_of_a_newer_worker_are_passed_over() -> None:
    result = summary(health={"w1": totals(seconds=30, untrusted_seconds=20, untrusted=untrusted(1, bound=99))})
    assert result.generator.untrusted == []
    assert result.generator.limits == []
