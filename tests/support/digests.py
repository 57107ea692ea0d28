"""Responses of digest authentication from everything that goes into them, as the examples of the RFCs give it."""

from __future__ import annotations

from cmw.sip.digest_algorithm import base_of, make_a1, make_ha1, make_response


def digest_response(
    *,
    algorithm: str,
    username: str,
    realm: str,
    password: str,
    method: str,
    uri: str,
    nonce: str,
    qop: str,
    nc: str,
    cnonce: str,
    body: bytes = b"",
) -> str:
    """Return the response of a request from everything that goes into it, lower-case hex."""
    a1 = make_a1(algorithm, make_ha1(algorithm, username, realm, password), nonce, cnonce)
    return make_response(
        base_of(algorithm), a1, nonce=nonce, nc=nc, cnonce=cnonce, qop=qop, method=method, uri=uri, body=body
    )
