"""Registering, and being reached, through one registrar; all time is virtual."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.core.address import Address
from cmw.core.clock import SECOND
from cmw.sip import registrar
from cmw.sip.challenge import choose_challenges, parse_challenges
from cmw.sip.credentials import Credentials
from cmw.sip.digest import authorize
from cmw.sip.hop import Hop
from cmw.sip.message import Response, make_response, parse_message, serialize_message
from cmw.sip.registrar_events import RegistrarDiscarded, RegistrarDiscardReason, UserRegistered, UserUnregistered
from cmw.sip.via import parse_via
from tests.support.registrar_lab import ALICE, BOB, HERE, PASSWORDS, Lab, make_register, make_request


def test_a_binding_is_made_shown_and_ends() -> None:
    lab = Lab()
    response = lab.answer(make_register(["<sip:alice@192.0.2.10:5062>"], expires="60"))
    assert response.status == 200
    assert response.headers.get_all("Contact") == ["<sip:alice@192.0.2.10:5062>;expires=60"]
    assert response.to.tag
    assert response.top_via.param("received") == "192.0.2.10"
    assert response.top_via.param("rport") == "5062"
    deadline = lab.registrar.next_timeout()
    assert deadline is not None
    assert deadline.at == lab.now + 60 * SECOND
    assert lab.events() == [UserRegistered("alice", "sip:alice@192.0.2.10:5062", 60, lab.now)]
    lab.now = deadline.at
    lab.registrar.handle_timeout(now=lab.now)
    assert lab.events() == [UserUnregistered("alice", "sip:alice@192.0.2.10:5062", True, lab.now)]
    assert len(lab.registrar) == 0
    assert lab.registrar.next_timeout() is None


def test_contact_expires_counts_before_the_header_and_both_are_cut() -> None:
    lab = Lab(max_expires_s=600)
    contacts = [
        "<sip:alice@192.0.2.10:1>;expires=30",
        "<sip:alice@192.0.2.10:2>",
        "<sip:a@192.0.2.10:3>;expires=99999999999",
    ]
    response = lab.answer(make_register(contacts, expires="90"))
    assert [row.partition("expires=")[2] for row in response.headers.get_all("Contact")] == ["30", "90", "600"]


def test_a_register_without_contacts_asks_only() -> None:
    lab = Lab()
    lab.register_bob()
    lab.now += 100 * SECOND
    response = lab.answer(make_register([], user="bob", branch="z9hG4bK9"))
    assert response.headers.get_all("Contact") == ["<sip:bob@192.0.2.20:5064>;expires=3500"]


def test_expires_zero_removes_one_and_a_star_removes_all() -> None:
    lab = Lab()
    lab.answer(
        make_register(
            ["<sip:a@192.0.2.10:1>", "<sip:a@192.0.2.10:2>", "<sip:a@192.0.2.10:3>"], cseq=1, branch="z9hG4bKa"
        )
    )
    left = lab.answer(make_register(["<sip:a@192.0.2.10:2>;expires=0"], cseq=2, branch="z9hG4bKb"))
    assert [row[:21] for row in left.headers.get_all("Contact")] == ["<sip:a@192.0.2.10:1>;", "<sip:a@192.0.2.10:3>;"]
    none = lab.answer(make_register(["*"], expires="0", cseq=3, branch="z9hG4bKc"))
    assert none.status == 200
    assert none.headers.get_all("Contact") == []
    assert len(lab.registrar) == 0


@pytest.mark.parametrize(
    ("contacts", "expires"), [(["*"], "60"), (["*"], None), (["*", "<sip:a@192.0.2.10>"], "0"), (["<tel:1>"], "9")]
)
def test_contacts_that_make_no_sense_are_refused_and_change_nothing(contacts: list[str], expires: str | None) -> None:
    lab = Lab()
    lab.register_bob()
    assert lab.answer(make_register(contacts, expires=expires, user="bob")).status in (400, 416)
    assert len(lab.registrar) == 1
    assert lab.events() == []


def test_a_lifetime_too_short_is_refused_with_the_shortest() -> None:
    lab = Lab(min_expires_s=30)
    response = lab.answer(make_register(["<sip:a@192.0.2.10>"], expires="29"))
    assert (response.status, response.headers.get("Min-Expires")) == (423, "30")
    assert lab.answer(make_register(["<sip:a@192.0.2.10>;expires=0"], branch="z9hG4bK2")).status == 200


def test_an_older_register_of_the_same_call_is_refused() -> None:
    """RFC 3261 10.3 step 7."""
    lab = Lab()
    lab.answer(make_register(["<sip:a@192.0.2.10>"], cseq=5, branch="z9hG4bKa"))
    assert lab.answer(make_register(["<sip:a@192.0.2.10>;expires=0"], cseq=4, branch="z9hG4bKb")).status == 500
    assert len(lab.registrar) == 1
    lab.answer(make_register(["<sip:a@192.0.2.10>;expires=0"], cseq=1, call_id="other", branch="z9hG4bKc"))
    assert len(lab.registrar) == 0


def test_a_retransmitted_register_gets_the_same_answer() -> None:
    lab = Lab()
    data = make_register(["<sip:a@192.0.2.10>"])
    first = lab.answer(data)
    lab.now += SECOND
    assert lab.answer(data) == first
    assert len(lab.events()) == 1
    lab.now += 40 * SECOND
    assert lab.answer(data).status == 500  # its answer is forgotten: an old request now


def test_equivalent_contacts_are_one_binding() -> None:
    lab = Lab()
    lab.answer(make_register(["<sip:a@HOST.example:5060;transport=udp>"], cseq=1, branch="z9hG4bKa"))
    lab.answer(make_register(["<sip:%61@host.EXAMPLE:5060;Transport=UDP>"], cseq=2, branch="z9hG4bKb"))
    assert len(lab.registrar) == 1


def test_too_many_contacts_are_refused() -> None:
    lab = Lab()
    assert lab.answer(make_register([f"<sip:a@192.0.2.10:{port}>" for port in range(1, 12)])).status == 503
    assert len(lab.registrar) == 0


def test_a_contact_that_leads_back_to_the_registrar_is_refused() -> None:
    assert Lab().answer(make_register(["<sip:alice@192.0.2.1:5060>"])).status == 403


def test_an_unknown_extension_is_refused() -> None:
    response = Lab().answer(make_register(["<sip:a@192.0.2.10>"], headers=[("Require", "path, gruu")]))
    assert (response.status, response.headers.get("Unsupported")) == (420, "gruu")


def test_a_foreign_domain_is_not_claimed() -> None:
    lab = Lab(domains=["other.example"])
    data = make_register(["<sip:a@192.0.2.10>"])
    assert not lab.registrar.claims(parse_message(data), ALICE)
    assert lab.send(data) == []
    data = make_request("REGISTER", "sip:OTHER.example", branch="z9hG4bK2")
    assert lab.answer(data).status == 404  # the To is of example.com


# --- passwords ---


def authorized(
    challenge_from: Response, method: str, uri: str, user: str, *, password: str | None = None
) -> tuple[str, str]:
    asks, answers = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}[
        challenge_from.status
    ]
    credentials = Credentials(user, password or PASSWORDS[user])
    (challenge,) = choose_challenges(parse_challenges(challenge_from.headers.get_all(asks)), credentials)
    return answers, authorize(challenge, credentials, method, uri, cnonce="c0")


def test_a_password_is_asked_for_and_checked() -> None:
    lab = Lab(accounts=PASSWORDS, realm="lab")
    asked = lab.answer(make_register(["<sip:a@192.0.2.10>"]))
    assert asked.status == 401
    algorithms = [c.algorithm for c in parse_challenges(asked.headers.get_all("WWW-Authenticate"))]
    assert algorithms == ["MD5", "SHA-256"]
    for password, status in (("wrong", 401), (None, 200)):
        header = authorized(asked, "REGISTER", "sip:example.com", "alice", password=password)
        response = lab.answer(
            make_register(["<sip:a@192.0.2.10>"], cseq=2, branch=f"z9hG4bK{status}", headers=[header])
        )
        assert response.status == status
        assert ("rspauth=" in (response.headers.get("Authentication-Info") or "")) is (status == 200)


def test_nobody_registers_for_another() -> None:
    lab = Lab(accounts=PASSWORDS)
    asked = lab.answer(make_register(["<sip:a@192.0.2.10>"]))
    header = authorized(asked, "REGISTER", "sip:example.com", "bob")
    assert lab.answer(make_register(["<sip:a@192.0.2.10>"], cseq=2, branch="z9hG4bK2", headers=[header])).status == 403
    assert len(lab.registrar) == 0


def test_a_nonce_gets_stale() -> None:
    lab = Lab(accounts=PASSWORDS)
    asked = lab.answer(make_register([]))
    header = authorized(asked, "REGISTER", "sip:example.com", "alice")
    lab.now += 301 * SECOND
    response = lab.answer(make_register([], cseq=2, branch="z9hG4bK2", headers=[header]))
    assert response.status == 401
    assert all(challenge.stale for challenge in parse_challenges(response.headers.get_all("WWW-Authenticate")))


# --- sending on ---


def test_an_invite_goes_to_the_contact_and_its_response_comes_back() -> None:
    """RFC 3261 16.6, 16.7."""
    lab = Lab()
    lab.register_bob()
    data = make_request("INVITE", "sip:bob@example.com", to="<sip:bob@example.com>", body=b"v=0\r\n")
    assert lab.registrar.claims(parse_message(data), ALICE)
    request, destination = lab.sent_on(data)
    assert destination == BOB
    assert request.uri == "sip:bob@192.0.2.20:5064"
    assert request.body == b"v=0\r\n"
    assert request.headers.get("Max-Forwards") == "69"
    ours, theirs = [parse_via(row) for row in request.headers.get_all("Via")]
    assert ours.sent_by == Address(*HERE[:2])
    assert theirs.param("received") == "192.0.2.10"
    response = make_response(request, 180, to_tag="b1")
    assert lab.registrar.claims(response, BOB)
    ((back, destination),) = lab.send(serialize_message(response), BOB)
    assert isinstance(back, Response)
    assert destination == ALICE
    assert len(back.headers.get_all("Via")) == 1
    assert back.to.tag == "b1"


def test_cancel_and_ack_follow_their_invite() -> None:
    """RFC 3261 16.11: the same branch and place, without memory."""
    lab = Lab()
    lab.register_bob()
    branches = set()
    for method, to in (
        ("INVITE", "<sip:bob@example.com>"),
        ("CANCEL", "<sip:bob@example.com>"),
        ("ACK", "<sip:bob@example.com>;tag=b1"),
    ):
        request, destination = lab.sent_on(make_request(method, "sip:bob@example.com", to=to))
        assert destination == BOB
        branches.add(request.top_via.branch)
    assert len(branches) == 1
    request, _ = lab.sent_on(
        make_request("BYE", "sip:bob@example.com", to="<sip:bob@example.com>;tag=b1", cseq=2, branch="z9hG4bK2")
    )
    assert request.top_via.branch not in branches


def test_requests_straight_to_a_contact_are_sent_on() -> None:
    lab = Lab()
    lab.register_bob()
    headers = [("Route", "<sip:192.0.2.1;lr>")]
    request, destination = lab.sent_on(make_request("BYE", "sip:bob@192.0.2.20:5064", headers=headers))
    assert (request.uri, destination) == ("sip:bob@192.0.2.20:5064", BOB)
    assert request.headers.get_all("Route") == []


def test_a_user_who_is_not_registered_is_left_to_others() -> None:
    lab = Lab()
    lab.register_bob()
    data = make_request("INVITE", "sip:carol@example.com")
    assert not lab.registrar.claims(parse_message(data), ALICE)
    assert lab.send(data) == []
    (event,) = lab.events()
    assert isinstance(event, RegistrarDiscarded)
    assert event.reason is RegistrarDiscardReason.NOT_CLAIMED


def test_an_invite_needs_a_password_where_a_register_does() -> None:
    lab = Lab(accounts=PASSWORDS)
    asked = lab.answer(make_register(["<sip:bob@192.0.2.20:5064>"], user="bob", sender=BOB), BOB)
    header = authorized(asked, "REGISTER", "sip:example.com", "bob")
    lab.answer(
        make_register(
            ["<sip:bob@192.0.2.20:5064>"], user="bob", sender=BOB, cseq=2, branch="z9hG4bKb", headers=[header]
        ),
        BOB,
    )
    lab.events()
    asked = lab.answer(make_request("INVITE", "sip:bob@example.com", to="<sip:bob@example.com>", branch="z9hG4bKc"))
    assert asked.status == 407
    ack = make_request("ACK", "sip:bob@example.com", to=asked.headers.get("To"), branch="z9hG4bKc")
    assert lab.registrar.claims(parse_message(ack), ALICE)
    assert lab.send(ack) == []  # it ends here
    (event,) = lab.events()
    assert isinstance(event, RegistrarDiscarded)
    assert event.reason is RegistrarDiscardReason.ACK_ABSORBED
    header = authorized(asked, "INVITE", "sip:bob@example.com", "alice")
    again = make_request(
        "INVITE", "sip:bob@example.com", cseq=2, branch="z9hG4bKd", headers=[header], to="<sip:bob@example.com>"
    )
    for _ in range(2):  # a retransmission carries the same count of the same nonce
        request, _ = lab.sent_on(again)
        assert request.headers.get("CSeq") == "2 INVITE"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Max-Forwards", "0")], 400),
        ([("Proxy-Require", "foo")], 420),
        ([("Route", "<sip:proxy.example;lr>")], 503),
        ([("Route", "<tel:1>")], 416),
        ([("Route", "<sip:203.0.113.9;lr>")], 403),
    ],
)
def test_what_cannot_be_sent_on_is_answered(headers: list[tuple[str, str]], status: int) -> None:
    lab = Lab()
    lab.register_bob()
    assert lab.answer(make_request("OPTIONS", "sip:bob@example.com", headers=headers)).status == status


def test_the_last_hop_is_answered_and_a_loop_too() -> None:
    lab = Lab()
    lab.register_bob()
    data = make_request("OPTIONS", "sip:bob@example.com")
    assert lab.answer(data.replace(b"Forwards: 70", b"Forwards: 0")).status == 483
    request, _ = lab.sent_on(data)
    request.uri = "sip:bob@example.com"
    looped = serialize_message(request)
    ((message, _),) = lab.send(looped, HERE)
    assert isinstance(message, Response)
    assert message.status == 482


def test_a_request_without_max_forwards_gets_some() -> None:
    lab = Lab()
    lab.register_bob()
    request, _ = lab.sent_on(make_request("OPTIONS", "sip:bob@example.com").replace(b"Max-Forwards: 70\r\n", b""))
    assert request.headers.get("Max-Forwards") == "70"


def test_a_forged_response_goes_nowhere() -> None:
    lab = Lab()
    lab.register_bob()
    request, _ = lab.sent_on(make_request("OPTIONS", "sip:bob@example.com"))
    response = make_response(request, 200)
    via = response.headers.get_all("Via")[1]
    response.headers.remove("Via")
    response.headers.add("Via", str(request.top_via))
    response.headers.add("Via", via.replace("192.0.2.10", "198.51.100.9"))
    assert lab.send(serialize_message(response), BOB) == []
    (event,) = lab.events()
    assert isinstance(event, RegistrarDiscarded)
    assert event.reason is RegistrarDiscardReason.STRAY_RESPONSE


def test_garbage_is_named_and_malformed_requests_are_answered() -> None:
    lab = Lab()
    assert lab.send(b"\xff\x00 garbage") == []
    (event,) = lab.events()
    assert isinstance(event, RegistrarDiscarded)
    assert event.reason is RegistrarDiscardReason.MALFORMED
    assert lab.answer(make_register([]).replace(b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia")).status == 505
    assert lab.answer(make_register([])[:-2] + b"Content-Length: 10\r\n\r\n").status == 400


PIECES = [
    *make_register(["<sip:alice@192.0.2.10:5062>;expires=1"], expires="7").split(b"\r\n"),
    *make_request("INVITE", "sip:bob@example.com").split(b"\r\n"),
    b"Contact: *",
    b"Contact: <sip:bob@192.0.2.20:5064>;expires=0, sip:x@h",
    b"Expires: 0",
    b"Expires: x",
    b"CSeq: 2 REGISTER",
    b"Route: <sip:192.0.2.1;lr>, <sip:192.0.2.9;lr>",
    b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-cmw-proxy-1",
    b"Via: SIP/2.0/UDP h;branch=\xff",
    b"To: <tel:1>",
    b"Max-Forwards: 0",
    b'Authorization: Digest realm="lab", nonce="\xff", username="\xff", response="\xff", uri="", nc=00000001, qop=auth',
    b'Proxy-Authorization: Digest realm="lab"',
    b"SIP/2.0 200 OK",
    b"CANCEL sip:bob@example.com SIP/2.0",
]


@given(st.lists(st.sampled_from(PIECES), max_size=14), st.booleans())
def test_nothing_from_the_network_raises(lines: list[bytes], has_start: bool) -> None:
    lab = Lab(accounts=PASSWORDS, realm="lab")
    usual = make_register([]).split(b"\r\n")[:-2] if has_start else []
    for data in (b"\r\n".join([*usual, *lines]) + b"\r\n\r\n", b"\r\n".join([*lines, *usual]) + b"\r\n\r\n"):
        lab.registrar.receive_datagram(data, ALICE, now=lab.now)
    for out in lab.registrar.datagrams_to_send():
        assert out.data.count(b"\r\n\r\n") == 1
        assert out.data.startswith(b"SIP/2.0 ")  # nobody is registered: nothing is sent on


def test_an_answer_to_a_challenge_registers_one_contact_only() -> None:
    """The digest says nothing of Contact, Call-ID and CSeq: whoever saw it may not register himself with it."""
    lab = Lab(accounts=PASSWORDS)
    asked = lab.answer(make_register(["<sip:alice@192.0.2.10:5062>"]))
    header = authorized(asked, "REGISTER", "sip:example.com", "alice")
    fields = {"cseq": 2, "branch": "z9hG4bK2", "headers": [header]}
    good = make_register(["<sip:alice@192.0.2.10:5062>"], **fields)
    assert lab.answer(good).status == 200
    assert lab.answer(good).status == 200  # a retransmission
    thief = Hop("192.0.2.66", 5060)
    for stolen in (fields | {"branch": "z9hG4bK3"}, fields | {"call_id": "mine"}, fields | {"cseq": 9}):
        refused = lab.answer(make_register([f"<sip:alice@{thief}>"], sender=thief, **stolen), thief)
        assert refused.status == 401
        assert "stale=true" in (refused.headers.get("WWW-Authenticate") or "")
    assert len(lab.registrar) == 1


def test_answers_kept_for_retransmissions_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registrar, "MAX_ANSWER_BYTES", 20_000)
    lab = Lab(accounts=PASSWORDS)
    for number in range(100):
        assert lab.answer(make_register([], branch=f"z9hG4bK{number}", call_id="c" * 4000)).status == 401
    assert sum(len(answer) for _, answer in lab.registrar._answers.values()) <= 25_000
    lab.now += 33 * SECOND
    lab.registrar.handle_timeout(now=lab.now)
    assert (len(lab.registrar._answers), lab.registrar._answer_bytes) == (0, 0)
