"""Changes of a session that stands: ours and the peer's, agreed, refused, crossing, lost. RFC 3261 14, RFC 3311."""

from __future__ import annotations

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.errors import LocalProtocolError
from cmw.sip import CallState
from cmw.sip.events import (
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallLost,
    CallModified,
    CallReoffered,
    CallReofferRejected,
    CallReofferWithdrawn,
    CallTimedOut,
    Ending,
    LossCause,
    TimeoutStage,
)
from tests.support.call_stage import ALICE, BOB, HELD, OTHER, CalledParty, CallingParty, Pair
from tests.support.sip_party import SDP


def established(body: bytes = SDP) -> CallingParty:
    """Return a call from Alice to a party, answered."""
    stage = CallingParty(body=body)
    stage.respond(200, body=SDP)
    return stage


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("by", ["caller", "callee"])
def test_hold_and_resume(method: str, by: str) -> None:
    stage = Pair()
    call, other = stage.talk()
    asks, answers = (stage.alice, stage.bob) if by == "caller" else (stage.bob, stage.alice)
    mine, theirs = (call, other) if by == "caller" else (other, call)
    hop, far = (ALICE, BOB) if by == "caller" else (BOB, ALICE)
    for offer in (HELD, SDP):
        asks.reoffer(mine, body=offer, method=method, now=stage.now)
        stage.run()
        reoffered = stage.last(far, CallReoffered)
        assert (reoffered.method, reoffered.body) == (method, offer)
        answers.answer_reoffer(theirs, body=OTHER, now=stage.now)
        stage.run()
        modified = stage.last(hop, CallModified)
        assert (modified.body, modified.by, modified.method) == (OTHER, Ending.LOCAL, method)
        assert stage.last(far, CallModified).by is Ending.REMOTE
    assert asks.call_snapshot(mine).counts.changes_sent == 2
    assert answers.call_snapshot(theirs).counts.changes_received == 2
    asks.hang_up(mine, now=stage.now)
    stage.finish()


def test_a_change_is_refused_and_the_call_goes_on() -> None:
    stage = Pair()
    call, other = stage.talk()
    stage.alice.reoffer(call, body=OTHER, now=stage.now)
    stage.run()
    stage.bob.reject_reoffer(other, status=488, now=stage.now)
    stage.run()
    rejected = stage.last(ALICE, CallReofferRejected)
    assert (rejected.status, rejected.method) == (488, "INVITE")
    assert stage.alice.call_snapshot(call).state is CallState.CONFIRMED
    stage.alice.reoffer(call, body=OTHER, now=stage.now)
    stage.run()
    stage.bob.answer_reoffer(other, body=SDP, now=stage.now)
    stage.run()
    assert stage.last(ALICE, CallModified).body == SDP


def test_a_re_invite_without_offer_gets_one_and_answers_by_ack() -> None:
    stage = Pair()
    call, other = stage.talk()
    stage.alice.reoffer(call, now=stage.now)
    stage.run()
    assert stage.last(BOB, CallReoffered).body == b""
    stage.bob.answer_reoffer(other, body=OTHER, now=stage.now)
    stage.run()
    reoffered = stage.last(ALICE, CallReoffered)
    assert (reoffered.method, reoffered.body) == ("2xx", OTHER)
    with pytest.raises(LocalProtocolError):
        stage.alice.reject_reoffer(call, now=stage.now)
    stage.alice.answer_reoffer(call, body=HELD, now=stage.now)
    stage.run()
    assert stage.last(BOB, CallModified).body == HELD
    assert stage.sent(ALICE).count("ACK") == 2


def test_a_delayed_offer_between_two_of_us() -> None:
    stage = Pair()
    call = stage.dial(body=b"")
    stage.bob.answer(stage.offered.call, body=OTHER, now=stage.now)
    stage.run()
    answered = stage.last(ALICE, CallAnswered)
    assert (answered.wants_answer, answered.body) == (True, OTHER)
    assert stage.alice.call_snapshot(call).instants.acked_at is None
    stage.run(SECOND)
    stage.alice.acknowledge(call, body=SDP, now=stage.now)
    stage.run()
    assert stage.last(BOB, CallConfirmed).body == SDP
    assert stage.alice.call_snapshot(call).instants.acked_at is not None
    stage.alice.hang_up(call, now=stage.now)
    stage.finish()


def test_the_ack_with_an_answer_is_repeated_for_a_repeated_200() -> None:
    stage = CallingParty(body=b"")
    stage.respond(200, body=SDP)
    stage.alice.acknowledge(stage.call, body=OTHER, now=stage.now)
    stage.respond(200, body=SDP)
    acks = stage.party.requests("ACK")
    assert [ack.body for ack in acks] == [OTHER, OTHER]


def test_hanging_up_instead_of_answering_an_offer_acknowledges_it_first() -> None:
    stage = CallingParty(body=b"")
    stage.respond(200, body=SDP)
    stage.alice.hang_up(stage.call, now=stage.now)
    stage.run()
    assert stage.sent(ALICE) == ["INVITE", "ACK", "BYE"]


def test_an_offer_in_a_200_that_nobody_answers_ends_the_call() -> None:
    stage = CallingParty(body=b"")
    stage.respond(200, body=SDP)
    stage.run(33 * SECOND)
    assert stage.last(ALICE, CallLost).cause is LossCause.UNANSWERED
    assert stage.sent(ALICE)[:3] == ["INVITE", "ACK", "BYE"]


def test_one_change_at_a_time() -> None:
    stage = Pair()
    call, other = stage.talk()
    stage.alice.reoffer(call, body=OTHER, now=stage.now)
    for method in ("INVITE", "UPDATE"):
        with pytest.raises(LocalProtocolError):
            stage.alice.reoffer(call, body=OTHER, method=method, now=stage.now)
    stage.run()
    with pytest.raises(LocalProtocolError):
        stage.bob.reoffer(other, body=OTHER, now=stage.now)
    with pytest.raises(LocalProtocolError):
        stage.alice.reoffer(call, body=OTHER, method="INFO", now=stage.now)
    stage.bob.answer_reoffer(other, body=SDP, now=stage.now)
    stage.run()
    assert stage.alice.call_snapshot(call).counts.changes_sent == 1


def test_changes_cross_and_both_are_made_in_the_end() -> None:
    stage = Pair()
    call, other = stage.talk()
    stage.link.on_event[ALICE] = lambda event: (
        stage.alice.answer_reoffer(call, body=SDP, now=stage.now) if isinstance(event, CallReoffered) else None
    )
    stage.link.on_event[BOB] = lambda event: (
        stage.bob.answer_reoffer(other, body=SDP, now=stage.now) if isinstance(event, CallReoffered) else None
    )
    stage.alice.reoffer(call, body=HELD, now=stage.now)
    stage.bob.reoffer(other, body=OTHER, now=stage.now)
    stage.run(10 * SECOND)
    assert "491 INVITE" in stage.sent(ALICE)
    assert "491 INVITE" in stage.sent(BOB)
    for hop in (ALICE, BOB):
        assert sorted(each.by for each in stage.events(hop, CallModified)) == [Ending.LOCAL, Ending.REMOTE]
        assert stage.events(hop, CallReofferRejected) == []
    at_bob = next(each.at for each in stage.events(BOB, CallModified) if each.by is Ending.LOCAL)
    at_alice = next(each.at for each in stage.events(ALICE, CallModified) if each.by is Ending.LOCAL)
    assert at_bob < at_alice, "the owner of the Call-ID waits longer: RFC 3261 14.1"
    assert stage.alice.call_snapshot(call).counts.glares == 2


def test_491_is_tried_again_a_bounded_number_of_times() -> None:
    stage = established()
    stage.alice.reoffer(stage.call, body=OTHER, now=stage.now)
    answered = 1
    for _ in range(10):
        stage.run(5 * SECOND)
        invites = stage.party.requests("INVITE")
        if len({each.cseq.number for each in invites}) > answered:
            answered += 1
            stage.respond(491, request=invites[-1])
    assert stage.last(ALICE, CallReofferRejected).status == 491
    assert answered == 7


@pytest.mark.parametrize("status", [500, 503])
def test_retry_after_of_a_few_seconds_is_waited_for(status: int) -> None:
    stage = established()
    stage.alice.reoffer(stage.call, body=OTHER, method="UPDATE", now=stage.now)
    stage.run()
    stage.respond(status, request=stage.party.requests("UPDATE")[-1], headers=[("Retry-After", "3")])
    began = stage.now
    stage.run(5 * SECOND)
    again = [each for each in stage.link.log if each.what == "UPDATE" and each.at > began]
    assert 2 * SECOND < again[0].at - began <= 3 * SECOND
    stage.respond(200, request=stage.party.requests("UPDATE")[-1], body=SDP)
    assert stage.last(ALICE, CallModified).by is Ending.LOCAL


def test_a_500_that_does_not_say_when_is_told() -> None:
    stage = established()
    stage.alice.reoffer(stage.call, body=OTHER, method="UPDATE", now=stage.now)
    stage.run()
    stage.respond(500, request=stage.party.requests("UPDATE")[-1])
    assert stage.last(ALICE, CallReofferRejected).status == 500


@pytest.mark.parametrize("status", [404, 408, 410, 480, 481, 482, 485, 502, 604])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_who_does_not_know_the_call_any_more_ends_it(method: str, status: int) -> None:
    """RFC 5057 5.1."""
    stage = established()
    stage.alice.reoffer(stage.call, body=OTHER, method=method, now=stage.now)
    stage.run()
    stage.respond(status, request=stage.party.requests(method)[-1])
    lost = stage.last(ALICE, CallLost)
    assert (lost.cause, lost.status) == (LossCause.GONE, status)
    (bye,) = stage.party.requests("BYE")
    assert f"cause={status}" in (bye.headers.get("Reason") or "")
    stage.respond(481, request=bye)
    assert stage.last(ALICE, CallEnded).by is Ending.LOCAL
    stage.finish()


@pytest.mark.parametrize("status", [403, 415, 420, 488, 500, 503, 606])
def test_other_refusals_leave_the_call_standing(status: int) -> None:
    stage = established()
    stage.alice.reoffer(stage.call, body=OTHER, now=stage.now)
    stage.run()
    stage.respond(status, request=stage.party.requests("INVITE")[-1])
    assert stage.last(ALICE, CallReofferRejected).status == status
    assert stage.snapshot().state is CallState.CONFIRMED


def test_silence_to_a_re_invite_ends_the_call() -> None:
    stage = established()
    stage.alice.reoffer(stage.call, body=OTHER, now=stage.now)
    stage.run(33 * SECOND)
    assert stage.last(ALICE, CallLost).cause is LossCause.SILENCE
    assert stage.party.requests("BYE")


def test_a_re_invite_is_cancelled_by_the_peer() -> None:
    stage = CalledParty().established()
    request = stage.tell("INVITE", cseq=2, body=OTHER)
    branch = request.top_via.branch or ""
    cancel = stage.party.request("CANCEL", "sip:bob@127.0.0.2", to=stage.to, cseq=2, branch=branch)
    stage.party.send(cancel, BOB)
    assert stage.party.statuses("CANCEL") == [200]
    assert stage.answer("INVITE").status == 487
    assert len(stage.events(BOB, CallReofferWithdrawn)) == 1
    with pytest.raises(LocalProtocolError):
        stage.bob.answer_reoffer(stage.call, body=SDP, now=stage.now)
    stage.tell("INVITE", cseq=3, body=OTHER)
    stage.bob.answer_reoffer(stage.call, body=SDP, now=stage.now)
    stage.run()
    assert stage.answer("INVITE").status == 200


def test_an_update_during_the_peers_open_re_invite_gets_500() -> None:
    stage = CalledParty().established()
    stage.tell("INVITE", cseq=2, body=OTHER)
    stage.tell("UPDATE", cseq=3, body=OTHER)
    assert stage.answer("UPDATE").status == 500
    stage.tell("UPDATE", cseq=4)
    assert stage.answer("UPDATE").status == 200, "without an offer nothing crosses"


def test_an_offer_in_update_waits_for_the_offer_that_the_peers_re_invite_asks_us_for() -> None:
    """Else the re-INVITE would be forgotten, and never answered."""
    stage = CalledParty().established()
    invite = stage.tell("INVITE", cseq=2)
    stage.tell("UPDATE", cseq=3, body=OTHER)
    assert stage.answer("UPDATE").status == 500
    stage.bob.answer_reoffer(stage.call, body=SDP, now=stage.now)
    stage.run()
    assert stage.answer("INVITE").status == 200
    assert stage.answer("INVITE").cseq == invite.cseq


def test_a_change_moves_the_peer() -> None:
    """A target refresh: RFC 3261 12.2."""
    stage = CalledParty().established()
    update = stage.party.request("UPDATE", "sip:bob@127.0.0.2", to=stage.to, cseq=2)
    update.headers.set("Contact", "<sip:moved@127.0.0.1:5060>")
    stage.party.send(update, BOB)
    stage.bob.hang_up(stage.call, now=stage.now)
    stage.run()
    assert [each.uri for each in stage.party.requests("BYE")] == ["sip:moved@127.0.0.1:5060"]


def test_the_200_to_our_re_invite_comes_again_and_is_acknowledged_again() -> None:
    stage = established()
    stage.alice.reoffer(stage.call, body=OTHER, now=stage.now)
    stage.run()
    request = stage.party.requests("INVITE")[-1]
    stage.respond(200, request=request, body=SDP)
    stage.respond(200, request=request, body=SDP)
    acks = [each for each in stage.party.requests("ACK") if each.cseq.number == request.cseq.number]
    assert len(acks) == 2
    assert len(stage.events(ALICE, CallModified)) == 1


def test_our_200_to_a_re_invite_that_is_never_acknowledged_ends_the_call() -> None:
    stage = CalledParty().established()
    stage.tell("INVITE", cseq=2, body=OTHER)
    stage.bob.answer_reoffer(stage.call, body=SDP, now=stage.now)
    stage.run(33 * SECOND)
    assert stage.last(BOB, CallTimedOut).stage is TimeoutStage.ACK
    assert stage.party.requests("BYE")


def test_the_peers_allow_and_our_headers_travel_with_a_change() -> None:
    stage = established()
    stage.alice.reoffer(stage.call, body=OTHER, headers=[("X-Run", "7")], now=stage.now)
    stage.run(20 * MILLISECOND)
    request = stage.party.requests("INVITE")[-1]
    assert request.headers.get("X-Run") == "7"
    assert request.headers.get("Contact") == stage.invite.headers.get("Contact")
    assert request.headers.get_tokens("Supported") == stage.invite.headers.get_tokens("Supported")


def test_changes_are_refused_before_the_answer_and_after_the_end() -> None:
    stage = CallingParty()
    with pytest.raises(LocalProtocolError):
        stage.alice.reoffer(stage.call, body=OTHER, now=stage.now)
    stage.respond(180)
    with pytest.raises(LocalProtocolError):
        stage.alice.reoffer(stage.call, body=OTHER, now=stage.now)
    stage.respond(200, body=SDP)
    stage.alice.hang_up(stage.call, now=stage.now)
    with pytest.raises(LocalProtocolError):
        stage.alice.reoffer(stage.call, body=OTHER, now=stage.now)


def test_a_re_invite_that_is_never_answered_is_cancelled_after_timer_c_and_the_call_given_up() -> None:
    stage = established()
    stage.alice.reoffer(stage.call, body=OTHER, now=stage.now)
    stage.run()
    stage.respond(100, request=stage.party.requests("INVITE")[-1])
    stage.run(181 * SECOND)
    assert stage.party.requests("CANCEL")
    assert stage.snapshot().state is CallState.CONFIRMED
    stage.run(33 * SECOND)
    assert stage.last(ALICE, CallLost).cause is LossCause.SILENCE


def test_a_re_invite_that_was_cancelled_in_time_leaves_the_call_standing() -> None:
    stage = established()
    stage.alice.reoffer(stage.call, body=OTHER, now=stage.now)
    stage.run()
    request = stage.party.requests("INVITE")[-1]
    stage.respond(100, request=request)
    stage.run(181 * SECOND)
    stage.respond(487, request=request)
    assert stage.last(ALICE, CallReofferRejected).status == 487
    stage.run(60 * SECOND)
    assert stage.snapshot().state is CallState.CONFIRMED


def test_a_re_invite_that_outlives_its_call_is_forgotten() -> None:
    stage = established()
    stage.alice.reoffer(stage.call, body=OTHER, now=stage.now)
    stage.run()
    stage.respond(100, request=stage.party.requests("INVITE")[-1])
    stage.tell("BYE", cseq=1)
    stage.run(40 * SECOND)
    stage.finish()
