"""Digest authentication, the answering side. Source: RFC 7616, RFC 8760, RFC 3261 22; RFC 2617 for servers without qop.

Take the values of WWW-Authenticate or Proxy-Authenticate through `parse_challenges`, pick by `choose_challenges`, and
put what `authorize` returns into Authorization or Proxy-Authorization.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.grammar import TOKEN_CHARS, fail, is_token, quote, split_outside, unquote

_HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
_STRENGTH = ("SHA-256", "SHA-256-SESS", "MD5", "MD5-SESS")
"""Algorithms that we support, the strongest first."""

_SCHEME = re.compile(rf"([{TOKEN_CHARS}]+)[ \t]+(?=[{TOKEN_CHARS}]+[ \t]*=)")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its password, which `repr` keeps to itself.

    Args:
        username: name of the account.
        password: in clear.
        realm: the only realm to answer; None for any.
    """

    username: str
    password: str = field(repr=False)
    realm: str | None = None


class Challenge(NamedTuple):
    """What a server asks for.

    Args:
        realm: protection space.
        nonce: the server's.
        algorithm: as the server wrote it, None when it did not: then it is MD5.
        qop: qualities of protection offered, in lower case; empty from servers of RFC 2069.
        opaque: to be sent back, None when there is none.
        stale: the nonce was too old but the password was right: try again with the new nonce.
    """

    realm: str
    nonce: str
    algorithm: str | None = None
    qop: tuple[str, ...] = ()
    opaque: str | None = None
    stale: bool = False

    @property
    def is_supported(self) -> bool:
        """Tell whether we can answer it."""
        known = (self.algorithm or "MD5").upper() in _STRENGTH
        return known and (not self.qop or "auth" in self.qop or "auth-int" in self.qop)


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """Return every Digest challenge in some header values; other schemes and malformed ones are passed over."""
    challenges = []
    for value in values:
        for fields in _parse_fields(value):
            if "realm" in fields and "nonce" in fields:
                challenges.append(_make_challenge(fields))
    return challenges


def _make_challenge(fields: dict[str, str]) -> Challenge:
    return Challenge(
        realm=fields["realm"],
        nonce=fields["nonce"],
        algorithm=fields.get("algorithm"),
        qop=tuple([part.strip(" \t").lower() for part in fields.get("qop", "").split(",") if part.strip(" \t")]),
        opaque=fields.get("opaque"),
        stale=fields.get("stale", "").lower() == "true",
    )


def _parse_fields(value: str) -> list[dict[str, str]]:
    """Return the fields of each Digest part of a header value; of a malformed value nothing."""
    found: list[tuple[str, dict[str, str]]] = []
    try:
        for part in split_outside(value, ","):
            scheme = _SCHEME.match(part)
            if scheme is not None:
                found.append((scheme[1].lower(), {}))
            elif not found:
                return []
            name, text = _parse_field(part[scheme.end() :] if scheme is not None else part)
            found[-1][1].setdefault(name, text)
    except RemoteProtocolError:
        return []
    return [fields for scheme, fields in found if scheme == "digest"]


def _parse_field(part: str) -> tuple[str, str]:
    name, equals, text = part.partition("=")
    name = name.rstrip(" \t")
    if not equals or not is_token(name):
        fail("a field such as realm=", part)
    return name.lower(), unquote(text.strip(" \t"))


def parse_authorization(value: str) -> dict[str, str]:
    """Return the fields of an Authorization or Proxy-Authorization value, names in lower case.

    Raises:
        RemoteProtocolError: hint 400 when it is not one set of Digest fields.
    """
    found = _parse_fields(value)
    return found[0] if len(found) == 1 else fail("Digest fields", value.partition(" ")[0])


def choose_challenges(challenges: Sequence[Challenge], credentials: Credentials) -> list[Challenge]:
    """Return the challenges to answer: of each realm the strongest that we can, in the order the realms came.

    Of equals the first is taken, as the server put its favourite on top. A response that was forked on its way may ask
    for several realms, and a request is only let through with an answer to each. Source: RFC 3261 22.3, RFC 8760 2.4.
    """
    chosen: dict[str, Challenge] = {}
    for challenge in challenges:
        if not challenge.is_supported or credentials.realm not in (None, challenge.realm):
            continue
        best = chosen.setdefault(challenge.realm, challenge)
        if _rank(challenge) < _rank(best):
            chosen[challenge.realm] = challenge
    return list(chosen.values())


def _rank(challenge: Challenge) -> int:
    return _STRENGTH.index((challenge.algorithm or "MD5").upper())


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
        challenge: one that `is_supported`.
        credentials: whose password is hashed in.
        method: of the request.
        uri: the Request-URI as it is sent.
        body: of the request; counts only when nothing but ``auth-int`` is offered.
        nc: how many requests have used this nonce, this one included: 1 .. 2^32 - 1.
        cnonce: client nonce; wanted by qop and by the -sess algorithms.
    """
    if not challenge.is_supported:
        raise LocalProtocolError(f"expected a challenge that we support, found {challenge.algorithm!a}")
    qop = "" if not challenge.qop else "auth" if "auth" in challenge.qop else "auth-int"
    response = digest_response(
        algorithm=challenge.algorithm or "MD5",
        username=credentials.username,
        realm=challenge.realm,
        password=credentials.password,
        method=method,
        uri=uri,
        nonce=challenge.nonce,
        qop=qop,
        nc=f"{nc:08x}",
        cnonce=cnonce,
        body=body,
    )
    fields = [
        f"username={quote(credentials.username)}",
        f"realm={quote(challenge.realm)}",
        f"nonce={quote(challenge.nonce)}",
        f"uri={quote(uri)}",
        f'response="{response}"',
    ]
    if challenge.algorithm is not None:
        fields.append(f"algorithm={challenge.algorithm}")
    if qop:
        fields += [f"qop={qop}", f"nc={nc:08x}"]
    if qop or (challenge.algorithm or "").upper().endswith("-SESS"):
        fields.append(f"cnonce={quote(cnonce)}")
    if challenge.opaque is not None:
        fields.append(f"opaque={quote(challenge.opaque)}")
    return "Digest " + ", ".join(fields)


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
    """Return the request digest as lower-case hex. Source: RFC 7616 3.4.1 to 3.4.3."""
    base = algorithm.upper().removesuffix("-SESS")
    a1 = f"{username}:{realm}:{password}"
    if algorithm.upper().endswith("-SESS"):
        a1 = f"{_hash(base, a1)}:{nonce}:{cnonce}"
    a2 = f"{method}:{uri}"
    if qop == "auth-int":
        a2 = f"{a2}:{_HASHES[base](body).hexdigest()}"
    middle = f"{nonce}:{nc}:{cnonce}:{qop}" if qop else nonce
    return _hash(base, f"{_hash(base, a1)}:{middle}:{_hash(base, a2)}")


def _hash(base: str, text: str) -> str:
    return _HASHES[base](text.encode("utf-8", "surrogateescape")).hexdigest()
