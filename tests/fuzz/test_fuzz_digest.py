"""Whatever a server or client writes into its authentication headers, we go on."""

from __future__ import annotations

import contextlib
import random

from cmw.core.clock import SECOND
from cmw.errors import RemoteProtocolError
from cmw.sip.auth_fields import decode_extended, parse_authorization, parse_fields, parse_schemes
from cmw.sip.authentication import Authentication
from cmw.sip.authentication_info import parse_authentication_info
from cmw.sip.challenge import parse_challenges
from cmw.sip.credentials import Credentials
from cmw.sip.digest import authorize
from cmw.sip.digest_algorithm import ALGORITHMS
from cmw.sip.digest_verifier import DigestStatus, DigestVerifier
from cmw.sip.headers import Headers
from cmw.sip.message import Response
from tests.fuzz.harness import fuzz
from tests.support.ids import CountingIds

NAMES = (
    "realm nonce opaque algorithm qop stale domain userhash charset username username* uri response nc cnonce".split()
)
NAMES += ["rspauth", "nextnonce", "x", "Realm", "NONCE ", " qop\t"]
TEXTS = [
    *ALGORITHMS,
    "auth",
    "auth-int",
    '"auth,auth-int"',
    '"auth , x"',
    "true",
    "TRUE",
    '"lab"',
    '"n1"',
    "UTF-8",
    "00000001",
]
TEXTS += [
    "ffffffff",
    "UTF-8''J%C3%A4",
    "UTF-8''%ff",
    '"sip:a sip:b"',
    '""',
    '"\\""',
    '"\\\\"',
    '"\\',
    '"',
    "",
    "=",
    "==",
    "é",
]
JUNK = [
    b",",
    b'"',
    b"\\",
    b"=",
    b" ",
    b"\t",
    b"\x00",
    b"\r",
    b"\n",
    b"\xff",
    b"\xc3",
    b"%",
    b"'",
    b";",
    b"Digest ",
    b"Basic ",
]
ACCOUNT = Credentials("bob", "x", requires_proof=True)
VERIFIER = DigestVerifier("lab", {"bob": "x"}, CountingIds(), algorithms=ALGORITHMS, userhash=True, charset=True)


def make_value(rng: random.Random) -> str:
    """Return a header value: fields of any kind, then some bytes of it exchanged."""
    fields = [f"{rng.choice(NAMES)}={rng.choice(TEXTS)}" for _ in range(rng.randrange(12))]
    if rng.random() < 0.7:
        fields = ['realm="lab"', f'nonce="n{rng.randrange(4)}"', *fields]
    data = bytearray(
        (rng.choice(["Digest ", "digest\t", "", "Basic "]) + rng.choice([",", ", "]).join(fields)).encode()
    )
    for _ in range(rng.choice([0, 0, 1, 4])):
        at = rng.randrange(len(data) + 1)
        data[at : at + rng.randrange(3)] = rng.choice(JUNK) * rng.choice([1, 1, 1, 2, 500])
    return data.decode("utf-8", "surrogateescape")


def test_values_are_read_or_refused() -> None:
    def read(rng: random.Random) -> None:
        value = make_value(rng)
        for parse in (parse_schemes, parse_fields, parse_authorization, parse_authentication_info, decode_extended):
            with contextlib.suppress(RemoteProtocolError):
                parse(value)
        for challenge in parse_challenges([value]):
            if challenge.is_for(ACCOUNT):
                fields = parse_authorization(authorize(challenge, ACCOUNT, "INVITE", value, cnonce="c"))
                assert fields["realm"] == challenge.realm
                assert fields["nonce"] == challenge.nonce

    assert fuzz(read) > 0


def test_a_client_outlives_its_server() -> None:
    def talk(rng: random.Random) -> None:
        authentication = Authentication(ACCOUNT, CountingIds())
        for _ in range(4):
            rows = []
            for name in ("WWW-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Proxy-Authentication-Info"):
                rows += [(name, make_value(rng)) for _ in range(rng.randrange(3))]
            response = Response(rng.choice([200, 401, 407]), "", Headers([("CSeq", "1 REGISTER"), *rows]))
            authentication.absorb(response, is_home=rng.random() < 0.9)
            for _, value in authentication.headers(rng.choice(["REGISTER", "BYE"]), "sip:a"):
                assert not set(value) & set("\r\n\x00")
                parse_authorization(value)
            authentication.take_info(response)

    assert fuzz(talk) > 0


def test_a_server_outlives_its_clients() -> None:
    def check(rng: random.Random) -> None:
        now = rng.randrange(10) * SECOND
        found = VERIFIER.verify([make_value(rng) for _ in range(rng.randrange(4))], "BYE", request_uri="sip:a", now=now)
        assert found.status is not DigestStatus.ACCEPTED

    assert fuzz(check) > 0
