"""The call flows of RFC 3665, all of sections 2 and 3 that a user agent takes part in, each named by its section.

The messages are not those of the RFC's text: they are what ours makes, in the order that its figures show.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from cmw.core.clock import SECOND
from cmw.sip import Account, CallOptions, CallState, Credentials
from cmw.sip.events import (
    CallAnswered,
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallModified,
    CallOffered,
    CallRedirected,
    CallRejected,
    CallReoffered,
    Ending,
    RegistrationEnded,
    RegistrationFailed,
    RegistrationSucceeded,
    RequestSucceeded,
)
from cmw.sip.hop import Hop
from cmw.sip.redirect import Follow, RedirectPolicy
from tests.support.call_stage import ALICE, BOB, OTHER, CalledParty, Pair, Stage
from tests.support.registering import ACCOUNT, CONTACT
from tests.support.registering import Stage as Registering
from tests.support.sip_party import SDP
from tests.support.sip_proxy import Proxy

FIRST = Hop("127.0.0.11", 5060)
SECOND_PROXY = Hop("127.0.0.12", 5060)
THIRD = Hop("127.0.0.13", 5060)
BILOXI = "biloxi.example"
CREDENTIALS = Credentials("alice", "secret")


# 2: registrations


def test_2_1_successful_new_registration() -> None:
    stage = Registering()
    stage.register()
    stage.challenge("n1")
    stage.accept()
    assert stage.count() == 2
    assert stage.last().headers.get("Authorization") is not None
    assert [type(each) for each in stage.events()] == [RegistrationSucceeded]


def test_2_2_update_of_contact_list() -> None:
    """Another contact is bound beside ours: the answer lists both."""
    stage = Registering()
    stage.register(replace(ACCOUNT, contacts=("<sip:alice@192.0.2.7>",)))
    asked = stage.last().headers.get_all("Contact")
    assert any("192.0.2.7" in contact for contact in asked)
    stage.respond(200, [("Contact", f"{CONTACT};expires=300"), ("Contact", "<sip:alice@192.0.2.7>;expires=300")])
    assert [type(each) for each in stage.events()] == [RegistrationSucceeded]


def test_2_3_request_for_current_contact_list() -> None:
    stage = Registering()
    stage.agent.request("REGISTER", "sip:lab.example", account=ACCOUNT, now=stage.link.now)
    stage.run(0.02)
    stage.challenge("n1")
    asked = stage.last()
    assert "Contact" not in asked.headers
    assert asked.to.uri == asked.from_.uri == "sip:alice@lab.example"
    stage.respond(200, [("Contact", f"{CONTACT};expires=300"), ("Contact", "<sip:alice@192.0.2.7>;expires=60")])
    succeeded = stage.events()[-1]
    assert isinstance(succeeded, RequestSucceeded)
    assert len(succeeded.response.headers.get_all("Contact")) == 2


def test_2_4_cancellation_of_registration() -> None:
    stage = Registering()
    stage.register()
    stage.accept()
    stage.agent.unregister(stage.handle, now=stage.link.now)
    stage.run(0.02)
    assert stage.last().headers.get("Expires") == "0"
    stage.respond(200)
    assert isinstance(stage.events()[-1], RegistrationEnded)


def test_2_5_unsuccessful_registration() -> None:
    """The password is wrong: the second 401 is not answered."""
    stage = Registering()
    stage.register()
    stage.challenge("n1")
    stage.challenge("n2")
    failed = stage.events()[-1]
    assert isinstance(failed, RegistrationFailed)
    assert failed.status == 401
    assert stage.count() == 2


# 3: sessions


def test_3_1_successful_session_establishment() -> None:
    stage = Pair()
    _, other = stage.talk()
    stage.bob.hang_up(other, now=stage.now)
    stage.finish()
    assert stage.sent(ALICE) == ["INVITE", "ACK", "200 BYE"]
    assert stage.sent(BOB) == ["100 INVITE", "180 INVITE", "200 INVITE", "BYE"]


class Proxied(Stage):
    """Alice calls Bob by the proxies of Atlanta and Biloxi, which stay in the path."""

    def __init__(self, **second: object) -> None:
        super().__init__(ALICE, BOB)
        self.alice, self.bob = self.agents[ALICE], self.agents[BOB]
        self.first = Proxy(self.link, FIRST, {BILOXI: SECOND_PROXY})
        self.second = Proxy(self.link, SECOND_PROXY, {BILOXI: BOB}, **second)  # type: ignore[arg-type]
        self.account = Account("sip:alice@atlanta.example", "sip:atlanta.example", CREDENTIALS, "alice", FIRST)

    def dial(self) -> int:
        call = self.alice.invite(f"sip:bob@{BILOXI}", account=self.account, body=SDP, now=self.now)
        self.run()
        return call

    def answer(self) -> int:
        other = self.last(BOB, CallOffered).call
        self.bob.ring(other, now=self.now)
        self.run()
        self.bob.answer(other, body=SDP, now=self.now)
        self.run()
        return other


def test_3_2_session_establishment_through_two_proxies() -> None:
    stage = Proxied()
    call = stage.dial()
    other = stage.answer()
    assert stage.alice.call_snapshot(call).state is CallState.CONFIRMED
    (ack,) = stage.messages(ALICE, "ACK")
    assert ack.headers.get_all("Route") == [f"<sip:{FIRST};lr>", f"<sip:{SECOND_PROXY};lr>"]
    stage.bob.hang_up(other, now=stage.now)
    stage.finish()
    (bye,) = stage.messages(BOB, "BYE")
    assert bye.headers.get_all("Route") == [f"<sip:{SECOND_PROXY};lr>", f"<sip:{FIRST};lr>"]
    assert stage.first.seen == stage.second.seen[:1] + stage.second.seen[1:2] + ["BYE"]
    assert stage.last(ALICE, CallEnded).by is Ending.REMOTE


def test_3_3_session_with_multiple_proxy_authentication() -> None:
    """Each proxy asks for a password of its own realm; the third INVITE answers both, and so does the ACK."""
    stage = Proxied(realm="biloxi")
    stage.first.realm = "atlanta"
    call = stage.dial()
    invites = stage.messages(ALICE, "INVITE")
    assert [len(each.headers.get_all("Proxy-Authorization")) for each in invites] == [0, 1, 2]
    assert [each.cseq.number - invites[0].cseq.number for each in invites] == [0, 1, 2]
    assert len({each.call_id for each in invites}) == len({each.from_.tag for each in invites}) == 1
    stage.answer()
    assert stage.alice.call_snapshot(call).counts.challenges == 2
    assert len(stage.messages(ALICE, "ACK")[-1].headers.get_all("Proxy-Authorization")) == 2
    stage.alice.hang_up(call, now=stage.now)
    stage.finish()
    assert stage.last(ALICE, CallEnded).status == 200


def test_3_4_successful_session_with_proxy_failure() -> None:
    """The first proxy is silent; after 64*T1 the INVITE goes to the second, which asks for a password."""
    stage = Proxied(realm="atlanta")
    stage.first.is_dead = True
    stage.link.names["atlanta.example"] = [FIRST, SECOND_PROXY]
    account = replace(stage.account, destination=None, routes=("<sip:atlanta.example;lr>",))
    call = stage.alice.invite(f"sip:bob@{BILOXI}", account=account, body=SDP, now=stage.now)
    stage.second.next_hops["atlanta.example"] = BOB
    stage.run(33 * SECOND)
    assert stage.sent(ALICE).count("INVITE") == 7 + 2
    stage.answer()
    assert stage.alice.call_snapshot(call).state is CallState.CONFIRMED
    stage.alice.hang_up(call, now=stage.now)
    stage.finish()
    assert stage.last(ALICE, CallEnded).status == 200


def test_3_5_session_through_a_sip_alg() -> None:
    """A device on the way stays in the path of all that follows, by a route that is known beforehand."""
    stage = Proxied()
    options = CallOptions(routes=(f"<sip:{FIRST};lr>",))
    call = stage.alice.invite(f"sip:bob@{BOB}", body=SDP, options=options, now=stage.now)
    stage.run()
    stage.answer()
    stage.alice.hang_up(call, now=stage.now)
    stage.finish()
    assert stage.first.seen == ["INVITE", "ACK", "BYE"]
    assert stage.messages(ALICE, "INVITE")[0].headers.get_all("Route") == [f"<sip:{FIRST};lr>"]


def test_3_6_session_via_redirect_and_proxy_servers_with_sdp_in_ack() -> None:
    stage = Proxied()
    stage.first.refusal, stage.first.contacts = 302, (f"<sip:bob@{SECOND_PROXY}>",)
    stage.second.next_hops[SECOND_PROXY.host] = BOB
    options = CallOptions(redirects=RedirectPolicy(Follow.ALL))
    call = stage.alice.invite(f"sip:bob@{BILOXI}", account=stage.account, body=b"", options=options, now=stage.now)
    stage.run()
    assert stage.last(ALICE, CallRedirected).status == 302
    assert stage.last(BOB, CallOffered).body == b""
    stage.answer()
    assert stage.last(ALICE, CallAnswered).wants_answer
    stage.alice.acknowledge(call, body=OTHER, now=stage.now)
    stage.run()
    assert stage.last(BOB, CallConfirmed).body == OTHER
    assert [each.body for each in stage.messages(ALICE, "ACK")] == [b"", OTHER]
    stage.alice.hang_up(call, now=stage.now)
    stage.finish()


def test_3_7_session_with_re_invite_the_peer_moves() -> None:
    """The caller moves to another address, media and signalling; our BYE goes there."""
    stage = CalledParty().established()
    invite = stage.party.request("INVITE", "sip:bob@127.0.0.2", to=stage.to, cseq=2, body=OTHER)
    invite.headers.set("Contact", "<sip:alice@127.0.0.9:5062>")
    stage.party.send(invite, BOB)
    assert stage.last(BOB, CallReoffered).body == OTHER
    stage.bob.answer_reoffer(stage.call, body=SDP, now=stage.now)
    stage.run()
    stage.tell("ACK", cseq=2)
    stage.bob.hang_up(stage.call, now=stage.now)
    stage.link.drain()
    sent = [each for each in stage.link.log if each.what == "BYE"]
    assert sent[0].destination == Hop("127.0.0.9", 5062)
    assert sent[0].message.uri == "sip:alice@127.0.0.9:5062"  # type: ignore[union-attr]


def test_3_7_session_with_re_invite_we_move() -> None:
    stage = Pair()
    call, other = stage.talk()
    stage.alice.reoffer(call, body=OTHER, now=stage.now)
    stage.run()
    stage.bob.answer_reoffer(other, body=SDP, now=stage.now)
    stage.run()
    assert stage.last(ALICE, CallModified).body == SDP
    stage.bob.hang_up(other, now=stage.now)
    stage.finish()
    assert stage.sent(ALICE) == ["INVITE", "ACK", "INVITE", "ACK", "200 BYE"]
    assert stage.sent(BOB)[3:] == ["100 INVITE", "200 INVITE", "BYE"]


def test_3_8_unsuccessful_no_answer() -> None:
    """The caller gives up while it rings, through two proxies."""
    stage = Proxied()
    call = stage.dial()
    stage.bob.ring(stage.last(BOB, CallOffered).call, now=stage.now)
    stage.run()
    stage.alice.hang_up(call, now=stage.now)
    stage.finish()
    assert stage.sent(ALICE) == ["INVITE", "CANCEL", "ACK"]
    assert len(stage.events(BOB, CallCancelled)) == 1
    assert stage.last(ALICE, CallEnded).status == 487


@pytest.mark.parametrize(("name", "status"), [("3.9 busy", 486), ("3.11 temporarily unavailable", 480)])
def test_3_9_and_3_11_unsuccessful_by_the_callee(name: str, status: int) -> None:
    stage = Proxied()
    stage.dial()
    stage.bob.reject(stage.last(BOB, CallOffered).call, status=status, now=stage.now)
    stage.finish()
    assert stage.last(ALICE, CallRejected).status == status, name
    assert stage.sent(ALICE) == ["INVITE", "ACK"]


def test_3_10_unsuccessful_no_response_from_user_agent() -> None:
    """The callee's phone is dead; the proxy says so for it."""
    stage = Proxied(refusal=480)
    stage.dial()
    stage.finish()
    rejected = stage.last(ALICE, CallRejected)
    assert (rejected.status, rejected.is_response) == (480, True)
    assert stage.events(BOB, CallOffered) == []
