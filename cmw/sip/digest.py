"""Digest authentication, the answering side. Source: RFC 7616, RFC 8760, RFC 3261 22; RFC 2617 for servers without qop.

Take the values of WWW-Authenticate or Proxy-Authenticate through `parse_challenges`, pick by `choose_challenges`, which
are in `cmw.sip.challenge`, and put what `authorize` returns into Authorization or Proxy-Authorization; or keep a
`DigestSession`, which counts.
`Authentication` does all of it for a party of a dialog or registration.
"""

from __future__ import annotations

import hmac
import unicodedata
from dataclasses import replace

from cmw.errors import LocalProtocolError
from cmw.sip.auth_fields import encode_extended, is_quotable
from cmw.sip.authentication_info import AuthenticationInfo
from cmw.sip.challenge import Challenge, rank_of
from cmw.sip.credentials import Credentials
from cmw.sip.digest_algorithm import (
    base_of,
    hash_bytes,
    hash_text,
    is_session,
    make_a1,
    make_response,
)
from cmw.sip.grammar import quote

MAX_COUNT = 2**32 - 1
"""How often one nonce may be used. Source: RFC 7616 3.4, eight hex digits."""


class DigestSession:
    """The answers to one challenge: one nonce and one client nonce, a count that grows with each.

    What does not change from one answer to the next is made once, so that an answer costs two hashes.

    Args:
        challenge: one that `is_for` the credentials.
        credentials: what is proved.
        cnonce: client nonce; wanted by qop and by the -sess algorithms.
        ha1: what `find_ha1` says, if it is at hand.
        uses: how often the nonce was used before.
        a1: secret of the session that this one goes on with.
    """

    __slots__ = (
        *("_a1", "_base", "_head", "_middle", "_nonce_part", "_tail"),
        *("challenge", "cnonce", "credentials", "qop", "uses"),
    )

    def __init__(
        self, challenge: Challenge, credentials: Credentials, cnonce: str, *, ha1: str = "", uses: int = 0, a1: str = ""
    ) -> None:
        self.challenge = challenge
        self.credentials = credentials
        self.cnonce = cnonce
        self.uses = uses
        self.qop = _choose_qop(challenge, credentials)
        algorithm = challenge.algorithm or "MD5"
        self._base = base_of(algorithm)
        if not a1:
            ha1 = ha1 or find_ha1(challenge, credentials)
            a1 = make_a1(algorithm, ha1, challenge.nonce, cnonce)
        self._a1 = a1
        self._nonce_part = f"{a1}:{challenge.nonce}:"
        self._middle = f":{cnonce}:{self.qop}:"
        self._head = f"Digest {_name_fields(challenge, credentials)}, nonce={quote(challenge.nonce)}, uri="
        self._tail = self._make_tail()

    def answer(self, method: str, uri: str, body: bytes = b"") -> str:
        """Return the value of Authorization or Proxy-Authorization for one more request.

        Args:
            method: of the request.
            uri: the Request-URI as it is sent.
            body: of the request; counts when nothing but ``auth-int`` is offered.
        """
        self.uses += 1
        base = self._base
        if not self.qop:
            response = hash_text(base, f"{self._nonce_part}{hash_text(base, f'{method}:{uri}')}")
            return f'{self._head}{quote(uri)}, response="{response}"{self._tail}'
        a2 = f"{method}:{uri}" if self.qop == "auth" else f"{method}:{uri}:{hash_bytes(base, body)}"
        nc = f"{self.uses:08x}"
        response = hash_text(base, f"{self._nonce_part}{nc}{self._middle}{hash_text(base, a2)}")
        return f'{self._head}{quote(uri)}, response="{response}", nc={nc}{self._tail}'

    def is_proved(self, info: AuthenticationInfo, nc: int, uri: str, body: bytes) -> bool:
        """Tell whether the server knows the password too: its proof is that of our answer number `nc`.

        Args:
            uri: of that request.
            body: of the response; counts with ``auth-int``.
        """
        if (info.cnonce or self.cnonce) != self.cnonce or (info.nc is not None and info.nc != nc):
            return False
        expected = make_response(
            self._base,
            self._a1,
            nonce=self.challenge.nonce,
            nc=f"{nc:08x}",
            cnonce=self.cnonce,
            qop=(info.qop or self.qop) if self.qop else "",
            method="",
            uri=uri,
            body=body,
        )
        return hmac.compare_digest(expected.encode("ascii"), info.rspauth.lower().encode("utf-8", "surrogateescape"))

    def renewed(self, nonce: str) -> DigestSession:
        """Return the session that goes on with the server's next nonce, with the session key of the first.

        Source: RFC 7616 3.5; 3.4.2 for nonce-prime and cnonce-prime.
        """
        challenge = self.challenge._replace(nonce=nonce, stale=False)
        return DigestSession(challenge, self.credentials, self.cnonce, a1=self._a1)

    def _make_tail(self) -> str:
        challenge = self.challenge
        fields = []
        if self.qop or is_session(challenge.algorithm or "MD5"):
            fields.append(f"cnonce={quote(self.cnonce)}")
        if self.qop:
            fields.append(f"qop={self.qop}")
        if challenge.algorithm is not None:
            fields.append(f"algorithm={challenge.algorithm}")
        if challenge.opaque is not None:
            fields.append(f"opaque={quote(challenge.opaque)}")
        if challenge.userhash:
            fields.append("userhash=true")
        return "".join([f", {field}" for field in fields])


def find_ha1(challenge: Challenge, credentials: Credentials) -> str:
    """Return the hash of name, realm and password that a challenge asks for."""
    return _normal(challenge, credentials).ha1_for(challenge.algorithm or "MD5", challenge.realm)


def is_weaker(challenge: Challenge, other: Challenge) -> bool:
    """Tell whether a challenge asks for a weaker algorithm than the other."""
    return rank_of(challenge) > rank_of(other)


def authorize(
    challenge: Challenge,
    credentials: Credentials,
    method: str,
    uri: str,
    *,
    body: bytes = b"",
    nc: int = 1,
    cnonce: str = "",
) -> str:
    """Return the value of the Authorization header that answers a challenge.

    Args:
        challenge: one that `is_for` the credentials.
        credentials: whose password is hashed in.
        method: of the request.
        uri: the Request-URI as it is sent.
        body: of the request; counts only when nothing but ``auth-int`` is offered.
        nc: how many requests have used this nonce, this one included: 1 .. 2^32 - 1.
        cnonce: client nonce; wanted by qop and by the -sess algorithms.
    """
    if not challenge.is_for(credentials):
        raise LocalProtocolError(f"expected a challenge that may be answered, found algorithm {challenge.algorithm!a}")
    return DigestSession(challenge, credentials, cnonce, uses=nc - 1).answer(method, uri, body)


def _choose_qop(challenge: Challenge, credentials: Credentials) -> str:
    """Return the quality of protection; empty for a server of RFC 2069, which names none."""
    return next((qop for qop in credentials.qops if qop in challenge.qop), "")


def _name_fields(challenge: Challenge, credentials: Credentials) -> str:
    """Return username and realm: the name in clear, as its hash, or escaped. Source: RFC 7616 3.4, 3.4.4."""
    name = _normal(challenge, credentials).username
    if challenge.userhash:
        shown = f'username="{hash_text(base_of(challenge.algorithm or "MD5"), f"{name}:{challenge.realm}")}"'
    elif not is_quotable(name) or (challenge.charset and not name.isascii()):
        shown = f"username*={encode_extended(name)}"
    else:
        shown = f"username={quote(name)}"
    return f"{shown}, realm={quote(challenge.realm)}"


def _normal(challenge: Challenge, credentials: Credentials) -> Credentials:
    """Return credentials in the form that a server which names its charset compares. Source: RFC 7616 4."""
    if not challenge.charset or (credentials.username.isascii() and credentials.password.isascii()):
        return credentials
    name, password = [unicodedata.normalize("NFC", text) for text in (credentials.username, credentials.password)]
    return replace(credentials, username=name, password=password)
