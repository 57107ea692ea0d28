"""When a challenge is answered, and when it is enough."""

from __future__ import annotations

import pytest

from cmw.sip.auth_fields import parse_authorization
from cmw.sip.authentication import MAX_ROUNDS, Authentication
from cmw.sip.credentials import Credentials
from cmw.sip.digest_algorithm import make_ha1
from cmw.sip.headers import Headers
from cmw.sip.hop import Hop, Transport
from cmw.sip.message import Response
from cmw.sip.protection_spaces import MAX_REALMS, ProtectionSpaces
from tests.support.digests import digest_response
from tests.support.ids import CountingIds


def challenge(*values: str, status: int = 401, method: str = "INVITE") -> Response:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    return Response(status, "", Headers([("CSeq", f"1 {method}"), *[(name, value) for value in values]]))


def make(realm: str | None = None) -> Authentication:
    return Authentication(Credentials("u", "p", realm), CountingIds())


def rows(authentication: Authentication, method: str = "INVITE") -> dict[str, dict[str, str]]:
    return {name: parse_authorization(value) for name, value in authentication.headers(method, "sip:a", b"")}


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


def info(value: str, *, name: str = "Authentication-Info", body: bytes = b"") -> Response:
    return Response(200, "OK", Headers([(name, value)]), body)


def test_what_a_registration_learned_serves_its_calls() -> None:
    """A proxy's nonce from the first request on, the registrar's once a call was asked for the same."""
    spaces = ProtectionSpaces()
    registration, call = [Authentication(Credentials("u", "p"), CountingIds(), spaces) for _ in range(2)]
    registration.absorb(challenge('Digest realm="p", nonce="a", qop="auth"', status=407, method="REGISTER"))
    registration.absorb(challenge('Digest realm="r", nonce="b", qop="auth"', method="REGISTER"))
    assert set(rows(registration, "REGISTER")) == {"Proxy-Authorization", "Authorization"}
    found = rows(call)
    assert set(found) == {"Proxy-Authorization"}
    assert found["Proxy-Authorization"]["nc"] == "00000002"
    call.absorb(challenge('Digest realm="r", nonce="c", qop="auth"'))
    assert rows(call)["Authorization"]["nc"] == "00000001"
    another = Authentication(Credentials("u", "p"), CountingIds(), spaces)
    assert rows(another)["Authorization"]["nc"] == "00000002"
    found = rows(registration, "REGISTER")
    assert (found["Authorization"]["nonce"], found["Authorization"]["nc"]) == ("c", "00000003")
    call.absorb(challenge('Digest realm="p2", nonce="d"', status=407))
    assert len(call.headers("INVITE", "sip:a")) == 3
    assert len(registration.headers("REGISTER", "sip:a")) == 2


@pytest.mark.parametrize(("domain", "expected"), [("sip:a sips:lab", True), ("sip:labs", False), ("", False)])
def test_the_registrars_domain_says_what_else_its_answer_is_for(domain: str, *, expected: bool) -> None:
    authentication = make()
    row = f'Digest realm="r", nonce="n", domain="{domain}"'
    authentication.absorb(challenge(row, method="REGISTER"))
    assert bool(authentication.headers("INVITE", "sip:bob@LAB;user=phone")) is expected


def test_what_a_callee_made_up_is_not_told_to_other_callees() -> None:
    spaces = ProtectionSpaces()
    registration, call, next_call = [Authentication(Credentials("u", "p"), CountingIds(), spaces) for _ in range(3)]
    registration.absorb(challenge('Digest realm="home", nonce="a"', method="REGISTER"))
    assert call.absorb(challenge('Digest realm="callee", nonce="b"'))
    assert rows(call)["Authorization"]["realm"] == "callee"
    assert rows(next_call) == {}
    assert call.absorb(challenge('Digest realm="proxy", nonce="c"', status=407))
    assert set(rows(next_call)) == {"Proxy-Authorization"}


def test_forked_challenges_of_one_response_are_all_answered() -> None:
    """RFC 3261 16.7 (7) and 22.3."""
    authentication = make()
    headers = [
        ("Proxy-Authenticate", 'Digest realm="p", nonce="1"'),
        ("WWW-Authenticate", 'Digest realm="a", nonce="2"'),
        ("WWW-Authenticate", 'Digest realm="a", nonce="3"'),
        ("WWW-Authenticate", 'Digest realm="b", nonce="4", algorithm=SHA-256'),
    ]
    assert authentication.absorb(Response(407, "", Headers(headers)))
    answers = [(name, parse_authorization(value)["nonce"]) for name, value in authentication.headers("INVITE", "sip:a")]
    assert answers == [
        ("Authorization", "2"),
        ("Authorization", "3"),
        ("Authorization", "4"),
        ("Proxy-Authorization", "1"),
    ]


def test_each_realm_has_credentials_of_its_own() -> None:
    keys = (Credentials("any", "x"), Credentials("trunk", "y", "trunk"))
    authentication = Authentication(keys, CountingIds())
    authentication.absorb(challenge('Digest realm="trunk", nonce="1"', status=407))
    authentication.absorb(challenge('Digest realm="pbx", nonce="2"'))
    assert {name: fields["username"] for name, fields in rows(authentication).items()} == {
        "Proxy-Authorization": "trunk",
        "Authorization": "any",
    }


def test_requests_that_are_out_together_do_not_count_against_each_other() -> None:
    authentication = make()
    one = authentication.begin()
    two = authentication.begin()
    assert authentication.absorb(challenge('Digest realm="r", nonce="1"'), attempt=one)
    assert authentication.absorb(challenge('Digest realm="r", nonce="2"'), attempt=two)
    assert not authentication.absorb(challenge('Digest realm="r", nonce="3"'), attempt=one)


def test_a_weaker_algorithm_is_no_way_out_of_a_refusal() -> None:
    authentication = make()
    assert authentication.absorb(challenge('Digest realm="r", nonce="1", algorithm=SHA-256'))
    assert not authentication.absorb(challenge('Digest realm="r", nonce="2", algorithm=MD5, stale=true'))
    assert authentication.absorb(challenge('Digest realm="r", nonce="3", algorithm=SHA-512-256, stale=true'))


def test_the_count_goes_on_when_the_nonce_is_the_same_again() -> None:
    authentication = make()
    row = 'Digest realm="r", nonce="n", qop="auth"'
    authentication.absorb(challenge(row))
    first = rows(authentication)["Authorization"]
    authentication.begin()
    assert authentication.absorb(challenge(row))
    second = rows(authentication)["Authorization"]
    assert (second["nc"], second["cnonce"]) == ("00000002", first["cnonce"])


def test_a_nonce_that_is_used_up_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmw.sip.authentication.MAX_COUNT", 2)
    authentication = make()
    authentication.absorb(challenge('Digest realm="r", nonce="n", qop="auth"'))
    assert [len(rows(authentication)) for _ in range(3)] == [1, 1, 0]


@pytest.mark.parametrize("qop", ["", "auth", "auth-int"])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256-sess", "SHA-512-256"])
def test_a_server_proves_itself_and_gives_the_next_nonce(algorithm: str, qop: str) -> None:
    authentication = Authentication(Credentials("u", "p", requires_proof=True), CountingIds())
    authentication.absorb(challenge(f'Digest realm="r", nonce="n", algorithm={algorithm}, qop="{qop}"'))
    sent = rows(authentication)["Authorization"]
    proof = digest_response(
        algorithm=algorithm,
        username="u",
        realm="r",
        password="p",
        method="",
        uri="sip:a",
        nonce="n",
        qop=qop,
        nc=sent.get("nc", ""),
        cnonce=sent.get("cnonce", ""),
        body=b"v=0",
    )
    echo = f', qop={qop}, nc={sent["nc"]}, cnonce="{sent["cnonce"]}"' if qop else ""
    assert not authentication.take_info(info(f'nextnonce="evil", rspauth="{"0" * len(proof)}"{echo}', body=b"v=0"))
    assert not authentication.take_info(Response(200, "OK", Headers()))
    assert authentication.take_info(info(f'nextnonce="n2", rspauth="{proof}"{echo}', body=b"v=0"))
    assert (authentication.spaces.counts.proofs, authentication.spaces.counts.false_proofs) == (1, 1)
    authentication.begin()
    again = rows(authentication)["Authorization"]
    assert (again["nonce"], again.get("nc", "00000001")) == ("n2", "00000001")


def test_a_proof_is_not_asked_for_unless_told_and_rubbish_is_no_harm() -> None:
    authentication = make()
    assert authentication.take_info(info("rspauth"))
    authentication.absorb(challenge('Digest realm="r", nonce="n"'))
    assert rows(authentication)["Authorization"]["nonce"] == "n"
    for value in ("", "nc=x", 'rspauth="\udcff"', "nextnonce"):
        assert authentication.take_info(info(value))
    assert authentication.take_info(info('nextnonce="p"', name="Proxy-Authentication-Info"))
    assert rows(authentication)["Authorization"]["nonce"] == "n"
    assert authentication.take_info(info('nextnonce="m"'))
    assert rows(authentication)["Authorization"]["nonce"] == "m"


def test_a_proxy_may_prove_itself_in_the_header_of_servers() -> None:
    """As kamailio does."""
    authentication = make()
    authentication.absorb(challenge('Digest realm="r", nonce="n"', status=407))
    rows(authentication)
    words = {"username": "u", "realm": "r", "password": "p", "method": "", "uri": "sip:a", "nonce": "n"}
    proof = digest_response(algorithm="MD5", qop="", nc="", cnonce="", **words)
    authentication.take_info(info(f'rspauth="{proof}"'))
    assert (authentication.spaces.counts.proofs, authentication.spaces.counts.false_proofs) == (1, 0)


def test_a_next_nonce_that_is_the_present_one_goes_on_counting() -> None:
    authentication = make()
    authentication.absorb(challenge('Digest realm="r", nonce="n", qop="auth"'))
    assert rows(authentication)["Authorization"]["nc"] == "00000001"
    authentication.take_info(info('nextnonce="n"'))
    assert rows(authentication)["Authorization"]["nc"] == "00000002"


def test_home_is_where_requests_go_and_what_the_user_named() -> None:
    home = Hop("192.0.2.1", 5060)
    authentication = Authentication(Credentials("u", "p", hosts=("192.0.2.9",)), CountingIds())
    for hop, expected in (
        (home._replace(flow=7), True),
        (Hop("192.0.2.9", 5080), True),
        (home._replace(port=5061), False),
        (home._replace(transport=Transport.TLS), False),
        (Hop("192.0.2.2", 5060), False),
    ):
        assert authentication.is_home(hop, home) is expected
    assert not make().is_home(home, None)


def test_the_password_is_not_shown_by_what_holds_it() -> None:
    authentication = Authentication(Credentials("u", "geheim"), CountingIds())
    authentication.absorb(challenge('Digest realm="r", nonce="n"'))
    assert "geheim" not in repr(authentication) + repr(authentication.spaces) + repr(authentication.begin())
    assert make_ha1("MD5", "u", "r", "geheim") not in repr(authentication.spaces.find("Authorization", "r"))
