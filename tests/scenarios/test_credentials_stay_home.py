"""Credentials go home and nowhere else, whoever asks for them and by whatever name. RFC 3261 22, 26."""

from __future__ import annotations

import dataclasses

import pytest

from cmw.sip import Account, CallOptions, Credentials, RedirectPolicy
from cmw.sip.events import CallAnswered, CallRejected, RegistrationFailed, TransferRequested
from cmw.sip.hop import Hop
from cmw.sip.message import Request
from cmw.sip.redirect import Follow
from tests.support.call_stage import ALICE, BOB, CAROL, CallingParty, Stage
from tests.support.sip_party import SDP, Party

CHALLENGE = ("Proxy-Authenticate", 'Digest realm="home", nonce="n", qop="auth"')
ASKS = ("WWW-Authenticate", 'Digest realm="home", nonce="n", qop="auth"')
ACCOUNT = Account("sip:alice@home.example", "sip:127.0.0.2", Credentials("alice", "secret"), "alice", BOB)


def proves(request: Request) -> bool:
    return "Authorization" in request.headers or "Proxy-Authorization" in request.headers


class AtHome(CallingParty):
    """Alice calls through her home, which Bob plays and which asked for her password; Carol is a stranger."""

    def __init__(self, **more: object) -> None:
        super().__init__(account=ACCOUNT, **more)  # type: ignore[arg-type]
        self.stranger = Party(self.link, CAROL)
        self.link.names["stranger.example"] = [CAROL]
        self.link.names["home.example"] = [BOB]
        self.respond(407, headers=[CHALLENGE])
        self.invite = self.party.requests("INVITE")[-1]
        assert proves(self.invite)

    def answer_with(self, *headers: tuple[str, str]) -> None:
        self.respond(200, body=SDP, headers=headers)
        assert self.last(ALICE, CallAnswered)

    def hang_up(self) -> None:
        self.alice.hang_up(self.call, now=self.now)
        self.run()

    def challenge_bye(self, party: Party) -> list[Request]:
        """Let a party ask for proof at our BYE; return all BYEs that came to it."""
        bye = party.requests("BYE")[0]
        party.respond(bye, 407, tag=None, headers=[CHALLENGE], destination=ALICE)
        return party.requests("BYE")


@pytest.mark.parametrize("contact", ["<sip:eve@stranger.example>", f"<sip:eve@{CAROL}>"])
def test_a_callee_behind_home_whom_bye_goes_to_directly_is_not_told(contact: str) -> None:
    stage = AtHome()
    stage.answer_with(("Contact", contact))
    stage.hang_up()
    byes = stage.challenge_bye(stage.stranger)
    assert len(byes) == 1
    assert not proves(byes[0])
    assert not any(proves(each) for each in stage.stranger.requests("ACK"))


def test_home_by_its_name_has_to_ask_and_is_answered() -> None:
    stage = AtHome()
    stage.answer_with(("Contact", "<sip:bob@home.example>"))
    stage.hang_up()
    before, after = stage.challenge_bye(stage.party)
    assert not proves(before)
    assert proves(after)


def test_a_redirection_to_a_stranger_takes_no_credentials_along() -> None:
    stage = AtHome(options=CallOptions(redirects=RedirectPolicy(Follow.ALL)))
    stage.respond(302, headers=[("Contact", f"<sip:eve@{CAROL}>")])
    (invite,) = stage.stranger.requests("INVITE")
    assert not proves(invite)
    stage.stranger.respond(invite, 407, headers=[CHALLENGE], destination=ALICE)
    assert stage.last(ALICE, CallRejected).status == 407


def test_a_redirection_back_home_does() -> None:
    stage = AtHome(options=CallOptions(redirects=RedirectPolicy(Follow.ALL)))
    stage.respond(302, headers=[("Contact", f"<sip:carol@{BOB}>")])
    assert proves(stage.party.requests("INVITE")[-1])


def test_whom_a_peer_wants_us_to_call_gets_no_proof() -> None:
    stage = AtHome(options=CallOptions(takes_transfers=True))
    stage.answer_with()
    stage.tell("REFER", cseq=1, headers=[("Refer-To", f"<sip:eve@{CAROL}>")])
    asked = stage.last(ALICE, TransferRequested)
    stage.alice.accept_transfer(asked.transfer, now=stage.now)
    stage.alice.invite(
        "", transfer=asked.transfer, account=dataclasses.replace(ACCOUNT, destination=None), now=stage.now
    )
    stage.run()
    (invite,) = stage.stranger.requests("INVITE")
    stage.stranger.respond(invite, 407, headers=[CHALLENGE], destination=ALICE)
    assert len(stage.stranger.requests("INVITE")) == 1
    assert not proves(invite)


class Registering(Stage):
    """Alice registers at Bob's, who asks for her password; Carol is a stranger."""

    def __init__(self, **more: object) -> None:
        super().__init__(ALICE)
        self.alice = self.agents[ALICE]
        self.home, self.stranger = Party(self.link, BOB), Party(self.link, CAROL)
        self.account = dataclasses.replace(ACCOUNT, destination=None, **more)  # type: ignore[arg-type]
        self.alice.register(self.account, now=0)
        self.run()

    def respond(self, party: Party, status: int, *headers: tuple[str, str], method: str = "REGISTER") -> None:
        party.respond(party.requests(method)[-1], status, headers=headers, destination=ALICE)


def test_a_registrar_that_another_one_names_gets_no_proof() -> None:
    stage = Registering()
    stage.respond(stage.home, 401, ASKS)
    assert proves(stage.home.requests("REGISTER")[-1])
    stage.respond(stage.home, 302, ("Contact", f"<sip:{CAROL}>"))
    stage.respond(stage.stranger, 401, ASKS)
    (register,) = stage.stranger.requests("REGISTER")
    assert not proves(register)
    assert stage.last(ALICE, RegistrationFailed).status == 401


def test_one_that_the_credentials_name_does() -> None:
    stage = Registering(credentials=Credentials("alice", "secret", hosts=(CAROL.host,)))
    stage.respond(stage.home, 302, ("Contact", f"<sip:{CAROL}>"))
    stage.respond(stage.stranger, 401, ASKS)
    assert proves(stage.stranger.requests("REGISTER")[-1])


def test_what_home_asked_for_is_not_said_to_another_place_that_the_user_calls() -> None:
    stage = Registering()
    stage.respond(stage.home, 407, CHALLENGE)
    stage.respond(stage.home, 200, ("Contact", f"<sip:alice@{ALICE}>;expires=300"))
    stage.alice.invite(f"sip:eve@{CAROL}", account=stage.account, body=SDP, now=stage.now)
    stage.run()
    assert not proves(stage.stranger.requests("INVITE")[0])
    stage.alice.invite(f"sip:bob@{BOB}", account=stage.account, body=SDP, now=stage.now)
    stage.run()
    assert proves(stage.home.requests("INVITE")[0])


def test_home_that_registered_by_name_may_ask_at_the_bye_of_a_call_from_there() -> None:
    stage = Stage(ALICE)
    home = Party(stage.link, BOB)
    stage.link.names["home.example"] = [BOB]
    alice = stage.agents[ALICE]
    alice.register(dataclasses.replace(ACCOUNT, registrar="sip:home.example", destination=None), now=0)
    stage.run()
    home.respond(
        home.requests("REGISTER")[0], 200, headers=[("Contact", f"<sip:alice@{ALICE}>;expires=300")], destination=ALICE
    )
    invite = home.request("INVITE", f"sip:alice@{ALICE}", body=SDP)
    home.send(invite, ALICE)
    call = max(alice._calls)
    alice.answer(call, body=SDP, now=stage.now)
    stage.run()
    to = home.responses("INVITE")[-1].headers.get("To") or ""
    home.send(home.request("ACK", f"sip:alice@{ALICE}", to=to), ALICE)
    alice.hang_up(call, now=stage.now)
    stage.run()
    home.respond(home.requests("BYE")[0], 407, tag=None, headers=[CHALLENGE], destination=ALICE)
    assert proves(home.requests("BYE")[-1])
    assert Hop(BOB.host, BOB.port) == alice._stack.homes["alice"]
