"""Registrations against a scripted registrar. Source: RFC 3261 10.2, RFC 3665 2."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cmw.core.clock import SECOND
from cmw.errors import LocalProtocolError
from cmw.sip.account import Account
from cmw.sip.credentials import Credentials
from cmw.sip.events import CallAnswered, CallEnded, RegistrationEnded, RegistrationFailed, RegistrationSucceeded
from cmw.sip.hop import Hop
from cmw.sip.registration_snapshot import RegistrationState
from tests.support.digests import digest_response
from tests.support.registering import ACCOUNT, CONTACT, REGISTRAR, US, Stage
from tests.support.sip_party import SDP, Party


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_register_asks_for_a_binding(stage: Stage) -> None:
    stage.register()
    register = stage.last()
    assert register.uri == "sip:lab.example"
    assert register.to.uri == register.from_.uri == "sip:alice@lab.example"
    assert register.headers.get("Contact") == f"{CONTACT};expires=300"
    assert register.headers.get("Expires") == "300"
    assert "Authorization" not in register.headers


@pytest.mark.parametrize("status", [401, 407])
def test_a_challenge_is_answered_once(stage: Stage, status: int) -> None:
    stage.register()
    first = stage.last()
    stage.challenge("n1", status=status)
    proof = stage.proof("Authorization" if status == 401 else "Proxy-Authorization")
    assert (proof["username"], proof["nonce"], proof["nc"], proof["uri"]) == (
        "alice",
        "n1",
        "00000001",
        "sip:lab.example",
    )
    assert stage.last().cseq.number == first.cseq.number + 1
    assert stage.last().call_id == first.call_id
    assert stage.last().top_via.branch != first.top_via.branch
    stage.accept()
    assert stage.events() == [RegistrationSucceeded(stage.handle, 300, stage.events()[-1].at)]  # type: ignore[attr-defined]
    assert stage.agent.registration_snapshot(stage.handle).state is RegistrationState.REGISTERED


@pytest.mark.parametrize("is_proved", [True, False])
def test_a_registrar_may_have_to_prove_that_it_knows_the_password(stage: Stage, *, is_proved: bool) -> None:
    credentials = Credentials("alice", "secret", requires_proof=True)
    stage.register(replace(ACCOUNT, credentials=credentials))
    stage.respond(401, [("WWW-Authenticate", 'Digest realm="lab", nonce="n"')])
    words = {"username": "alice", "realm": "lab", "password": "secret" if is_proved else "guess", "nonce": "n"}
    proof = digest_response(algorithm="MD5", method="", uri="sip:lab.example", qop="", nc="", cnonce="", **words)
    stage.respond(200, [("Contact", f"{CONTACT};expires=300"), ("Authentication-Info", f'rspauth="{proof}"')])
    assert type(stage.events()[-1]) is (RegistrationSucceeded if is_proved else RegistrationFailed)


def test_wrong_credentials_fail_after_one_try(stage: Stage) -> None:
    stage.register()
    stage.challenge("n1")
    stage.challenge("n2")
    (failed,) = stage.events()
    assert isinstance(failed, RegistrationFailed)
    assert (failed.status, failed.reason) == (401, "Unauthorized")
    assert stage.count() == 2


def test_a_stale_nonce_gets_one_more_try_and_no_more(stage: Stage) -> None:
    stage.register()
    stage.challenge("n1")
    stage.challenge("n2", stale=True)
    assert stage.proof()["nonce"] == "n2"
    stage.challenge("n3", stale=True)
    assert stage.count() == 3
    assert isinstance(stage.events()[-1], RegistrationFailed)


def test_ever_new_realms_do_not_loop(stage: Stage) -> None:
    stage.register()
    for number in range(10):
        if isinstance(stage.events()[-1] if stage.events() else None, RegistrationFailed):
            break
        stage.respond(401, [("WWW-Authenticate", f'Digest realm="r{number}", nonce="n"')])
    assert stage.count() == 5


def test_without_credentials_a_challenge_is_a_failure(stage: Stage) -> None:
    stage.register(Account("sip:a@lab.example", "sip:lab.example", None, "a", REGISTRAR))
    stage.challenge("n1")
    assert isinstance(stage.events()[-1], RegistrationFailed)


def test_a_refresh_reuses_the_nonce_and_counts_its_uses(stage: Stage) -> None:
    stage.register()
    stage.challenge("n1")
    stage.accept()
    stage.run(240.1)
    assert stage.count() == 3
    assert (stage.proof()["nonce"], stage.proof()["nc"]) == ("n1", "00000002")
    stage.challenge("n2")
    assert (stage.proof()["nonce"], stage.proof()["nc"]) == ("n2", "00000001")
    stage.accept()
    assert [type(each) for each in stage.events()] == [RegistrationSucceeded] * 2


def test_the_refresh_comes_before_the_binding_ends(stage: Stage) -> None:
    stage.register()
    stage.accept(60)
    stage.run(44)
    assert stage.count() == 1
    stage.run(4.1)
    assert stage.count() == 2


@pytest.mark.parametrize(
    ("headers", "expires_s"),
    [
        ([("Contact", f"{CONTACT};expires=120")], 120),
        (
            [("Contact", "<sip:other@127.0.0.9>;expires=7"), ("Contact", f"{CONTACT};expires=120"), ("Expires", "9")],
            120,
        ),
        ([("Contact", "<sip:alice@127.0.0.1:5060;transport=udp>;expires=90"), ("Expires", "80")], 80),
        ([("Contact", CONTACT), ("Expires", "80")], 80),
        ([("Contact", CONTACT)], 300),
        ([("Contact", f"{CONTACT};expires=soon")], 300),
        ([("Contact", "<broken"), ("Expires", "80")], 80),
    ],
)
def test_the_lifetime_is_that_of_our_contact(stage: Stage, headers: list[tuple[str, str]], expires_s: int) -> None:
    stage.register()
    stage.respond(200, headers)
    (succeeded,) = stage.events()
    assert isinstance(succeeded, RegistrationSucceeded)
    assert succeeded.expires_s == expires_s


def test_a_longer_lifetime_is_asked_for_when_wanted(stage: Stage) -> None:
    stage.register(expires_s=10)
    stage.respond(423, [("Min-Expires", "120")])
    assert stage.last().headers.get("Expires") == "120"
    stage.accept(120)
    assert isinstance(stage.events()[-1], RegistrationSucceeded)


@pytest.mark.parametrize("value", ["5", "x", ""])
def test_a_423_that_makes_no_sense_is_a_failure(stage: Stage, value: str) -> None:
    stage.register(expires_s=10)
    stage.respond(423, [("Min-Expires", value)])
    (failed,) = stage.events()
    assert isinstance(failed, RegistrationFailed)
    assert failed.status == 423


@pytest.mark.parametrize("status", [403, 404, 500, 503, 600])
def test_a_refusal_is_a_failure(stage: Stage, status: int) -> None:
    stage.register()
    stage.respond(status)
    (failed,) = stage.events()
    assert isinstance(failed, RegistrationFailed)
    assert failed.status == status
    stage.link.run_until_quiet(1000 * SECOND)
    assert stage.agent.counters["registrations"] == stage.agent.counters["transactions"] == 0


def test_a_silent_registrar_is_a_failure_without_status(stage: Stage) -> None:
    stage.register()
    stage.run(33)
    (failed,) = stage.events()
    assert isinstance(failed, RegistrationFailed)
    assert (failed.status, failed.reason, failed.at) == (0, "timeout", 32 * SECOND)


def test_a_registrar_that_is_not_there_is_a_failure_at_once(stage: Stage) -> None:
    stage.register()
    stage.agent.transport_failed(REGISTRAR, "Connection refused", now=SECOND)
    assert stage.agent.next_event() == RegistrationFailed(stage.handle, 0, "Connection refused", SECOND)


def test_unregister_removes_the_binding(stage: Stage) -> None:
    stage.register()
    stage.challenge("n1")
    stage.accept()
    stage.agent.unregister(stage.handle, now=stage.link.now)
    stage.run(0.02)
    assert stage.last().headers.get("Expires") == "0"
    assert stage.last().headers.get("Contact") == f"{CONTACT};expires=0"
    assert stage.proof()["nc"] == "00000002"
    stage.respond(200)
    assert isinstance(stage.events()[-1], RegistrationEnded)
    stage.link.run_until_quiet(1000 * SECOND)
    assert stage.agent.counters["registrations"] == stage.agent.counters["transactions"] == 0
    with pytest.raises(LocalProtocolError):
        stage.agent.unregister(stage.handle, now=0)


def test_unregister_waits_for_the_answer_to_register(stage: Stage) -> None:
    stage.register()
    stage.agent.unregister(stage.handle, now=stage.link.now)
    stage.agent.unregister(stage.handle, now=stage.link.now)
    stage.run(0.1)
    assert stage.count() == 1
    stage.accept()
    assert stage.last().headers.get("Expires") == "0"
    stage.respond(200)
    assert [type(each) for each in stage.events()] == [RegistrationSucceeded, RegistrationEnded]


def test_two_registrations_may_not_share_a_contact(stage: Stage) -> None:
    stage.register()
    with pytest.raises(LocalProtocolError):
        stage.agent.register(ACCOUNT, now=0)


@pytest.mark.parametrize("expires_s", [0, -1, 2**32])
def test_lifetimes_out_of_range_are_refused(stage: Stage, expires_s: int) -> None:
    with pytest.raises(LocalProtocolError):
        stage.agent.register(ACCOUNT, expires_s=expires_s, now=0)


def test_a_registrar_that_is_a_literal_needs_no_lookup(stage: Stage) -> None:
    stage.agent.register(Account("sip:a@lab.example", "sip:127.0.0.2", None, "a"), now=0)
    assert stage.agent.lookups_to_make() == []
    assert stage.agent.datagrams_to_send()[0].destination == REGISTRAR


def test_a_registrar_that_is_a_name_is_looked_up(stage: Stage) -> None:
    """RFC 3263 4; what answered once is asked again first."""
    elsewhere = Hop("127.0.0.3", 5060)
    stage.handle = stage.agent.register(Account("sip:a@lab.example", "sip:lab.example", None, "alice"), now=0)
    (lookup,) = stage.agent.lookups_to_make()
    assert lookup.uri.host == "lab.example"
    stage.agent.receive_lookup(lookup.number, [REGISTRAR, elsewhere], now=0)
    stage.run(0.02)
    stage.accept()
    stage.run(240.1)
    assert stage.count() == 2
    assert stage.agent.lookups_to_make() == []
    stage.agent.transport_failed(REGISTRAR, "Connection refused", now=stage.link.now)
    (lookup,) = stage.agent.lookups_to_make()
    stage.agent.receive_lookup(lookup.number, [REGISTRAR, elsewhere], now=stage.link.now)
    (sent,) = stage.agent.datagrams_to_send()
    assert sent.destination == elsewhere
    assert [type(event) for event in stage.events()] == [RegistrationSucceeded]


def test_a_registrar_whose_name_leads_nowhere_is_a_failure(stage: Stage) -> None:
    stage.agent.register(Account("sip:a@lab.example", "sip:lab.example", None, "alice"), now=0)
    (lookup,) = stage.agent.lookups_to_make()
    stage.agent.receive_lookup(lookup.number, [], "no such name", now=0)
    stage.run(0.01)
    (failed,) = stage.events()
    assert isinstance(failed, RegistrationFailed)
    assert (failed.status, failed.reason) == (0, "no such name")


def test_the_outbound_proxy_gets_the_register(stage: Stage) -> None:
    account = Account("sip:a@lab.example", "sip:lab.example", None, "alice", routes=("<sip:127.0.0.2;lr>",))
    stage.handle = stage.agent.register(account, now=0)
    stage.run(0.02)
    assert (stage.last().uri, stage.last().headers.get("Route")) == ("sip:lab.example", "<sip:127.0.0.2;lr>")


def test_invite_and_bye_answer_challenges_too(stage: Stage) -> None:
    call = stage.agent.invite("sip:bob@lab.example", account=ACCOUNT, body=SDP, now=0)
    stage.run(0.02)
    stage.challenge("n1", status=407, method="INVITE")
    first, second = stage.party.requests("INVITE")
    assert [each.cseq.number for each in stage.party.requests("ACK")] == [first.cseq.number]
    assert second.cseq.number == first.cseq.number + 1
    assert second.call_id == first.call_id
    assert second.from_.tag == first.from_.tag
    assert second.to.tag is None
    assert stage.proof("Proxy-Authorization", "INVITE")["nc"] == "00000001"
    stage.respond(200, method="INVITE")
    ack = stage.last("ACK")
    assert ack.headers.get("Proxy-Authorization") == second.headers.get("Proxy-Authorization")
    assert ack.cseq.number == second.cseq.number
    assert isinstance(stage.events()[-1], CallAnswered)
    stage.agent.hang_up(call, now=stage.link.now)
    stage.run(0.02)
    assert stage.proof("Proxy-Authorization", "BYE")["nc"] == "00000002"
    stage.challenge("n2", status=407, method="BYE")
    bye, again = stage.party.requests("BYE")
    assert stage.proof("Proxy-Authorization", "BYE")["nonce"] == "n2"
    assert again.cseq.number == bye.cseq.number + 1
    assert stage.agent.call_snapshot(call).counts.challenges == 2
    stage.respond(200, method="BYE")
    assert isinstance(stage.events()[-1], CallEnded)


def test_an_inbound_call_answers_challenges_with_the_account_that_was_called(stage: Stage) -> None:
    stage.register()
    stage.accept()
    stage.party.send(stage.party.request("INVITE", "sip:alice@127.0.0.1:5060", body=SDP), US)
    call = stage.events()[-1].call  # type: ignore[attr-defined]
    stage.agent.answer(call, body=SDP, now=stage.link.now)
    stage.run(0.02)
    to = stage.party.responses("INVITE")[-1].headers.get("To") or ""
    stage.party.send(stage.party.request("ACK", "sip:alice@127.0.0.1:5060", to=to), US)
    stage.agent.hang_up(call, now=stage.link.now)
    stage.run(0.02)
    stage.challenge("n1", status=407, method="BYE")
    assert stage.proof("Proxy-Authorization", "BYE")["username"] == "alice"


def stranger_calls(stage: Stage, asks: str) -> Party:
    """Have a stranger call a registered user, and challenge the BYE that ends the call."""
    stage.register()
    stage.challenge("n1")
    stage.accept()
    stranger = Party(stage.link, Hop("127.0.0.66", 5060))
    stranger.send(stranger.request("INVITE", "sip:alice@127.0.0.1:5060", body=SDP), US)
    call = stage.events()[-1].call  # type: ignore[attr-defined]
    stage.agent.answer(call, body=SDP, now=stage.link.now)
    stage.run(0.02)
    to = stranger.responses("INVITE")[-1].headers.get("To") or ""
    stranger.send(stranger.request("ACK", "sip:alice@127.0.0.1:5060", to=to), US)
    stage.agent.hang_up(call, now=stage.link.now)
    stage.run(0.02)
    (bye,) = stranger.requests("BYE")
    assert not {"Authorization", "Proxy-Authorization"} & {name for name, _ in bye.headers}
    stranger.respond(bye, 407, headers=[("Proxy-Authenticate", f'Digest realm="{asks}", nonce="x"')], destination=US)
    return stranger


@pytest.mark.parametrize("realm", ["my own", "lab"])
def test_a_stranger_gets_no_answer_even_if_it_names_our_realm(stage: Stage, realm: str) -> None:
    stranger = stranger_calls(stage, realm)
    assert len(stranger.requests("BYE")) == 1
    ended = stage.events()[-1]
    assert isinstance(ended, CallEnded)
    assert ended.status == 407
