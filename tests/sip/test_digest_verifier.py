from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.core.clock import SECOND
from cmw.errors import LocalProtocolError
from cmw.sip import nonces
from cmw.sip.auth_fields import decode_extended, parse_authorization
from cmw.sip.authentication_info import parse_authentication_info
from cmw.sip.challenge import Challenge, parse_challenges
from cmw.sip.credentials import Credentials
from cmw.sip.digest import DigestSession, authorize
from cmw.sip.digest_algorithm import ALGORITHMS, make_a1, make_ha1
from cmw.sip.digest_verifier import DigestResult, DigestStatus, DigestVerifier
from tests.support.ids import CountingIds

ALICE = Credentials("alice", "wonder")
ACCEPTED = DigestResult(DigestStatus.ACCEPTED, "alice")


@pytest.fixture
def verifier() -> DigestVerifier:
    return DigestVerifier(
        "lab", {"alice": "wonder"}, CountingIds(), algorithms=("SHA-256", "SHA-256-sess", "MD5", "MD5-sess")
    )


def ask(verifier: DigestVerifier, now: int = 0) -> Challenge:
    return parse_challenges(verifier.challenges(now=now))[0]


def test_every_algorithm_is_accepted(verifier: DigestVerifier) -> None:
    for challenge in parse_challenges(verifier.challenges(now=0)):
        for asked in (challenge, challenge._replace(qop=())):
            header = authorize(asked._replace(nonce=ask(verifier).nonce), ALICE, "REGISTER", "sip:lab", cnonce="c")
            assert verifier.verify([header], "REGISTER", now=SECOND) == ACCEPTED


def test_no_algorithm_means_md5(verifier: DigestVerifier) -> None:
    header = authorize(ask(verifier)._replace(algorithm=None), ALICE, "REGISTER", "sip:lab", cnonce="c")
    assert verifier.verify([header], "REGISTER", now=0) == ACCEPTED


def test_wrong_answers_are_rejected(verifier: DigestVerifier) -> None:
    good = authorize(ask(verifier), ALICE, "REGISTER", "sip:lab", cnonce="c")
    wrong = authorize(ask(verifier), Credentials("alice", "x"), "REGISTER", "sip:lab", cnonce="c")
    nobody = authorize(ask(verifier), Credentials("carol", ""), "REGISTER", "sip:lab", cnonce="c")
    odd = [
        good.replace("SHA-256", "SHA-512"),
        good.replace("00000001", "+0000001"),
        good.replace("qop=auth", "qop=auth-int"),
    ]
    for header in (wrong, nobody, *odd):
        assert verifier.verify([header], "REGISTER", now=0).status is DigestStatus.REJECTED
    assert verifier.verify([good], "INVITE", now=0).status is DigestStatus.REJECTED
    non_ascii = good.replace('response="', 'response="é')
    assert verifier.verify([non_ascii], "REGISTER", now=0).status is DigestStatus.REJECTED


def test_other_realms_and_schemes_are_passed_over(verifier: DigestVerifier) -> None:
    other = authorize(ask(verifier)._replace(realm="other"), ALICE, "REGISTER", "sip:lab", cnonce="c")
    good = authorize(ask(verifier), ALICE, "REGISTER", "sip:lab", cnonce="c")
    assert verifier.verify([other, "Basic eA==", "Digest"], "REGISTER", now=0).status is DigestStatus.MISSING
    assert verifier.verify([], "REGISTER", now=0).status is DigestStatus.MISSING
    assert verifier.verify(["Bearer x", other, good], "REGISTER", now=0) == ACCEPTED


def test_old_and_foreign_nonces_are_stale(verifier: DigestVerifier) -> None:
    header = authorize(ask(verifier), ALICE, "REGISTER", "sip:lab", cnonce="c")
    assert verifier.verify([header], "REGISTER", now=300 * SECOND) == ACCEPTED
    assert verifier.verify([header], "REGISTER", now=300 * SECOND + 1).status is DigestStatus.STALE
    forged = ask(verifier)._replace(nonce="0" * 56)
    for nonce in (forged.nonce, "", "é" * 56, ask(verifier).nonce[:-1] + "x"):
        header = authorize(forged._replace(nonce=nonce), ALICE, "REGISTER", "sip:lab", cnonce="c")
        assert verifier.verify([header], "REGISTER", now=0).status is DigestStatus.STALE
    assert "stale=true" in verifier.challenges(now=0, stale=True)[0]


def test_a_count_is_used_once_but_for_retransmissions(verifier: DigestVerifier) -> None:
    challenge = ask(verifier)
    second = authorize(challenge, ALICE, "INVITE", "sip:b@lab", nc=2, cnonce="c")
    assert verifier.verify([second], "INVITE", request_id="r", now=0) == ACCEPTED
    assert verifier.verify([second], "INVITE", request_id="r", now=32 * SECOND) == ACCEPTED
    for request_id, now in (("other", 0), (None, 0), ("r", 32 * SECOND + 1)):
        assert verifier.verify([second], "INVITE", request_id=request_id, now=now).status is DigestStatus.STALE
    other = authorize(challenge, ALICE, "INVITE", "sip:c@lab", nc=2, cnonce="c")
    assert verifier.verify([other], "INVITE", now=0).status is DigestStatus.STALE
    third = authorize(challenge, ALICE, "INVITE", "sip:c@lab", nc=0x0A, cnonce="c")
    assert verifier.verify([third], "INVITE", now=0) == ACCEPTED


def test_what_is_forgotten_turns_stale(verifier: DigestVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonces, "MAX_NONCES", 2)
    headers = [authorize(ask(verifier, now), ALICE, "REGISTER", "sip:lab", cnonce="c") for now in range(3)]
    assert [verifier.verify([header], "REGISTER", request_id="r", now=3) for header in headers] == [ACCEPTED] * 3
    statuses = [verifier.verify([header], "REGISTER", request_id="r", now=3).status for header in headers]
    assert statuses == [DigestStatus.STALE, DigestStatus.ACCEPTED, DigestStatus.ACCEPTED]


def test_an_answer_without_a_count_is_used_once_too(verifier: DigestVerifier) -> None:
    """As of RFC 2069: the digest says nothing of Contact, so whoever saw it could register himself."""
    header = authorize(ask(verifier)._replace(qop=()), ALICE, "REGISTER", "sip:lab")
    assert verifier.verify([header], "REGISTER", now=0) == ACCEPTED
    assert verifier.verify([header], "REGISTER", now=0).status is DigestStatus.STALE


USERS = {"alice": "wonder", "J\u00e4s\u00f8n Doe": "Secret, or not?", 'q"\\': "p"}


def make(**options: Any) -> DigestVerifier:
    return DigestVerifier("lab", USERS, CountingIds(), algorithms=ALGORITHMS, **options)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize("options", [{}, {"userhash": True}, {"charset": True}], ids=["plain", "userhash", "charset"])
def test_every_way_to_answer_is_accepted(algorithm: str, qop: str, name: str, options: dict[str, Any]) -> None:
    verifier = make(qops=("auth-int", "auth"), **options)
    challenge = {each.algorithm: each for each in parse_challenges(verifier.challenges(now=0))}[algorithm]
    session = DigestSession(challenge, Credentials(name, USERS[name], qops=(qop,)), "c")
    header = session.answer("INVITE", "sip:lab", b"v=0")
    assert verifier.verify([header], "INVITE", body=b"v=1", now=0).status is (
        DigestStatus.REJECTED if qop == "auth-int" else DigestStatus.ACCEPTED
    )
    header = session.answer("INVITE", "sip:lab", b"v=0")
    result = verifier.verify([header], "INVITE", body=b"v=0", now=0)
    assert result == DigestResult(DigestStatus.ACCEPTED, name)
    info = parse_authentication_info(verifier.info(result, body=b"v=2", now=0))
    assert (info.qop, info.nc, info.cnonce, info.nextnonce) == (qop, 2, "c", "")
    assert session.is_proved(info, 2, "sip:lab", b"v=2")
    assert session.is_proved(info, 2, "sip:lab", b"v=3") is (qop == "auth")
    assert not session.is_proved(info, 1, "sip:lab", b"v=2")
    assert not session.is_proved(info, 2, "sip:other", b"v=2")


def test_algorithms_are_offered_in_the_order_given() -> None:
    """RFC 8760 2.3."""
    assert tuple([each.algorithm for each in parse_challenges(make().challenges(now=0))]) == ALGORITHMS
    with pytest.raises(LocalProtocolError):
        DigestVerifier("lab", {}, CountingIds(), algorithms=("SHA-1",))


def test_an_account_may_be_kept_as_ha1() -> None:
    kept = Credentials("alice", realm="lab", ha1={"MD5": make_ha1("MD5", "alice", "lab", "wonder")})
    verifier = DigestVerifier("lab", {"alice": kept}, CountingIds())
    statuses = [
        verifier.verify([authorize(challenge, ALICE, "REGISTER", "sip:lab", cnonce="c")], "REGISTER", now=0).status
        for challenge in parse_challenges(verifier.challenges(now=0))
    ]
    assert statuses == [DigestStatus.REJECTED, DigestStatus.ACCEPTED]


def test_requests_that_overtake_each_other_are_accepted_once_each() -> None:
    verifier = make()
    session = DigestSession(ask(verifier), ALICE, "c")
    headers = [session.answer("INVITE", f"sip:{number}@lab") for number in range(nonces.WINDOW + 1)]
    late = headers.pop(0)
    order = headers[::-1]
    for _ in range(2):
        found = {verifier.verify([header], "INVITE", request_id=header, now=0).status for header in order}
        assert found == {DigestStatus.ACCEPTED}
    found = {verifier.verify([header], "INVITE", request_id="other", now=0).status for header in [*order, late]}
    assert found == {DigestStatus.STALE}


def test_the_next_nonce_comes_before_this_one_is_stale() -> None:
    verifier = make()
    for challenge in parse_challenges(verifier.challenges(now=0)):
        session = DigestSession(challenge, ALICE, "c")
        young, old = [
            parse_authentication_info(
                verifier.info(verifier.verify([session.answer("REGISTER", "sip:lab")], "REGISTER", now=now), now=now)
            )
            for now in (150 * SECOND, 151 * SECOND)
        ]
        verifier = make()
        assert young.nextnonce == ""
        assert bool(old.nextnonce) is not (challenge.algorithm or "").endswith("-sess")


def test_the_next_nonce_is_accepted() -> None:
    verifier = make()
    session = DigestSession(ask(verifier), ALICE, "c")
    result = verifier.verify([session.answer("REGISTER", "sip:lab")], "REGISTER", now=200 * SECOND)
    renewed = session.renewed(parse_authentication_info(verifier.info(result, now=200 * SECOND)).nextnonce)
    assert verifier.verify([renewed.answer("REGISTER", "sip:lab")], "REGISTER", now=400 * SECOND) == ACCEPTED


def test_only_an_accepted_request_is_proved_to() -> None:
    verifier = make()
    with pytest.raises(LocalProtocolError):
        verifier.info(verifier.verify([], "REGISTER", now=0), now=0)


def test_a_session_may_go_on_with_another_client_nonce() -> None:
    """RFC 7616 3.4.2: its key is made of the first, cnonce-prime."""
    verifier = make()
    challenge = parse_challenges(verifier.challenges(now=0))[3]
    assert challenge.algorithm == "SHA-256-sess"
    first = authorize(challenge, ALICE, "REGISTER", "sip:lab", cnonce="one")
    a1 = make_a1("SHA-256-sess", make_ha1("SHA-256", "alice", "lab", "wonder"), challenge.nonce, "one")
    session = DigestSession(challenge, ALICE, "two", uses=1, a1=a1)
    second = session.answer("REGISTER", "sip:lab")
    assert verifier.verify([second], "REGISTER", now=0).status is DigestStatus.REJECTED
    assert verifier.verify([first], "REGISTER", now=0) == ACCEPTED
    result = verifier.verify([second], "REGISTER", now=0)
    assert result == ACCEPTED
    assert session.is_proved(parse_authentication_info(verifier.info(result, now=0)), 2, "sip:lab", b"")


@pytest.mark.parametrize(
    ("uri", "is_same"),
    [("sip:bob@lab", True), ("sip:bob@LAB", True), ("sip:Bob@lab", False), ("sips:bob@lab", False), ("", False)],
)
def test_the_request_uri_is_compared_if_it_is_given(uri: str, *, is_same: bool) -> None:
    verifier = make()
    header = authorize(ask(verifier), ALICE, "INVITE", uri, cnonce="c")
    status = verifier.verify([header], "INVITE", request_uri="sip:bob@lab", now=0).status
    assert (status is DigestStatus.ACCEPTED) is is_same


def test_an_answer_without_qop_is_refused_if_one_is_required() -> None:
    verifier = make(requires_qop=True)
    header = authorize(ask(verifier)._replace(qop=()), ALICE, "REGISTER", "sip:lab")
    assert verifier.verify([header], "REGISTER", now=0).status is DigestStatus.REJECTED


@pytest.mark.parametrize(
    "change",
    [
        ('username="alice"', "username=\"alice\", username*=UTF-8''alice"),
        ('username="alice"', "username*=ISO-8859-1''alice"),
        ('username="alice"', 'username="alice", userhash=true'),
        ('username="alice", ', ""),
        ("nc=00000001", "nc=1"),
        ("nc=00000001, ", ""),
    ],
)
def test_what_cannot_be_right_is_rejected(change: tuple[str, str]) -> None:
    header = authorize(ask(make()), ALICE, "REGISTER", "sip:lab", cnonce="c")
    assert change[0] in header
    assert make().verify([header.replace(*change)], "REGISTER", now=0).status is DigestStatus.REJECTED


def test_names_are_found_by_hash_as_accounts_come_and_go() -> None:
    accounts = {"alice": "wonder"}
    verifier = DigestVerifier("lab", accounts, CountingIds(), userhash=True)

    def register(name: str) -> DigestStatus:
        header = authorize(ask(verifier), Credentials(name, "wonder"), "REGISTER", "sip:lab", cnonce="c")
        return verifier.verify([header], "REGISTER", now=0).status

    assert register("alice") is DigestStatus.ACCEPTED
    assert register("bob") is DigestStatus.REJECTED
    accounts["bob"] = "wonder"
    assert register("bob") is DigestStatus.ACCEPTED
    del accounts["alice"]
    assert register("alice") is DigestStatus.REJECTED


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
REALMS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(
    name=NAMES,
    password=NAMES,
    realm=REALMS,
    algorithm=st.sampled_from(ALGORITHMS),
    qops=st.sampled_from([(), ("auth",), ("auth-int",), ("auth-int", "auth")]),
    userhash=st.booleans(),
    body=st.binary(max_size=9),
    data=st.data(),
)
def test_what_we_answer_is_accepted_and_what_is_tampered_with_is_not(
    name: str,
    password: str,
    realm: str,
    algorithm: str,
    qops: tuple[str, ...],
    body: bytes,
    data: st.DataObject,
    *,
    userhash: bool,
) -> None:
    verifier = DigestVerifier(
        realm, {name: password}, CountingIds(), algorithms=[algorithm], qops=qops, userhash=userhash
    )
    (challenge,) = parse_challenges(verifier.challenges(now=0))
    header = authorize(challenge, Credentials(name, password), "INVITE", "sip:a@b", body=body, cnonce="c1")
    at = data.draw(st.integers(0, len(header) - 1))
    char = data.draw(st.characters(min_codepoint=32, max_codepoint=126))
    tampered = header[:at] + char + header[at + 1 :]
    found = verifier.verify([tampered], "INVITE", body=body, now=0).status
    assert found is not DigestStatus.ACCEPTED or meaning(tampered) == meaning(header)
    assert verifier.verify([header], "INVITE", body=body, now=0) == DigestResult(DigestStatus.ACCEPTED, name) or (
        found is DigestStatus.ACCEPTED
    )


def meaning(header: str) -> dict[str, str]:
    """Return what counts of an answer: words that may be written either way in one way, nothing unknown."""
    fields = parse_authorization(header)
    ours = ("username", "username*", "realm", "nonce", "uri", "response", "nc", "cnonce")
    kept = {key: value for key, value in fields.items() if key in ours}
    kept["algorithm"] = fields.get("algorithm", "MD5").upper()
    if "username*" in kept:
        kept["username*"] = decode_extended(kept["username*"])
    return kept | {key: fields.get(key, "").lower() for key in ("qop", "userhash")}
