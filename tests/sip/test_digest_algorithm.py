"""The hashes, with what the standards print and without hashlib's SHA-512/256."""

import hashlib

import pytest

from cmw.sip import digest_algorithm
from cmw.sip.digest_algorithm import ALGORITHMS, find_rank, make_a1, make_ha1
from cmw.sip.sha512_256 import sha512_256_hex
from tests.support.digests import digest_response


def test_the_strongest_come_first() -> None:
    assert [find_rank(name) for name in ALGORITHMS] == list(range(len(ALGORITHMS)))
    assert find_rank("md5") == find_rank(None) == ALGORITHMS.index("MD5")
    assert find_rank("SHA-512") is None


def test_without_openssls_sha512_256_ours_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(data: bytes) -> str:
        raise ValueError("unsupported hash type")

    monkeypatch.setattr(digest_algorithm, "_openssl_sha512_256", refuse)
    assert digest_algorithm._choose_sha512_256() is sha512_256_hex


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("qop", ["", "auth", "auth-int"])
def test_a_response_is_what_the_standard_spells_out(algorithm: str, qop: str) -> None:
    """RFC 7616 3.4.1 to 3.4.3, written out once more."""

    def h(text: str | bytes) -> str:
        data = text if isinstance(text, bytes) else text.encode()
        names = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
        name = names[algorithm.removesuffix("-sess")]
        return sha512_256_hex(data) if name == "sha512_256" else hashlib.new(name, data).hexdigest()

    ha1 = h("bob:lab:é pass")
    a1 = h(ha1 + ":NONCE:CN") if algorithm.endswith("-sess") else ha1
    a2 = h("INVITE:sip:a@b") if qop != "auth-int" else h("INVITE:sip:a@b:" + h(b"v=0\r\n"))
    expected = h(f"{a1}:NONCE:0000000a:CN:{qop}:{a2}") if qop else h(f"{a1}:NONCE:{a2}")
    found = digest_response(
        algorithm=algorithm,
        username="bob",
        realm="lab",
        password="é pass",
        method="INVITE",
        uri="sip:a@b",
        nonce="NONCE",
        qop=qop,
        nc="0000000a",
        cnonce="CN",
        body=b"v=0\r\n",
    )
    assert found == expected
    assert make_a1(algorithm, make_ha1(algorithm, "bob", "lab", "é pass"), "NONCE", "CN") == a1
