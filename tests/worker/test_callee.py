"""Every way in which a call that we are offered can end."""

from __future__ import annotations

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.core.words import Blame, OutcomeKind, Phase
from cmw.load.outcome import EndpointReport
from cmw.sip import CallOffered
from cmw.sip.message import Request
from cmw.worker.callee import AnswerChoice, Callee
from cmw.worker.reporting import endpoint_report
from tests.support.sip_party import SDP
from tests.worker.stage import HERE, Stage

URI = f"sip:callees-0001@{HERE}"
TINY = 10 * MILLISECOND
SDP_THERE = SDP.replace(b"127.0.0.1", b"10.0.0.2")


def expect(stage: Stage, answering: AnswerChoice | None = None, wait_ns: int = 60 * SECOND) -> Callee:
    """Make a callee that takes whatever call comes."""
    callee: Callee = stage.make(Callee, name="callees-0001", user="callees-0001", group="callees")
    callee.answering = answering or AnswerChoice()

    def take(offer: CallOffered) -> Callee | int:
        return callee if callee.can_take() else 486

    stage.station.takers.append(take)
    callee.prepare()
    callee.expect_call(stage.link.now + wait_ns)
    return callee


def call(stage: Stage, body: bytes = SDP_THERE) -> Request:
    request = stage.party.request("INVITE", URI, body=body)
    stage.party.send(request, HERE)
    return request


def in_dialog(stage: Stage, method: str, cseq: int, body: bytes = b"", branch: str = "") -> Request:
    tag = stage.party.responses("INVITE")[-1].to.tag
    request = stage.party.request(method, URI, cseq=cseq, to=f"<{URI}>;tag={tag}", body=body, branch=branch)
    stage.party.send(request, HERE)
    return request


def finish(stage: Stage, callee: Callee) -> EndpointReport:
    stage.station.takers.clear()
    stage.quiet()
    assert stage.closed == [callee]
    assert stage.leaves_nothing()
    return endpoint_report(callee, "r1")


def test_a_call_that_goes_well() -> None:
    stage = Stage()
    callee = expect(stage, AnswerChoice(after_ns=500 * MILLISECOND))
    call(stage)
    assert stage.party.statuses("INVITE") == [100, 180]
    assert callee.lifecycle.phase is Phase.RINGING
    stage.after(500 * MILLISECOND)
    assert stage.party.statuses("INVITE") == [100, 180, 200]
    in_dialog(stage, "ACK", 1)
    assert callee.lifecycle.phase is Phase.INCALL
    stage.after(10 * SECOND)
    in_dialog(stage, "BYE", 2)
    report = finish(stage, callee)
    assert (report.outcome, report.reason, report.phase) == (OutcomeKind.SUCCESS, "", "INCALL")
    assert (report.call.direction, report.call.target) == ("inbound", "sip:party@10.0.0.2:5060")
    assert (report.call.status_code, report.call.answered, report.call.call_id) == (200, True, "c1")
    assert set(report.call.timing) == {"call_duration_ms"}
    assert report.call.timing["call_duration_ms"] == pytest.approx(10_000, abs=20)


def test_nothing_rings_when_it_is_not_wanted() -> None:
    stage = Stage()
    callee = expect(stage, AnswerChoice(ring=False))
    call(stage)
    assert stage.party.statuses("INVITE") == [100, 200]
    callee.close_now()
    stage.station.takers.clear()


def test_no_call_comes() -> None:
    stage = Stage()
    callee = expect(stage)
    report = finish(stage, callee)
    assert (report.outcome, report.blame) == (OutcomeKind.TIMEOUT, Blame.UNKNOWN)
    assert report.reason == "receiver wait timeout: no call came"
    assert not report.call.attempted


def test_a_call_before_it_is_expected_is_taken_and_not_waited_for() -> None:
    stage = Stage()
    callee = expect(stage, AnswerChoice(after_ns=SECOND))
    call(stage)
    callee.expect_call(stage.link.now + 1)  # comes late: the call is there already
    stage.after(2 * SECOND)
    assert callee.lifecycle.phase is Phase.INCALL
    in_dialog(stage, "ACK", 1)
    in_dialog(stage, "BYE", 2)
    assert finish(stage, callee).outcome is OutcomeKind.SUCCESS


def test_refused_as_the_plan_says() -> None:
    stage = Stage()
    callee = expect(stage, AnswerChoice(after_ns=SECOND, reject=486))
    call(stage)
    stage.after(2 * SECOND)
    assert stage.party.statuses("INVITE")[:3] == [100, 180, 486]
    report = finish(stage, callee)
    assert (report.outcome, report.reason) == (OutcomeKind.SUCCESS, "refused the call, as it should")
    assert (report.call.status_code, report.call.answered) == (486, False)


def test_the_caller_gives_up() -> None:
    stage = Stage()
    callee = expect(stage, AnswerChoice(after_ns=5 * SECOND))
    request = call(stage)
    branch = request.top_via.branch
    cancel = stage.party.request("CANCEL", URI, branch=branch, cseq=1)
    stage.party.send(cancel, HERE)
    report = finish(stage, callee)
    assert (report.outcome, report.blame) == (OutcomeKind.CALL_FAILED, Blame.UNKNOWN)
    assert report.reason == "the caller gave up while it rang"
    assert report.call.status_code == 487


def test_an_offer_that_shares_no_codec() -> None:
    stage = Stage()
    callee = expect(stage)
    call(stage, SDP_THERE.replace(b"RTP/AVP 0", b"RTP/AVP 18").replace(b"0 PCMU", b"18 G729"))
    refusal = stage.party.responses("INVITE")[-1]
    assert (refusal.status, refusal.headers.get("Warning")) == (488, '305 cmw "Incompatible media format"')
    report = finish(stage, callee)
    assert (report.outcome, report.blame, report.call.status_code) == (
        OutcomeKind.NEGOTIATION_FAILED,
        Blame.TARGET,
        488,
    )


def test_our_200_is_never_acknowledged() -> None:
    stage = Stage()
    callee = expect(stage)
    call(stage)
    report = finish(stage, callee)
    assert (report.outcome, report.blame, report.reason) == (
        OutcomeKind.TIMEOUT,
        Blame.TARGET,
        "our 200 was never acknowledged",
    )


def test_an_answer_later_than_a_call_may_ring_is_nobodys_timeout_but_ours() -> None:
    stage = Stage()
    callee = expect(stage, AnswerChoice(after_ns=200 * SECOND))
    call(stage)
    report = finish(stage, callee)
    assert report.outcome is OutcomeKind.TIMEOUT
    assert report.blame is Blame.UNKNOWN
    assert "as long as it may ring" in report.reason


def test_an_invite_without_an_offer_is_answered_with_one() -> None:
    stage = Stage()
    callee = expect(stage)
    call(stage, b"")
    assert b"m=audio 10000" in stage.party.responses("INVITE")[-1].body
    assert callee.lifecycle.phase is Phase.NEGOTIATING
    in_dialog(stage, "ACK", 1, SDP_THERE)
    assert callee.lifecycle.phase is Phase.INCALL
    in_dialog(stage, "BYE", 2)
    assert finish(stage, callee).outcome is OutcomeKind.SUCCESS


def test_an_ack_that_does_not_answer_our_offer_is_hung_up() -> None:
    stage = Stage()
    callee = expect(stage)
    call(stage, b"")
    in_dialog(stage, "ACK", 1)
    stage.after(TINY)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    report = finish(stage, callee)
    assert report.outcome is OutcomeKind.NEGOTIATION_FAILED
    assert report.reason.startswith("the answer in the ACK cannot be used: ")


def test_a_caller_that_never_hangs_up() -> None:
    stage = Stage()
    callee = expect(stage)
    call(stage)
    in_dialog(stage, "ACK", 1)
    stage.after(42 * SECOND)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    report = finish(stage, callee)
    assert (report.outcome, report.reason) == (
        OutcomeKind.COMPLETED_WITH_WARNINGS,
        "the caller did not hang up within 42 s",
    )


def test_no_slot_is_left() -> None:
    stage = Stage(slots=0)
    callee = expect(stage)
    call(stage)
    assert stage.party.statuses("INVITE")[-1] == 503
    report = finish(stage, callee)
    assert (report.outcome, report.blame, report.call.status_code) == (OutcomeKind.OSERROR, Blame.WORKER, 503)
    assert report.reason == "all 0 media slots are in use"


def test_aborted_while_it_rings() -> None:
    stage = Stage()
    callee = expect(stage, AnswerChoice(after_ns=5 * SECOND))
    call(stage)
    callee.abort()
    callee.abort()
    stage.after(TINY)
    assert stage.party.statuses("INVITE")[-1] == 480
    report = finish(stage, callee)
    assert (report.call.status_code, report.call.answered) == (480, False)


def test_aborted_before_the_ack_it_hangs_up_after_it() -> None:
    stage = Stage()
    callee = expect(stage)
    call(stage)
    callee.abort()
    stage.after(TINY)
    assert stage.party.requests("BYE") == []
    in_dialog(stage, "ACK", 1)
    stage.after(TINY)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    assert finish(stage, callee).outcome is OutcomeKind.SUCCESS


def test_it_takes_one_call_only() -> None:
    stage = Stage()
    callee = expect(stage)
    call(stage)
    second = stage.party.request("INVITE", URI, call_id="c2", from_tag="from2", body=SDP_THERE)
    stage.party.send(second, HERE)
    assert 486 in stage.party.statuses("INVITE")
    callee.close_now()
    stage.station.takers.clear()


def reoffer(stage: Stage, cseq: int, body: bytes) -> int:
    """Send a re-INVITE, acknowledge its answer, and return the status."""
    in_dialog(stage, "INVITE", cseq, body)
    stage.after(TINY)
    return stage.party.statuses("INVITE")[-1]


def test_hold_and_resume() -> None:
    stage = Stage()
    callee = expect(stage)
    call(stage, SDP_THERE + b"a=sendonly\r\n")
    in_dialog(stage, "ACK", 1)
    (stream,) = stage.engine.streams.values()
    assert stream.is_muted
    assert reoffer(stage, 2, SDP_THERE.replace(b"4000", b"4010")) == 200
    in_dialog(stage, "ACK", 2)
    assert stream.changes == ["muted", "to 10.0.0.2:4010", "sending"]
    assert reoffer(stage, 3, SDP_THERE.replace(b"10.0.0.2", b"0.0.0.0")) == 200
    in_dialog(stage, "ACK", 3)
    assert stream.is_muted
    in_dialog(stage, "BYE", 4)
    finish(stage, callee)


def test_the_answer_to_an_offer_that_we_were_asked_for_is_followed() -> None:
    stage = Stage()
    callee = expect(stage)
    call(stage)
    in_dialog(stage, "ACK", 1)
    assert reoffer(stage, 2, b"") == 200
    assert b"RTP/AVP 0 101\r\n" in stage.party.responses("INVITE")[-1].body  # the codec of the call and no other
    in_dialog(stage, "ACK", 2, SDP_THERE.replace(b"4000", b"4020"))
    (stream,) = stage.engine.streams.values()
    assert stream.changes == ["to 10.0.0.2:4020", "sending"]
    in_dialog(stage, "BYE", 3)
    assert finish(stage, callee).outcome is OutcomeKind.SUCCESS


@pytest.mark.parametrize(
    "body",
    [
        SDP_THERE.replace(b"RTP/AVP 0", b"RTP/AVP 8").replace(b"0 PCMU", b"8 PCMA"),
        SDP_THERE.replace(b"RTP/AVP 0", b"RTP/AVP 96").replace(b"0 PCMU", b"96 PCMU"),
        SDP_THERE.replace(b"IP4 10.0.0.2", b"IP6 2001:db8::2"),
    ],
    ids=["codec", "payload type", "family"],
)
def test_a_change_that_the_stream_cannot_follow_is_refused_and_the_call_goes_on(body: bytes) -> None:
    stage = Stage()
    callee = expect(stage)
    call(stage)
    in_dialog(stage, "ACK", 1)
    assert reoffer(stage, 2, body) == 488
    assert callee.lifecycle.phase is Phase.INCALL
    (stream,) = stage.engine.streams.values()
    assert stream.changes == []
    in_dialog(stage, "ACK", 2)
    assert reoffer(stage, 3, SDP_THERE.replace(b"4000", b"4010")) == 200  # nothing of what was refused is left
    in_dialog(stage, "ACK", 3)
    in_dialog(stage, "BYE", 4)
    assert finish(stage, callee).outcome is OutcomeKind.SUCCESS


def test_fax_is_refused_and_the_call_goes_on() -> None:
    stage = Stage()
    callee = expect(stage)
    call(stage)
    in_dialog(stage, "ACK", 1)
    fax = b"m=image 4002 udptl t38\r\na=T38FaxVersion:0\r\n"
    assert reoffer(stage, 2, SDP_THERE + fax) == 200
    assert b"m=image 0 udptl t38\r\n" in stage.party.responses("INVITE")[-1].body
    in_dialog(stage, "ACK", 2)
    assert reoffer(stage, 3, SDP_THERE.replace(b"m=audio 4000", b"m=audio 0") + fax) == 488
    assert stage.party.responses("INVITE")[-1].headers.get("Warning") == '304 cmw "Media type not available"'
    in_dialog(stage, "ACK", 3)
    (stream,) = stage.engine.streams.values()
    assert stream.changes == ["sending"]
    in_dialog(stage, "BYE", 4)
    assert finish(stage, callee).outcome is OutcomeKind.SUCCESS


def test_an_answer_during_the_call_that_cannot_be_used_is_a_warning() -> None:
    stage = Stage()
    callee = expect(stage)
    call(stage)
    in_dialog(stage, "ACK", 1)
    assert reoffer(stage, 2, b"") == 200
    in_dialog(stage, "ACK", 2, SDP_THERE.replace(b"RTP/AVP 0", b"RTP/AVP 8").replace(b"0 PCMU", b"8 PCMA"))
    in_dialog(stage, "BYE", 3)
    report = finish(stage, callee)
    assert report.outcome is OutcomeKind.COMPLETED_WITH_WARNINGS
    assert report.reason.startswith("an answer during the call cannot be used: ")
