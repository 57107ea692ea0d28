"""What a report says of an endpoint, and what it keeps to itself."""

from __future__ import annotations

import pytest

from cmw.core.words import Blame, OutcomeKind, Phase
from cmw.load.outcome import EndpointReport
from cmw.worker.caller import Caller
from cmw.worker.measurement import CallFigures
from cmw.worker.reporting import MAX_TEXT, endpoint_report
from tests.worker.stage import Stage, snapshot


def closed(**figures: int) -> Caller:
    stage = Stage()
    caller: Caller = stage.make(Caller)
    if figures:
        caller.call.answered = True
        caller.figures = CallFigures("PCMA", 20, 0)
        caller.figures.finish(snapshot(**figures), 1_000_000_000)
    caller.abort()
    return caller


@pytest.mark.parametrize(
    ("sent", "received", "one_way", "silent"),
    [(50, 50, False, False), (50, 0, True, False), (0, 50, True, False), (0, 0, False, True)],
)
def test_one_way_and_silent(*, sent: int, received: int, one_way: bool, silent: bool) -> None:
    report = endpoint_report(closed(packets_sent=sent, packets_received=received), "r1")
    assert (report.one_way, report.silent) == (one_way, silent)
    assert report.call.codec == "PCMA"


def test_without_media_it_is_neither() -> None:
    report = endpoint_report(closed(), "r1")
    assert (report.one_way, report.silent, report.media.send, report.call.codec) == (False, False, {}, "")


def test_an_instant_that_a_timer_dated_ahead_makes_no_negative_span() -> None:
    caller = closed()
    times = caller.call.times
    times.answered_at, times.ended_at = 1_000_002_000, 1_000_000_000
    assert endpoint_report(caller, "r1").call.timing == {"call_duration_ms": 0}


def test_a_caller_knows_the_times_of_setup_and_a_callee_does_not() -> None:
    caller = closed()
    times = caller.call.times
    times.invite_at, times.trying_at, times.ringing_at, times.ringback_at = 0, 1_000_000, 2_000_000, 2_000_000
    times.answered_at, times.ended_at = 5_000_000, 9_000_000
    assert endpoint_report(caller, "r1").call.timing == {
        "time_to_trying_ms": 1,
        "time_to_ringing_ms": 2,
        "post_dial_delay_ms": 2,
        "session_request_delay_ms": 5,
        "call_setup_time_ms": 5,
        "call_duration_ms": 4,
    }
    caller.call.direction = "inbound"
    assert endpoint_report(caller, "r1").call.timing == {"call_duration_ms": 4}


def test_text_from_the_network_is_bounded_and_survives_the_wire() -> None:
    stage = Stage()
    caller = stage.make(Caller)
    caller.call.target = "sip:" + "x" * 70_000
    caller.call.call_id = "y" * 70_000
    caller.fail(OutcomeKind.CALL_FAILED, Blame.TARGET, "no \udcff " + "z" * 70_000)
    report = endpoint_report(caller, "r1")
    assert max(map(len, (report.reason, report.call.target, report.call.call_id))) == MAX_TEXT
    EndpointReport.model_validate(report.model_dump(mode="json"))


def test_success_blames_nobody() -> None:
    report = endpoint_report(closed(), "r1")
    assert (report.outcome, report.blame, report.phase) == (OutcomeKind.SUCCESS, None, Phase.INITIALIZING.name)
