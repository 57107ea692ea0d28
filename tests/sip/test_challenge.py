"""Reading what servers ask for, and choosing."""

import pytest

from cmw.sip.auth_fields import MAX_FIELD_CHARS
from cmw.sip.challenge import (
    MAX_CHALLENGES,
    MAX_SAME_REALM,
    Challenge,
    choose_challenges,
    parse_challenges,
    serialize_challenge,
)
from cmw.sip.credentials import Credentials

BOB = Credentials("bob", "x")


def test_every_field_is_read() -> None:
    row = (
        'Digest realm = "r" ,nonce="n",Algorithm="SHA-512-256",qop="auth, AUTH-INT,",opaque="",stale=True,'
        'domain="sip:a  sips:b@c",userhash=true,charset=utf-8,new="x"'
    )
    assert parse_challenges([row]) == [
        Challenge("r", "n", "SHA-512-256", ("auth", "auth-int"), "", True, ("sip:a", "sips:b@c"), True, "UTF-8")
    ]


def test_what_is_written_is_read() -> None:
    whole = Challenge('a "b\\', "n", "MD5-sess", ("auth", "auth-int"), "o", True, ("sip:a", "sip:b"), True, "UTF-8")
    for challenge in (whole, Challenge("r", "n")):
        assert parse_challenges([serialize_challenge(challenge)]) == [challenge]


@pytest.mark.parametrize("row", ["Bearer", "Negotiate abc==", 'Basic realm="x, y"', "NTLM , Kerberos"])
def test_other_schemes_may_stand_before_and_after(row: str) -> None:
    assert [c.nonce for c in parse_challenges([f'{row}, Digest realm="r", nonce="1", {row}'])] == ["1"]


@pytest.mark.parametrize("name", ["realm", "nonce", "opaque"])
@pytest.mark.parametrize("text", ["a\\\rb", "a\x00", "a\\\nb", "x" * (MAX_FIELD_CHARS + 1)])
def test_what_cannot_be_sent_back_is_passed_over(name: str, text: str) -> None:
    fields = {"realm": "r", "nonce": "n", "opaque": "o"} | {name: text}
    assert parse_challenges(["Digest " + ",".join([f'{key}="{value}"' for key, value in fields.items()])]) == []


def test_challenges_without_end_are_not_all_read() -> None:
    assert len(parse_challenges(['Digest realm="r",nonce="n"'] * 1000)) == MAX_CHALLENGES


def test_the_strongest_is_chosen_wherever_it_stands() -> None:
    names = ["MD5", "SHA-256", None, "SHA-512-256", "MD5-sess", "SHA-256-sess"]
    rows = [Challenge("r", "n", name) for name in names]
    for turn in range(len(rows)):
        assert choose_challenges(rows[turn:] + rows[:turn], BOB) == [Challenge("r", "n", "SHA-512-256")]


def test_only_what_is_allowed_is_chosen() -> None:
    md5, sha = Challenge("r", "n", "MD5"), Challenge("r", "n", "SHA-256")
    strict = Credentials("bob", "x", algorithms=("sha-256", "SHA-512-256"))
    assert choose_challenges([md5, sha], strict) == [sha]
    assert choose_challenges([md5], strict) == []
    assert choose_challenges([Challenge("r", "n", qop=("auth-int",))], Credentials("bob", "x", qops=("auth",))) == []


def test_realms_are_compared_as_they_are() -> None:
    named = Credentials("bob", "x", "lab")
    assert choose_challenges([Challenge(realm, "n") for realm in ("Lab", "lab ", "lab.", "la", "")], named) == []


def test_servers_of_one_realm_are_told_by_their_nonces() -> None:
    """RFC 3261 22.3: a request that was forked may be challenged more than once in the same realm."""
    first, second = Challenge("r", "1", "MD5"), Challenge("r", "2", "MD5")
    assert choose_challenges([first, second, first], BOB) == [first, second]
    strong = Challenge("r", "3", "SHA-256")
    assert choose_challenges([first, second, strong, first], BOB) == [strong]
    assert len(choose_challenges([Challenge("r", str(n)) for n in range(20)], BOB)) == MAX_SAME_REALM
