"""The algorithms of digest authentication, and the three hashes that make a response. Source: RFC 7616 3.4, RFC 8760.

Text is hashed as UTF-8; bytes of the wire that are not come back as they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from cmw.sip.sha512_256 import sha512_256_hex

ALGORITHMS: Final = ("SHA-512-256", "SHA-512-256-sess", "SHA-256", "SHA-256-sess", "MD5", "MD5-sess")
"""What we can do, the strongest first. Source: RFC 7616 6.1, RFC 8760 2.1."""

SUFFIX = "-SESS"

_RANKS = {name.upper(): rank for rank, name in enumerate(ALGORITHMS)}
_HEX_CHARS = {"SHA-512-256": 64, "SHA-256": 64, "MD5": 32}


def find_rank(algorithm: str | None) -> int | None:
    """Return the place of an algorithm in `ALGORITHMS`, None for one that we cannot; none named means MD5."""
    return _RANKS.get((algorithm or "MD5").upper())


def is_session(algorithm: str) -> bool:
    """Tell whether an algorithm hashes nonce and client nonce into a session key."""
    return algorithm.upper().endswith(SUFFIX)


def base_of(algorithm: str) -> str:
    """Return the upper-case name of the hash below an algorithm, which may be the -sess one."""
    return algorithm.upper().removesuffix(SUFFIX)


def hex_chars(algorithm: str) -> int:
    """Return the length of a response, hex digits."""
    return _HEX_CHARS[base_of(algorithm)]


def hash_text(base: str, text: str) -> str:
    """Return the hash of text as lower-case hex.

    Args:
        base: ``SHA-512-256``, ``SHA-256`` or ``MD5``.
    """
    return hash_bytes(base, text.encode("utf-8", "surrogateescape"))


def hash_bytes(base: str, data: bytes) -> str:
    """Return the hash of bytes as lower-case hex; `base` as in `hash_text`."""
    return _HASHES[base](data)


def make_ha1(algorithm: str, username: str, realm: str, password: str) -> str:
    """Return H(username:realm:password), all that a server or client has to keep of a password; same for -sess."""
    return hash_text(base_of(algorithm), f"{username}:{realm}:{password}")


def make_a1(algorithm: str, ha1: str, nonce: str, cnonce: str) -> str:
    """Return H(A1), the secret of one session. Source: RFC 7616 3.4.2.

    Args:
        nonce: of the challenge, and `cnonce` of the first answer to it; they count for -sess only.
    """
    return hash_text(base_of(algorithm), f"{ha1}:{nonce}:{cnonce}") if is_session(algorithm) else ha1


def make_response(
    base: str, a1: str, *, nonce: str, nc: str, cnonce: str, qop: str, method: str, uri: str, body: bytes = b""
) -> str:
    """Return the response of a request; of rspauth when `method` is empty. Source: RFC 7616 3.4.1, 3.4.3, 3.5.

    Args:
        base: name of the hash.
        a1: H(A1).
        qop: ``auth``, ``auth-int``, or empty for servers of RFC 2069.
        nc: eight hex digits.
        body: counts with ``auth-int`` only.
    """
    a2 = f"{method}:{uri}" if qop != "auth-int" else f"{method}:{uri}:{hash_bytes(base, body)}"
    middle = f"{nonce}:{nc}:{cnonce}:{qop}" if qop else nonce
    return hash_text(base, f"{a1}:{middle}:{hash_text(base, a2)}")


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _openssl_sha512_256(data: bytes) -> str:
    return hashlib.new("sha512_256", data).hexdigest()


def _choose_sha512_256() -> Callable[[bytes], str]:
    """Return OpenSSL's, or ours where its policy does not let it be had."""
    try:
        _openssl_sha512_256(b"")
    except ValueError:
        return sha512_256_hex
    return _openssl_sha512_256


_HASHES = {"SHA-512-256": _choose_sha512_256(), "SHA-256": _sha256, "MD5": _md5}
