"""What a server asks for: WWW-Authenticate and Proxy-Authenticate. Source: RFC 7616 3.3, RFC 3261 20.27, 20.44."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cmw.errors import RemoteProtocolError
from cmw.sip.auth_fields import is_echoable, parse_schemes
from cmw.sip.credentials import Credentials
from cmw.sip.digest_algorithm import find_rank
from cmw.sip.grammar import quote

MAX_CHALLENGES = 32
"""Challenges of one response that are looked at."""

MAX_SAME_REALM = 4
"""Servers of one realm that a forked request may be challenged by at once."""

_KNOWN_QOPS = frozenset(("auth", "auth-int"))


class Challenge(NamedTuple):
    """One set of Digest fields.

    Args:
        realm: protection space.
        nonce: the server's.
        algorithm: as the server wrote it, None when it did not: then it is MD5.
        qop: qualities of protection offered, in lower case; empty from servers of RFC 2069.
        opaque: to be sent back, None when there is none.
        stale: the nonce was too old but the password was right: try again with the new nonce.
        domain: URIs that the same answer is good for; empty for all of the server's. Not for proxies.
        userhash: the server takes the hash of a user name for the name.
        charset: ``UTF-8``, or empty when the server does not say.
    """

    realm: str
    nonce: str
    algorithm: str | None = None
    qop: tuple[str, ...] = ()
    opaque: str | None = None
    stale: bool = False
    domain: tuple[str, ...] = ()
    userhash: bool = False
    charset: str = ""

    @property
    def is_supported(self) -> bool:
        """Tell whether we can answer it."""
        return find_rank(self.algorithm) is not None and (not self.qop or not _KNOWN_QOPS.isdisjoint(self.qop))

    def is_for(self, credentials: Credentials) -> bool:
        """Tell whether `credentials` may and can answer it."""
        return (
            self.is_supported
            and credentials.answers(self.realm)
            and credentials.allows(self.algorithm or "MD5")
            and (not self.qop or any(qop in self.qop for qop in credentials.qops))
        )


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """Return every Digest challenge in some header values; other schemes and malformed ones are passed over."""
    challenges: list[Challenge] = []
    for value in values:
        try:
            found = parse_schemes(value)
        except RemoteProtocolError:
            continue
        challenges += [_make_challenge(fields) for scheme, fields in found if scheme == "digest" and _is_fit(fields)]
        if len(challenges) >= MAX_CHALLENGES:
            return challenges[:MAX_CHALLENGES]
    return challenges


def _is_fit(fields: dict[str, str]) -> bool:
    """Tell whether realm and nonce are there, and all that is sent back can be: short enough, one line."""
    if "realm" not in fields or "nonce" not in fields:
        return False
    echoed = [fields[name] for name in ("realm", "nonce", "opaque", "algorithm") if name in fields]
    return all(map(is_echoable, echoed))


def _make_challenge(fields: dict[str, str]) -> Challenge:
    get = fields.get
    qop = get("qop", "")
    return Challenge(
        fields["realm"],
        fields["nonce"],
        get("algorithm"),
        tuple([part for part in map(_strip, qop.lower().split(",")) if part]) if qop else (),
        get("opaque"),
        get("stale", "").lower() == "true",
        tuple([uri for uri in get("domain", "").split(" ") if uri]),
        get("userhash", "").lower() == "true",
        "UTF-8" if get("charset", "").upper() == "UTF-8" else "",
    )


def _strip(text: str) -> str:
    return text.strip(" \t")


def serialize_challenge(challenge: Challenge) -> str:
    """Return the value of WWW-Authenticate or Proxy-Authenticate."""
    fields = [f"realm={quote(challenge.realm)}", f"nonce={quote(challenge.nonce)}"]
    if challenge.algorithm is not None:
        fields.append(f"algorithm={challenge.algorithm}")
    if challenge.qop:
        fields.append(f'qop="{",".join(challenge.qop)}"')
    if challenge.opaque is not None:
        fields.append(f"opaque={quote(challenge.opaque)}")
    if challenge.domain:
        fields.append(f"domain={quote(' '.join(challenge.domain))}")
    if challenge.charset:
        fields.append(f"charset={challenge.charset}")
    if challenge.userhash:
        fields.append("userhash=true")
    if challenge.stale:
        fields.append("stale=true")
    return "Digest " + ", ".join(fields)


def choose_challenges(challenges: Sequence[Challenge], credentials: Credentials) -> list[Challenge]:
    """Return the challenges to answer: of each realm the strongest that we can, in the order the realms came.

    A response that was forked on its way may ask for several realms, or for one realm by several servers with a nonce
    each, and a request is only let through with an answer to each. Source: RFC 3261 22.3, RFC 8760 2.4.
    """
    chosen: dict[str, list[Challenge]] = {}
    for challenge in challenges:
        if not challenge.is_for(credentials):
            continue
        equals = chosen.setdefault(challenge.realm, [])
        if equals and rank_of(challenge) < rank_of(equals[0]):
            equals.clear()
        if not equals or _is_another(challenge, equals):
            equals.append(challenge)
    return [challenge for equals in chosen.values() for challenge in equals]


def _is_another(challenge: Challenge, equals: list[Challenge]) -> bool:
    """Tell whether a challenge is that of one more server of the same realm and algorithm."""
    if len(equals) >= MAX_SAME_REALM or rank_of(challenge) > rank_of(equals[0]):
        return False
    return all(challenge.nonce != known.nonce for known in equals)


def rank_of(challenge: Challenge) -> int:
    """Return the place among the algorithms, 0 for the strongest; wants one that `is_supported`."""
    rank = find_rank(challenge.algorithm)
    assert rank is not None
    return rank
