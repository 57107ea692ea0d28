import pytest

from cmw.core.clock import SECOND
from cmw.sip import nonces
from cmw.sip.digest import Challenge, Credentials, authorize, parse_challenges
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
