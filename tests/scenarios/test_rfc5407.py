"""The races of RFC 5407, each named by its section, with a virtual clock.

Where the RFC shows two parties, one is ours and the other is played, or both are ours and the link decides who
crosses whom. What is in question is always how ours behaves.
"""

from __future__ import annotations

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.errors import LocalProtocolError
from cmw.sip import Account, CallOptions, CallState, Credentials, Support
from cmw.sip.events import (
    CallAnswered,
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallModified,
    CallOffered,
    CallReoffered,
    CallReofferRejected,
    Ending,
    TransferCompleted,
    TransferRequested,
)
from tests.support.call_stage import ALICE, BOB, OTHER, CalledParty, CallingParty, Pair, Stage
from tests.support.sip_party import SDP

RELIABLE = CallOptions(reliable=Support.REQUIRED)


def agree(stage: Stage) -> None:
    """Let every agent agree to whatever change is offered."""
    for hop, agent in stage.agents.items():

        def answer(event: object, agent: object = agent) -> None:
            if isinstance(event, CallReoffered):
                agent.answer_reoffer(event.call, body=SDP, now=stage.now)  # type: ignore[attr-defined]

        stage.link.on_event[hop] = answer


def test_3_1_1_a_retransmitted_invite_in_the_moratorium_state() -> None:
    """The 200 was lost: the INVITE that comes again is answered by it again, and offered once."""
    stage = CalledParty()
    stage.bob.answer(stage.call, body=SDP, now=stage.now)
    stage.party.send(stage.invite, BOB)
    assert len(stage.events(BOB, CallOffered)) == 1
    stage.tell("ACK", cseq=1)
    assert stage.snapshot().state is CallState.CONFIRMED


def test_3_1_2_a_cancel_that_crosses_the_200() -> None:
    """UAS: the CANCEL gets 200 and has no effect. UAC: the 200 is acknowledged, then released by BYE."""
    stage = Pair()
    call = stage.dial()
    stage.bob.ring(stage.offered.call, now=stage.now)
    stage.run()
    stage.bob.answer(stage.offered.call, body=SDP, now=stage.now)
    stage.alice.hang_up(call, now=stage.now)
    stage.finish()
    assert stage.sent(ALICE) == ["INVITE", "CANCEL", "ACK", "BYE"]
    assert "200 CANCEL" in stage.sent(BOB)
    assert stage.events(BOB, CallCancelled) == []
    assert stage.last(ALICE, CallEnded).by is Ending.LOCAL
    assert stage.last(BOB, CallEnded).by is Ending.REMOTE


def test_3_1_3_a_bye_in_the_early_state_crosses_the_200() -> None:
    """A caller may end an early dialog by BYE: our 200 is out, so the dialog is confirmed and the BYE ends it."""
    stage = CalledParty()
    stage.bob.ring(stage.call, now=stage.now)
    stage.run()
    stage.bob.answer(stage.call, body=SDP, now=stage.now)
    stage.tell("BYE", cseq=2)
    assert stage.answer("BYE").status == 200
    assert stage.last(BOB, CallEnded).by is Ending.REMOTE
    stage.tell("ACK", cseq=1)
    stage.finish()


def test_a_re_invite_of_the_callee_before_its_200_came() -> None:
    """The 200 is lost, and a re-INVITE of the callee arrives: it may be sent only after the ACK, ours refuses it."""
    stage = CallingParty()
    stage.respond(180)
    stage.tell("INVITE", cseq=1, body=OTHER)
    assert stage.answer("INVITE").status == 491
    stage.respond(200, body=SDP)
    assert stage.snapshot().state is CallState.CONFIRMED


def test_ours_sends_no_re_invite_before_the_ack() -> None:
    stage = CalledParty()
    stage.bob.answer(stage.call, body=SDP, now=stage.now)
    stage.run()
    with pytest.raises(LocalProtocolError, match="INVITE not completed"):
        stage.bob.reoffer(stage.call, body=OTHER, now=stage.now)


def test_3_1_4_a_re_invite_in_the_moratorium_state_when_the_answer_was_in_the_200() -> None:
    """The ACK was lost; the offer was answered by our 200, so that the re-INVITE may be served."""
    stage = CalledParty()
    stage.bob.answer(stage.call, body=SDP, now=stage.now)
    stage.run()
    stage.tell("INVITE", cseq=2, body=OTHER)
    assert stage.last(BOB, CallReoffered).body == OTHER
    assert len(stage.events(BOB, CallConfirmed)) == 1
    stage.bob.answer_reoffer(stage.call, body=SDP, now=stage.now)
    stage.run()
    assert stage.answer("INVITE").status == 200
    assert stage.answer("INVITE").cseq.number == 2
    stage.tell("ACK", cseq=1)
    stage.tell("ACK", cseq=2)
    stage.run(40 * SECOND)
    assert stage.snapshot().state is CallState.CONFIRMED


def test_3_1_5_a_re_invite_in_the_moratorium_state_when_the_200_carried_the_offer() -> None:
    """The answer was in the ACK that is lost: 491, for an offer of ours is open."""
    stage = CalledParty(body=b"")
    stage.bob.answer(stage.call, body=SDP, now=stage.now)
    stage.run()
    stage.tell("INVITE", cseq=2, body=OTHER)
    assert stage.answer("INVITE").status == 491
    assert stage.answer("INVITE").cseq.number == 2
    stage.tell("ACK", cseq=2)
    stage.tell("ACK", cseq=1, body=OTHER)
    assert stage.last(BOB, CallConfirmed).body == OTHER


def test_3_1_6_a_bye_in_the_moratorium_state() -> None:
    """The ACK was lost and BYE follows: it is answered 200 and the 200 to INVITE is sent no more."""
    stage = CalledParty()
    stage.bob.answer(stage.call, body=SDP, now=stage.now)
    stage.run()
    stage.tell("BYE", cseq=2)
    assert stage.answer("BYE").status == 200
    before = stage.party.statuses("INVITE").count(200)
    stage.run(10 * SECOND)
    assert stage.party.statuses("INVITE").count(200) == before
    stage.finish()


def test_3_2_1_byes_cross() -> None:
    """Both are answered 200, both calls end once."""
    stage = Pair()
    call, other = stage.talk()
    stage.alice.hang_up(call, now=stage.now)
    stage.bob.hang_up(other, now=stage.now)
    stage.finish()
    for hop in (ALICE, BOB):
        assert stage.sent(hop)[-2:] == ["BYE", "200 BYE"]
        assert [each.by for each in stage.events(hop, CallEnded)] == [Ending.REMOTE]


def test_3_2_2_a_re_invite_crosses_our_bye() -> None:
    """In the mortal state the re-INVITE gets 481."""
    stage = CalledParty().established()
    stage.bob.hang_up(stage.call, now=stage.now)
    stage.tell("INVITE", cseq=2, body=OTHER)
    assert stage.answer("INVITE").status == 481
    stage.party.respond(stage.party.requests("BYE")[0], 200, tag=None, destination=BOB)
    assert stage.last(BOB, CallEnded).by is Ending.LOCAL
    stage.finish()


def test_3_2_2_our_re_invite_crosses_the_peers_bye() -> None:
    """The BYE is answered 200 and ends the call; what still comes for the re-INVITE is acknowledged."""
    stage = CallingParty()
    stage.respond(200, body=SDP)
    stage.alice.reoffer(stage.call, body=OTHER, now=stage.now)
    stage.tell("BYE", cseq=1)
    assert stage.answer("BYE").status == 200
    reinvite = stage.party.requests("INVITE")[-1]
    stage.respond(481, request=reinvite)
    assert len(stage.party.requests("ACK")) == 2
    assert [type(each) for each in stage.ends(ALICE)] == [CallEnded]
    stage.finish()


def test_3_2_3_the_200_to_our_re_invite_comes_after_the_peers_bye() -> None:
    """The 200 crossed with a BYE still gets its ACK; nobody is told of a change any more."""
    stage = CallingParty()
    stage.respond(200, body=SDP)
    stage.alice.reoffer(stage.call, body=OTHER, now=stage.now)
    stage.tell("BYE", cseq=1)
    reinvite = stage.party.requests("INVITE")[-1]
    stage.respond(200, request=reinvite, body=SDP)
    assert [each.cseq.number for each in stage.party.requests("ACK")][-1] == reinvite.cseq.number
    assert stage.events(ALICE, CallModified) == []
    stage.finish()


def test_a_challenge_to_our_re_invite_after_the_peers_bye_is_not_answered() -> None:
    stage = CallingParty(account=Account("sip:a@lab", "sip:127.0.0.2", Credentials("a", "b"), "a"))
    stage.respond(200, body=SDP)
    stage.alice.reoffer(stage.call, body=OTHER, now=stage.now)
    stage.tell("BYE", cseq=1)
    reinvite = stage.party.requests("INVITE")[-1]
    stage.respond(401, request=reinvite, headers=[("WWW-Authenticate", 'Digest realm="r", nonce="n"')])
    assert stage.party.requests("INVITE")[-1] is reinvite
    stage.finish()


def test_3_2_3_our_200_to_a_re_invite_crosses_the_peers_bye() -> None:
    """The call ends; the 200 is not repeated for ever."""
    stage = CalledParty().established()
    stage.tell("INVITE", cseq=2, body=OTHER)
    stage.bob.answer_reoffer(stage.call, body=SDP, now=stage.now)
    stage.tell("BYE", cseq=3)
    assert stage.answer("BYE").status == 200
    before = stage.party.statuses("INVITE").count(200)
    stage.run(10 * SECOND)
    assert stage.party.statuses("INVITE").count(200) == before
    stage.finish()


def test_3_2_4_the_ack_comes_after_our_bye() -> None:
    """Our 200 to a re-INVITE is out, then BYE: the late ACK has no effect."""
    stage = CalledParty().established()
    stage.tell("INVITE", cseq=2, body=OTHER)
    stage.bob.answer_reoffer(stage.call, body=SDP, now=stage.now)
    stage.bob.hang_up(stage.call, now=stage.now)
    stage.run()
    stage.tell("ACK", cseq=2)
    stage.party.respond(stage.party.requests("BYE")[0], 200, tag=None, destination=BOB)
    assert stage.last(BOB, CallEnded).by is Ending.LOCAL
    stage.finish()


def test_3_3_1_re_invites_cross() -> None:
    """Glare: both get 491, both try again, who owns the Call-ID later."""
    stage = Pair()
    call, other = stage.talk()
    agree(stage)
    stage.alice.reoffer(call, body=OTHER, now=stage.now)
    stage.bob.reoffer(other, body=OTHER, now=stage.now)
    stage.run(10 * SECOND)
    assert "491 INVITE" in stage.sent(ALICE)
    assert "491 INVITE" in stage.sent(BOB)
    for hop in (ALICE, BOB):
        assert sorted(each.by for each in stage.events(hop, CallModified)) == [Ending.LOCAL, Ending.REMOTE]


def test_3_3_2_a_re_invite_crosses_an_update() -> None:
    """RFC 3311 5.2: an UPDATE with an offer while ours is open gets 491, and so does the INVITE."""
    stage = Pair()
    call, other = stage.talk()
    agree(stage)
    stage.alice.reoffer(call, body=OTHER, now=stage.now)
    stage.bob.reoffer(other, body=OTHER, method="UPDATE", now=stage.now)
    stage.run(10 * SECOND)
    assert "491 UPDATE" in stage.sent(ALICE)
    assert "491 INVITE" in stage.sent(BOB)
    for hop in (ALICE, BOB):
        assert sorted(each.by for each in stage.events(hop, CallModified)) == [Ending.LOCAL, Ending.REMOTE]
        assert stage.events(hop, CallReofferRejected) == []


def test_3_3_3_a_refer_crosses_our_bye() -> None:
    """In the mortal state a REFER gets 481."""
    stage = CalledParty(options=CallOptions(takes_transfers=True)).established()
    stage.bob.hang_up(stage.call, now=stage.now)
    stage.tell("REFER", cseq=2, headers=[("Refer-To", "<sip:c@127.0.0.3>")])
    assert stage.answer("REFER").status == 481
    assert stage.events(BOB, TransferRequested) == []


def test_3_3_3_our_refer_crosses_the_peers_bye() -> None:
    """The BYE is answered 200; the transfer is told to have failed, and the answer to it is harmless."""
    stage = CallingParty()
    stage.respond(200, body=SDP)
    stage.alice.transfer(stage.call, "sip:c@127.0.0.3", now=stage.now)
    stage.tell("BYE", cseq=1)
    assert stage.answer("BYE").status == 200
    assert stage.last(ALICE, TransferCompleted).status == 0
    stage.respond(481, request=stage.party.requests("REFER")[0])
    assert len(stage.ends(ALICE)) == 1
    stage.finish()


def test_appendix_a_the_bye_of_a_call_whose_200_we_never_saw() -> None:
    """The callee gave up on our ACK: its BYE is answered, its 200 acknowledged should it come after all."""
    stage = CallingParty()
    stage.respond(180)
    stage.tell("BYE", cseq=1)
    assert stage.answer("BYE").status == 200
    assert stage.last(ALICE, CallEnded).by is Ending.REMOTE
    stage.respond(200, body=SDP)
    assert stage.party.requests("ACK")
    assert stage.events(ALICE, CallAnswered) == []


def test_an_invite_that_rings_after_the_bye_of_a_callee_is_forgotten_in_the_end() -> None:
    """The BYE came first, so that nobody waited for the INVITE any more: it stayed for ever."""
    stage = CallingParty(account=Account("sip:a@lab", "sip:127.0.0.2", Credentials("a", "b"), "a"))
    stage.respond(180)
    stage.respond(401, headers=[("WWW-Authenticate", 'Digest realm="r", nonce="n"')])
    stage.tell("BYE", cseq=1)
    assert stage.last(ALICE, CallEnded).by is Ending.REMOTE
    stage.respond(180, request=stage.party.requests("INVITE")[-1])
    stage.finish()


def test_appendix_e_a_late_200_from_another_branch_after_the_call_stands() -> None:
    """A forked 200 that comes late is acknowledged and released."""
    stage = CallingParty()
    stage.respond(180, tag="one")
    stage.respond(180, tag="two")
    stage.respond(200, tag="one", body=SDP)
    stage.run(5 * SECOND)
    stage.respond(200, tag="two", body=SDP)
    assert {each.to.tag for each in stage.party.requests("ACK")} == {"one", "two"}
    assert {each.to.tag for each in stage.party.requests("BYE")} == {"two"}
    assert stage.snapshot().counts.forks_released == 1


def test_an_update_crosses_the_200_to_the_invite() -> None:
    """An UPDATE of the caller in the early dialog arrives after our 200 left: it is in order, and served."""
    stage = CalledParty(headers=[("Require", "100rel")])
    stage.bob.ring(stage.call, status=183, body=SDP, now=stage.now)
    stage.run()
    stage.prack(stage.answer("INVITE"), cseq=2)
    stage.bob.answer(stage.call, body=SDP, now=stage.now)
    stage.tell("UPDATE", cseq=3, body=OTHER)
    assert stage.last(BOB, CallReoffered).method == "UPDATE"
    stage.bob.answer_reoffer(stage.call, body=SDP, now=stage.now)
    stage.run()
    assert stage.answer("UPDATE").status == 200
    stage.tell("ACK", cseq=1)
    assert stage.snapshot().state is CallState.CONFIRMED


def test_our_update_in_the_early_dialog_crosses_the_200() -> None:
    """The 200 to INVITE confirms the call while our UPDATE is open; its answer comes after."""
    stage = CallingParty(options=RELIABLE)
    stage.respond_reliably(1, body=SDP)
    stage.respond(200, request=stage.party.requests("PRACK")[0])
    stage.alice.reoffer(stage.call, body=OTHER, method="UPDATE", now=stage.now)
    stage.run(20 * MILLISECOND)
    stage.respond(200)
    assert stage.last(ALICE, CallAnswered).body == SDP
    stage.respond(200, request=stage.party.requests("UPDATE")[0], body=OTHER)
    assert stage.last(ALICE, CallModified).body == OTHER
    stage.alice.reoffer(stage.call, body=SDP, now=stage.now)


def test_a_cancel_crosses_a_refusal() -> None:
    """The CANCEL finds its INVITE answered: 200 to it, and the refusal stands."""
    stage = Pair()
    call = stage.dial()
    stage.bob.reject(stage.offered.call, status=486, now=stage.now)
    stage.alice.hang_up(call, now=stage.now)
    stage.finish()
    assert stage.last(ALICE, CallEnded).status == 486
    assert len(stage.ends(BOB)) == 1
