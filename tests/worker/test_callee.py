"""Every way in which a call that we are offered can end."""

from __future__ import annotations

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.core.words import Blame, OutcomeKind, Phase
from cmw.load.outcome import EndpointReport
from cmw.net.media import ReceivedFormat
from cmw.sip import CallOffered
from cmw.sip.message import Request
from cmw.worker.call_media import AudioChoice, CallMedia
from cmw.worker.callee import AnswerChoice, Callee
from cmw.worker.reporting import endpoint_report
from tests.support.sip_party import SDP
from tests.worker.stage import HERE, Stage, Stream

URI = f"sip:callees-0001@{HERE}"
TINY = 10 * MILLISECOND
SDP_THERE = SDP.replace(b"127.0.0.1", b"10.0.0.2")
PCMA_THERE = SDP_THERE.replace(b"RTP/AVP 0", b"RTP/AVP 8").replace(b"0 PCMU", b"8 PCMA")


def expect(
    stage: Stage, answering: AnswerChoice | None = None, wait_ns: int = 60 * SECOND, audio: AudioChoice | None = None
) -> Callee:
    """Make a callee that takes whatever call comes."""
    callee: Callee = stage.make(
        Callee, name="callees-0001", user="callees-0001", group="callees", audio=audio or AudioChoice()
    )
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


def test_it_rings_for_ever_until_the_caller_gives_up() -> None:
    stage = Stage()
    callee = expect(stage, AnswerChoice(rings_on=True))
    request = call(stage)
    stage.after(20 * SECOND)
    assert stage.party.statuses("INVITE") == [100, 180]
    cancel = stage.party.request("CANCEL", URI, branch=request.top_via.branch, cseq=1)
    stage.party.send(cancel, HERE)
    report = finish(stage, callee)
    assert (report.outcome, report.reason) == (OutcomeKind.SUCCESS, "rang until the caller gave up, as it should")
    assert (report.call.status_code, report.call.answered, report.phase) == (487, False, Phase.RINGING.name)


def test_ringing_for_ever_ends_with_the_run_when_a_caller_does_not_give_up() -> None:
    stage = Stage()
    callee = expect(stage, AnswerChoice(rings_on=True))
    call(stage)
    settings = callee.settings
    stage.after(settings.setup_timeout_ns + settings.hold_limit_ns + SECOND)
    assert 480 in stage.party.statuses("INVITE")
    assert finish(stage, callee).outcome is OutcomeKind.SUCCESS


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
    assert (report.phase, report.call.answered) == ("NEGOTIATING", True)  # INCALL is when both sides have confirmed


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
    assert b"RTP/AVP 0 8 101\r\n" in stage.party.responses("INVITE")[-1].body  # the codec of the call comes first
    in_dialog(stage, "ACK", 2, SDP_THERE.replace(b"4000", b"4020"))
    (stream,) = stage.engine.streams.values()
    assert stream.changes == ["to 10.0.0.2:4020", "sending"]
    in_dialog(stage, "BYE", 3)
    assert finish(stage, callee).outcome is OutcomeKind.SUCCESS


@pytest.mark.parametrize(
    ("wish", "ptime_ms"),
    [
        (b"", 20),
        (b"a=ptime:30\r\n", 30),
        (b"a=ptime:60\r\na=maxptime:40\r\n", 40),
        (b"a=maxptime:10\r\n", 10),
        (b"a=ptime:25\r\n", 20),
    ],
)
def test_the_packet_time_is_what_the_peer_asks_for(wish: bytes, ptime_ms: int) -> None:
    stage = Stage()
    callee = expect(stage)
    call(stage, SDP_THERE + wish)
    in_dialog(stage, "ACK", 1)
    (stream,) = stage.engine.streams.values()
    assert stream.settings is not None
    assert stream.settings["ptime_ms"] == ptime_ms
    assert callee.figures is not None
    assert callee.figures.ptime_ms == ptime_ms
    assert b"a=ptime:%d\r\n" % ptime_ms in stage.party.responses("INVITE")[-1].body
    assert reoffer(stage, 2, SDP_THERE + b"a=ptime:10\r\n") == 200
    in_dialog(stage, "ACK", 3)
    assert (stream.settings["ptime_ms"], callee.figures.ptime_ms) == (10, 10)
    in_dialog(stage, "BYE", 4)
    finish(stage, callee)


@pytest.mark.parametrize(("wanted", "rtcp_port"), [(False, 4001), (True, 4000)])
def test_rtp_and_rtcp_share_a_port_when_the_plan_wants_it(wanted: bool, rtcp_port: int) -> None:
    stage = Stage()
    callee = expect(stage, audio=AudioChoice(rtcp_mux=wanted))
    call(stage, SDP_THERE + b"a=rtcp-mux\r\n")
    in_dialog(stage, "ACK", 1)
    (stream,) = stage.engine.streams.values()
    assert stream.settings is not None
    assert stream.settings["remote_rtcp_port"] == rtcp_port
    assert (b"a=rtcp-mux\r\n" in stage.party.responses("INVITE")[-1].body) is wanted
    in_dialog(stage, "BYE", 2)
    finish(stage, callee)


def test_media_that_cannot_be_described_keeps_no_ports() -> None:
    stage = Stage()
    with pytest.raises(KeyError, match="opus"):
        CallMedia(stage.station, AudioChoice(codecs=("opus",)))
    assert (stage.station.ports.in_use, stage.engine.streams) == (0, {})


@pytest.mark.parametrize("wanted", [False, True])
def test_a_plan_may_ask_for_symmetric_rtp(wanted: bool) -> None:
    stage = Stage()
    callee = expect(stage, audio=AudioChoice(symmetric=wanted))
    call(stage)
    in_dialog(stage, "ACK", 1)
    (stream,) = stage.engine.streams.values()
    assert stream.settings is not None
    assert stream.settings["symmetric"] is wanted
    stream.settings["symmetric"] = None
    assert reoffer(stage, 2, SDP_THERE.replace(b"4000", b"4010")) == 200
    assert stream.settings["symmetric"] is wanted
    in_dialog(stage, "ACK", 2)
    in_dialog(stage, "BYE", 3)
    finish(stage, callee)


def in_call(stage: Stage) -> tuple[Callee, Stream]:
    """Return a callee in a call, and its stream."""
    callee = expect(stage)
    call(stage)
    in_dialog(stage, "ACK", 1)
    (stream,) = stage.engine.streams.values()
    return callee, stream


class TestChangedCodec:
    def test_the_stream_goes_on_in_it(self) -> None:
        stage = Stage()
        callee, stream = in_call(stage)
        assert stream.settings is not None
        began = stream.began_at
        assert reoffer(stage, 2, PCMA_THERE) == 200
        assert b"RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n" in stage.party.responses("INVITE")[-1].body
        in_dialog(stage, "ACK", 2)
        assert stream.changes == ["in 8", "sending"]
        assert stream.settings["formats"] == (ReceivedFormat(8, "PCMA", 8000, 8),)
        assert stream.began_at == began
        assert callee.figures is not None
        assert callee.figures.codec == "PCMA"
        stage.after(3 * SECOND)
        in_dialog(stage, "BYE", 3)
        report = finish(stage, callee)
        assert report.outcome is OutcomeKind.SUCCESS
        assert report.media.send["packets_sent"] == pytest.approx(150, abs=5)

    def test_back_and_forth(self) -> None:
        stage = Stage()
        callee, stream = in_call(stage)
        for cseq, body in enumerate((PCMA_THERE, SDP_THERE, PCMA_THERE), 2):
            assert reoffer(stage, cseq, body) == 200
            in_dialog(stage, "ACK", cseq)
        assert [change for change in stream.changes if change != "sending"] == ["in 8", "in 0", "in 8"]
        in_dialog(stage, "BYE", 5)
        assert finish(stage, callee).outcome is OutcomeKind.SUCCESS

    def test_with_the_address_at_once(self) -> None:
        stage = Stage()
        callee, stream = in_call(stage)
        elsewhere = PCMA_THERE.replace(b"10.0.0.2", b"10.0.0.9").replace(b"4000", b"4010")
        assert reoffer(stage, 2, elsewhere + b"a=rtcp:4100 IN IP4 10.0.0.8\r\n") == 200
        in_dialog(stage, "ACK", 2)
        assert stream.changes == ["in 8", "to 10.0.0.9:4010", "sending"]
        assert stream.settings is not None
        assert (stream.settings["remote_rtcp_ip"], stream.settings["remote_rtcp_port"]) == ("10.0.0.8", 4100)
        in_dialog(stage, "BYE", 3)
        assert finish(stage, callee).outcome is OutcomeKind.SUCCESS

    def test_by_another_number_of_the_same_codec(self) -> None:
        stage = Stage()
        callee, stream = in_call(stage)
        assert reoffer(stage, 2, SDP_THERE.replace(b"RTP/AVP 0", b"RTP/AVP 96").replace(b"0 PCMU", b"96 PCMU")) == 200
        in_dialog(stage, "ACK", 2)
        assert stream.changes == ["in 96", "sending"]
        assert stream.settings is not None
        assert stream.settings["formats"] == (ReceivedFormat(96, "PCMU", 8000, 96),)
        in_dialog(stage, "BYE", 3)
        assert finish(stage, callee).outcome is OutcomeKind.SUCCESS

    def test_by_update(self) -> None:
        stage = Stage()
        callee, stream = in_call(stage)
        in_dialog(stage, "UPDATE", 2, PCMA_THERE)
        stage.after(TINY)
        assert stage.party.statuses("UPDATE") == [200]
        assert stream.changes == ["in 8", "sending"]
        in_dialog(stage, "BYE", 3)
        assert finish(stage, callee).outcome is OutcomeKind.SUCCESS

    def test_in_the_answer_to_an_offer_that_we_were_asked_for(self) -> None:
        stage = Stage()
        callee, stream = in_call(stage)
        assert reoffer(stage, 2, b"") == 200
        assert stream.settings is not None
        assert [format_.payload_type for format_ in stream.settings["formats"]] == [0, 8], "either may come from now on"
        in_dialog(stage, "ACK", 2, PCMA_THERE.replace(b"RTP/AVP 8", b"RTP/AVP 110").replace(b"8 PCMA", b"110 PCMA"))
        assert stream.changes == ["in 110", "sending"]
        assert stream.settings["formats"] == (ReceivedFormat(8, "PCMA", 8000, 110),), "to each side its own number"
        in_dialog(stage, "BYE", 3)
        assert finish(stage, callee).outcome is OutcomeKind.SUCCESS


def test_an_address_of_another_family_is_refused_and_the_call_goes_on() -> None:
    stage = Stage()
    callee, stream = in_call(stage)
    assert reoffer(stage, 2, PCMA_THERE.replace(b"IP4 10.0.0.2", b"IP6 2001:db8::2")) == 488
    assert callee.lifecycle.phase is Phase.INCALL
    assert stream.changes == []
    in_dialog(stage, "ACK", 2)
    assert reoffer(stage, 3, SDP_THERE.replace(b"4000", b"4010")) == 200  # nothing of what was refused is left
    in_dialog(stage, "ACK", 3)
    assert stream.changes == ["to 10.0.0.2:4010", "sending"]
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
    in_dialog(stage, "ACK", 2, SDP_THERE.replace(b"RTP/AVP 0", b"RTP/AVP 18").replace(b"0 PCMU", b"18 G729"))
    in_dialog(stage, "BYE", 3)
    report = finish(stage, callee)
    assert report.outcome is OutcomeKind.COMPLETED_WITH_WARNINGS
    assert report.reason.startswith("an answer during the call cannot be used: ")
