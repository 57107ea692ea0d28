"""Thresholds: read strictly, judged on every side that was measured, failed by absent values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.load.thresholds import Threshold, evaluate, metric_names, parse_threshold


def test_a_percentile_is_read() -> None:
    threshold = parse_threshold("mos", " p( 5 ) >= 4.0 ")
    assert (threshold.function, threshold.percent, threshold.comparison, threshold.limit) == ("p", 5.0, ">=", 4.0)
    assert threshold.sides == ("send", "receive")
    assert parse_threshold("receive.mos", "mean > 4").sides == ("receive",)


@pytest.mark.parametrize(
    ("short", "name"),
    [("RRD", "registration_time_ms"), ("srd", "session_request_delay_ms"), ("PDD{group:a}", "post_dial_delay_ms"),
     ("sdd", "session_disconnect_delay_ms"), ("SDT", "call_duration_ms")],
)  # fmt: skip
def test_delays_have_the_short_names_of_the_standard(short: str, name: str) -> None:
    threshold = parse_threshold(short, "p(95) < 300")
    assert (threshold.name, threshold.key, threshold.metric) == (name, name, short)


@pytest.mark.parametrize("name", ["ser", "SEER", "ISA", "SCR", "ASR", "ner"])
def test_ratios_are_known_in_capitals(name: str) -> None:
    assert parse_threshold(name, "rate >= 0.9").name == name.lower()


def test_a_metric_of_a_group_is_read() -> None:
    threshold = parse_threshold("receive.mos{ group: the callers }", "p(5) >= 4.0")
    assert (threshold.name, threshold.group, threshold.key) == ("receive.mos", "the callers", "mos")
    assert threshold.sides == ("receive",)


@pytest.mark.parametrize(
    ("metric", "expression", "message"),
    [
        ("mos", "rate > 1", "expected one of p(N), avg, min, max, med of mos"),
        ("mos", "p(101) > 1", "N from 0 to 100"),
        ("mos", "p() > 1", "expected a threshold such as"),
        ("mos", "avg > 4 and min > 3", "expected a threshold such as"),
        ("mos", "avg > 1e9", "expected a threshold such as"),
        ("packets_lost", "avg < 1", "expected one of total of packets_lost"),
        ("call_success", "count >= 1", "expected one of rate of call_success"),
        ("one_way_calls", "rate <= 0", "expected one of count of one_way_calls"),
        ("srtp_decrypt_failures", "sum < 1", "not measured by this version"),
        ("send.ssrc_switches", "total < 1", "is not a metric, expected receive.ssrc_switches"),
        ("send.call_setup_time_ms", "avg < 1", "is not a metric, expected call_setup_time_ms"),
        ("send.call_success", "rate > 0", "is not a metric"),
        ("jiter_ms", "avg < 1", "did you mean 'jitter_ms'?"),
        ("jiter_ms{group:callers}", "avg < 1", "did you mean 'jitter_ms'?"),
        ("mos{callers}", "avg < 1", "expected its name alone or with a group, such as mos{group:callers}"),
        ("mos{group:}", "avg < 1", "expected its name alone or with a group"),
        ("mos{group:a}{group:b}", "avg < 1", "expected its name alone or with a group"),
        ("mos{group:a", "avg < 1", "expected its name alone or with a group"),
    ],
)
def test_what_cannot_be_judged_is_refused(metric: str, expression: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_threshold(metric, expression)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("comparison", "holds"), [(">=", True), ("<=", True), ("==", True), ("!=", False), (">", False), ("<", False)]
)
def test_comparisons_at_their_limit(comparison: str, holds: bool) -> None:
    assert parse_threshold("mos", f"avg {comparison} 4").holds(4.0) is holds


def _judge(expression: str, **sides: float | None) -> tuple[float | None, bool]:
    (judgement,) = evaluate([parse_threshold("mos", expression)], lambda _, side: sides.get(side))
    return judgement.value, judgement.passed


def test_every_side_that_was_measured_must_hold_and_the_worse_is_shown() -> None:
    assert _judge("avg >= 4", send=4.5, receive=3.9) == (3.9, False)
    assert _judge("avg >= 4", send=4.5, receive=4.1) == (4.1, True)
    assert _judge("avg <= 4", send=3.0, receive=2.0) == (3.0, True)
    assert _judge("avg >= 4", send=None, receive=4.1) == (4.1, True)


def test_of_two_sides_that_fail_the_worse_is_shown() -> None:
    assert _judge("avg >= 4", send=3.5, receive=2.5) == (2.5, False)
    assert _judge("avg <= 1", send=3.5, receive=4.5) == (4.5, False)
    assert _judge("avg == 4", send=4.5, receive=2.5) == (2.5, False)


def test_an_absent_value_fails() -> None:
    assert _judge("avg >= 0") == (None, False)
    assert _judge("avg != 7") == (None, False)


def test_judgements_keep_the_order_of_the_plan() -> None:
    wanted = [
        parse_threshold("mos", "avg > 1"),
        parse_threshold("mos", "min > 2"),
        parse_threshold("asr", "rate > 0.5"),
    ]
    judged = evaluate(wanted, lambda threshold, _: 1.5 if isinstance(threshold, Threshold) else None)
    assert [judgement.passed for judgement in judged] == [True, False, True]


@given(st.sampled_from([*metric_names(), "receive.mos", "x"]) | st.text(max_size=10), st.text(max_size=30))
def test_no_text_does_more_than_raise_value_error(metric: str, expression: str) -> None:
    with pytest.raises(ValueError):
        parse_threshold(metric, expression + "\0")
