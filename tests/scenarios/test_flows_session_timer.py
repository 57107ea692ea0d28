"""Sessions that are refreshed, and those that are not. Source: RFC 4028."""

from __future__ import annotations

import pytest

from cmw.core.clock import SECOND
from cmw.sip import CallOptions, CallState, Refresher, SessionTimerChoice, Support
from cmw.sip.events import (
    CallEnded,
    CallLost,
    CallModified,
    CallOffered,
    CallRefreshed,
    CallRejected,
    CallReoffered,
    Ending,
    LossCause,
    SessionExpired,
)
from tests.support.call_stage import ALICE, BOB, CalledParty, CallingParty, Pair
from tests.support.sip_party import ANOTHER_SDP, SDP

TIMER = ("Supported", "timer")


def wanting(expires_s: int = 600, **more: object) -> CallOptions:
    return CallOptions(session_timer=SessionTimerChoice(expires_s=expires_s, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(("refresher", "busy", "idle"), [("uac", ALICE, BOB), ("uas", BOB, ALICE)])
def test_two_of_us_keep_a_call_alive_by_update(refresher: str, busy: object, idle: object) -> None:
    stage = Pair()
    call, other = stage.talk(options=wanting(refresher=Refresher(refresher)))
    assert stage.alice.call_snapshot(call).session_interval_s == 600
    assert stage.alice.call_snapshot(call).is_refresher is (busy is ALICE)
    assert stage.bob.call_snapshot(other).is_refresher is (busy is BOB)
    stage.run(3000 * SECOND)
    assert stage.alice.call_snapshot(call).state is CallState.CONFIRMED
    assert stage.sent(busy).count("UPDATE") == 9  # type: ignore[arg-type]
    assert stage.sent(idle).count("UPDATE") == 0  # type: ignore[arg-type]
    refreshed = [*stage.events(ALICE, CallRefreshed), *stage.events(BOB, CallRefreshed)]
    assert [each.by for each in refreshed].count(Ending.LOCAL) == 9
    assert stage.alice.call_snapshot(call).instants.refreshed_at is not None
    stage.alice.hang_up(call, now=stage.now)
    stage.finish()


def test_a_peer_without_update_is_refreshed_by_the_same_offer_again() -> None:
    stage = CallingParty(options=wanting())
    stage.respond(200, body=SDP, headers=[("Session-Expires", "600;refresher=uac"), ("Require", "timer")])
    stage.run(301 * SECOND)
    request = stage.party.requests("INVITE")[-1]
    assert (request.body, request.headers.get("Session-Expires")) == (SDP, "600;refresher=uac")
    assert stage.party.requests("UPDATE") == []
    stage.respond(200, request=request, body=SDP, headers=[("Session-Expires", "600;refresher=uac")])
    assert stage.last(ALICE, CallRefreshed).method == "INVITE"
    assert stage.snapshot().counts.refreshes_sent == 1


def test_a_peer_that_refuses_update_after_all_is_refreshed_by_invite() -> None:
    stage = CallingParty(options=wanting())
    rows = [("Session-Expires", "600;refresher=uac"), ("Allow", "INVITE, ACK, BYE, UPDATE")]
    stage.respond(200, body=SDP, headers=rows)
    stage.run(301 * SECOND)
    stage.respond(405, request=stage.party.requests("UPDATE")[-1])
    assert stage.party.requests("INVITE")[-1].body == SDP
    assert stage.party.requests("INVITE")[-1].to.tag == "one"


def test_a_session_that_the_peer_does_not_refresh_ends_before_its_time() -> None:
    stage = CallingParty(options=wanting())
    stage.respond(200, body=SDP, headers=[("Session-Expires", "600;refresher=uas")])
    began = stage.now
    stage.run(567 * SECOND)
    assert stage.snapshot().state is CallState.CONFIRMED
    stage.run(2 * SECOND)
    lost = stage.last(ALICE, CallLost)
    assert lost.cause is LossCause.EXPIRED
    assert 567 * SECOND < lost.at - began <= 568 * SECOND
    stage.respond(200, request=stage.party.requests("BYE")[0])
    assert stage.last(ALICE, CallEnded).by is Ending.LOCAL


def test_a_soft_timer_only_tells() -> None:
    stage = CallingParty(options=wanting(is_soft=True))
    stage.respond(200, body=SDP, headers=[("Session-Expires", "90;refresher=uas")])
    stage.run(100 * SECOND)
    assert len(stage.events(ALICE, SessionExpired)) == 1
    assert stage.snapshot().state is CallState.CONFIRMED


def test_a_refresh_that_is_refused_is_tried_again_until_it_is_too_late() -> None:
    stage = CallingParty(options=wanting(90))
    rows = [("Session-Expires", "90;refresher=uac"), ("Allow", "UPDATE")]
    stage.respond(200, body=SDP, headers=rows)
    answered = 0
    for _ in range(10):
        stage.run(5 * SECOND)
        updates = stage.party.requests("UPDATE")
        if len({each.cseq.number for each in updates}) > answered:
            answered += 1
            stage.respond(503, request=updates[-1])
    assert answered >= 2
    stage.run(20 * SECOND)
    assert stage.last(ALICE, CallLost).cause is LossCause.EXPIRED


def test_a_refresh_to_a_peer_that_has_lost_the_call_ends_it() -> None:
    stage = CallingParty(options=wanting())
    stage.respond(200, body=SDP, headers=[("Session-Expires", "600;refresher=uac"), ("Allow", "UPDATE")])
    stage.run(301 * SECOND)
    stage.respond(481, request=stage.party.requests("UPDATE")[-1])
    assert stage.last(ALICE, CallLost).cause is LossCause.GONE


def test_a_422_is_answered_by_a_longer_interval() -> None:
    stage = CallingParty(options=wanting(100))
    assert stage.invite.headers.get("Session-Expires") == "100"
    stage.respond(422, headers=[("Min-SE", "1800")])
    again = stage.party.requests("INVITE")[-1]
    assert (again.headers.get("Session-Expires"), again.headers.get("Min-SE")) == ("1800", "1800")
    assert again.cseq.number == stage.invite.cseq.number + 1
    assert again.call_id == stage.invite.call_id
    stage.respond(422, request=again, headers=[("Min-SE", "1800")])
    assert stage.last(ALICE, CallRejected).status == 422, "the same again leads nowhere"


def test_a_422_to_a_refresh_is_answered_by_a_longer_interval() -> None:
    stage = CallingParty(options=wanting())
    stage.respond(200, body=SDP, headers=[("Session-Expires", "600;refresher=uac"), ("Allow", "UPDATE")])
    stage.run(301 * SECOND)
    stage.respond(422, request=stage.party.requests("UPDATE")[-1], headers=[("Min-SE", "1200")])
    assert stage.party.requests("UPDATE")[-1].headers.get("Session-Expires") == "1200;refresher=uac"


def test_an_interval_below_our_bound_gets_422() -> None:
    options = CallOptions(session_timer=SessionTimerChoice(min_se_s=300))
    stage = CalledParty(options=options, headers=[TIMER, ("Session-Expires", "120")])
    assert stage.answer("INVITE").status == 422
    assert stage.answer("INVITE").headers.get("Min-SE") == "300"
    assert stage.events(BOB, CallOffered) == []


def test_who_requires_timers_refuses_a_caller_without() -> None:
    options = CallOptions(session_timer=SessionTimerChoice(mode=Support.REQUIRED, expires_s=600))
    stage = CalledParty(options=options)
    assert (stage.answer("INVITE").status, stage.answer("INVITE").headers.get("Require")) == (421, "timer")
    calling = CallingParty(options=options)
    assert calling.invite.headers.get("Require") == "timer"


def test_who_has_timers_off_refuses_a_caller_that_requires_them() -> None:
    options = CallOptions(session_timer=SessionTimerChoice(mode=Support.OFF))
    stage = CalledParty(options=options, headers=[("Require", "timer"), ("Session-Expires", "600")])
    assert stage.answer("INVITE").status == 420


def test_what_a_callee_agrees_to_and_keeps() -> None:
    stage = CalledParty(headers=[TIMER, ("Session-Expires", "600;refresher=uac")]).established()
    success = stage.answer("INVITE")
    assert success.headers.get("Session-Expires") == "600;refresher=uac"
    assert success.headers.get("Require") == "timer"
    stage.run(400 * SECOND)
    stage.tell("UPDATE", cseq=2, headers=[TIMER, ("Session-Expires", "600;refresher=uac")])
    assert stage.answer("UPDATE").headers.get("Session-Expires") == "600;refresher=uac"
    assert stage.last(BOB, CallRefreshed).by is Ending.REMOTE
    stage.run(500 * SECOND)
    assert stage.snapshot().state is CallState.CONFIRMED
    stage.run(100 * SECOND)
    assert stage.last(BOB, CallLost).cause is LossCause.EXPIRED


def test_a_caller_without_support_is_refreshed_by_the_callee() -> None:
    stage = CalledParty(headers=[("Session-Expires", "200"), ("Allow", "INVITE, UPDATE")]).established()
    assert stage.snapshot().is_refresher
    assert "Require" not in stage.answer("INVITE").headers
    stage.run(101 * SECOND)
    assert stage.party.requests("UPDATE")


def test_the_session_timer_goes_on_after_a_change_of_the_peer() -> None:
    stage = CalledParty(headers=[TIMER, ("Session-Expires", "600;refresher=uas")]).established()
    stage.tell("INVITE", cseq=2, body=ANOTHER_SDP, headers=[TIMER, ("Session-Expires", "1200;refresher=uas")])
    assert isinstance(stage.last(BOB, CallReoffered), CallReoffered)
    stage.bob.answer_reoffer(stage.call, body=SDP, now=stage.now)
    stage.run()
    assert stage.answer("INVITE").headers.get("Session-Expires") == "1200;refresher=uas"
    stage.tell("ACK", cseq=2)
    assert stage.snapshot().session_interval_s == 1200
    stage.tell("UPDATE", cseq=3)
    assert stage.snapshot().session_interval_s == 0, "a refresh without Session-Expires ends it. RFC 4028 9"


def test_a_refresh_waits_for_a_change_that_is_under_way() -> None:
    stage = CallingParty(options=wanting(90))
    stage.respond(200, body=SDP, headers=[("Session-Expires", "90;refresher=uac"), ("Allow", "UPDATE")])
    stage.run(44 * SECOND)
    stage.tell("INVITE", cseq=5, body=ANOTHER_SDP)
    stage.run(3 * SECOND)
    assert stage.party.requests("UPDATE") == []
    stage.alice.reject_reoffer(stage.call, now=stage.now)
    stage.run(5 * SECOND)
    assert stage.party.requests("UPDATE")


@pytest.mark.parametrize("rows", [(), (TIMER, ("Session-Expires", "600;refresher=uac"))])
def test_what_is_in_force_offered_again_is_a_refresh_and_answered_at_once(rows: tuple[tuple[str, str], ...]) -> None:
    stage = CalledParty().established()
    ours = stage.party.responses("INVITE")[-1].body
    stage.tell("INVITE", cseq=2, body=SDP, headers=rows)
    assert (stage.answer("INVITE").status, stage.answer("INVITE").body) == (200, ours)
    assert stage.events(BOB, CallRefreshed) == [], "a 200 without ACK is not the end of it"
    stage.tell("ACK", cseq=2)
    stage.tell("UPDATE", cseq=3, body=SDP, headers=rows)
    assert (stage.answer("UPDATE").status, stage.answer("UPDATE").body) == (200, ours)
    assert [(each.by, each.method) for each in stage.events(BOB, CallRefreshed)] == [
        (Ending.REMOTE, "INVITE"),
        (Ending.REMOTE, "UPDATE"),
    ]
    assert not stage.events(BOB, CallReoffered)
    assert not stage.events(BOB, CallModified)
    assert stage.snapshot().counts.refreshes_received == 2
    assert stage.snapshot().counts.changes_received == 0


def test_a_caller_knows_what_is_in_force_too() -> None:
    stage = CallingParty()
    stage.respond(200, body=SDP)
    stage.tell("UPDATE", cseq=5, body=SDP)
    assert stage.answer("UPDATE").body == stage.party.requests("INVITE")[0].body
    assert stage.last(ALICE, CallRefreshed).by is Ending.REMOTE


def test_what_was_in_force_before_a_change_is_a_change_again() -> None:
    stage = CalledParty().established()
    for cseq, body in ((2, ANOTHER_SDP), (3, SDP)):
        stage.tell("INVITE", cseq=cseq, body=body)
        assert stage.last(BOB, CallReoffered).body == body
        stage.bob.answer_reoffer(stage.call, body=SDP, now=stage.now)
        stage.run()
        stage.tell("ACK", cseq=cseq)
    assert len(stage.events(BOB, CallModified)) == 2
    assert not stage.events(BOB, CallRefreshed)


def test_an_answer_to_our_refresh_that_changes_something_is_told() -> None:
    stage = CallingParty(options=wanting())
    rows = [("Session-Expires", "600;refresher=uac"), ("Require", "timer")]
    stage.respond(200, body=SDP, headers=rows)
    stage.run(301 * SECOND)
    stage.respond(200, request=stage.party.requests("INVITE")[-1], body=ANOTHER_SDP, headers=rows)
    assert stage.last(ALICE, CallRefreshed).by is Ending.LOCAL
    assert stage.last(ALICE, CallModified).body == ANOTHER_SDP


def test_plain_calls_have_no_session_timer() -> None:
    stage = Pair()
    call, _ = stage.talk()
    assert stage.alice.call_snapshot(call).session_interval_s == 0
    stage.run(10_000 * SECOND)
    assert stage.alice.call_snapshot(call).state is CallState.CONFIRMED
