"""When a challenge is answered, and when it is enough."""

from __future__ import annotations

import pytest

from cmw.sip.authentication import MAX_REALMS, MAX_ROUNDS, Authentication
from cmw.sip.digest import Credentials, parse_authorization
from cmw.sip.headers import Headers
from cmw.sip.message import Response
from tests.support.ids import CountingIds


def challenge(*values: str, status: int = 401) -> Response:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    return Response(status, "", Headers([(name, value) for value in values]))


def make(realm: str | None = None) -> Authentication:
    return Authentication(Credentials("u", "p", realm), CountingIds())


def rows(authentication: Authentication) -> dict[str, dict[str, str]]:
    return {name: parse_authorization(value) for name, value in authentication.headers("INVITE", "sip:a", b"")}


def test_without_credentials_nothing_is_answered() -> None:
    assert not Authentication(None, CountingIds()).absorb(challenge('Digest realm="r", nonce="n"'))


@pytest.mark.parametrize(
    "value", ["", 'Basic realm="r"', 'Digest realm="r"', 'Digest realm="r", nonce="n", algorithm=FROB', "\x00"]
)
def test_what_cannot_be_answered_is_not(value: str) -> None:
    assert not make().absorb(challenge(value))
    assert not make().absorb(Response(401, "", Headers()))


def test_only_401_and_407_are_challenges() -> None:
    assert not make().absorb(Response(403, "", Headers([("WWW-Authenticate", 'Digest realm="r", nonce="n"')])))


def test_the_strongest_algorithm_of_a_realm_is_taken() -> None:
    authentication = make()
    weak, strong = 'Digest realm="r", nonce="n"', 'Digest realm="r", nonce="n", algorithm=SHA-256'
    assert authentication.absorb(challenge(weak, strong))
    assert rows(authentication)["Authorization"]["algorithm"] == "SHA-256"


def test_proxy_and_server_are_answered_side_by_side() -> None:
    authentication = make()
    assert authentication.absorb(challenge('Digest realm="proxy", nonce="a"', status=407))
    assert authentication.absorb(challenge('Digest realm="server", nonce="b"'))
    found = rows(authentication)
    assert (found["Proxy-Authorization"]["realm"], found["Authorization"]["realm"]) == ("proxy", "server")


def test_a_realm_of_ones_own_is_kept_to() -> None:
    assert not make("mine").absorb(challenge('Digest realm="other", nonce="n"'))
    assert make("mine").absorb(challenge('Digest realm="mine", nonce="n"'))


def test_the_nonce_count_grows_and_starts_again_with_a_new_nonce() -> None:
    authentication = make()
    authentication.absorb(challenge('Digest realm="r", nonce="n1", qop="auth"'))
    assert [rows(authentication)["Authorization"]["nc"] for _ in range(3)] == ["00000001", "00000002", "00000003"]
    authentication.begin()
    authentication.absorb(challenge('Digest realm="r", nonce="n2", qop="auth"'))
    assert rows(authentication)["Authorization"]["nc"] == "00000001"


def test_a_second_challenge_means_that_the_password_is_wrong_unless_stale() -> None:
    authentication = make()
    assert authentication.absorb(challenge('Digest realm="r", nonce="n1"'))
    assert authentication.absorb(challenge('Digest realm="r", nonce="n2", stale=TRUE'))
    assert not authentication.absorb(challenge('Digest realm="r", nonce="n3", stale=TRUE'))
    authentication.begin()
    assert authentication.absorb(challenge('Digest realm="r", nonce="n4"'))
    assert not authentication.absorb(challenge('Digest realm="r", nonce="n5"'))


def test_realms_without_end_are_given_up() -> None:
    authentication = make()
    answers = [authentication.absorb(challenge(f'Digest realm="r{number}", nonce="n"')) for number in range(10)]
    assert answers.count(True) == MAX_ROUNDS


@pytest.mark.parametrize("realm", [None, "home"])
def test_a_stranger_is_not_answered_even_in_the_realm_of_home(realm: str | None) -> None:
    authentication = make(realm)
    assert authentication.absorb(challenge('Digest realm="home", nonce="n"'))
    authentication.begin()
    for name in ("home", "stranger"):
        asked = challenge(f'Digest realm="{name}", nonce="n2", stale=true', status=407)
        assert not authentication.absorb(asked, is_home=False)
    assert authentication.headers("BYE", "sip:a", is_home=False) == []
    assert rows(authentication)["Authorization"]["nonce"] == "n"
    assert authentication.spaces.counts.refused == 2


def test_realms_without_end_are_not_all_remembered() -> None:
    authentication = make()
    for number in range(100):
        authentication.begin()
        authentication.absorb(challenge(f'Digest realm="{number}", nonce="n"'))
    assert len(authentication.headers("INVITE", "sip:a", b"")) == MAX_REALMS
