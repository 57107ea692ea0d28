"""Requests beside the INVITE: within calls, outside of them, what they bring, and who asks for a password."""

from __future__ import annotations

import pytest

from cmw.core.clock import SECOND
from cmw.errors import LocalProtocolError
from cmw.sip import Account, CallOptions, CallState, Credentials, Identity, make_dtmf_info, read_dtmf_info
from cmw.sip.events import (
    CallCancelled,
    CallEnded,
    CallLost,
    CallModified,
    CallOffered,
    CallRedirected,
    CallRejected,
    InfoReceived,
    LossCause,
    MessageReceived,
    NotifyReceived,
    RequestFailed,
    RequestSucceeded,
)
from cmw.sip.redirect import Follow, RedirectPolicy
from cmw.sip.retry_after import RetryAfter
from tests.support.call_stage import ALICE, BOB, CAROL, OTHER, CalledParty, CallingParty, Pair, Stage
from tests.support.sip_party import SDP, Party

CHALLENGE = [("WWW-Authenticate", 'Digest realm="lab", nonce="n1", qop="auth"')]
TEXT = [("Content-Type", "text/plain")]


def test_a_digit_travels_by_info() -> None:
    stage = Pair()
    call, other = stage.talk()
    kind, body = make_dtmf_info("5", 160)
    request = stage.alice.request_in_call(call, "INFO", headers=[("Content-Type", kind)], body=body, now=stage.now)
    stage.run()
    told = stage.last(BOB, InfoReceived)
    assert told.call == other
    digit = read_dtmf_info(told.content_type, told.body)
    assert digit == ("5", 160)
    assert stage.last(ALICE, RequestSucceeded).request == request


@pytest.mark.parametrize("method", ["MESSAGE", "NOTIFY", "OPTIONS"])
def test_other_requests_within_a_call(method: str) -> None:
    stage = Pair()
    call, other = stage.talk()
    rows = [*TEXT, ("Event", "x-lab"), ("X-Run", "7")]
    stage.bob.request_in_call(other, method, headers=rows, body=b"hello", now=stage.now)
    stage.run()
    assert stage.last(BOB, RequestSucceeded).method == method
    if method == "MESSAGE":
        told = stage.last(ALICE, MessageReceived)
        assert (told.call, told.body, told.request.headers.get("X-Run")) == (call, b"hello", "7")
    elif method == "NOTIFY":
        assert stage.last(ALICE, NotifyReceived).package == "x-lab"
    assert stage.alice.call_snapshot(call).state is CallState.CONFIRMED


def test_a_request_that_is_refused_leaves_the_call_standing_but_481_ends_it() -> None:
    stage = CallingParty()
    stage.respond(200, body=SDP)
    stage.alice.request_in_call(stage.call, "INFO", now=stage.now)
    stage.run()
    stage.respond(405, request=stage.party.requests("INFO")[-1])
    failed = stage.last(ALICE, RequestFailed)
    assert (failed.status, failed.call) == (405, stage.call)
    stage.alice.request_in_call(stage.call, "INFO", now=stage.now)
    stage.run()
    stage.respond(481, request=stage.party.requests("INFO")[-1])
    assert stage.last(ALICE, CallLost).cause is LossCause.GONE


def test_a_request_that_is_not_answered_fails_and_the_call_goes_on() -> None:
    stage = CallingParty()
    stage.respond(200, body=SDP)
    stage.alice.request_in_call(stage.call, "OPTIONS", now=stage.now)
    stage.run(33 * SECOND)
    assert stage.last(ALICE, RequestFailed).status == 408
    assert stage.snapshot().state is CallState.CONFIRMED


def test_what_was_asked_ends_with_the_call() -> None:
    stage = CallingParty()
    stage.respond(200, body=SDP)
    request = stage.alice.request_in_call(stage.call, "INFO", now=stage.now)
    stage.tell("BYE", cseq=1)
    kinds = [each for each in stage.link.events[ALICE] if isinstance(each, (RequestFailed, CallEnded))]
    assert [type(each) for each in kinds] == [RequestFailed, CallEnded]
    assert (stage.last(ALICE, RequestFailed).request, stage.last(ALICE, RequestFailed).status) == (request, 0)


@pytest.mark.parametrize("method", ["INVITE", "BYE", "PRACK", "REFER", "no method"])
def test_methods_with_a_command_of_their_own_are_refused(method: str) -> None:
    stage = CallingParty()
    stage.respond(200, body=SDP)
    with pytest.raises(LocalProtocolError):
        stage.alice.request_in_call(stage.call, method, now=stage.now)
    with pytest.raises(LocalProtocolError):
        stage.alice.request_in_call(stage.call, "INFO", body=b"x", now=stage.now)


class Asking(Stage):
    """Alice asks a party outside of any call."""

    def __init__(self) -> None:
        super().__init__(ALICE)
        self.alice = self.agents[ALICE]
        self.party = Party(self.link, BOB)


def test_a_message_outside_of_calls() -> None:
    stage = Pair()
    request = stage.alice.request("MESSAGE", "sip:bob@127.0.0.2", headers=TEXT, body=b"hi", now=stage.now)
    stage.run()
    told = stage.last(BOB, MessageReceived)
    assert (told.call, told.body, told.content_type) == (0, b"hi", "text/plain")
    assert "Contact" not in told.request.headers, "RFC 3428 4"
    succeeded = stage.last(ALICE, RequestSucceeded)
    assert (succeeded.request, succeeded.status, succeeded.call) == (request, 200, 0)
    stage.finish()


def test_options_outside_of_calls() -> None:
    stage = Pair()
    stage.alice.request("OPTIONS", "sip:bob@127.0.0.2", now=stage.now)
    stage.run()
    answer = stage.last(ALICE, RequestSucceeded).response
    assert "PRACK" in answer.headers.get_tokens("Allow")
    assert stage.messages(ALICE, "OPTIONS")[0].headers.get("Accept") == "application/sdp"


def test_a_request_is_answered_for_a_challenge_and_given_up_after_the_second() -> None:
    stage = Asking()
    account = Account("sip:alice@lab", "sip:127.0.0.2", Credentials("alice", "secret"), "alice")
    stage.alice.request("OPTIONS", "sip:127.0.0.2", account=account, now=stage.now)
    stage.run()
    first = stage.party.requests("OPTIONS")[0]
    stage.party.respond(first, 401, headers=CHALLENGE, destination=ALICE)
    second = stage.party.requests("OPTIONS")[-1]
    assert second.cseq.number == first.cseq.number + 1
    assert second.call_id == first.call_id
    assert 'username="alice"' in (second.headers.get("Authorization") or "")
    stage.party.respond(second, 401, headers=CHALLENGE, destination=ALICE)
    assert stage.last(ALICE, RequestFailed).status == 401


def test_a_request_that_nobody_answers_fails() -> None:
    stage = Asking()
    stage.alice.request("OPTIONS", "sip:127.0.0.2", now=stage.now)
    stage.run(33 * SECOND)
    assert stage.last(ALICE, RequestFailed).status == 408
    stage.finish()


def test_every_request_within_a_call_answers_challenges() -> None:
    account = Account("sip:alice@lab", "sip:127.0.0.2", Credentials("alice", "secret"), "alice")
    stage = CallingParty(account=account)
    stage.respond(200, body=SDP)
    orders = {
        "INFO": lambda: stage.alice.request_in_call(stage.call, "INFO", now=stage.now),
        "UPDATE": lambda: stage.alice.reoffer(stage.call, body=OTHER, method="UPDATE", now=stage.now),
        "INVITE": lambda: stage.alice.reoffer(stage.call, body=OTHER, now=stage.now),
        "REFER": lambda: stage.alice.transfer(stage.call, "sip:x@192.0.2.1", now=stage.now),
        "BYE": lambda: stage.alice.hang_up(stage.call, now=stage.now),
    }
    for number, (method, order) in enumerate(orders.items()):
        order()
        stage.run()
        challenge = [("WWW-Authenticate", f'Digest realm="lab", nonce="n{number}", qop="auth", stale=true')]
        asked = stage.party.requests(method)[-1]
        stage.respond(401, request=asked, headers=challenge)
        again = stage.party.requests(method)[-1]
        assert f'nonce="n{number}"' in (again.headers.get("Authorization") or ""), method
        assert again.cseq.number == asked.cseq.number + 1
        stage.respond(200, request=again, body=SDP if method in ("UPDATE", "INVITE") else b"")
    assert stage.snapshots[ALICE, stage.call].counts.challenges == 5
    assert len(stage.events(ALICE, CallModified)) == 2
    assert stage.last(ALICE, CallEnded).status == 200


def test_who_calls_is_said_and_told() -> None:
    stage = Pair()
    identity = Identity(asserted=('"Alice" <sip:alice@lab>', "<tel:+15551234>"), privacy="id")
    options = CallOptions(identity=identity, display_name="Alice \u00c4")
    stage.dial(options=options, headers=[("X-Run", "7"), ("Subject", "test")])
    offered = stage.offered
    assert offered.display_name == "Alice \u00c4"
    assert offered.identity == identity
    assert offered.request.headers.get("X-Run") == "7"


def test_reasons_are_said_and_told() -> None:
    stage = Pair()
    call, _ = stage.talk()
    stage.alice.hang_up(call, reason='SIP;cause=200;text="done"', now=stage.now)
    stage.run()
    assert stage.last(BOB, CallEnded).reason == 'SIP;cause=200;text="done"'
    ringing = stage.dial()
    stage.bob.ring(stage.offered.call, now=stage.now)
    stage.run()
    stage.alice.hang_up(ringing, reason="Q.850;cause=19", now=stage.now)
    stage.run()
    assert stage.last(BOB, CallCancelled).reason == "Q.850;cause=19"


def test_routes_are_preloaded() -> None:
    stage = Asking()
    stage.alice.invite("sip:bob@far.example", body=SDP, options=CallOptions(routes=("<sip:127.0.0.2;lr>",)), now=0)
    stage.run()
    (invite,) = stage.party.requests("INVITE")
    assert invite.uri == "sip:bob@far.example"
    assert invite.headers.get_all("Route") == ["<sip:127.0.0.2;lr>"]


FOLLOW = CallOptions(redirects=RedirectPolicy(Follow.ALL, most=2))


def test_a_redirection_is_followed() -> None:
    stage = CallingParty(options=FOLLOW)
    carol = Party(stage.link, CAROL)
    stage.respond(302, headers=[("Contact", "<sip:carol@127.0.0.3>")])
    redirected = stage.last(ALICE, CallRedirected)
    assert (redirected.status, redirected.target) == (302, "sip:carol@127.0.0.3")
    (invite,) = carol.requests("INVITE")
    assert invite.uri == "sip:carol@127.0.0.3"
    assert invite.call_id == stage.invite.call_id
    assert invite.cseq.number == stage.invite.cseq.number + 1
    assert invite.headers.get("To") == stage.invite.headers.get("To")
    carol.respond(invite, 200, body=SDP, destination=ALICE)
    assert stage.snapshot().state is CallState.CONFIRMED
    assert stage.snapshot().counts.redirections == 1
    assert carol.requests("ACK")


def test_redirections_are_bounded_and_the_next_contact_is_tried_after_a_failure() -> None:
    stage = CallingParty(options=FOLLOW)
    carol = Party(stage.link, CAROL)
    contacts = [("Contact", f"<sip:c{number}@127.0.0.3>;q=0.{9 - number}") for number in range(4)]
    stage.respond(300, headers=contacts)
    carol.respond(carol.requests("INVITE")[-1], 404, destination=ALICE)
    assert [each.uri for each in carol.requests("INVITE")] == ["sip:c0@127.0.0.3", "sip:c1@127.0.0.3"]
    carol.respond(carol.requests("INVITE")[-1], 486, destination=ALICE)
    assert stage.last(ALICE, CallRejected).status == 486
    assert len(stage.events(ALICE, CallRedirected)) == 2


@pytest.mark.parametrize(
    ("status", "contact"),
    [(305, "<sip:127.0.0.2;lr>"), (380, "<sip:b@127.0.0.2>"), (302, "<tel:+4930123>"), (302, "*"), (302, "")],
)
def test_what_is_no_other_place_to_call_is_not_called(status: int, contact: str) -> None:
    stage = CallingParty(options=CallOptions(redirects=RedirectPolicy(Follow.ALL, 3)))
    stage.respond(status, headers=[("Contact", contact)])
    assert stage.last(ALICE, CallRejected).status == status
    assert len(stage.party.requests("INVITE")) == 1


def test_a_redirection_is_not_followed_by_default() -> None:
    stage = CallingParty()
    stage.respond(302, headers=[("Contact", "<sip:carol@127.0.0.3>")])
    rejected = stage.last(ALICE, CallRejected)
    assert rejected.status == 302
    assert rejected.response is not None
    assert rejected.response.headers.get("Contact") == "<sip:carol@127.0.0.3>"


def test_a_stranger_that_we_were_sent_to_gets_no_password() -> None:
    account = Account("sip:alice@lab", "sip:127.0.0.2", Credentials("alice", "secret"), "alice")
    stage = CallingParty(options=FOLLOW, account=account)
    carol = Party(stage.link, CAROL)
    stage.respond(302, headers=[("Contact", "<sip:carol@127.0.0.3>")])
    carol.respond(carol.requests("INVITE")[0], 401, headers=CHALLENGE, destination=ALICE)
    assert len(carol.requests("INVITE")) == 1
    assert stage.last(ALICE, CallRejected).status == 401


def test_we_redirect_too() -> None:
    stage = CalledParty()
    contacts = ["<sip:carol@127.0.0.3>;q=0.5", "<sip:dave@127.0.0.4>"]
    with pytest.raises(LocalProtocolError):
        stage.bob.reject(stage.call, status=302, contacts=["nobody"], now=stage.now)
    stage.bob.reject(stage.call, status=302, contacts=contacts, now=stage.now)
    stage.run()
    assert stage.answer("INVITE").headers.get_all("Contact") == contacts


def test_when_to_call_again_is_told() -> None:
    stage = CallingParty()
    stage.respond(503, headers=[("Retry-After", "120;duration=60")])
    assert stage.last(ALICE, CallRejected).retry_after == RetryAfter(120, 60)


def test_the_peers_early_requests_are_answered() -> None:
    stage = CallingParty()
    stage.respond(180)
    stage.tell("INFO", cseq=1, headers=TEXT, body=b"x")
    assert stage.answer("INFO").status == 200
    assert stage.last(ALICE, InfoReceived).call == stage.call
    stage.alice.request_in_call(stage.call, "INFO", now=stage.now)
    stage.run()
    assert stage.party.requests("INFO")[-1].to.tag == "one"


@pytest.mark.parametrize(
    ("uri", "takes"),
    [
        ("sip:bob@127.0.0.2", True),
        ("sip:%62ob@127.0.0.2", True),
        ("sip:bob:secret@127.0.0.2;user=ip", True),
        ("sip:bobby@127.0.0.2", False),
        ("sip:bob", False),
        ("sip:127.0.0.2", False),
    ],
)
def test_calls_to_one_user_may_have_options_of_their_own(uri: str, takes: bool) -> None:
    stage = Stage(BOB)
    bob, party = stage.agents[BOB], Party(stage.link, ALICE)
    bob.set_inbound_options(CallOptions(takes_transfers=True), user="bob")
    party.send(party.request("INVITE", uri, body=SDP), BOB)
    stage.run()
    assert bob._calls[stage.last(BOB, CallOffered).call].options.takes_transfers is takes


def test_a_call_that_may_ring_on_rings_until_its_caller_gives_up() -> None:
    stage = CalledParty(options=CallOptions(rings_on=True))
    stage.bob.ring(stage.call, now=stage.now)
    stage.run(900 * SECOND)
    assert set(stage.party.statuses("INVITE")) == {100, 180}
    stage.party.send(stage.party.request("CANCEL", "sip:bob@127.0.0.2", branch=stage.invite.top_via.branch or ""), BOB)
    stage.run()
    assert stage.answer("INVITE").status == 487


def test_a_call_that_may_ring_on_ends_when_its_invitation_expires() -> None:
    stage = CalledParty(options=CallOptions(rings_on=True), headers=[("Expires", "300")])
    stage.bob.ring(stage.call, now=stage.now)
    stage.run(301 * SECOND)
    assert stage.answer("INVITE").status == 487
