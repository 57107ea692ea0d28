"""Steps of a scenario against a peer that agrees, refuses, crosses, keeps silent or leaves."""

from __future__ import annotations

from typing import Any

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.core.words import Blame, OutcomeKind
from cmw.load.outcome import EndpointReport
from cmw.load.share_sip import StepShare
from cmw.net.media import DigitFate
from cmw.sip.message import Request
from cmw.worker.call_media import AudioChoice
from cmw.worker.caller import Caller
from cmw.worker.reporting import endpoint_report
from tests.support.sip_party import SDP
from tests.worker.stage import HERE, THERE, Stage

TARGET = f"sip:600@{THERE}"
SDP_THERE = SDP.replace(b"127.0.0.1", b"10.0.0.2")
TINY = 10 * MILLISECOND


class Talk:
    """A call of ours that the party has answered; steps follow at 1 s, 2 s and so on, or on their events."""

    def __init__(self, *steps: dict[str, Any], audio: AudioChoice | None = None) -> None:
        self.stage = Stage()
        timed = [
            StepShare.model_validate({"at_ns": (k + 1) * SECOND} | step if "on" not in step else step)
            for k, step in enumerate(steps)
        ]
        self.caller: Caller = self.stage.make(Caller, steps=tuple(timed), audio=audio or AudioChoice())
        self.caller.prepare()
        self.caller.place_call(TARGET, None, f"sip:callers-0001@{HERE}")
        self.stage.after(TINY)
        self.invite = self.stage.party.requests("INVITE")[0]
        self.answer(self.invite, 200, body=SDP_THERE)
        self._cseq = 10

    def answer(self, request: Request, status: int, body: bytes = b"", **headers: str) -> None:
        rows = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.stage.party.respond(request, status, body=body, headers=rows, destination=HERE)

    def last(self, method: str) -> Request:
        return self.stage.party.requests(method)[-1]

    def send(self, method: str, body: bytes = b"", **headers: str) -> Request:
        """Have the party send a request within the call."""
        self._cseq += 1
        to = f"<sip:callers-0001@{HERE}>;tag={self.invite.from_.tag}"
        uri = (self.invite.headers.get("Contact") or "").strip("<>")
        rows = [(name.replace("_", "-"), value) for name, value in headers.items()]
        request = self.stage.party.request(
            method, uri, call_id=self.invite.call_id, cseq=self._cseq, from_tag="to1", to=to, headers=rows, body=body
        )
        self.stage.party.send(request, HERE)
        return request

    def wait(self, seconds: float) -> None:
        self.stage.after(int(seconds * SECOND))

    def finish(self) -> EndpointReport:
        self.caller.abort()
        self.stage.after(TINY)
        for bye in self.stage.party.requests("BYE"):
            self.answer(bye, 200)
        self.stage.quiet()
        assert self.stage.closed == [self.caller]
        assert self.stage.leaves_nothing()
        return endpoint_report(self.caller, "r1")


def counts(report: EndpointReport) -> tuple[int, int]:
    return report.signalling.scenario_actions_executed, report.signalling.scenario_actions_failed


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("body", [b"", SDP_THERE])
def test_a_refresh_of_the_peer_begins_what_waits_for_it(method: str, body: bytes) -> None:
    talk = Talk({"on": "session_refreshed", "action": "send_info", "type": "text/plain", "body": "kept"})
    talk.send(method, body=body, Session_Expires="600;refresher=uac", Supported="timer")
    answer = talk.stage.party.responses(method)[-1]
    assert answer.status == 200
    if method == "INVITE":
        told = SDP_THERE.replace(b"0 1 1", b"0 1 2") if not body else b""
        uri = (talk.invite.headers.get("Contact") or "").strip("<>")
        to = f"<sip:callers-0001@{HERE}>;tag={talk.invite.from_.tag}"
        ack = talk.stage.party.request(
            "ACK", uri, call_id=talk.invite.call_id, cseq=talk._cseq, from_tag="to1", to=to, body=told
        )
        talk.stage.party.send(ack, HERE)
    assert talk.last("INFO").body == b"kept"
    talk.answer(talk.last("INFO"), 200)
    report = talk.finish()
    assert (report.signalling.session_timer_refreshes, counts(report)) == (1, (1, 0))


def test_hold_and_resume() -> None:
    talk = Talk({"action": "hold"}, {"action": "resume", "via": "update"})
    talk.wait(1.1)
    hold = talk.last("INVITE")
    assert b"a=sendonly" in hold.body
    talk.answer(hold, 200, SDP_THERE + b"a=recvonly\r\n")
    talk.wait(1)
    resume = talk.last("UPDATE")
    assert b"a=sendonly" not in resume.body
    talk.answer(resume, 200, SDP_THERE)
    report = talk.finish()
    assert (report.outcome, counts(report)) == (OutcomeKind.SUCCESS, (2, 0))


@pytest.mark.parametrize("status", [488, 606])
def test_a_refused_change_is_a_warning_and_the_call_goes_on(status: int) -> None:
    talk = Talk({"action": "hold"}, {"action": "send_dtmf", "via": "info", "body": "1"})
    talk.wait(1.1)
    talk.answer(talk.last("INVITE"), status)
    talk.wait(1)
    talk.answer(talk.last("INFO"), 200)  # for the call is not on hold
    report = talk.finish()
    assert (report.outcome, report.blame) == (OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.TARGET)
    assert report.reason.startswith(f"scenario: hold at 1s: INVITE was answered {status}")
    assert counts(report) == (1, 1)


def test_a_change_that_crosses_one_of_the_peer_is_tried_again() -> None:
    talk = Talk({"action": "hold"})
    talk.wait(1.1)
    talk.answer(talk.last("INVITE"), 491)
    talk.wait(5)
    again = talk.last("INVITE")
    assert again.cseq.number == talk.invite.cseq.number + 2
    talk.answer(again, 200, SDP_THERE + b"a=recvonly\r\n")
    assert counts(talk.finish()) == (1, 0)


def test_changes_wait_for_each_other() -> None:
    talk = Talk({"action": "hold", "at_ns": SECOND}, {"action": "resume", "at_ns": SECOND})
    talk.wait(1.1)
    assert len(talk.stage.party.requests("INVITE")) == 2
    talk.answer(talk.last("INVITE"), 200, SDP_THERE + b"a=recvonly\r\n")
    talk.wait(0.1)
    assert len(talk.stage.party.requests("INVITE")) == 3
    talk.answer(talk.last("INVITE"), 200, SDP_THERE)
    assert counts(talk.finish()) == (2, 0)


def test_digits_go_one_after_the_other_and_stop_when_one_is_refused() -> None:
    talk = Talk({"action": "send_dtmf", "via": "info", "body": "42#"})
    talk.wait(1.1)
    assert [request.body for request in talk.stage.party.requests("INFO")] == [b"Signal=4\r\nDuration=250\r\n"]
    talk.answer(talk.last("INFO"), 200)
    talk.answer(talk.last("INFO"), 415)
    assert len(talk.stage.party.requests("INFO")) == 2
    report = talk.finish()
    assert report.reason == "scenario: send_dtmf at 1s: INFO was answered 415 Unsupported Media Type"
    assert counts(report) == (0, 1)
    assert digits_sent(talk) == 1


def test_digits_are_refused_while_the_peer_holds_us() -> None:
    talk = Talk({"action": "send_dtmf", "via": "info", "body": "1"}, {"on": "hold", "action": "send_options"})
    talk.send("INVITE", SDP_THERE + b"a=sendonly\r\n")
    talk.answer(talk.last("OPTIONS"), 200)
    talk.wait(1.1)
    assert talk.stage.party.requests("INFO") == []
    report = talk.finish()
    assert "the call is on hold" in report.reason
    assert counts(report) == (1, 1)


def digits_sent(talk: Talk) -> float | None:
    figures = talk.caller.figures
    assert figures is not None
    return figures.totals("send")["dtmf_digits_sent"]


def talk_with_events(*steps: dict[str, Any]) -> Talk:
    """Return a call whose peer takes the digits 0 to 9, * and # by RFC 4733."""
    with pytest.MonkeyPatch.context() as patch:
        events = b"a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-11\r\n"
        patch.setattr(f"{__name__}.SDP_THERE", SDP_THERE.replace(b" RTP/AVP 0", b" RTP/AVP 0 96") + events)
        return Talk(*steps)


def test_digits_go_by_rfc_4733_where_that_was_negotiated() -> None:
    talk = talk_with_events({"action": "send_dtmf", "via": "negotiated", "body": "42#"})
    talk.wait(1.1)
    order = {"payload_type": 96, "duration_ms": 100, "pause_ms": 100, "volume": 10}
    assert [(digits, how) for _, digits, how in talk.stage.engine.dialled] == [("42#", order)]
    talk.stage.tell_digits(DigitFate.SENT, "42")
    assert talk.caller.scenario_actions == (0, 0)
    talk.stage.tell_digits(DigitFate.SENT, "#")
    assert talk.stage.party.requests("INFO") == []
    assert counts(talk.finish()) == (1, 0)
    assert digits_sent(talk) == 3


@pytest.mark.parametrize("via", ["negotiated", "info"])
def test_digits_that_the_peer_does_not_take_so_go_by_info(via: str) -> None:
    talk = talk_with_events({"action": "send_dtmf", "via": via, "body": "A"})
    talk.wait(1.1)
    assert talk.stage.engine.dialled == []
    talk.answer(talk.last("INFO"), 200)
    assert counts(talk.finish()) == (1, 0)


def test_digits_by_rfc_4733_alone_fail_where_they_are_not_taken() -> None:
    talk = Talk({"action": "send_dtmf", "via": "rfc4733", "body": "1"})
    talk.wait(1.1)
    report = talk.finish()
    assert report.reason == (
        "scenario: send_dtmf at 1s: digits '1' cannot be sent by RFC 4733: the peer does not take all of them"
    )
    assert counts(report) == (0, 1)


def test_digits_that_a_hold_cuts_off_have_failed() -> None:
    talk = talk_with_events({"action": "send_dtmf", "via": "negotiated", "body": "123"})
    talk.wait(1.1)
    talk.stage.tell_digits(DigitFate.SENT, "1")
    talk.stage.tell_digits(DigitFate.DROPPED, "23")
    report = talk.finish()
    assert report.reason == "scenario: send_dtmf at 1s: the call was put on hold before all digits had left"
    assert counts(report) == (0, 1)
    assert digits_sent(talk) == 1


def test_digits_that_the_end_of_the_call_cuts_off_have_failed_once() -> None:
    talk = talk_with_events({"action": "send_dtmf", "via": "rfc4733", "body": "123"})
    talk.wait(1.1)
    report = talk.finish()
    assert "the call ended first" in report.reason
    assert counts(report) == (0, 1)


def test_a_digit_by_rfc_4733_begins_what_waits_for_it_once() -> None:
    talk = talk_with_events(
        {"on": "dtmf", "digit": "5", "action": "send_message", "type": "text/plain", "body": "five"}
    )
    talk.stage.tell_digits(DigitFate.RECEIVED, "455")
    talk.wait(0.1)
    assert [request.body for request in talk.stage.party.requests("MESSAGE")] == [b"five"]
    talk.answer(talk.last("MESSAGE"), 202)
    report = talk.finish()
    assert (report.signalling.dtmf_received, counts(report)) == ("455", (1, 0))


def test_what_the_peer_does_on_its_own_is_counted_and_no_fault() -> None:
    talk = Talk({"on": "dtmf", "digit": "5", "action": "send_message", "type": "text/plain", "body": "five"})
    for digit in "4555":
        talk.send("INFO", f"Signal={digit}\r\nDuration=100\r\n".encode(), Content_Type="application/dtmf-relay")
    talk.send("MESSAGE", b"hello", Content_Type="text/plain")
    talk.send("NOTIFY", b"", Event="message-summary", Subscription_State="active")
    talk.send("UPDATE")
    assert [request.body for request in talk.stage.party.requests("MESSAGE")] == [b"five"]  # once, not three times
    talk.answer(talk.last("MESSAGE"), 202)
    report = talk.finish()
    assert (report.outcome, counts(report)) == (OutcomeKind.SUCCESS, (1, 0))
    told = report.signalling
    assert (told.infos_received, told.messages_received, told.dtmf_received) == (4, 1, "4555")
    assert told.session_timer_refreshes == 1


def test_what_is_said_changes_and_stays_so_through_a_change_of_the_session() -> None:
    talk = Talk({"action": "play", "source": "tone"}, {"action": "update", "codecs": ["PCMA"]})
    stream = talk.stage.engine.streams[max(talk.stage.engine.streams)]
    talk.wait(1.1)
    assert stream.changes[-1] == "says 1"
    talk.wait(1)
    talk.answer(talk.last("INVITE"), 200, SDP_THERE.replace(b"0 1 1", b"0 1 2").replace(b"AVP 0", b"AVP 8"))
    assert stream.settings is not None
    assert stream.settings["source"] == 1
    assert counts(talk.finish()) == (2, 0)


def test_each_time_that_a_step_sends_digits_counts() -> None:
    talk = talk_with_events({"on": "dtmf", "action": "send_dtmf", "via": "negotiated", "body": "42", "again": True})
    for digit in "123":
        talk.send("INFO", f"Signal={digit}\r\n".encode(), Content_Type="application/dtmf-relay")
    talk.stage.tell_digits(DigitFate.SENT, "424")
    assert counts(talk.finish()) == (1, 2), "the second was under way, the third had not begun"


@pytest.mark.parametrize("via", ["info", "rfc4733"])
def test_a_digit_is_as_long_as_the_plan_says(via: str) -> None:
    step = {"action": "send_dtmf", "via": via, "body": "1", "digit_ms": 9_000}
    if via == "info":
        talk = Talk(step)
        talk.wait(1.1)
        assert talk.last("INFO").body == b"Signal=1\r\nDuration=9000\r\n"
        return
    talk = talk_with_events(step)
    talk.wait(1.1)
    [(_, digits, order)] = talk.stage.engine.dialled
    assert (digits, order["duration_ms"], order["pause_ms"]) == ("1", 9_000, 100)


def test_an_echo_has_nothing_to_play() -> None:
    talk = Talk({"action": "play", "source": "tone"}, audio=AudioChoice(echo=True))
    talk.wait(1.1)
    report = talk.finish()
    assert counts(report) == (0, 1)
    assert report.reason == "scenario: play at 1s: nothing can be played: an echo has no sound of its own"


def test_a_step_may_wait_for_its_event_again() -> None:
    talk = Talk({"on": "dtmf", "digit": "1", "action": "play", "source": "tone", "again": True})
    for digit in "121":
        talk.send("INFO", f"Signal={digit}\r\nDuration=100\r\n".encode(), Content_Type="application/dtmf-relay")
    assert counts(talk.finish()) == (2, 0)


def test_what_is_under_way_at_the_end_has_failed_and_what_never_began_does_not_count() -> None:
    talk = Talk({"action": "send_options"}, {"action": "hold"})
    talk.wait(1.1)
    report = talk.finish()
    assert counts(report) == (0, 1)
    assert report.reason == "scenario: send_options at 1s: the call ended first"


def test_a_blind_transfer_ends_our_call_when_the_new_one_stands() -> None:
    talk = Talk({"action": "transfer", "uri": "sip:700@10.0.0.9"})
    talk.wait(1.1)
    refer = talk.last("REFER")
    assert refer.headers.get("Refer-To") == "<sip:700@10.0.0.9>"
    talk.answer(refer, 202)
    sipfrag = {"Event": "refer", "Content_Type": "message/sipfrag;version=2.0"}
    talk.send("NOTIFY", b"SIP/2.0 180 Ringing\r\n", Subscription_State="active;expires=60", **sipfrag)
    assert talk.stage.party.requests("BYE") == []
    talk.send("NOTIFY", b"SIP/2.0 200 OK\r\n", Subscription_State="terminated;reason=noresource", **sipfrag)
    assert len(talk.stage.party.requests("BYE")) == 1
    report = talk.finish()
    assert (report.outcome, counts(report), report.signalling.transfers) == (OutcomeKind.SUCCESS, (1, 0), 1)


def test_a_peer_that_leaves_for_where_it_was_sent_is_not_to_blame() -> None:
    talk = Talk({"action": "transfer", "uri": "sip:700@10.0.0.9"})
    talk.wait(1.1)
    talk.answer(talk.last("REFER"), 202)
    talk.send("BYE")
    report = talk.finish()
    assert (report.outcome, counts(report)) == (OutcomeKind.SUCCESS, (1, 0))


def test_a_transfer_that_fails_leaves_the_call_as_it_is() -> None:
    talk = Talk({"action": "transfer", "uri": "sip:700@10.0.0.9"}, {"action": "send_options"})
    talk.wait(1.1)
    talk.answer(talk.last("REFER"), 603)
    talk.wait(1)
    talk.answer(talk.last("OPTIONS"), 200)
    report = talk.finish()
    assert report.reason == "scenario: transfer at 1s: REFER was answered 603 Decline"
    assert counts(report) == (1, 1)


def test_an_attended_transfer_that_nobody_takes() -> None:
    talk = Talk({"action": "transfer", "uri": f"sip:700@{THERE}", "attended": True})
    talk.wait(1.1)
    consultation = talk.last("INVITE")
    assert consultation.uri == f"sip:700@{THERE}"
    talk.answer(consultation, 486)
    assert talk.stage.party.requests("REFER") == []
    report = talk.finish()
    assert report.reason == "scenario: transfer at 1s: the call to its target: the call was answered 486 Busy Here"
    assert counts(report) == (0, 1)


def test_a_transfer_of_the_peer_is_followed_and_its_bye_no_surprise() -> None:
    talk = Talk()
    refer = talk.send("REFER", Refer_To=f"<sip:700@{THERE}>", Referred_By="<sip:party@10.0.0.2>")
    assert [each.status for each in talk.stage.party.responses("REFER")] == [202]
    talk.answer(talk.last("NOTIFY"), 200)
    invite = talk.last("INVITE")
    assert (invite.uri, invite.headers.get("Referred-By")) == (f"sip:700@{THERE}", "<sip:party@10.0.0.2>")
    talk.stage.party.respond(invite, 200, tag="new", body=SDP_THERE, destination=HERE)
    assert b"SIP/2.0 200" in talk.last("NOTIFY").body
    talk.answer(talk.last("NOTIFY"), 200)
    talk.send("BYE")
    talk.wait(1)
    assert talk.stage.closed == []  # it talks to whom it was sent to
    talk.wait(9)
    bye = talk.last("BYE")
    assert bye.to.tag == "new"
    report = talk.finish()
    assert (report.outcome, report.signalling.transfers) == (OutcomeKind.SUCCESS, 1)
    assert refer.method == "REFER"


def test_a_transfer_of_the_peer_that_leads_nowhere_is_told() -> None:
    talk = Talk()
    talk.send("REFER", Refer_To=f"<sip:700@{THERE}>")
    talk.answer(talk.last("NOTIFY"), 200)
    talk.stage.party.respond(talk.last("INVITE"), 404, tag="new", destination=HERE)
    assert b"SIP/2.0 404" in talk.last("NOTIFY").body
    talk.answer(talk.last("NOTIFY"), 200)
    report = talk.finish()
    assert report.reason == f"transferred to sip:700@{THERE}: the call was answered 404 Not Found"


def test_a_call_that_takes_the_place_of_ours_is_taken() -> None:
    talk = Talk()
    replaces = f"{talk.invite.call_id};to-tag={talk.invite.from_.tag};from-tag=to1"
    uri = f"sip:callers-0001@{HERE}"
    invite = talk.stage.party.request(
        "INVITE", uri, call_id="other", headers=[("Replaces", replaces), ("Require", "replaces")], body=SDP_THERE
    )
    talk.stage.party.send(invite, HERE)
    assert talk.stage.party.statuses("INVITE")[-1] == 200
    tag = talk.stage.party.responses("INVITE")[-1].to.tag
    ack = talk.stage.party.request("ACK", uri, call_id="other", to=f"<{uri}>;tag={tag}")
    talk.stage.party.send(ack, HERE)
    talk.answer(talk.last("BYE"), 200)  # our first call is released
    talk.wait(5)
    assert talk.stage.closed == []
    report = talk.finish()
    assert report.outcome is OutcomeKind.SUCCESS
    assert report.media.receive["packets_received"] in (250, 251)  # those of the second call
    assert (report.call.timing["call_duration_ms"] or 0) > 5000
