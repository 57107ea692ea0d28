"""Transfers: blind and attended, as the one who asks, who is asked, and who is called. RFC 3515, 3891, 5589."""

from __future__ import annotations

import pytest

from cmw.core.clock import SECOND
from cmw.errors import LocalProtocolError
from cmw.sip import CallOptions, CallState, ReferTo, Replaces
from cmw.sip.events import (
    CallAnswered,
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallOffered,
    CallProceeding,
    CallReplaced,
    Ending,
    TransferAccepted,
    TransferCompleted,
    TransferProgressed,
    TransferRequested,
)
from tests.support.call_stage import ALICE, BOB, CAROL, CalledParty, CallingParty, Stage
from tests.support.sip_party import SDP, Party

TAKES = CallOptions(takes_transfers=True)


class Three(Stage):
    """Alice talks with Bob, who takes transfers; Carol is there too."""

    def __init__(self) -> None:
        super().__init__(ALICE, BOB, CAROL)
        self.alice, self.bob, self.carol = (self.agents[hop] for hop in (ALICE, BOB, CAROL))
        for agent in self.agents.values():
            agent.set_inbound_options(TAKES)
        self.call = self.connect(ALICE, BOB)
        self.at_bob = self.last(BOB, CallOffered).call

    def connect(self, caller: object, callee: object) -> int:
        call = self.agents[caller].invite(f"sip:x@{callee}", body=SDP, now=self.now)  # type: ignore[index]
        self.run()
        self.agents[callee].answer(self.last(callee, CallOffered).call, body=SDP, now=self.now)  # type: ignore[index,arg-type]
        self.run()
        return call

    def accept(self) -> int:
        """Let Bob do as he is asked; return his new call."""
        asked = self.last(BOB, TransferRequested)
        self.bob.accept_transfer(asked.transfer, now=self.now)
        call = self.bob.invite("", transfer=asked.transfer, body=SDP, now=self.now)
        self.run()
        return call


def test_a_blind_transfer() -> None:
    stage = Three()
    transfer = stage.alice.transfer(stage.call, f"sip:carol@{CAROL}", now=stage.now)
    stage.run()
    asked = stage.last(BOB, TransferRequested)
    assert asked.target == ReferTo(f"sip:carol@{CAROL}")
    assert asked.referred_by == "<sip:127.0.0.1:5060>"
    call = stage.accept()
    accepted = stage.last(ALICE, TransferAccepted)
    assert (accepted.transfer, accepted.status, accepted.is_followed) == (transfer, 202, True)
    offered = stage.last(CAROL, CallOffered)
    assert offered.request.headers.get("Referred-By") == asked.referred_by
    stage.carol.ring(offered.call, now=stage.now)
    stage.run()
    stage.carol.answer(offered.call, body=SDP, now=stage.now)
    stage.run()
    assert [each.status for each in stage.events(ALICE, TransferProgressed)] == [100, 100, 180]
    completed = stage.last(ALICE, TransferCompleted)
    assert (completed.transfer, completed.status) == (transfer, 200)
    states = [each.headers.get("Subscription-State") for each in stage.messages(BOB, "NOTIFY")]
    assert states[-1] == "terminated;reason=noresource"
    assert stage.messages(BOB, "NOTIFY")[-1].body == b"SIP/2.0 200 OK\r\n"
    assert stage.alice.call_snapshot(stage.call).state is CallState.CONFIRMED, "who asked hangs up himself"
    stage.alice.hang_up(stage.call, now=stage.now)
    stage.bob.hang_up(call, now=stage.now)
    stage.finish()


def test_an_attended_transfer() -> None:
    stage = Three()
    consultation = stage.connect(ALICE, CAROL)
    at_carol = stage.last(CAROL, CallOffered).call
    transfer = stage.alice.transfer(stage.call, replaces_call=consultation, now=stage.now)
    stage.run()
    asked = stage.last(BOB, TransferRequested)
    assert asked.target.replaces is not None
    stage.accept()
    offered = stage.last(CAROL, CallOffered)
    assert offered.replaces == at_carol
    assert offered.request.headers.get("Require") == "replaces"
    stage.carol.answer(offered.call, body=SDP, now=stage.now)
    stage.run()
    replaced = stage.last(CAROL, CallReplaced)
    assert (replaced.call, replaced.by_call) == (at_carol, offered.call)
    assert stage.events(CAROL, CallEnded)[0].call == at_carol
    assert stage.last(ALICE, TransferCompleted).transfer == transfer
    ended = [each for each in stage.events(ALICE, CallEnded) if each.call == consultation]
    assert [each.by for each in ended] == [Ending.REMOTE]
    stage.alice.hang_up(stage.call, now=stage.now)
    stage.carol.hang_up(offered.call, now=stage.now)
    stage.finish()


def test_the_callee_transfers_the_caller_with_a_call_that_came_to_it() -> None:
    stage = Three()
    asker = stage.connect(CAROL, ALICE)
    inbound = stage.last(ALICE, CallOffered).call
    stage.alice.transfer(stage.call, replaces_call=inbound, now=stage.now)
    stage.run()
    stage.accept()
    offered = stage.last(CAROL, CallOffered)
    assert offered.replaces == asker
    stage.carol.answer(offered.call, body=SDP, now=stage.now)
    stage.run()
    assert stage.last(ALICE, TransferCompleted).status == 200


@pytest.mark.parametrize(("reject", "status"), [(True, 486), (False, 487)])
def test_a_transfer_whose_call_fails(reject: bool, status: int) -> None:
    stage = Three()
    stage.alice.transfer(stage.call, f"sip:carol@{CAROL}", now=stage.now)
    stage.run()
    call = stage.accept()
    if reject:
        stage.carol.reject(stage.last(CAROL, CallOffered).call, status=486, now=stage.now)
    else:
        stage.bob.hang_up(call, now=stage.now)
    stage.run()
    assert stage.last(ALICE, TransferCompleted).status == status


def test_a_transfer_is_declined_by_those_who_take_none() -> None:
    stage = Three()
    stage.bob.set_inbound_options(CallOptions())
    call = stage.connect(ALICE, BOB)
    stage.alice.transfer(call, f"sip:carol@{CAROL}", now=stage.now)
    stage.run()
    assert stage.last(ALICE, TransferCompleted).status == 603
    assert stage.events(BOB, TransferRequested) == []


def test_a_transfer_is_rejected_by_the_user() -> None:
    stage = Three()
    stage.alice.transfer(stage.call, f"sip:carol@{CAROL}", now=stage.now)
    stage.run()
    asked = stage.last(BOB, TransferRequested)
    stage.bob.reject_transfer(asked.transfer, status=488, now=stage.now)
    stage.run()
    assert stage.last(ALICE, TransferCompleted).status == 488
    with pytest.raises(LocalProtocolError):
        stage.bob.accept_transfer(asked.transfer, now=stage.now)


def test_a_transfer_without_subscription() -> None:
    """RFC 4488."""
    stage = Three()
    stage.alice.transfer(stage.call, f"sip:carol@{CAROL}", is_followed=False, now=stage.now)
    stage.run()
    stage.accept()
    assert stage.last(ALICE, TransferAccepted).is_followed is False
    assert "NOTIFY" not in stage.sent(BOB)
    stage.carol.answer(stage.last(CAROL, CallOffered).call, body=SDP, now=stage.now)
    stage.run()
    assert "NOTIFY" not in stage.sent(BOB)
    assert stage.bob._stack.transfers == {}


def test_a_transfer_by_hand() -> None:
    stage = Three()
    stage.alice.transfer(stage.call, "sip:elsewhere@192.0.2.1", now=stage.now)
    stage.run()
    asked = stage.last(BOB, TransferRequested)
    with pytest.raises(LocalProtocolError):
        stage.bob.invite("", transfer=asked.transfer, body=SDP, now=stage.now)
    assert stage.bob.accept_transfer(asked.transfer, now=stage.now).uri == "sip:elsewhere@192.0.2.1"
    stage.bob.report_transfer(asked.transfer, status=183, now=stage.now)
    stage.bob.report_transfer(asked.transfer, status=404, now=stage.now)
    stage.run()
    assert [each.status for each in stage.events(ALICE, TransferProgressed)] == [100, 183]
    assert stage.last(ALICE, TransferCompleted).status == 404


def test_notifies_do_not_overtake_each_other() -> None:
    stage = Three()
    stage.alice.transfer(stage.call, "sip:x@192.0.2.1", now=stage.now)
    stage.run()
    asked = stage.last(BOB, TransferRequested)
    stage.lose("NOTIFY")
    stage.bob.accept_transfer(asked.transfer, now=stage.now)
    stage.bob.report_transfer(asked.transfer, status=200, now=stage.now)
    stage.run(3 * SECOND)
    assert [each.body for each in stage.messages(BOB, "NOTIFY")] == [
        b"SIP/2.0 100 Trying\r\n",
        b"SIP/2.0 100 Trying\r\n",
        b"SIP/2.0 200 OK\r\n",
    ]


def test_two_transfers_in_one_call_are_told_apart() -> None:
    stage = Three()
    first = stage.alice.transfer(stage.call, "sip:x@192.0.2.1", now=stage.now)
    stage.run()
    second = stage.alice.transfer(stage.call, "sip:y@192.0.2.1", now=stage.now)
    stage.run()
    one, two = stage.events(BOB, TransferRequested)
    stage.bob.accept_transfer(two.transfer, now=stage.now)
    stage.bob.accept_transfer(one.transfer, now=stage.now)
    stage.bob.report_transfer(two.transfer, status=404, now=stage.now)
    stage.run()
    assert (stage.last(ALICE, TransferCompleted).transfer, stage.last(ALICE, TransferCompleted).status) == (second, 404)
    stage.bob.report_transfer(one.transfer, status=200, now=stage.now)
    stage.run()
    assert stage.last(ALICE, TransferCompleted).transfer == first


def test_a_transfer_that_nobody_speaks_of_any_more_is_given_up() -> None:
    stage = CallingParty()
    stage.respond(200, body=SDP)
    stage.alice.transfer(stage.call, "sip:x@192.0.2.1", now=stage.now)
    stage.run()
    stage.respond(202, request=stage.party.requests("REFER")[0])
    stage.run(181 * SECOND)
    assert stage.last(ALICE, TransferCompleted).status == 0


@pytest.mark.parametrize(
    ("state", "body", "status"),
    [
        ("terminated;reason=timeout", b"", 0),
        ("active;expires=60", b"SIP/2.0 503 Service Unavailable", 503),
        ("terminated;reason=noresource", b"SIP/2.0 200 OK", 200),
    ],
)
def test_the_last_notify_of_others(state: str, body: bytes, status: int) -> None:
    stage = CallingParty()
    stage.respond(200, body=SDP)
    stage.alice.transfer(stage.call, "sip:x@192.0.2.1", now=stage.now)
    stage.run()
    stage.respond(202, request=stage.party.requests("REFER")[0])
    rows = [("Event", "refer"), ("Subscription-State", state), ("Content-Type", "message/sipfrag")]
    stage.tell("NOTIFY", cseq=1, headers=rows, body=body)
    assert stage.answer("NOTIFY").status == 200
    assert stage.last(ALICE, TransferCompleted).status == status


def test_a_notify_may_come_before_the_202() -> None:
    stage = CallingParty()
    stage.respond(200, body=SDP)
    stage.alice.transfer(stage.call, "sip:x@192.0.2.1", now=stage.now)
    stage.run()
    rows = [("Event", "refer"), ("Subscription-State", "active"), ("Content-Type", "message/sipfrag")]
    stage.tell("NOTIFY", cseq=1, headers=rows, body=b"SIP/2.0 100 Trying")
    assert stage.last(ALICE, TransferProgressed).status == 100
    stage.respond(202, request=stage.party.requests("REFER")[0])
    assert stage.last(ALICE, TransferAccepted).status == 202


def test_a_202_that_comes_after_the_last_notify_tells_nothing_more() -> None:
    stage = CallingParty()
    stage.respond(200, body=SDP)
    stage.alice.transfer(stage.call, "sip:x@192.0.2.1", now=stage.now)
    stage.run()
    rows = [("Event", "refer"), ("Subscription-State", "terminated"), ("Content-Type", "message/sipfrag")]
    stage.tell("NOTIFY", cseq=1, headers=rows, body=b"SIP/2.0 200 OK")
    assert stage.last(ALICE, TransferCompleted).status == 200
    stage.respond(202, request=stage.party.requests("REFER")[0], headers=[("Refer-Sub", "false")])
    assert stage.events(ALICE, TransferAccepted) == []


@pytest.mark.parametrize(
    ("refer_to", "status"), [("<sip:c@", 400), ("<tel:+1>", 416), ("<sip:c@h;method=SUBSCRIBE>", 603), ("", 400)]
)
def test_a_refer_that_cannot_be_followed(refer_to: str, status: int) -> None:
    stage = CalledParty(options=TAKES).established()
    stage.tell("REFER", cseq=2, headers=[("Refer-To", refer_to)])
    assert stage.answer("REFER").status == status


def test_a_transfer_ends_with_its_call() -> None:
    stage = Three()
    stage.alice.transfer(stage.call, f"sip:carol@{CAROL}", now=stage.now)
    stage.run()
    stage.bob.hang_up(stage.at_bob, now=stage.now)
    stage.run()
    assert stage.last(ALICE, TransferCompleted).status in (0, 487)
    stage.finish()


class Replacing(CalledParty):
    """Bob talks with Alice (a party), and Carol (another) wants to take her place."""

    def __init__(self) -> None:
        super().__init__()
        self.carol = Party(self.link, CAROL)
        self.tries = 0

    def take_over(self, *, early_only: bool = False, to_tag: str = "", from_tag: str = "from1") -> int:
        tag = to_tag or next(each.to.tag for each in self.party.responses("INVITE") if each.to.tag)
        replaces = Replaces("c1", tag, from_tag, early_only)
        rows = [("Replaces", str(replaces)), ("Require", "replaces")]
        self.tries += 1
        call_id = f"carol{self.tries}"
        request = self.carol.request("INVITE", "sip:bob@127.0.0.2", call_id=call_id, body=SDP, headers=rows)
        self.carol.send(request, BOB)
        return self.carol.statuses("INVITE")[-1]


def test_a_call_takes_the_place_of_another() -> None:
    stage = Replacing().established()
    assert isinstance(stage, Replacing)
    old = stage.call
    assert stage.take_over() == 100
    offered = stage.last(BOB, CallOffered)
    assert offered.replaces == old
    stage.bob.answer(offered.call, body=SDP, now=stage.now)
    stage.run()
    assert stage.last(BOB, CallReplaced) == CallReplaced(old, offered.call, stage.last(BOB, CallReplaced).at)
    assert len(stage.party.requests("BYE")) == 1


def test_which_calls_may_not_be_replaced() -> None:
    stage = Replacing().established()
    assert isinstance(stage, Replacing)
    assert stage.take_over(early_only=True) == 486
    assert stage.take_over(from_tag="other") == 481
    assert stage.take_over(to_tag="other") == 481
    stage.bob.hang_up(stage.call, now=stage.now)
    assert stage.take_over() == 603
    ringing = Replacing()
    ringing.bob.ring(ringing.call, now=ringing.now)
    ringing.run()
    assert ringing.take_over() == 481, "an early dialog that we did not begin"


def test_a_call_that_we_place_is_replaced_while_it_rings() -> None:
    """Picking up: RFC 3891 1."""
    stage = CallingParty()
    stage.respond(180)
    carol = Party(stage.link, CAROL)
    local = stage.invite.from_.tag or ""
    rows = [("Replaces", str(Replaces(stage.invite.call_id, local, "one", early_only=True)))]
    carol.send(carol.request("INVITE", "sip:x@127.0.0.1", call_id="c2", body=SDP, headers=rows), ALICE)
    offered = stage.last(ALICE, CallOffered)
    assert offered.replaces == stage.call
    stage.alice.answer(offered.call, body=SDP, now=stage.now)
    stage.run()
    assert stage.party.requests("CANCEL")
    stage.respond(487)
    assert stage.last(ALICE, CallEnded).call == stage.call


def test_a_broken_replaces_gets_400() -> None:
    stage = Replacing()
    rows = [("Replaces", "c1")]
    stage.carol.send(stage.carol.request("INVITE", "sip:bob@127.0.0.2", call_id="c3", body=SDP, headers=rows), BOB)
    assert stage.carol.statuses("INVITE") == [400]


def test_transfers_are_refused_in_calls_that_do_not_stand() -> None:
    stage = CallingParty()
    with pytest.raises(LocalProtocolError):
        stage.alice.transfer(stage.call, "sip:x@192.0.2.1", now=stage.now)
    stage.respond(200, body=SDP)
    for target in ("", "tel:+1"):
        with pytest.raises(LocalProtocolError):
            stage.alice.transfer(stage.call, target, now=stage.now)
    with pytest.raises(LocalProtocolError):
        stage.alice.transfer(stage.call, replaces_call=99, now=stage.now)
    assert stage.snapshot().counts.transfers == 0
    assert stage.events(ALICE, CallAnswered)
    assert not stage.events(ALICE, CallProceeding)
    assert not stage.events(ALICE, CallConfirmed)
    assert not stage.events(ALICE, CallCancelled)
