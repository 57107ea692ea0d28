"""What an account remembers of realms; how it is used is in test_authentication.py."""

import pytest

from cmw.sip.challenge import Challenge
from cmw.sip.credentials import Credentials
from cmw.sip.digest import DigestSession
from cmw.sip.protection_spaces import MAX_REALMS, ProtectionSpaces

BOB = Credentials("bob", "geheim")


def session(realm: str = "r", nonce: str = "n", domain: tuple[str, ...] = ()) -> DigestSession:
    return DigestSession(Challenge(realm, nonce, domain=domain), BOB, "c")


def test_the_realms_that_asked_last_are_kept() -> None:
    spaces = ProtectionSpaces()
    for number in range(MAX_REALMS + 2):
        spaces.keep("Authorization", str(number), [session(str(number))], is_register=False)
        spaces.keep("Authorization", "home", [session("home")], is_register=True)
    assert len(spaces) == MAX_REALMS
    assert spaces.find("Authorization", "0") is None
    assert spaces.find("Authorization", "home") is not None


@pytest.mark.parametrize(
    ("uri", "is_covered"),
    [("sip:a@lab", True), ("SIPS:LAB;lr", True), ("sip:lab:5060", False), ("sip:lab.example", False), ("tel:1", False)],
)
def test_a_domain_is_a_host(uri: str, *, is_covered: bool) -> None:
    spaces = ProtectionSpaces()
    spaces.keep("Authorization", "r", [session(domain=("http://lab", "sip:lab"))], is_register=True)
    assert bool(spaces.sessions("INVITE", uri)) is is_covered


def test_a_session_is_replaced_only_where_it_still_is() -> None:
    spaces, old, new = ProtectionSpaces(), session(), session(nonce="m")
    spaces.keep("Authorization", "r", [old], is_register=False)
    spaces.renew(old, new)
    spaces.renew(old, session(nonce="late"))
    assert spaces.sessions("BYE", "sip:a") == [("Authorization", new)]
    spaces.drop(old)
    assert len(spaces) == 1
    spaces.drop(new)
    assert len(spaces) == 0


def test_the_hash_of_a_password_is_made_once() -> None:
    spaces, challenge = ProtectionSpaces(), Challenge("r", "n")
    assert spaces.ha1(challenge, BOB) is spaces.ha1(challenge._replace(nonce="m"), BOB)
    assert spaces.ha1(challenge, BOB) != spaces.ha1(challenge, Credentials("bob", "other"))
    for number in range(100):
        spaces.ha1(Challenge(str(number), "n"), BOB)
    assert len(spaces._ha1) <= 4 * MAX_REALMS
