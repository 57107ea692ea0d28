"""Every way in which a call that we place can end."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from cmw.core.address import PortRange
from cmw.core.clock import MILLISECOND, SECOND
from cmw.core.words import Blame, OutcomeKind, Phase
from cmw.load.outcome import EndpointReport
from cmw.load.share_sip import StepShare
from cmw.sip import Account, Credentials
from cmw.sip.message import Request
from cmw.worker.caller import Caller
from cmw.worker.reporting import endpoint_report
from tests.support.sip_party import SDP
from tests.worker.stage import HERE, THERE, Stage, Stream

TARGET = f"sip:600@{THERE}"
TINY = 10 * MILLISECOND
SDP_THERE = SDP.replace(b"127.0.0.1", b"10.0.0.2")
PCMA_THERE = SDP_THERE.replace(b"RTP/AVP 0", b"RTP/AVP 8").replace(b"0 PCMU", b"8 PCMA")
UPDATE_TO_PCMA = StepShare(at_ns=SECOND, action="update", codecs=["PCMA"])


def place(stage: Stage, **changes: object) -> Caller:
    caller: Caller = stage.make(Caller, **changes)
    caller.prepare()
    caller.place_call(TARGET, None, f"sip:callers-0001@{HERE}")
    stage.after(TINY)
    return caller


def invite(stage: Stage) -> Request:
    return stage.party.requests("INVITE")[-1]


def respond(stage: Stage, status: int, reason: str = "", body: bytes = b"", **more: Iterable[tuple[str, str]]) -> None:
    stage.party.respond(invite(stage), status, reason, body=body, headers=more.get("headers", ()), destination=HERE)


def bye(stage: Stage, cseq: int = 1) -> None:
    """Hang up at the party's side."""
    ours = invite(stage)
    to = f"<sip:callers-0001@{HERE}>;tag={ours.from_.tag}"
    contact = ours.headers.get("Contact") or ""
    uri = contact.strip("<>")
    request = stage.party.request("BYE", uri, call_id=ours.call_id, cseq=cseq, from_tag="to1", to=to)
    stage.party.send(request, HERE)


def finish(stage: Stage, caller: Caller) -> EndpointReport:
    """Let everything run out, and return the one report."""
    stage.quiet()
    assert stage.closed == [caller]
    assert stage.leaves_nothing()
    return endpoint_report(caller, "r1")


def test_a_call_that_goes_well() -> None:
    stage = Stage()
    caller = place(stage)
    assert caller.lifecycle.phase is Phase.CALLING
    respond(stage, 100)
    stage.after(100 * MILLISECOND)
    respond(stage, 180)
    assert caller.lifecycle.phase is Phase.RINGING
    stage.after(100 * MILLISECOND)
    respond(stage, 200, body=SDP_THERE)
    assert caller.lifecycle.phase is Phase.INCALL
    stage.after(10 * SECOND)
    assert caller.lifecycle.phase is Phase.DISCONNECTING
    stage.after(30 * MILLISECOND)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    report = finish(stage, caller)
    assert (report.outcome, report.blame, report.reason) == (OutcomeKind.SUCCESS, None, "")
    assert report.call.timing["session_disconnect_delay_ms"] == pytest.approx(30, abs=6)
    assert (report.phase, report.one_way, report.silent) == ("INCALL", False, False)
    call = report.call
    assert (call.attempted, call.answered, call.status_code, call.codec) == (True, True, 200, "PCMU")
    assert (call.target, call.direction) == (TARGET, "outbound")
    assert call.call_id == invite(stage).call_id
    timing = {key: value or 0 for key, value in call.timing.items()}
    assert timing["call_duration_ms"] == 10_000
    assert timing["time_to_trying_ms"] < timing["time_to_ringing_ms"] < timing["call_setup_time_ms"]
    assert timing["post_dial_delay_ms"] == timing["time_to_ringing_ms"]


def test_183_with_a_description_ends_the_post_dial_delay_but_is_no_ringing() -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 183, body=SDP_THERE)
    respond(stage, 200, body=SDP_THERE)
    caller.abort()
    stage.after(TINY)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    timing = finish(stage, caller).call.timing
    assert "post_dial_delay_ms" in timing
    assert "time_to_ringing_ms" not in timing
    assert "time_to_trying_ms" not in timing


def test_early_media_of_one_branch_gives_way_to_the_answer_of_another() -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 183, body=SDP_THERE)
    (stream,) = stage.engine.streams.values()
    assert stream.settings is not None
    began = stream.began_at
    elsewhere = PCMA_THERE.replace(b"10.0.0.2", b"10.0.0.3").replace(b"4000", b"4100")
    stage.party.respond(invite(stage), 183, tag="to2", body=elsewhere.replace(b"4100", b"4200"), destination=HERE)
    assert stream.changes == ["in 8", "to 10.0.0.3:4200", "sending"]
    stage.party.respond(invite(stage), 200, tag="to3", body=elsewhere, destination=HERE)
    assert stream.changes[3:] == ["to 10.0.0.3:4100", "sending"]
    assert [format_.payload_type for format_ in stream.settings["formats"]] == [8]
    assert stream.began_at == began
    assert caller.lifecycle.phase is Phase.INCALL
    assert caller.figures is not None
    assert caller.figures.codec == "PCMA"
    stage.after(10 * SECOND)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    report = finish(stage, caller)
    assert (report.outcome, report.call.early_media) == (OutcomeKind.SUCCESS, True)


class TestOurChangeOfCodec:
    """The scenario's update step."""

    def begin(self, stage: Stage, *steps: StepShare) -> tuple[Caller, Stream]:
        caller = place(stage, steps=steps)
        respond(stage, 200, body=SDP_THERE)
        (stream,) = stage.engine.streams.values()
        stage.after(SECOND + TINY)
        return caller, stream

    def end(self, stage: Stage, caller: Caller) -> EndpointReport:
        stage.after(10 * SECOND)
        stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
        return finish(stage, caller)

    def test_is_followed_both_ways(self) -> None:
        stage = Stage()
        caller, stream = self.begin(stage, UPDATE_TO_PCMA)
        assert b"RTP/AVP 8 101\r\n" in invite(stage).body
        assert stream.settings is not None
        assert [format_.payload_type for format_ in stream.settings["formats"]] == [0, 8], "it may come before the 200"
        assert stream.changes == []
        respond(stage, 200, body=PCMA_THERE)
        assert stream.changes == ["in 8", "sending"]
        assert [format_.codec for format_ in stream.settings["formats"]] == ["PCMA"]
        report = self.end(stage, caller)
        assert (report.outcome, caller.scenario_actions) == (OutcomeKind.SUCCESS, (1, 0))

    def test_that_is_refused_leaves_the_codec(self) -> None:
        stage = Stage()
        caller, stream = self.begin(stage, UPDATE_TO_PCMA)
        respond(stage, 488)
        assert stream.changes == []
        assert stream.settings is not None
        assert [format_.payload_type for format_ in stream.settings["formats"]] == [0]
        assert self.end(stage, caller).outcome is OutcomeKind.COMPLETED_WITH_WARNINGS
        assert caller.scenario_actions == (0, 1)

    def test_is_kept_by_a_hold_that_offers_everything_again(self) -> None:
        stage = Stage()
        hold = StepShare(at_ns=2 * SECOND, action="hold")
        caller, stream = self.begin(stage, UPDATE_TO_PCMA, hold)
        respond(stage, 200, body=PCMA_THERE)
        stage.after(SECOND)
        assert b"RTP/AVP 8 0 101\r\n" in invite(stage).body
        respond(stage, 200, body=PCMA_THERE + b"a=recvonly\r\n")
        assert stream.changes == ["in 8", "sending", "sending"]
        self.end(stage, caller)


class TestOurMove:
    """The update step with new ports."""

    MOVE = StepShare(at_ns=SECOND, action="update", new_ports=True)

    def begin(self, stage: Stage) -> tuple[Caller, Stream, int]:
        caller = place(stage, steps=(self.MOVE,))
        respond(stage, 200, body=SDP_THERE)
        (stream,) = stage.engine.streams.values()
        first = stream.port
        stage.after(SECOND + TINY)
        return caller, stream, first

    def end(self, stage: Stage, caller: Caller) -> EndpointReport:
        stage.after(10 * SECOND)
        stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
        report = finish(stage, caller)
        assert stage.leaves_nothing()
        return report

    def test_goes_with_the_answer_and_leaves_the_old_ports_a_while_later(self) -> None:
        stage = Stage()
        caller, stream, first = self.begin(stage)
        second = stream.beside
        assert second not in (None, first)
        assert b"m=audio %d RTP/AVP" % second in invite(stage).body
        assert stream.port == first, "nothing leaves from there before the peer agrees"
        respond(stage, 200, body=SDP_THERE)
        assert (stream.port, stream.beside) == (second, first)
        assert stage.station.ports.in_use == 2
        stage.after(4 * SECOND + TINY)
        assert (stream.port, stream.beside) == (second, None)
        assert stage.station.ports.in_use == 1
        assert (self.end(stage, caller).outcome, caller.scenario_actions) == (OutcomeKind.SUCCESS, (1, 0))

    def test_that_is_refused_stays(self) -> None:
        stage = Stage()
        caller, stream, first = self.begin(stage)
        respond(stage, 488)
        assert (stream.port, stream.beside) == (first, None)
        assert stage.station.ports.in_use == 1
        assert self.end(stage, caller).outcome is OutcomeKind.COMPLETED_WITH_WARNINGS

    def test_whose_answer_cannot_be_used_stays(self) -> None:
        stage = Stage()
        caller, stream, first = self.begin(stage)
        respond(stage, 200, body=b"v=0\r\n")
        assert (stream.port, stream.beside) == (first, None)
        assert self.end(stage, caller).outcome is OutcomeKind.COMPLETED_WITH_WARNINGS

    def test_without_ports_is_our_own_failure(self) -> None:
        stage = Stage()
        taken = [stage.station.ports.acquire() for _ in range(stage.station.ports.free - 1)]
        caller, stream, first = self.begin(stage)
        assert len(stage.party.requests("INVITE")) == 1
        assert (stream.port, stream.beside) == (first, None)
        for port in taken:
            stage.station.ports.release(port)
        report = self.end(stage, caller)
        assert (report.outcome, report.blame) == (OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.WORKER)
        assert report.reason.startswith("scenario: update at 1s: no free RTP port pair")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, OutcomeKind.CALL_FAILED),
        (404, OutcomeKind.CALL_FAILED),
        (408, OutcomeKind.TIMEOUT),
        (415, OutcomeKind.NEGOTIATION_FAILED),
        (486, OutcomeKind.CALL_FAILED),
        (488, OutcomeKind.NEGOTIATION_FAILED),
        (504, OutcomeKind.TIMEOUT),
        (603, OutcomeKind.CALL_FAILED),
        (606, OutcomeKind.NEGOTIATION_FAILED),
    ],
)
def test_a_call_that_is_refused(status: int, kind: OutcomeKind) -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 180)
    respond(stage, status, "So It Is")
    report = finish(stage, caller)
    assert (report.outcome, report.blame) == (kind, Blame.TARGET)
    where = ": <sip:party@10.0.0.2:5060>" if status == 302 else ""
    assert report.reason == f"the call was answered {status} So It Is{where}"
    assert (report.call.status_code, report.call.answered, report.phase) == (status, False, "RINGING")
    assert report.call.timing.get("call_duration_ms") is None


@pytest.mark.parametrize(
    ("statuses", "ending", "rings"),
    [
        ((200,), 200, False),  # RFC 6076 4.3.1: the 200 where nothing came before
        ((100, 200), 200, False),
        ((100, 182, 180, 200), 182, True),
        ((183, 200), 183, False),  # without a session description: nobody hears it ring
    ],
)
def test_the_session_request_delay_ends_with_the_first_word_but_trying(
    statuses: tuple[int, ...], ending: int, rings: bool
) -> None:
    stage = Stage()
    caller = place(stage)
    arrived_at = {}
    for status in statuses:
        stage.after(20 * MILLISECOND)
        respond(stage, status, body=SDP_THERE if status == 200 else b"")
        arrived_at[status] = stage.link.now
    began_at = caller.call.times.invite_at
    assert began_at is not None
    timing = finish(stage, caller).call.timing
    expected_ms = (arrived_at[ending] - began_at) / MILLISECOND
    assert timing["session_request_delay_ms"] == pytest.approx(expected_ms, abs=6)
    assert ("post_dial_delay_ms" in timing) is rings


def test_what_else_a_refusal_says_is_told() -> None:
    stage = Stage()
    caller = place(stage)
    causes = [("Reason", 'Q.850;cause=41;text="x"'), ("Reason", "SIP;cause=503"), ("Reason", "a third one")]
    respond(stage, 503, "No", headers=[*causes, ("Retry-After", "30 (soon)")])
    reason = finish(stage, caller).reason
    assert reason == (
        'the call was answered 503 No, Reason: Q.850;cause=41;text="x", Reason: SIP;cause=503, Retry-After: 30'
    )


def test_an_answer_without_a_description_is_named_as_such() -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 200)
    stage.after(SECOND)
    report = finish(stage, caller)
    assert (report.outcome, report.blame) == (OutcomeKind.NEGOTIATION_FAILED, Blame.TARGET)
    assert report.reason == "the answer cannot be used: expected a session description, found 'none'"


def test_no_answer_at_all() -> None:
    stage = Stage()
    caller = place(stage, setup_timeout_ns=60 * SECOND)
    report = finish(stage, caller)
    assert (report.outcome, report.blame, report.reason) == (
        OutcomeKind.TIMEOUT,
        Blame.TARGET,
        "no answer to the INVITE at all",
    )
    assert report.call.status_code == 0


@pytest.mark.parametrize(("ringing", "told"), [(True, "it rang"), (False, "it did not ring")])
def test_an_answer_that_does_not_come_in_time_is_cancelled(*, ringing: bool, told: str) -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 180 if ringing else 100)
    stage.after(20 * SECOND)
    assert len(stage.party.requests("CANCEL")) == 1
    stage.party.respond(stage.party.requests("CANCEL")[0], 200, destination=HERE)
    respond(stage, 487)
    report = finish(stage, caller)
    assert report.outcome is OutcomeKind.TIMEOUT
    assert report.reason == f"no answer within 20 s ({told}; cancelled)"
    assert report.call.status_code == 487


def test_without_any_response_nothing_is_cancelled() -> None:
    stage = Stage()
    caller = place(stage)
    report = finish(stage, caller)
    assert stage.party.requests("CANCEL") == []
    assert report.outcome is OutcomeKind.TIMEOUT
    assert report.reason == "no answer within 20 s (nothing came at all)"


def test_an_answer_that_crosses_our_cancel_is_hung_up() -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 180)
    caller.abort()
    respond(stage, 200, body=SDP_THERE)
    stage.after(TINY)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    report = finish(stage, caller)
    assert not report.call.answered
    assert report.media.send == {}


def test_a_network_that_refuses_the_invite_at_once_leaves_no_timer() -> None:
    stage = Stage()
    send = stage.agent.datagrams_to_send

    def refuse() -> list[object]:
        for datagram in send():
            stage.agent.transport_failed(datagram.destination, "Network is unreachable", now=stage.link.now)
        return []

    stage.agent.datagrams_to_send = refuse  # type: ignore[method-assign, assignment]
    caller = place(stage)
    report = finish(stage, caller)
    assert (report.outcome, report.call.status_code) == (OutcomeKind.CALL_FAILED, 0)
    assert report.reason == "the network refused the call: Network is unreachable"
    assert stage.engine.closed


def test_an_answer_without_a_description_is_hung_up() -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 200)
    stage.after(TINY)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    report = finish(stage, caller)
    assert (report.outcome, report.blame) == (OutcomeKind.NEGOTIATION_FAILED, Blame.TARGET)
    assert report.reason.startswith("the answer cannot be used: ")
    assert (report.call.answered, report.phase, report.silent) == (True, "NEGOTIATING", False)


def test_an_answer_of_another_address_family_is_the_targets_fault() -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 200, body=SDP.replace(b"IP4 127.0.0.1", b"IP6 2001:db8::2"))
    stage.after(TINY)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    report = finish(stage, caller)
    assert (report.outcome, report.blame) == (OutcomeKind.NEGOTIATION_FAILED, Blame.TARGET)


def test_the_remote_party_hangs_up_early() -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 200, body=SDP_THERE)
    stage.after(4 * SECOND)
    bye(stage)
    report = finish(stage, caller)
    assert report.outcome is OutcomeKind.COMPLETED_WITH_WARNINGS
    assert report.reason == "the remote party hung up after 4.0 s of 10 s"
    assert report.call.timing["call_duration_ms"] == pytest.approx(4001, abs=10)


def test_both_hang_up_at_once() -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 200, body=SDP_THERE)
    stage.link.run(stage.link.now + 10 * SECOND - 5 * MILLISECOND)
    bye(stage)
    report = finish(stage, caller)
    assert (report.outcome, report.reason) == (OutcomeKind.SUCCESS, "")


@pytest.mark.parametrize(
    ("hold_ns", "held_ns", "is_early"),
    [
        (10 * SECOND, 9_520 * MILLISECOND, False),
        (10 * SECOND, 9_480 * MILLISECOND, True),
        (SECOND, 920 * MILLISECOND, False),
        (SECOND, 880 * MILLISECOND, True),
    ],
)
def test_a_peer_with_the_same_hold_time_hangs_up_a_little_before_us(
    hold_ns: int, held_ns: int, *, is_early: bool
) -> None:
    stage = Stage()
    caller = place(stage, hold_ns=hold_ns)
    respond(stage, 200, body=SDP_THERE)
    stage.link.run(stage.link.now + held_ns)
    bye(stage)
    report = finish(stage, caller)
    assert report.outcome is (OutcomeKind.COMPLETED_WITH_WARNINGS if is_early else OutcomeKind.SUCCESS)


def test_a_bye_that_crosses_ours() -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 200, body=SDP_THERE)
    stage.link.run(stage.link.now + 10 * SECOND)
    assert caller.lifecycle.phase is Phase.DISCONNECTING
    bye(stage)
    stage.party.respond(stage.party.requests("BYE")[0], 481, "No Such Call", destination=HERE)
    report = finish(stage, caller)
    assert (report.outcome, report.reason) == (OutcomeKind.SUCCESS, "")


class TestAChallengeOnTheBye:
    """The call was as it should be: what the server wants at its end is answered, or told, and no failure."""

    CHALLENGE = ("WWW-Authenticate", 'Digest realm="elsewhere", nonce="1"')
    ALICE = Account(
        "sip:alice@10.0.0.2", "sip:10.0.0.2", Credentials("alice", "secret", realm="home"), "alice", destination=THERE
    )

    def stage_with_bye(self, account: Account | None) -> tuple[Stage, Caller]:
        stage = Stage()
        caller: Caller = stage.make(Caller, account=account)
        caller.place_call(TARGET, THERE, f"sip:alice@{THERE.host}")
        stage.after(TINY)
        respond(stage, 200, body=SDP_THERE)
        stage.after(10 * SECOND)
        return stage, caller

    @pytest.mark.parametrize("account", [None, ALICE])
    @pytest.mark.parametrize(
        ("row", "realm"),
        [(CHALLENGE, "elsewhere"), (("WWW-Authenticate", "Basic realm=x"), ""), (("X-None", "1"), "")],
    )
    def test_without_credentials_for_it(self, account: Account | None, row: tuple[str, str], realm: str) -> None:
        stage, caller = self.stage_with_bye(account)
        stage.party.respond(stage.party.requests("BYE")[0], 401, headers=[row], destination=HERE)
        report = finish(stage, caller)
        assert (report.outcome, report.blame) == (OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.UNKNOWN)
        assert report.reason == f"the BYE was answered 401 Unauthorized: no credentials for realm {realm!r}"
        assert len(stage.party.requests("BYE")) == 1

    @pytest.mark.parametrize("is_accepted", [True, False])
    def test_with_credentials_for_it(self, *, is_accepted: bool) -> None:
        stage, caller = self.stage_with_bye(self.ALICE)
        row = ("Proxy-Authenticate", 'Digest realm="home", nonce="1"')
        first = stage.party.requests("BYE")[0]
        stage.party.respond(first, 407, headers=[row], destination=HERE)
        again = stage.party.requests("BYE")[1]
        assert 'realm="home"' in (again.headers.get("Proxy-Authorization") or "")
        assert again.cseq.number == first.cseq.number + 1
        if is_accepted:
            stage.party.respond(again, 200, destination=HERE)
        else:
            stage.party.respond(again, 407, headers=[row], destination=HERE)
        report = finish(stage, caller)
        assert report.outcome is (OutcomeKind.SUCCESS if is_accepted else OutcomeKind.TEARDOWN_ERROR)


def test_a_bye_before_the_answer_is_a_failed_call() -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 180)
    bye(stage)
    respond(stage, 487)
    report = finish(stage, caller)
    assert (report.outcome, report.call.answered) == (OutcomeKind.CALL_FAILED, False)
    assert report.reason == "the remote party ended the call before its answer came"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(481, OutcomeKind.SUCCESS), (408, OutcomeKind.TEARDOWN_ERROR), (500, OutcomeKind.TEARDOWN_ERROR)],
)
def test_a_bye_that_is_refused(status: int, kind: OutcomeKind) -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 200, body=SDP_THERE)
    stage.after(10 * SECOND)
    stage.party.respond(stage.party.requests("BYE")[0], status, "No", destination=HERE)
    report = finish(stage, caller)
    assert report.outcome is kind
    assert report.reason == ("" if kind is OutcomeKind.SUCCESS else f"the BYE was answered {status} No")


def test_a_bye_that_is_never_answered_does_not_spoil_the_figures() -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 200, body=SDP_THERE)
    stage.after(10 * SECOND)
    assert caller.close_interval(dict(stage.engine.snapshot_all()), stage.link.now) is None
    report = finish(stage, caller)
    assert (report.outcome, report.reason) == (OutcomeKind.TEARDOWN_ERROR, "the BYE was never answered")
    assert "session_disconnect_delay_ms" not in report.call.timing
    assert report.call.timing["call_duration_ms"] == 10_000
    assert report.media.send["packets_sent_rate_ps"] == pytest.approx(50, abs=0.1)
    assert report.media.receive["packets_recv_rate_ps"] == pytest.approx(50, abs=0.1)


def test_packets_that_left_before_the_peer_knew_of_the_end_still_count() -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 200, body=SDP_THERE)
    stage.after(4 * SECOND)
    bye(stage)
    assert not caller.lifecycle.is_closed
    report = finish(stage, caller)
    assert report.call.timing["call_duration_ms"] == pytest.approx(4000, abs=10)
    assert (report.media.send["packets_sent"], report.media.receive["packets_received"]) == (200, 205)


def test_nothing_heard_in_an_answered_call_is_a_warning() -> None:
    stage = Stage()
    stage.engine.is_deaf = True
    caller = place(stage)
    respond(stage, 200, body=SDP_THERE)
    stage.after(10 * SECOND)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    report = finish(stage, caller)
    assert (report.outcome, report.one_way, report.silent) == (OutcomeKind.COMPLETED_WITH_WARNINGS, True, False)
    assert report.reason == "no RTP came in 10.0 s of an answered call; the peer's SDP named 10.0.0.2:4000"
    assert "mos" not in report.media.receive


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"first_packet_at_ns": 0, "last_packet_at_ns": 2 * SECOND}, "in the last 8.0 s of 10.0 s"),
        ({"first_packet_at_ns": 6 * SECOND, "last_packet_at_ns": 10 * SECOND}, "in the first 6.0 s of 10.0 s"),
        ({"last_packet_at_ns": 10 * SECOND, "total_spacing_max_ms": 7000.0}, "for 7.0 s on end of 10.0 s"),
    ],
)
def test_a_peer_that_is_quiet_for_seconds_is_a_warning(figures: dict[str, float], reason: str) -> None:
    stage = Stage()
    caller = place(stage)
    respond(stage, 200, body=SDP_THERE)
    answered_at = caller.call.times.answered_at
    assert answered_at is not None
    stage.engine.extra = {
        name: value + answered_at if name.endswith("_ns") else value for name, value in figures.items()
    }
    stage.after(10 * SECOND)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    report = finish(stage, caller)
    assert (report.outcome, report.blame) == (OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.UNKNOWN)
    assert report.reason.startswith(f"no RTP came {reason} of an answered call; the peer's SDP named 10.0.0.2:4000")


def test_a_peer_that_is_quiet_while_we_hold_it_is_none() -> None:
    stage = Stage()
    caller = place(stage, steps=(StepShare(at_ns=SECOND, action="hold"),))
    respond(stage, 200, body=SDP_THERE)
    stage.after(SECOND + 100 * MILLISECOND)
    reinvite = stage.party.requests("INVITE")[-1]
    answer = SDP_THERE.replace(b"1 1 IN", b"1 2 IN") + b"a=recvonly\r\n"
    stage.party.respond(reinvite, 200, body=answer, destination=HERE)
    began_at = caller.call.times.answered_at
    assert began_at is not None
    stage.engine.extra = {"first_packet_at_ns": began_at, "last_packet_at_ns": began_at + SECOND,
                          "total_spacing_max_ms": 8000.0}  # fmt: skip
    stage.after(9 * SECOND)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    report = finish(stage, caller)
    assert (report.outcome, report.reason) == (OutcomeKind.SUCCESS, "")
    assert report.signalling.scenario_actions_executed == 1


@pytest.mark.parametrize(
    ("direction", "is_deaf", "reason"),
    [("recvonly", True, "no RTP came in 10.0 s"), ("sendonly", False, "one-way: nothing of ours left in 10.0 s")],
)
def test_what_the_peer_said_of_its_direction_is_told(direction: str, is_deaf: bool, reason: str) -> None:
    stage = Stage()
    stage.engine.is_deaf = is_deaf
    stage.engine.extra = {} if is_deaf else {"packets_sent": 0}
    caller = place(stage)
    respond(stage, 200, body=SDP_THERE + f"a={direction}\r\n".encode())
    stage.after(10 * SECOND)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    report = finish(stage, caller)
    assert report.reason == f"{reason} of an answered call; the peer's SDP named 10.0.0.2:4000, a={direction}"


def test_an_address_of_zeros_is_told_as_a_hold() -> None:
    stage = Stage()
    stage.engine.is_deaf = True
    caller = place(stage)
    respond(stage, 200, body=SDP_THERE.replace(b"c=IN IP4 10.0.0.2", b"c=IN IP4 0.0.0.0"))
    stage.after(10 * SECOND)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    assert finish(stage, caller).reason.endswith("; the peer's SDP named 0.0.0.0:4000, on hold")


def test_what_came_instead_is_told() -> None:
    stage = Stage()
    stage.engine.is_deaf = True
    stage.engine.extra = {"strangers": 500, "network_errors": 3}
    caller = place(stage)
    respond(stage, 200, body=SDP_THERE)
    stage.after(10 * SECOND)
    stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
    first, *hints = finish(stage, caller).reason.split("; ")
    assert first == "no RTP came in 10.0 s of an answered call"
    assert hints == [
        "the peer's SDP named 10.0.0.2:4000",
        "500 packets came from another address than the agreed one",
        "3 packets of ours were refused by the peer's host or on the way (ICMP)",
    ]


def test_no_port_is_left() -> None:
    stage = Stage(ports=PortRange(10000, 10001))
    stage.station.ports.acquire()
    caller = place(stage)
    stage.station.ports.release(10000)
    report = finish(stage, caller)
    assert (report.outcome, report.blame) == (OutcomeKind.OSERROR, Blame.WORKER)
    assert "no free RTP port pair in 10000-10001" in report.reason
    assert report.call.attempted
    assert stage.party.received == []


def test_a_target_that_is_no_sip_uri_is_our_fault() -> None:
    stage = Stage()
    caller = stage.make(Caller)
    caller.prepare()
    caller.place_call("600", None, f"sip:callers-0001@{HERE}")
    report = finish(stage, caller)
    assert (report.outcome, report.blame) == (OutcomeKind.CALL_FAILED, Blame.WORKER)


def test_aborted_before_and_after_the_answer() -> None:
    for answered in (False, True):
        stage = Stage()
        caller = place(stage)
        respond(stage, 200 if answered else 180, body=SDP_THERE if answered else b"")
        caller.abort()
        caller.abort()
        stage.after(TINY)
        if answered:
            stage.party.respond(stage.party.requests("BYE")[0], 200, destination=HERE)
        else:
            respond(stage, 487)
        assert finish(stage, caller).outcome is OutcomeKind.SUCCESS


def test_a_call_is_placed_once_and_never_after_the_end() -> None:
    stage = Stage()
    caller = stage.make(Caller)
    caller.prepare()
    caller.abort()
    caller.place_call(TARGET, None, f"sip:callers-0001@{HERE}")
    report = finish(stage, caller)
    assert stage.party.received == []
    assert not report.call.attempted


@pytest.mark.parametrize("phase", ["calling", "ringing", "incall"])
def test_closed_now_the_peer_is_told_and_nothing_is_awaited(phase: str) -> None:
    stage = Stage()
    caller = place(stage)
    if phase == "ringing":
        respond(stage, 180)
    elif phase == "incall":
        respond(stage, 200, body=SDP_THERE)
    caller.close_now()
    assert stage.closed == [caller]
    assert len(stage.engine.closed) == 1
    stage.quiet()
    told = "BYE" if phase == "incall" else "CANCEL"
    assert bool(stage.party.requests(told)) == (phase != "calling")
    assert stage.leaves_nothing()


def test_a_call_that_is_challenged_for_ever_fails() -> None:
    stage = Stage()
    caller = place(stage)
    challenge = [("WWW-Authenticate", 'Digest realm="x", nonce="1"')]
    respond(stage, 401, "Unauthorized", headers=challenge)
    report = finish(stage, caller)  # it has no account, so there is nothing to answer with
    assert (report.outcome, report.call.status_code) == (OutcomeKind.CALL_FAILED, 401)
