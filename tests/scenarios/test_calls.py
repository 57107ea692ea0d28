"""Calls between two user agents on a link in virtual time, each named for what happens to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.sip.call_state import CallSnapshot, CallState
from cmw.sip.events import (
    CallAnswered,
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallModified,
    CallOffered,
    CallProceeding,
    CallRejected,
    CallReoffered,
    CallTimedOut,
    Ending,
    TimeoutStage,
)
from cmw.sip.hop import Hop
from cmw.sip.message import Request, Response
from cmw.sip.user_agent import UserAgent
from tests.support.ids import CountingIds
from tests.support.sip_link import Link, Sent, listen_at
from tests.support.sip_party import ANOTHER_SDP, SDP, Party

CALLER = Hop("127.0.0.1", 5060)
CALLEE = Hop("127.0.0.2", 5060)
FORK = Hop("127.0.0.3", 5060)
EventT = TypeVar("EventT")


class Lossy:
    """Loses the first datagrams of each kind that it was told of.

    Args:
        wanted: what, such as ``INVITE`` or ``200 INVITE``, and how many of it.
    """

    def __init__(self, **wanted: int) -> None:
        self._left = {name.replace("_", " ").removeprefix("x").strip(): count for name, count in wanted.items()}

    def __call__(self, sent: Sent) -> bool:
        left = self._left.get(sent.what, 0)
        self._left[sent.what] = left - 1
        return left > 0


class Stage:
    """A caller and a callee; the callee rings, and answers 1 s after the INVITE unless told otherwise."""

    def __init__(self, *, lose: Callable[[Sent], bool] | None = None) -> None:
        self.link = Link()
        if lose is not None:
            self.link.lose = lose
        self.caller = UserAgent(listeners=listen_at(CALLER), ids=CountingIds(1))
        self.callee = UserAgent(listeners=listen_at(CALLEE), ids=CountingIds(1000))
        self.last: list[CallSnapshot] = []
        self.link.attach(CALLER, self.caller, lambda event: self._keep(self.caller, event))
        self.link.attach(CALLEE, self.callee, lambda event: self._keep(self.callee, event))

    def _keep(self, agent: UserAgent, event: object) -> None:
        if isinstance(event, (CallEnded, CallRejected, CallTimedOut, CallCancelled)):
            self.last.append(agent.call_snapshot(event.call))

    def dial(self, body: bytes = SDP) -> int:
        return self.caller.invite("sip:bob@127.0.0.2", body=body, now=self.link.now)

    def run(self, duration_ns: int) -> None:
        self.link.run(self.link.now + duration_ns)

    def finish(self) -> None:
        """Let everything come to rest; afterwards nothing may be left."""
        self.link.run_until_quiet(self.link.now + 1000 * SECOND)
        for agent in (self.caller, self.callee):
            assert agent.counters["transactions"] == agent.counters["calls"] == 0
            assert agent.next_timeout() is None
            assert not agent._stack.dialogs
            assert not agent._stack.layer._merge_keys
            assert not agent._stack.layer._waiting

    def events(self, address: Hop, kind: type[EventT]) -> list[EventT]:
        return [each for each in self.link.events[address] if isinstance(each, kind)]

    def offered(self) -> CallOffered:
        return self.events(CALLEE, CallOffered)[-1]

    def answered(self) -> tuple[int, int]:
        """Dial, ring, answer; return both handles."""
        call = self.dial()
        self.run(100 * MILLISECOND)
        other = self.offered().call
        self.callee.ring(other, now=self.link.now)
        self.callee.answer(other, body=SDP, now=self.link.now)
        self.run(100 * MILLISECOND)
        return call, other

    def sent(self, address: Hop) -> list[str]:
        return self.link.sent(address)


def last_events(stage: Stage, address: Hop) -> list[object]:
    return [
        e for e in stage.link.events[address] if isinstance(e, (CallEnded, CallRejected, CallTimedOut, CallCancelled))
    ]


def test_an_ordinary_call() -> None:
    stage = Stage()
    call, other = stage.answered()
    assert stage.caller.call_snapshot(call).state is stage.callee.call_snapshot(other).state is CallState.CONFIRMED
    stage.run(SECOND)
    stage.caller.hang_up(call, now=stage.link.now)
    stage.caller.hang_up(call, now=stage.link.now)
    stage.finish()
    assert stage.sent(CALLER) == ["INVITE", "ACK", "BYE"]
    assert stage.sent(CALLEE) == ["100 INVITE", "180 INVITE", "200 INVITE", "200 BYE"]
    kinds = [type(each) for each in stage.link.events[CALLER]]
    assert kinds == [CallProceeding, CallProceeding, CallAnswered, CallEnded]
    assert [type(each) for each in stage.link.events[CALLEE]] == [CallOffered, CallConfirmed, CallEnded]
    assert stage.events(CALLER, CallAnswered)[0].body == SDP
    ended = stage.events(CALLER, CallEnded)[0]
    assert (ended.by, ended.status) == (Ending.LOCAL, 200)
    assert stage.events(CALLEE, CallEnded)[0].by is Ending.REMOTE


def test_the_instants_of_an_ordinary_call() -> None:
    stage = Stage()
    call, _ = stage.answered()
    instants = stage.caller.call_snapshot(call).instants
    ms = MILLISECOND
    assert (instants.invite_at, instants.trying_at) == (0, 20 * ms)
    assert instants.ringing_at == instants.answered_at == instants.acked_at == 110 * ms
    stage.caller.hang_up(call, now=stage.link.now)
    stage.finish()
    by_side = {each.is_outbound: each.instants for each in stage.last}
    assert (by_side[True].bye_at, by_side[True].ended_at) == (200 * ms, 220 * ms)
    assert (by_side[False].bye_at, by_side[False].ended_at) == (210 * ms, 210 * ms)


def test_invite_lost_twice() -> None:
    stage = Stage(lose=Lossy(INVITE=2))
    stage.dial()
    stage.run(2 * SECOND)
    assert stage.sent(CALLER) == ["INVITE"] * 3
    assert stage.offered().at == 1510 * MILLISECOND
    stage.callee.answer(stage.offered().call, body=SDP, now=stage.link.now)
    stage.run(SECOND)
    assert stage.caller.call_snapshot(1).retransmissions_sent == 2


def test_invite_lost_for_ever() -> None:
    stage = Stage(lose=Lossy(INVITE=99))
    call = stage.dial()
    stage.finish()
    assert stage.sent(CALLER) == ["INVITE"] * 7
    assert last_events(stage, CALLER) == [CallTimedOut(call, TimeoutStage.INVITE, 32 * SECOND)]


def test_success_lost_twice() -> None:
    stage = Stage(lose=lambda sent: sent.what == "200 INVITE" and sent.at < 1 * SECOND)
    call = stage.dial()
    stage.run(100 * MILLISECOND)
    stage.callee.answer(stage.offered().call, body=SDP, now=stage.link.now)
    stage.run(5 * SECOND)
    assert stage.sent(CALLEE).count("200 INVITE") == 3
    assert stage.caller.call_snapshot(call).state is CallState.CONFIRMED
    assert len(stage.events(CALLER, CallAnswered)) == 1


def test_ack_lost_twice() -> None:
    stage = Stage(lose=Lossy(ACK=2))
    call, other = stage.answered()
    stage.run(5 * SECOND)
    assert stage.sent(CALLEE).count("200 INVITE") == 3
    assert stage.sent(CALLER).count("ACK") == 3
    assert len({each.data for each in stage.link.log if each.what == "ACK"}) == 1
    assert stage.callee.call_snapshot(other).state is CallState.CONFIRMED
    assert len(stage.events(CALLER, CallAnswered)) == len(stage.events(CALLEE, CallConfirmed)) == 1
    assert stage.caller.call_snapshot(call).counts.retransmissions_received == 2


def test_ack_lost_for_ever() -> None:
    stage = Stage(lose=Lossy(ACK=99))
    stage.answered()
    stage.finish()
    timed_out = stage.events(CALLEE, CallTimedOut)[0]
    assert (timed_out.stage, timed_out.at) == (TimeoutStage.ACK, 100 * MILLISECOND + 32 * SECOND)
    assert "BYE" in stage.sent(CALLEE)
    assert stage.events(CALLER, CallEnded)[0].by is Ending.REMOTE


def test_bye_lost_twice() -> None:
    stage = Stage(lose=Lossy(BYE=2))
    call, _ = stage.answered()
    stage.caller.hang_up(call, now=stage.link.now)
    stage.finish()
    assert stage.sent(CALLER).count("BYE") == 3
    assert stage.events(CALLER, CallEnded)[0].status == 200


def test_bye_lost_for_ever() -> None:
    stage = Stage(lose=Lossy(BYE=99))
    call, other = stage.answered()
    stage.caller.hang_up(call, now=stage.link.now)
    stage.run(40 * SECOND)
    assert stage.events(CALLER, CallEnded) == []  # the callee answered shortly before, so it is tried once more
    assert stage.sent(CALLER).count("BYE") > 11
    stage.run(100 * SECOND)
    ended = stage.events(CALLER, CallEnded)[0]
    assert (ended.by, ended.status, ended.reason) == (Ending.LOCAL, 0, "timeout")
    assert stage.callee.call_snapshot(other).state is CallState.CONFIRMED


def test_bye_crosses_bye() -> None:
    stage = Stage()
    call, other = stage.answered()
    stage.caller.hang_up(call, now=stage.link.now)
    stage.callee.hang_up(other, now=stage.link.now)
    stage.finish()
    for address in (CALLER, CALLEE):
        assert stage.sent(address)[-2:] == ["BYE", "200 BYE"]
        ended = stage.events(address, CallEnded)
        assert [(each.by, each.reason) for each in ended] == [(Ending.REMOTE, "BYE crossed ours")]


def test_the_callee_hangs_up() -> None:
    stage = Stage()
    _, other = stage.answered()
    stage.callee.hang_up(other, now=stage.link.now)
    stage.finish()
    assert stage.sent(CALLEE)[-1] == "BYE"
    assert stage.events(CALLEE, CallEnded)[0].by is Ending.LOCAL
    assert stage.events(CALLER, CallEnded)[0].by is Ending.REMOTE


def test_the_callee_hangs_up_before_the_ack() -> None:
    stage = Stage(lose=Lossy(ACK=1))
    stage.dial()
    stage.run(100 * MILLISECOND)
    other = stage.offered().call
    stage.callee.answer(other, body=SDP, now=stage.link.now)
    stage.callee.hang_up(other, now=stage.link.now)
    stage.run(100 * MILLISECOND)
    assert "BYE" not in stage.sent(CALLEE), "RFC 3261 15: not before the ACK"
    stage.finish()
    assert stage.sent(CALLEE)[-1] == "BYE"
    assert stage.events(CALLEE, CallEnded)[0].by is Ending.LOCAL


@pytest.mark.parametrize("status", [302, 404, 486, 503, 603])
def test_a_call_is_rejected(status: int) -> None:
    stage = Stage()
    call = stage.dial()
    stage.run(100 * MILLISECOND)
    stage.callee.reject(stage.offered().call, status=status, now=stage.link.now)
    stage.finish()
    rejected = stage.events(CALLER, CallRejected)[0]
    assert (rejected.call, rejected.status, rejected.is_response) == (call, status, True)
    assert stage.sent(CALLER) == ["INVITE", "ACK"]


def test_rejection_and_its_ack_are_lost() -> None:
    stage = Stage(lose=Lossy(x486_INVITE=2, ACK=1))
    stage.dial()
    stage.run(100 * MILLISECOND)
    stage.callee.reject(stage.offered().call, status=486, now=stage.link.now)
    stage.finish()
    assert len(last_events(stage, CALLER)) == len(last_events(stage, CALLEE)) == 1
    assert stage.sent(CALLEE).count("486 INVITE") == 4
    assert stage.sent(CALLER).count("ACK") == 2


def test_a_ringing_call_is_cancelled() -> None:
    stage = Stage()
    call = stage.dial()
    stage.run(100 * MILLISECOND)
    stage.callee.ring(stage.offered().call, now=stage.link.now)
    stage.run(100 * MILLISECOND)
    stage.caller.hang_up(call, now=stage.link.now)
    stage.caller.hang_up(call, now=stage.link.now)
    stage.finish()
    assert stage.sent(CALLER) == ["INVITE", "CANCEL", "ACK"]
    assert stage.sent(CALLEE) == ["100 INVITE", "180 INVITE", "200 CANCEL", "487 INVITE"]
    ended = stage.events(CALLER, CallEnded)[0]
    assert (ended.by, ended.status) == (Ending.LOCAL, 487)
    assert len(stage.events(CALLEE, CallCancelled)) == 1


def test_cancel_waits_for_a_provisional_response() -> None:
    stage = Stage(lose=Lossy(INVITE=2))
    call = stage.dial()
    stage.run(100 * MILLISECOND)
    stage.caller.hang_up(call, now=stage.link.now)
    stage.run(SECOND)
    assert "CANCEL" not in stage.sent(CALLER), "RFC 3261 9.1"
    stage.finish()
    assert stage.sent(CALLER) == ["INVITE", "INVITE", "INVITE", "CANCEL", "ACK"]
    assert stage.events(CALLER, CallEnded)[0].status == 487


def test_a_call_that_nobody_ever_heard_of_is_given_up() -> None:
    stage = Stage(lose=Lossy(INVITE=99))
    call = stage.dial()
    stage.run(100 * MILLISECOND)
    stage.caller.hang_up(call, now=stage.link.now)
    stage.finish()
    assert last_events(stage, CALLER) == [CallEnded(call, Ending.LOCAL, "timeout", 0, 32 * SECOND)]


def test_cancel_lost_for_ever() -> None:
    stage = Stage(lose=Lossy(CANCEL=99))
    call = stage.dial()
    stage.run(100 * MILLISECOND)
    stage.caller.hang_up(call, now=stage.link.now)
    stage.run(40 * SECOND)
    ended = stage.events(CALLER, CallEnded)[0]
    assert (ended.call, ended.status, ended.at) == (call, 0, 100 * MILLISECOND + 32 * SECOND)
    stage.finish()
    assert stage.events(CALLEE, CallTimedOut)[0].stage is TimeoutStage.RINGING


def test_late_200_after_cancel() -> None:
    stage = Stage()
    call = stage.dial()
    stage.run(100 * MILLISECOND)
    stage.callee.answer(stage.offered().call, body=SDP, now=stage.link.now)
    stage.caller.hang_up(call, now=stage.link.now)
    stage.finish()
    assert stage.sent(CALLER) == ["INVITE", "CANCEL", "ACK", "BYE"]
    assert stage.events(CALLER, CallAnswered) == []
    ended = stage.events(CALLER, CallEnded)
    assert [(each.by, each.status) for each in ended] == [(Ending.LOCAL, 200)]
    assert stage.events(CALLEE, CallEnded)[0].by is Ending.REMOTE


def test_success_lost_for_ever() -> None:
    stage = Stage(lose=Lossy(x200_INVITE=99))
    call = stage.dial()
    stage.run(100 * MILLISECOND)
    stage.callee.answer(stage.offered().call, body=SDP, now=stage.link.now)
    stage.finish()
    assert stage.events(CALLEE, CallTimedOut)[0].stage is TimeoutStage.ACK
    ended = stage.events(CALLER, CallEnded)[0]
    assert (ended.call, ended.by) == (call, Ending.REMOTE)


def test_a_call_that_is_never_answered_is_given_up_by_the_callee_too() -> None:
    stage = Stage(lose=lambda sent: sent.source == CALLER and sent.at > 0)
    stage.dial()
    stage.finish()
    (timed_out,) = stage.events(CALLEE, CallTimedOut)
    assert (timed_out.stage, timed_out.at) == (TimeoutStage.RINGING, 180 * SECOND + 10 * MILLISECOND)
    assert "480 INVITE" in stage.sent(CALLEE)


def test_invite_without_offer() -> None:
    stage = Stage()
    party = Party(stage.link, FORK)
    party.send(party.request("INVITE", "sip:bob@127.0.0.2"), CALLEE)
    offered = stage.offered()
    assert offered.body == b""
    stage.callee.answer(offered.call, body=SDP, now=stage.link.now)
    stage.run(100 * MILLISECOND)
    success = party.responses("INVITE")[-1]
    assert success.body == SDP
    to = success.headers.get("To") or ""
    party.send(party.request("ACK", "sip:bob@127.0.0.2", to=to, body=b"v=0 the answer"), CALLEE)
    assert stage.events(CALLEE, CallConfirmed)[0].body == b"v=0 the answer"


class Dialogue(Stage):
    """A call from a party to the callee, confirmed."""

    def __init__(self) -> None:
        super().__init__()
        self.party = Party(self.link, FORK)
        self.party.send(self.party.request("INVITE", "sip:bob@127.0.0.2", body=SDP), CALLEE)
        self.call = self.offered().call
        self.callee.answer(self.call, body=SDP, now=self.link.now)
        self.run(100 * MILLISECOND)
        self.to = self.party.responses("INVITE")[-1].headers.get("To") or ""
        self.tell("ACK", cseq=1)

    def tell(self, method: str, *, cseq: int, **more: object) -> Request:
        request = self.party.request(method, "sip:bob@127.0.0.2", to=self.to, cseq=cseq, **more)  # type: ignore[arg-type]
        self.party.send(request, CALLEE)
        return request

    def answer(self, method: str) -> Response:
        return self.party.responses(method)[-1]


def test_reinvite_is_answered_and_repeated_until_its_ack() -> None:
    stage = Dialogue()
    stage.tell("INVITE", cseq=2, body=b"v=0 on hold")
    reoffered = stage.events(CALLEE, CallReoffered)[0]
    assert (reoffered.method, reoffered.body) == ("INVITE", b"v=0 on hold")
    stage.callee.answer_reoffer(stage.call, body=b"v=0 held", now=stage.link.now)
    stage.run(2 * SECOND)
    assert stage.answer("INVITE").body == b"v=0 held"
    assert [each.status for each in stage.party.responses("INVITE") if each.cseq.number == 2] == [100, 200, 200, 200]
    stage.tell("ACK", cseq=2)
    stage.run(10 * SECOND)
    assert sum(each.cseq.number == 2 for each in stage.party.responses("INVITE")) == 4
    assert len(stage.events(CALLEE, CallModified)) == 1
    assert len(stage.events(CALLEE, CallConfirmed)) == 1


def test_reinvite_without_ack_ends_the_call() -> None:
    stage = Dialogue()
    stage.tell("INVITE", cseq=2, body=ANOTHER_SDP)
    stage.callee.answer_reoffer(stage.call, body=SDP, now=stage.link.now)
    stage.run(40 * SECOND)
    assert stage.events(CALLEE, CallTimedOut)[0].stage is TimeoutStage.ACK
    assert stage.party.requests("BYE")


def test_reinvite_is_refused_and_the_call_goes_on() -> None:
    stage = Dialogue()
    stage.tell("INVITE", cseq=2, body=ANOTHER_SDP)
    stage.callee.reject_reoffer(stage.call, now=stage.link.now)
    stage.run(100 * MILLISECOND)
    assert stage.answer("INVITE").status == 488
    stage.tell("ACK", cseq=2)
    assert stage.callee.call_snapshot(stage.call).state is CallState.CONFIRMED


def test_a_second_reinvite_before_the_first_is_answered_gets_500() -> None:
    stage = Dialogue()
    stage.tell("INVITE", cseq=2, body=ANOTHER_SDP)
    stage.tell("INVITE", cseq=3, body=ANOTHER_SDP)
    refusal = stage.answer("INVITE")
    assert (refusal.status, refusal.headers.get("Retry-After")) == (500, "5")


def test_update_changes_the_session() -> None:
    stage = Dialogue()
    stage.tell("UPDATE", cseq=2, body=ANOTHER_SDP, headers=[("Contact", "<sip:moved@127.0.0.3:5060>")])
    stage.callee.answer_reoffer(stage.call, body=b"v=0 new", now=stage.link.now)
    stage.run(100 * MILLISECOND)
    assert (stage.answer("UPDATE").status, stage.answer("UPDATE").body) == (200, b"v=0 new")
    assert len(stage.events(CALLEE, CallModified)) == 1


def test_update_without_offer_is_answered_at_once() -> None:
    stage = Dialogue()
    stage.tell("UPDATE", cseq=2)
    assert stage.answer("UPDATE").status == 200
    assert stage.events(CALLEE, CallReoffered) == []


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("INFO", 200),
        ("OPTIONS", 200),
        ("MESSAGE", 200),
        ("REFER", 400),
        ("NOTIFY", 200),
        ("PRACK", 481),
        ("PUBLISH", 405),
        ("SUBSCRIBE", 489),
        ("FROB", 501),
    ],
)
def test_other_requests_within_the_call(method: str, status: int) -> None:
    stage = Dialogue()
    stage.tell(method, cseq=2)
    assert stage.answer(method).status == status


def test_a_request_out_of_order_gets_500() -> None:
    stage = Dialogue()
    stage.tell("INFO", cseq=5)
    stage.tell("INFO", cseq=4)
    assert stage.answer("INFO").status == 500


def test_a_stranger_in_the_dialog_gets_481() -> None:
    stage = Dialogue()
    stage.tell("BYE", cseq=2, from_tag="stranger")
    assert stage.answer("BYE").status == 481
    assert stage.callee.call_snapshot(stage.call).state is CallState.CONFIRMED


def test_required_extensions_within_the_call_get_420() -> None:
    stage = Dialogue()
    stage.tell("INFO", cseq=2, headers=[("Require", "frob")])
    assert stage.answer("INFO").status == 420


def test_bye_answers_an_open_reinvite_too() -> None:
    stage = Dialogue()
    stage.tell("INVITE", cseq=2, body=ANOTHER_SDP)
    stage.tell("BYE", cseq=3)
    assert stage.answer("BYE").status == 200
    assert stage.answer("INVITE").status == 487


def test_requests_after_our_bye_get_481() -> None:
    stage = Dialogue()
    stage.callee.hang_up(stage.call, now=stage.link.now)
    stage.tell("INVITE", cseq=2, body=ANOTHER_SDP)
    assert stage.answer("INVITE").status == 481


def test_a_cancel_after_the_answer_has_no_effect() -> None:
    stage = Stage()
    party = Party(stage.link, FORK)
    invite = party.request("INVITE", "sip:bob@127.0.0.2", body=SDP)
    party.send(invite, CALLEE)
    stage.callee.answer(stage.offered().call, body=SDP, now=stage.link.now)
    stage.run(100 * MILLISECOND)
    branch = invite.top_via.branch or ""
    party.send(party.request("CANCEL", "sip:bob@127.0.0.2", branch=branch), CALLEE)
    assert party.statuses("CANCEL") == [200]
    assert stage.callee.call_snapshot(1).state is CallState.ACCEPTED
    assert 487 not in party.statuses("INVITE")


class Outgoing(Stage):
    """A call from the caller to a party."""

    def __init__(self) -> None:
        super().__init__()
        self.party = Party(self.link, FORK)
        self.call = self.caller.invite("sip:bob@127.0.0.3", body=SDP, now=0)
        self.run(100 * MILLISECOND)
        self.invite = self.party.requests("INVITE")[0]

    def respond(self, status: int, *, tag: str = "one", body: bytes = b"") -> None:
        self.party.respond(self.invite, status, tag=tag, body=body, destination=CALLER)


def test_forked_200s_leave_one_call() -> None:
    stage = Outgoing()
    stage.respond(180, tag="one")
    stage.respond(180, tag="two")
    for tag in ("two", "one", "two", "one", "three"):
        stage.respond(200, tag=tag, body=SDP)
    assert len(stage.events(CALLER, CallAnswered)) == 1
    acks = [each.to.tag for each in stage.party.requests("ACK")]
    assert acks == ["two", "one", "two", "one", "three"]
    assert sorted({each.to.tag or "" for each in stage.party.requests("BYE")}) == ["one", "three"]
    assert stage.caller.call_snapshot(stage.call).state is CallState.CONFIRMED


def test_a_200_after_the_call_timed_out_ringing_is_acknowledged_and_released() -> None:
    stage = Outgoing()
    stage.respond(180)
    stage.run(181 * SECOND)
    assert stage.party.requests("CANCEL")
    assert stage.events(CALLER, CallTimedOut)[0].stage is TimeoutStage.RINGING
    stage.respond(200, body=SDP)
    assert len(stage.party.requests("ACK")) == 1
    assert {each.to.tag for each in stage.party.requests("BYE")} == {"one"}
    assert stage.events(CALLER, CallAnswered) == []


def test_183_with_sdp_is_progress() -> None:
    stage = Outgoing()
    stage.respond(183, body=SDP)
    assert stage.events(CALLER, CallProceeding)[0].body == SDP
    instants = stage.caller.call_snapshot(stage.call).instants
    assert instants.progress_at is not None
    assert instants.ringing_at is None


def test_offers_crossing_our_invite_get_491() -> None:
    stage = Outgoing()
    stage.respond(180)
    local = stage.invite.headers.get("From") or ""
    reinvite = stage.party.request(
        "INVITE", "sip:x@127.0.0.1", call_id=stage.invite.call_id, from_tag="one", to=local, body=SDP
    )
    stage.party.send(reinvite, CALLER)
    assert 491 in stage.party.statuses("INVITE")


def test_a_thousand_calls_leave_nothing_behind() -> None:
    stage = Stage()
    for number in range(1000):
        call = stage.dial()
        stage.run(20 * MILLISECOND)
        other = stage.offered().call
        if number % 5 == 0:
            stage.callee.reject(other, status=486, now=stage.link.now)
        elif number % 5 == 1:
            stage.caller.hang_up(call, now=stage.link.now)
        else:
            stage.callee.answer(other, body=SDP, now=stage.link.now)
            stage.run(20 * MILLISECOND)
            stage.caller.hang_up(call, now=stage.link.now)
    stage.finish()
    assert len(last_events(stage, CALLER)) == len(last_events(stage, CALLEE)) == 1000
    for agent in (stage.caller, stage.callee):
        assert len(agent._stack.heap) == len(agent._stack.layer._due) == 0
