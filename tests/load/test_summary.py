"""summary.json: the keys that others rely on, and figures counted once."""

from __future__ import annotations

import json
from array import array
from math import nan

from cmw.core.words import OutcomeKind, Verdict
from cmw.load.outcome import CallReport, MediaReport
from cmw.load.plan_parser import parse_plan
from cmw.load.summary import Summary, build_summary
from cmw.load.verdict_sentence import verdict_sentence
from cmw.metrics.grouped_samples import GroupedSamples
from tests.load.runs import INFO, busy, report, reports, summary, totals, wire

Q_KEYS = {"count", "mean", "min", "p5", "p50", "p95", "p99", "max"}


def test_the_document_has_the_parts_that_others_rely_on() -> None:
    document = json.loads(json.dumps(summary(thresholds={"call_success": ["rate >= 0.9"]}).to_document()))
    assert document["schema_version"] == 1
    assert document["run"].keys() == {"id", "name", "status", "verdict", "blame", "started_at", "duration_s"}
    assert document["endpoints"].keys() == {"total", "by_outcome", "by_phase"}
    assert document["registrations"] == {"attempted": 4, "succeeded": 4, "failed": 0}
    assert document["calls"] == {"attempted": 2, "answered": 2, "failed": 0, "by_status_code": {"200": 2}}
    wanted = {"time_to_trying_ms", "post_dial_delay_ms", "call_setup_time_ms", "call_duration_ms"}
    assert wanted <= document["timing"].keys()
    assert all(q.keys() == Q_KEYS for q in document["timing"].values())
    assert document["media"].keys() >= {"send", "receive", "one_way_calls", "silent_calls"}
    wanted = {"valid", "limits", "pacing_error_us", "packets_skipped", "loop_lag_ms", "cpu_seconds", "rss_bytes",
              "cpu_steal_ratio"}  # fmt: skip
    assert wanted <= document["generator"].keys()
    wanted = {"metric": "call_success", "expression": "rate >= 0.9", "value": 1.0, "passed": True}
    assert wanted.items() <= document["thresholds"][0].items()
    assert document["workers"] == [{"id": "w1", "name": "worker one", "endpoints": 4}]
    assert Summary.model_validate(document) == summary(thresholds={"call_success": ["rate >= 0.9"]})


def test_a_call_between_two_groups_counts_once_at_its_caller() -> None:
    result = summary(endpoints=[*reports()[:3], busy(3)])
    assert result.calls.model_dump() == {
        "attempted": 2, "answered": 1, "failed": 1, "by_status_code": {"200": 1, "486": 1},
    }  # fmt: skip


def test_calls_of_strangers_count_at_the_receiver() -> None:
    plan = parse_plan({"version": 1, "duration": "5s", "groups": {"callees": {"endpoints": 2}}})
    result = build_summary(INFO, plan, reports()[:2], GroupedSamples(), {"w1": totals()})
    assert result.calls.attempted == 2


def test_a_call_without_a_final_status_is_told_apart() -> None:
    lost = busy(3, outcome=OutcomeKind.TIMEOUT, call=CallReport(attempted=True, status_code=0))
    assert summary(endpoints=[lost]).calls.by_status_code == {"none": 1}


def test_answered_but_not_ended_well_is_a_failed_call() -> None:
    torn = report(3, "callers", outcome=OutcomeKind.TEARDOWN_ERROR)
    warned = report(2, "callers", outcome=OutcomeKind.COMPLETED_WITH_WARNINGS)
    result = summary(endpoints=[warned, torn])
    assert (result.calls.answered, result.calls.failed) == (2, 1)


def test_a_run_stopped_before_a_call_was_answered_has_not_passed() -> None:
    call = CallReport(attempted=True, target="sip:x@y")
    stopped = report(3, "callers", outcome=OutcomeKind.COMPLETED_WITH_WARNINGS, call=call)
    result = summary(endpoints=[*reports()[:3], stopped])
    assert result.run.verdict is Verdict.FAILED
    assert verdict_sentence(result) == "1 of 2 calls had no answer when the run was stopped. Blame: UNKNOWN."


def test_a_call_refused_as_the_plan_says_is_no_failure_of_its_callee() -> None:
    refused = report(1, "callees", call=CallReport(attempted=True, direction="inbound", status_code=486))
    assert summary(endpoints=[report(0, "callees"), refused, *reports()[2:]]).run.verdict is Verdict.PASSED


def test_gauges_describe_every_endpoint_and_second_and_counters_add_up() -> None:
    samples = GroupedSamples()
    samples.add((2, 3), {"receive.mos": array("f", [4.0, 3.0])})
    samples.add((2, 3), {"receive.mos": array("f", [4.0, float("nan")])})
    media = summary(samples=samples).media
    mos, sent = media.receive["mos"], media.send["packets_sent"]
    assert not isinstance(mos, int)
    assert mos is not None
    assert (mos.count, mos.min, mos.max) == (3, 3.0, 4.0)
    assert (sent, media.receive["packets_lost"], media.send["packets_lost"]) == (2000, -4, 4)


def test_what_nobody_measured_is_absent_and_not_zero() -> None:
    media = summary(endpoints=[report(2, "callers", media=MediaReport())]).media
    assert media.send["packets_sent"] is None
    mos = media.receive["mos"]
    assert not isinstance(mos, int)
    assert mos is not None
    assert (mos.count, mos.mean) == (0, None)


def test_thresholds_read_samples_timing_totals_and_rates() -> None:
    samples = GroupedSamples()
    samples.add((2, 3), {"receive.mos": array("f", [4.0, 3.0]), "send.mos": array("f", [4.25, nan])})
    result = summary(
        samples=samples,
        thresholds={
            "mos": ["min >= 3.5", "max <= 4.5"],
            "send.mos": "avg >= 4",
            "call_setup_time_ms": "p(95) < 200",
            "receive.packets_lost": "total <= 0",
            "one_way_calls": "count == 0",
            "registration_time_ms": "med < 5",
        },
    )
    assert [(t.value, t.passed) for t in result.thresholds] == [
        (3.0, False), (4.25, True), (4.25, True), (103.0, True), (-4.0, True), (0.0, True), (8.96337, False),
    ]  # fmt: skip


def test_thresholds_of_a_group_read_what_its_endpoints_measured() -> None:
    samples = GroupedSamples({0: "callees", 1: "callees", 2: "callers", 3: "callers"})
    samples.add((0, 1, 2, 3), {"receive.mos": array("f", [2.0, 2.0, 4.0, 3.0])})
    samples.add((0, 2), {"receive.mos": array("f", [1.0, 4.5])})
    result = summary(
        samples=samples,
        endpoints=[*reports()[:3], busy(3)],
        thresholds={
            "mos{group:callers}": ["min >= 2.5", "max >= 4.5"],
            "receive.mos{ group: callees }": "max <= 2",
            "mos": "min >= 1",
            "call_success{group:callers}": "rate >= 0.9",
            "call_success{group:callees}": "rate >= 0.9",
            "calls_failed{group:callers}": "count <= 0",
            "call_setup_time_ms{group:callees}": "avg < 1",
            "send.packets_lost{group:callees}": "total <= 2",
        },
    )
    assert [(t.metric, t.value, t.passed) for t in result.thresholds] == [
        ("mos{group:callers}", 3.0, True),
        ("mos{group:callers}", 4.5, True),
        ("receive.mos{ group: callees }", 2.0, True),
        ("mos", 1.0, True),
        ("call_success{group:callers}", 0.5, False),
        ("call_success{group:callees}", 1.0, True),
        ("calls_failed{group:callers}", 1.0, False),
        ("call_setup_time_ms{group:callees}", None, False),
        ("send.packets_lost{group:callees}", 2.0, True),
    ]


def test_an_absent_value_fails_its_threshold_and_says_so() -> None:
    (threshold,) = summary(thresholds={"rtt_ms": "avg < 100"}).thresholds
    assert (threshold.value, threshold.passed) == (None, False)
    assert "nothing was measured" in threshold.note


def test_failures_are_grouped_the_most_frequent_first() -> None:
    result = summary(endpoints=[busy(1, reason="other"), busy(2), busy(3)])
    assert [(f.reason, f.count, f.example) for f in result.failures] == [
        ("486 Busy Here", 2, "callers-0002"), ("other", 1, "callers-0001"),
    ]  # fmt: skip


def test_the_health_of_workers_adds_up() -> None:
    health = {"w1": totals(cpu_steal_ratio=None), "w2": totals(pacing_error_us=wire(50.0), packets_skipped=1)}
    generator = summary(health=health).generator
    assert (generator.pacing_error_us.count, generator.pacing_error_us.max) == (4, 50.0)
    assert (generator.cpu_seconds, generator.rss_bytes, generator.packets_skipped) == (7.0, 1 << 27, 1)
    assert (generator.cpu_steal_ratio, generator.scheduling) == (0.0, ["SCHED_OTHER"])


def test_one_way_and_silent_calls_are_counted() -> None:
    result = summary(endpoints=[report(2, "callers", one_way=True), report(3, "callers", silent=True)])
    assert (result.media.one_way_calls, result.media.silent_calls) == (1, 1)


def test_what_happened_in_calls_is_added_up_and_can_be_judged() -> None:
    first = {"redirects": 1, "transfers": 1, "session_timer_refreshes": 2, "scenario_actions_executed": 3}
    second = {"challenges": 2, "retransmissions": 1, "scenario_actions_executed": 1, "scenario_actions_failed": 1}
    rows = [report(2, "callers", signalling=first), report(3, "callers", signalling=second)]
    result = summary(endpoints=rows, thresholds={"scenario_actions_failed": "total == 0"})
    assert result.signalling.model_dump() == {
        "redirects": 1, "challenges": 2, "retransmissions": 1, "session_timer_refreshes": 2, "transfers": 1,
        "infos_received": 0, "messages_received": 0, "scenario_actions_executed": 4, "scenario_actions_failed": 1,
        "early_media_calls": 0,
    }  # fmt: skip
    [judged] = result.thresholds
    assert (judged.value, judged.passed) == (1.0, False)


def test_calls_with_odd_media_are_counted_and_named() -> None:
    odd = {"wrong_payload_type_packets": 3, "early_packets": 0, "packets_after_bye": 2}
    result = summary(
        endpoints=[
            report(2, "callers", one_way=True, one_way_missing="send", media=MediaReport(receive=odd)),
            report(
                3, "callers", one_way=True, one_way_missing="receive", media=MediaReport(receive={"early_packets": 4})
            ),
        ]
    )
    media = result.media
    assert media.one_way_missing == {"send": 1, "receive": 1}
    assert (media.wrong_payload_type_calls, media.early_packet_calls, media.packets_after_bye_calls) == (1, 1, 1)
