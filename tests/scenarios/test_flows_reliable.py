"""Provisional responses that are acknowledged, both ways. Source: RFC 3262, RFC 6337."""

from __future__ import annotations

import pytest

from cmw.core.clock import SECOND
from cmw.errors import LocalProtocolError
from cmw.sip import CallOptions, CallState, Support
from cmw.sip.events import (
    CallAnswered,
    CallConfirmed,
    CallModified,
    CallOffered,
    CallProceeding,
    CallRejected,
    CallReoffered,
    CallTimedOut,
    Ending,
    TimeoutStage,
)
from tests.support.call_stage import ALICE, BOB, OTHER, CalledParty, CallingParty, Pair
from tests.support.sip_party import SDP

REQUIRED = CallOptions(reliable=Support.REQUIRED)
OFF = CallOptions(reliable=Support.OFF)
NEEDS = [("Require", "100rel")]


def test_a_reliable_call_between_two_of_us() -> None:
    stage = Pair()
    call = stage.dial(options=REQUIRED)
    other = stage.offered.call
    stage.bob.ring(other, status=183, body=SDP, now=stage.now)
    stage.run()
    stage.bob.ring(other, now=stage.now)
    stage.run()
    stage.bob.answer(other, body=SDP, now=stage.now)
    stage.run()
    assert stage.sent(ALICE) == ["INVITE", "PRACK", "PRACK", "ACK"]
    assert stage.sent(BOB) == [
        "100 INVITE",
        "183 INVITE",
        "200 PRACK",
        "180 INVITE",
        "200 PRACK",
        "200 INVITE",
    ]
    early = stage.events(ALICE, CallProceeding)[1]
    assert (early.status, early.body, early.is_reliable, early.wants_answer) == (183, SDP, True, False)
    answered = stage.last(ALICE, CallAnswered)
    assert answered.body == SDP, "the answer came in the 183"
    assert stage.messages(BOB, "200 INVITE")[0].body == b"", "and is not sent twice"
    counts = stage.alice.call_snapshot(call).counts
    assert (counts.pracks, counts.early_dialogs) == (2, 1)
    assert stage.alice.call_snapshot(call).instants.prack_at == stage.events(ALICE, CallProceeding)[1].at
    assert stage.bob.call_snapshot(other).counts.pracks == 2


def test_the_rseq_rises_by_one_and_each_response_waits_for_the_prack_of_the_one_before() -> None:
    stage = CalledParty(headers=NEEDS)
    stage.bob.ring(stage.call, status=183, body=SDP, now=stage.now)
    stage.bob.ring(stage.call, status=180, now=stage.now)
    stage.run()
    assert stage.party.statuses("INVITE") == [100, 183]
    first = stage.answer("INVITE")
    assert first.headers.get("Require") == "100rel"
    assert stage.prack(first, cseq=2) == 200
    stage.run()
    second = stage.answer("INVITE")
    assert second.status == 180
    assert int(second.headers.get("RSeq") or 0) == int(first.headers.get("RSeq") or 0) + 1


def test_a_response_is_repeated_until_its_prack() -> None:
    stage = CalledParty(headers=NEEDS)
    stage.bob.ring(stage.call, now=stage.now)
    stage.run(4 * SECOND)
    assert stage.party.statuses("INVITE") == [100, 180, 180, 180, 180]
    stage.prack(stage.answer("INVITE"), cseq=2)
    stage.run(20 * SECOND)
    assert stage.party.statuses("INVITE") == [100, 180, 180, 180, 180]
    assert stage.snapshot().retransmissions_sent == 3


def test_without_prack_the_invite_is_refused_after_64_t1() -> None:
    stage = CalledParty(headers=NEEDS)
    stage.bob.ring(stage.call, now=stage.now)
    stage.run(40 * SECOND)
    assert stage.answer("INVITE").status == 504
    timed_out = stage.last(BOB, CallTimedOut)
    assert timed_out.stage is TimeoutStage.PRACK


def test_the_200_waits_for_the_prack_of_the_answer() -> None:
    stage = CalledParty(headers=NEEDS)
    stage.bob.ring(stage.call, status=183, body=SDP, now=stage.now)
    stage.bob.answer(stage.call, body=SDP, now=stage.now)
    stage.run()
    assert 200 not in stage.party.statuses("INVITE")
    with pytest.raises(LocalProtocolError):
        stage.bob.answer(stage.call, body=SDP, now=stage.now)
    stage.prack(stage.answer("INVITE"), cseq=2)
    assert stage.answer("INVITE").status == 200
    assert stage.answer("INVITE").body == b""
    stage.tell("ACK", cseq=1)
    assert stage.snapshot().state is CallState.CONFIRMED


def test_the_200_does_not_wait_for_the_prack_of_a_mere_180() -> None:
    stage = CalledParty(headers=NEEDS)
    stage.bob.ring(stage.call, now=stage.now)
    stage.bob.answer(stage.call, body=SDP, now=stage.now)
    stage.run(3 * SECOND)
    assert stage.party.statuses("INVITE")[:3] == [100, 180, 200]
    assert stage.party.statuses("INVITE").count(180) == 1, "nothing provisional after the final response"


def test_a_prack_that_crosses_the_200_is_answered() -> None:
    stage = CalledParty(headers=NEEDS)
    stage.bob.ring(stage.call, now=stage.now)
    stage.run()
    ringing = stage.answer("INVITE")
    stage.bob.answer(stage.call, body=SDP, now=stage.now)
    stage.run()
    stage.prack(ringing, cseq=2)
    assert stage.party.statuses("PRACK") == [200]
    stage.prack(ringing, cseq=3)
    assert stage.party.statuses("PRACK") == [200, 481]


def test_the_200_waits_for_an_answer_that_waits_itself() -> None:
    stage = CalledParty(headers=NEEDS)
    stage.bob.ring(stage.call, now=stage.now)
    stage.bob.ring(stage.call, status=183, body=SDP, now=stage.now)
    stage.bob.answer(stage.call, body=SDP, now=stage.now)
    stage.run()
    stage.prack(stage.answer("INVITE"), cseq=2)
    assert stage.answer("INVITE").status == 183
    assert stage.answer("INVITE").body == SDP
    stage.prack(stage.answer("INVITE"), cseq=3)
    assert stage.answer("INVITE").status == 200


def test_a_held_answer_can_still_be_cancelled_and_hung_up() -> None:
    for ends in ("cancel", "hang up"):
        stage = CalledParty(headers=NEEDS)
        stage.bob.ring(stage.call, status=183, body=SDP, now=stage.now)
        stage.bob.answer(stage.call, body=SDP, now=stage.now)
        if ends == "cancel":
            branch = stage.invite.top_via.branch or ""
            stage.party.send(stage.party.request("CANCEL", "sip:bob@127.0.0.2", branch=branch), BOB)
        else:
            stage.bob.hang_up(stage.call, now=stage.now)
            stage.run()
        assert stage.answer("INVITE").status == (487 if ends == "cancel" else 480)
        assert len(stage.ends(BOB)) == 1


@pytest.mark.parametrize("rack", ["9999 1 INVITE", "1 7 INVITE", "1 1 UPDATE"])
def test_a_prack_of_nothing_gets_481(rack: str) -> None:
    stage = CalledParty(headers=NEEDS)
    stage.bob.ring(stage.call, now=stage.now)
    stage.run()
    stage.tell("PRACK", cseq=2, headers=[("RAck", rack)])
    assert stage.answer("PRACK").status == 481
    stage.tell("PRACK", cseq=3, headers=[("RAck", "nonsense")])
    assert stage.answer("PRACK").status == 400


def test_an_invite_without_offer_gets_one_in_the_183_and_the_answer_comes_in_prack() -> None:
    stage = CalledParty(body=b"", headers=NEEDS)
    stage.bob.ring(stage.call, status=183, body=SDP, now=stage.now)
    stage.run()
    stage.prack(stage.answer("INVITE"), cseq=2, body=OTHER)
    modified = stage.last(BOB, CallModified)
    assert (modified.body, modified.method, modified.by) == (OTHER, "PRACK", Ending.LOCAL)
    stage.bob.answer(stage.call, body=b"", now=stage.now)
    stage.run()
    assert stage.answer("INVITE").body == b""
    stage.tell("ACK", cseq=1)
    assert stage.last(BOB, CallConfirmed).body == b""


def test_a_prack_may_carry_an_offer() -> None:
    stage = CalledParty(headers=NEEDS)
    stage.bob.ring(stage.call, status=183, body=SDP, now=stage.now)
    stage.run()
    rack = f"{stage.answer('INVITE').headers.get('RSeq')} 1 INVITE"
    stage.tell("PRACK", cseq=2, headers=[("RAck", rack)], body=OTHER)
    reoffered = stage.last(BOB, CallReoffered)
    assert (reoffered.method, reoffered.body) == ("PRACK", OTHER)
    stage.bob.answer_reoffer(stage.call, body=SDP, now=stage.now)
    stage.run()
    assert (stage.answer("PRACK").status, stage.answer("PRACK").body) == (200, SDP)


def test_ringing_once_more_does_not_answer_an_update() -> None:
    """Else a PRACK with an offer took the place of the UPDATE, which was never answered."""
    stage = CalledParty(headers=NEEDS)
    stage.bob.ring(stage.call, status=183, body=SDP, now=stage.now)
    stage.run()
    assert stage.prack(stage.answer("INVITE"), cseq=2) == 200
    stage.tell("UPDATE", cseq=3, body=OTHER)
    assert stage.last(BOB, CallReoffered).method == "UPDATE"
    stage.bob.ring(stage.call, status=183, body=SDP, now=stage.now)
    stage.run()
    assert stage.answer("INVITE").body == b""
    assert stage.prack(stage.answer("INVITE"), cseq=4, body=OTHER) == 200
    assert len(stage.events(BOB, CallReoffered)) == 1
    stage.bob.answer_reoffer(stage.call, body=SDP, now=stage.now)
    stage.run()
    assert stage.answer("UPDATE").body == SDP


def test_an_offer_in_prack_before_the_first_exchange_is_no_offer() -> None:
    """Else our own offer in the next response was taken for its answer, and the PRACK was never answered."""
    stage = CalledParty(body=b"", headers=NEEDS)
    stage.bob.ring(stage.call, now=stage.now)
    stage.run()
    assert stage.prack(stage.answer("INVITE"), cseq=2, body=OTHER) == 200
    assert stage.events(BOB, CallReoffered) == []


def test_an_update_with_an_offer_before_the_first_offer_has_its_answer_gets_500() -> None:
    """RFC 3311 5.1."""
    stage = CalledParty(body=b"", headers=NEEDS)
    stage.bob.ring(stage.call, now=stage.now)
    stage.run()
    stage.tell("UPDATE", cseq=2, body=OTHER)
    assert stage.answer("UPDATE").status == 500


def test_a_caller_that_does_not_support_it_is_rung_unreliably_or_refused() -> None:
    stage = CalledParty(options=CallOptions())
    with pytest.raises(LocalProtocolError):
        stage.bob.ring(stage.call, reliable=True, now=stage.now)
    refused = CalledParty(options=REQUIRED)
    assert refused.answer("INVITE").status == 421
    assert refused.answer("INVITE").headers.get("Require") == "100rel"
    assert refused.events(BOB, CallOffered) == []


def test_a_callee_that_has_it_off_refuses_callers_that_require_it() -> None:
    stage = CalledParty(options=OFF, headers=NEEDS)
    assert stage.answer("INVITE").status == 420
    assert stage.answer("INVITE").headers.get("Unsupported") == "100rel"


def test_a_callee_that_supports_it_rings_reliably_on_demand_only() -> None:
    stage = CalledParty(headers=[("Supported", "100rel")])
    stage.bob.ring(stage.call, now=stage.now)
    stage.run()
    assert "RSeq" not in stage.answer("INVITE").headers
    stage.bob.ring(stage.call, reliable=True, now=stage.now)
    stage.run()
    assert "RSeq" in stage.answer("INVITE").headers


def test_a_caller_that_requires_it_says_so_and_one_that_has_it_off_does_not_mention_it() -> None:
    assert CallingParty(options=REQUIRED).invite.headers.get_tokens("Require") == ["100rel"]
    off = CallingParty(options=OFF)
    assert "100rel" not in off.invite.headers.get_tokens("Supported")
    off.respond_reliably(1)
    assert off.party.requests("PRACK") == []


def test_responses_out_of_order_are_neither_acknowledged_nor_told() -> None:
    stage = CallingParty()
    stage.respond_reliably(10)
    stage.respond_reliably(12)
    stage.respond_reliably(10)
    stage.respond_reliably(11)
    assert len(stage.events(ALICE, CallProceeding)) == 2
    racks = {(each.headers.get("RAck") or "").split()[0] for each in stage.party.requests("PRACK")}
    assert racks == {"10", "11"}


def test_each_early_dialog_has_numbers_of_its_own() -> None:
    stage = CallingParty()
    stage.respond_reliably(100, tag="one")
    stage.respond_reliably(7, tag="two")
    stage.respond_reliably(8, tag="two")
    pracks = {(each.to.tag, (each.headers.get("RAck") or "").split()[0]) for each in stage.party.requests("PRACK")}
    assert pracks == {("one", "100"), ("two", "7"), ("two", "8")}
    assert [each.remote_tag for each in stage.events(ALICE, CallProceeding)] == ["one", "two", "two"]
    assert stage.snapshot().counts.early_dialogs == 2


def test_a_prack_that_was_never_answered_is_sent_anew_when_its_response_comes_again() -> None:
    stage = CallingParty()
    stage.respond_reliably(5)
    before = {each.cseq.number for each in stage.party.requests("PRACK")}
    stage.respond_reliably(5)
    assert {each.cseq.number for each in stage.party.requests("PRACK")} == before
    stage.run(33 * SECOND)
    stage.respond_reliably(5)
    assert len({each.cseq.number for each in stage.party.requests("PRACK")}) == 2


def test_an_offer_in_the_183_is_answered_in_prack_and_the_200_needs_none() -> None:
    stage = CallingParty(body=b"")
    stage.respond_reliably(1, body=OTHER)
    assert stage.party.requests("PRACK") == []
    early = stage.last(ALICE, CallProceeding)
    assert (early.wants_answer, early.body) == (True, OTHER)
    stage.alice.acknowledge(stage.call, body=SDP, now=stage.now)
    stage.run()
    (prack,) = stage.party.requests("PRACK")
    assert prack.body == SDP
    stage.respond(200, request=prack)
    with pytest.raises(LocalProtocolError):
        stage.alice.acknowledge(stage.call, body=SDP, now=stage.now)
    stage.respond(200)
    answered = stage.last(ALICE, CallAnswered)
    assert (answered.wants_answer, answered.body) == (False, OTHER)
    assert stage.party.requests("ACK")[0].body == b""


def test_a_deferred_prack_carries_an_offer() -> None:
    stage = CallingParty(options=CallOptions(defers_prack=True))
    stage.respond_reliably(1, body=SDP)
    assert stage.last(ALICE, CallProceeding).wants_answer
    stage.alice.acknowledge(stage.call, body=OTHER, now=stage.now)
    stage.run()
    (prack,) = stage.party.requests("PRACK")
    stage.respond(200, request=prack, body=OTHER)
    modified = stage.last(ALICE, CallModified)
    assert (modified.body, modified.method) == (OTHER, "PRACK")


def test_early_media_in_an_unreliable_183_and_a_200_without_sdp() -> None:
    stage = CallingParty()
    stage.respond(183, body=OTHER)
    stage.respond(200)
    assert stage.last(ALICE, CallAnswered).body == OTHER
    assert stage.snapshot().instants.progress_at is not None


def test_an_update_changes_the_session_before_the_answer() -> None:
    stage = Pair()
    call = stage.dial(options=REQUIRED)
    other = stage.offered.call
    with pytest.raises(LocalProtocolError):
        stage.bob.reoffer(other, body=OTHER, method="UPDATE", now=stage.now)
    stage.bob.ring(other, status=183, body=SDP, now=stage.now)
    stage.run()
    stage.bob.reoffer(other, body=OTHER, method="UPDATE", now=stage.now)
    stage.run()
    assert stage.last(ALICE, CallReoffered).body == OTHER
    stage.alice.answer_reoffer(call, body=SDP, now=stage.now)
    stage.run()
    assert stage.last(BOB, CallModified).by is Ending.LOCAL
    stage.alice.reoffer(call, body=SDP, method="UPDATE", now=stage.now)
    stage.run()
    stage.bob.answer_reoffer(other, body=OTHER, now=stage.now)
    stage.bob.answer(other, body=SDP, now=stage.now)
    stage.run()
    assert stage.alice.call_snapshot(call).state is CallState.CONFIRMED
    assert stage.sent(ALICE) == ["INVITE", "PRACK", "200 UPDATE", "UPDATE", "ACK"]
    stage.alice.hang_up(call, now=stage.now)
    stage.finish()


def test_an_early_update_without_reliable_answer_crosses_the_invite() -> None:
    stage = CallingParty()
    stage.respond(180)
    stage.tell("UPDATE", cseq=1, body=SDP)
    assert stage.answer("UPDATE").status == 491
    called = CalledParty()
    called.bob.ring(called.call, now=called.now)
    called.run()
    called.tell("UPDATE", cseq=2, body=SDP)
    assert called.answer("UPDATE").status == 500
    assert called.answer("UPDATE").headers.get("Retry-After") is not None


def test_pracks_are_lost_and_repeated() -> None:
    stage = Pair()
    stage.lose("PRACK", "200 PRACK", "183 INVITE")
    stage.dial(options=REQUIRED)
    stage.bob.ring(stage.offered.call, status=183, body=SDP, now=stage.now)
    stage.run(5 * SECOND)
    stage.bob.answer(stage.offered.call, body=SDP, now=stage.now)
    stage.run()
    assert len(stage.events(ALICE, CallAnswered)) == len(stage.events(BOB, CallConfirmed)) == 1


def test_a_call_that_rang_reliably_is_rejected() -> None:
    stage = Pair()
    stage.dial(options=REQUIRED)
    stage.bob.ring(stage.offered.call, now=stage.now)
    stage.run()
    stage.bob.reject(stage.offered.call, status=486, now=stage.now)
    stage.finish()
    assert stage.last(ALICE, CallRejected).status == 486
