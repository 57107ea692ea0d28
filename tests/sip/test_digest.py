import pytest

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.auth_fields import parse_authorization
from cmw.sip.challenge import Challenge, choose_challenges, parse_challenges
from cmw.sip.credentials import Credentials
from cmw.sip.digest import DigestSession, authorize
from cmw.sip.digest_algorithm import ALGORITHMS, base_of, make_a1, make_ha1, make_response
from tests.support.digests import digest_response

MUFASA = Credentials("Mufasa", "Circle of Life")
RFC7616 = {
    "realm": "http-auth@example.org",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
}


def fields_of(header: str) -> dict[str, str]:
    return parse_authorization(header)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    """RFC 7616 3.9.1."""
    value = (
        f'Digest realm="{RFC7616["realm"]}", qop="auth, auth-int", algorithm={algorithm}, '
        f'nonce="{RFC7616["nonce"]}", opaque="{RFC7616["opaque"]}"'
    )
    (challenge,) = parse_challenges([value])
    header = authorize(
        challenge, MUFASA, "GET", "/dir/index.html", cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    )
    fields = fields_of(header)
    assert fields["response"] == response
    assert fields["qop"] == "auth"
    assert fields["nc"] == "00000001"
    assert fields["algorithm"] == algorithm
    assert fields["opaque"] == RFC7616["opaque"]
    assert "Circle" not in header


def test_the_example_of_rfc_2617() -> None:
    """RFC 2617 3.5."""
    challenge = Challenge(
        "testrealm@host.com",
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        None,
        ("auth", "auth-int"),
        "5ccc069c403ebaf9f0171e9517f40e41",
    )
    header = authorize(challenge, Credentials("Mufasa", "Circle Of Life"), "GET", "/dir/index.html", cnonce="0a4f113b")
    assert fields_of(header)["response"] == "6629fae49393a05397450978507c4ef1"
    assert "algorithm" not in fields_of(header)


def test_a_server_without_qop_gets_the_old_digest() -> None:
    """RFC 2069 2.4, as corrected by its errata."""
    challenge = Challenge(
        "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"
    )
    header = authorize(challenge, Credentials("Mufasa", "CircleOfLife"), "GET", "/dir/index.html", cnonce="unused")
    fields = fields_of(header)
    assert fields["response"] == "1949323746fe6a43ef61f9606e7febea"
    assert {"qop", "nc", "cnonce"}.isdisjoint(fields)


def test_sess_algorithms_hash_the_nonces_into_a1() -> None:
    """RFC 7616 3.4.2; the inner hash is that of the plain algorithm."""
    plain = {"username": "u", "realm": "r", "password": "p", "method": "REGISTER", "uri": "sip:r"}
    common = {"nonce": "n", "qop": "auth", "nc": "00000001", "cnonce": "c"}
    inner = digest_response(algorithm="MD5", **plain, **common)
    session = digest_response(algorithm="MD5-sess", **plain, **common)
    assert inner != session
    header = authorize(Challenge("r", "n", "MD5-sess"), Credentials("u", "p"), "REGISTER", "sip:r", cnonce="c")
    assert fields_of(header)["cnonce"] == "c"


def test_auth_int_covers_the_body() -> None:
    challenge = Challenge("r", "n", "SHA-256", ("auth-int",))
    one = authorize(challenge, MUFASA, "INVITE", "sip:b@x", body=b"v=0", cnonce="c")
    two = authorize(challenge, MUFASA, "INVITE", "sip:b@x", body=b"v=1", cnonce="c")
    assert fields_of(one)["qop"] == "auth-int"
    assert one != two


def test_challenges_of_several_rows_and_in_one_row() -> None:
    row = 'Basic realm="x", Digest realm="a,b", nonce="1", qop="auth",digest nonce="2" , realm="c", stale=TRUE'
    found = parse_challenges([row, 'Digest realm="d", nonce="3", algorithm=MD5-sess', "Digest", "", "Bearer"])
    assert [(c.realm, c.nonce, c.stale) for c in found] == [("a,b", "1", False), ("c", "2", True), ("d", "3", False)]


@pytest.mark.parametrize(
    "value", ['Digest realm="a', "Digest realm=a,,nonce=b", "Digest nonce=b", "=", ",", "Digest =x,nonce=b"]
)
def test_malformed_challenges_are_passed_over(value: str) -> None:
    assert parse_challenges([value]) == []


def test_quoted_pairs_mean_what_they_escape() -> None:
    (challenge,) = parse_challenges([r'Digest realm="say \"friend\\\"", nonce="n\n"'])
    assert challenge.realm == 'say "friend\\"'
    fields = fields_of(authorize(challenge, Credentials('a"b', "p"), "REGISTER", "sip:x"))
    assert fields["realm"] == challenge.realm
    assert fields["username"] == 'a"b'


def test_the_strongest_challenge_of_each_realm_is_chosen() -> None:
    md5, sha, odd = Challenge("r", "1", "MD5"), Challenge("r", "2", "sha-256"), Challenge("r", "3", "SHA3-256")
    other = Challenge("s", "4", None, ("auth",))
    assert choose_challenges([md5, odd, sha, other], MUFASA) == [sha, other]
    assert choose_challenges([md5, other], Credentials("u", "p", "s")) == [other]
    assert choose_challenges([odd, Challenge("r", "5", "MD5", ("token",))], MUFASA) == []


def test_an_unsupported_challenge_is_not_answered() -> None:
    with pytest.raises(LocalProtocolError):
        authorize(Challenge("r", "n", "SHA3-256"), MUFASA, "GET", "/")


def test_the_password_is_not_shown() -> None:
    assert "Circle" not in repr(MUFASA)


def test_authorization_of_another_scheme_is_refused() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_authorization("Basic dXNlcjpwYXNz")
    assert caught.value.hint == 400
    assert "dXNl" not in str(caught.value)


RFC7616_3_9_2 = (
    'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, '
    'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", '
    'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true'
)


@pytest.mark.parametrize("name", ["J\u00e4s\u00f8n Doe", "Ja\u0308s\u00f8n Doe"], ids=["composed", "decomposed"])
def test_the_example_with_userhash_and_charset(name: str) -> None:
    """RFC 7616 3.9.2 with the values of erratum 4897: those printed are of a SHA-512 that was cut short."""
    (challenge,) = parse_challenges([RFC7616_3_9_2])
    cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"
    fields = fields_of(authorize(challenge, Credentials(name, "Secret, or not?"), "GET", "/doe.json", cnonce=cnonce))
    assert fields["username"] == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert fields["response"] == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    assert fields["userhash"] == "true"


def test_a_name_that_is_not_ascii_goes_as_the_server_reads_it() -> None:
    """RFC 7616 3.4; servers that name no charset are those of RFC 3261, where UTF-8 may be quoted."""
    jason = Credentials("J\u00e4s\u00f8n", "x")
    assert 'username="J\u00e4s\u00f8n"' in authorize(Challenge("r", "n"), jason, "GET", "/")
    assert "username*=UTF-8''J%C3%A4s%C3%B8n," in authorize(Challenge("r", "n", charset="UTF-8"), jason, "GET", "/")


def test_a_name_with_a_line_end_makes_no_header_of_its_own() -> None:
    header = authorize(Challenge("r", "n"), Credentials("a\r\nVia: b", "x"), "GET", "/")
    assert header.isprintable()
    assert "username*=UTF-8''a%0D%0AVia%3A%20b," in header


def test_auth_is_preferred_to_auth_int_unless_told_otherwise() -> None:
    both = Challenge("r", "n", "MD5", ("auth-int", "auth"))
    assert fields_of(authorize(both, MUFASA, "GET", "/"))["qop"] == "auth"
    firm = Credentials("u", "p", qops=("auth-int", "auth"))
    assert fields_of(authorize(both, firm, "GET", "/"))["qop"] == "auth-int"


def test_ha1_gives_the_answer_of_the_password() -> None:
    for algorithm in ALGORITHMS:
        challenge = Challenge("lab", "n", algorithm, ("auth",))
        kept = Credentials("bob", realm="lab", ha1={algorithm: make_ha1(algorithm, "bob", "lab", "x")})
        answers = [authorize(challenge, each, "GET", "/", cnonce="c") for each in (kept, Credentials("bob", "x"))]
        assert answers[0] == answers[1]


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256-sess"])
def test_a_session_goes_on_with_the_next_nonce(algorithm: str) -> None:
    """RFC 7616 3.5; its key stays that of the first nonce, 3.4.2."""
    session = DigestSession(Challenge("r", "n1", algorithm, ("auth",)), MUFASA, "c")
    session.answer("GET", "/")
    fields = fields_of(session.renewed("n2").answer("GET", "/"))
    assert (fields["nonce"], fields["nc"], fields["cnonce"]) == ("n2", "00000001", "c")
    a1 = make_a1(algorithm, make_ha1(algorithm, "Mufasa", "r", "Circle of Life"), "n1", "c")
    expected = make_response(
        base_of(algorithm), a1, nonce="n2", nc="00000001", cnonce="c", qop="auth", method="GET", uri="/"
    )
    assert fields["response"] == expected


def test_nothing_secret_is_shown_by_a_session() -> None:
    session = DigestSession(Challenge("r", "n"), MUFASA, "c")
    assert make_ha1("MD5", "Mufasa", "r", "Circle of Life") not in repr(session)
