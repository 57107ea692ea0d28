"""Digest authentication, the asking side: a registrar's or a proxy's. Source: RFC 7616 3, 5; RFC 8760.

    result = verifier.verify(request.headers.get_all("Authorization"), request.method, body=request.body, now=now)
    if result.status is DigestStatus.ACCEPTED:
        response.headers.add("Authentication-Info", verifier.info(result, body=response.body, now=now))
    else:
        rows = verifier.challenges(stale=result.status is DigestStatus.STALE, now=now)      # for a 401

Nothing is remembered of whoever has not proved to know a password, and of the others no more than `nonces` says.
"""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from cmw.core.clock import SECOND, Nanos
from cmw.core.ids import Ids
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.auth_fields import decode_extended, parse_authorization
from cmw.sip.authentication_info import AuthenticationInfo, parse_count, serialize_authentication_info
from cmw.sip.challenge import Challenge, serialize_challenge
from cmw.sip.credentials import Credentials
from cmw.sip.digest_algorithm import ALGORITHMS, base_of, find_rank, hash_text, is_session, make_a1, make_response
from cmw.sip.nonces import Nonces
from cmw.sip.uri import parse_uri

NONCE_LIFE_S = 300
"""Seconds for which a nonce is good."""


class DigestStatus(StrEnum):
    """What became of the credentials of a request."""

    ACCEPTED = "accepted"
    MISSING = "missing"
    STALE = "stale"
    REJECTED = "rejected"


class _Answer(NamedTuple):
    """What a client sent, as far as it can be right."""

    username: str
    algorithm: str
    qop: str
    nonce: str
    nc: str
    cnonce: str
    uri: str
    response: str


@dataclass(frozen=True, slots=True)
class DigestResult:
    """The status, and the user name when it was accepted."""

    status: DigestStatus
    username: str = ""
    _answer: _Answer | None = field(default=None, repr=False, compare=False)
    _a1: str = field(default="", repr=False, compare=False)


_MISSING = DigestResult(DigestStatus.MISSING)
_REJECTED = DigestResult(DigestStatus.REJECTED)


class DigestVerifier:
    """Asks for and checks the passwords of one realm.

    Args:
        realm: protection space.
        accounts: passwords by user name, or credentials, which may have HA1 instead; looked up at each request, never
            shown.
        ids: where the key of the nonces comes from.
        algorithms: what is offered, of `ALGORITHMS`, the favourite first.
        nonce_life_s: seconds for which a nonce is good.
        qops: qualities of protection that are offered: ``auth``, ``auth-int`` or both.
        requires_qop: answers in the manner of RFC 2069, which name none, are refused; else they are good once.
        userhash: names may come as hashes, so that nobody on the way reads them.
        charset: we say that names and passwords are UTF-8, in the normal form C.
        domain: URIs that an answer is good for, empty for all that we serve.
    """

    def __init__(
        self,
        realm: str,
        accounts: Mapping[str, str] | Mapping[str, Credentials],
        ids: Ids,
        *,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        nonce_life_s: int = NONCE_LIFE_S,
        qops: Sequence[str] = ("auth",),
        requires_qop: bool = False,
        userhash: bool = False,
        charset: bool = False,
        domain: Sequence[str] = (),
    ) -> None:
        for name in algorithms:
            if find_rank(name) is None:
                raise LocalProtocolError(f"expected an algorithm of {', '.join(ALGORITHMS)}, found {name!a}")
        self.realm = realm
        self._accounts = accounts
        self._algorithms = {name.upper(): name for name in algorithms}
        self._qops = tuple(qops)
        self._requires_qop = requires_qop
        self._userhash = userhash
        self._charset = charset
        self._domain = tuple(domain)
        self._nonces = Nonces(ids, life_ns=nonce_life_s * SECOND)
        self._names: dict[str, dict[str, str]] = {}

    def challenges(self, *, now: Nanos, stale: bool = False) -> list[str]:
        """Return the values of WWW-Authenticate or Proxy-Authenticate, one row for each algorithm. RFC 8760 2.3."""
        challenge = Challenge(
            self.realm,
            self._nonces.make(now=now),
            qop=self._qops,
            stale=stale,
            domain=self._domain,
            userhash=self._userhash,
            charset="UTF-8" if self._charset else "",
        )
        return [serialize_challenge(challenge._replace(algorithm=name)) for name in self._algorithms.values()]

    def verify(
        self,
        values: Sequence[str],
        method: str,
        *,
        body: bytes = b"",
        request_uri: str | None = None,
        request_id: str | None = None,
        now: Nanos,
    ) -> DigestResult:
        """Check the values of Authorization or Proxy-Authorization; those for other realms are passed over.

        Contact and Call-ID are no part of the digest, so a count is good for one request only: it is accepted again
        for `REPEAT_NS`, with the very same response and `request_id`, as a retransmission has them.

        Args:
            values: the rows of the header.
            method: of the request.
            body: of the request, for auth-int.
            request_uri: what the `uri` field has to be the same as; None where proxies may have rewritten it.
            request_id: tells the request from all others but its retransmissions; None when those do not come here.
            now: instant of the monotonic clock, nanoseconds.
        """
        for value in values:
            try:
                fields = parse_authorization(value)
            except RemoteProtocolError:
                continue
            if fields.get("realm") == self.realm:
                answer = self._read(fields)
                if answer is None or (request_uri is not None and not _is_same_uri(answer.uri, request_uri)):
                    return _REJECTED
                return self._check(answer, method, body, request_id, now)
        return _MISSING

    def info(self, result: DigestResult, *, body: bytes = b"", now: Nanos) -> str:
        """Return the value of Authentication-Info or Proxy-Authentication-Info for an accepted request.

        It proves that we know the password, and has the next nonce once half the life of this one is over. A -sess
        answer keeps its nonce until it is stale, for it is part of the session's key.

        Args:
            result: what `verify` said.
            body: of the response, for auth-int.
        """
        answer = result._answer
        if answer is None:
            raise LocalProtocolError(f"expected a request that was accepted, found one that was {result.status}")
        proof = _respond(answer, result._a1, "", body)
        age_ns = self._nonces.age_ns(answer.nonce, now=now)
        is_old = age_ns is None or 2 * age_ns > self._nonces.life_ns
        is_next = is_old and bool(answer.qop) and not is_session(answer.algorithm)
        return serialize_authentication_info(
            AuthenticationInfo(
                rspauth=proof,
                qop=answer.qop,
                cnonce=answer.cnonce if answer.qop else "",
                nc=int(answer.nc, 16) if answer.qop else None,
                nextnonce=self._nonces.make(now=now) if is_next else "",
            )
        )

    # private

    def _read(self, fields: Mapping[str, str]) -> _Answer | None:
        """Return an answer that could be right, None for one that cannot: not what we offered, or incomplete."""
        get = fields.get
        algorithm, qop = get("algorithm", "MD5").upper(), get("qop", "").lower()
        if algorithm not in self._algorithms or (qop not in self._qops if qop else self._requires_qop):
            return None
        count = get("nc", "") if qop else ""
        try:
            name = self._read_name(fields, base_of(algorithm))
            if qop:
                parse_count(count)
        except RemoteProtocolError:
            return None
        if name is None:
            return None
        return _Answer(
            name, algorithm, qop, get("nonce", ""), count, get("cnonce", ""), get("uri", ""), get("response", "")
        )

    def _read_name(self, fields: Mapping[str, str], base: str) -> str | None:
        """Return the user name, in whichever of its three forms it came. Source: RFC 7616 3.4, 3.4.4."""
        plain, extended = fields.get("username"), fields.get("username*")
        if (plain is None) == (extended is None):
            return None
        if fields.get("userhash", "").lower() == "true":
            return self._find_hashed(base, plain) if self._userhash and plain is not None else None
        name = plain if plain is not None else decode_extended(extended or "")
        return unicodedata.normalize("NFC", name) if self._charset else name

    def _find_hashed(self, base: str, hashed: str) -> str:
        """Return the name that a hash is of; for one of nobody the hash, which is nobody's name."""
        names = self._names.setdefault(base, {})
        if hashed not in names and len(names) != len(self._accounts):
            names.clear()
            names.update({hash_text(base, f"{name}:{self.realm}"): name for name in self._accounts})
        return names.get(hashed, hashed)

    def _check(self, answer: _Answer, method: str, body: bytes, request_id: str | None, now: Nanos) -> DigestResult:
        known = self._accounts.get(answer.username)
        account = known if isinstance(known, Credentials) else Credentials(answer.username, known or "")
        if not account.allows(answer.algorithm):
            return _REJECTED
        ha1 = account.ha1_for(answer.algorithm, self.realm)
        a1, expected = self._expect(answer, ha1, answer.cnonce, method, body)
        response = answer.response.encode("utf-8", "surrogateescape")
        is_right = hmac.compare_digest(expected.encode("ascii"), response)
        if is_session(answer.algorithm) and not is_right:
            first = self._nonces.first_cnonce(answer.nonce, answer.cnonce)
            a1, expected = self._expect(answer, ha1, first, method, body)
            is_right = hmac.compare_digest(expected.encode("ascii"), response)
        if not is_right or known is None:
            return _REJECTED
        use = None if request_id is None else hash((expected, request_id))
        if not self._nonces.use(answer.nonce, int(answer.nc, 16) if answer.nc else 0, use, now=now):
            return DigestResult(DigestStatus.STALE)
        if is_session(answer.algorithm):
            self._nonces.keep_first_cnonce(answer.nonce, answer.cnonce)
        return DigestResult(DigestStatus.ACCEPTED, answer.username, answer, a1)

    def _expect(self, answer: _Answer, ha1: str, cnonce: str, method: str, body: bytes) -> tuple[str, str]:
        """Return H(A1) and the response of a client that knows the password and began its session with `cnonce`."""
        a1 = make_a1(answer.algorithm, ha1, answer.nonce, cnonce)
        return a1, _respond(answer, a1, method, body)


def _respond(answer: _Answer, a1: str, method: str, body: bytes) -> str:
    return make_response(
        base_of(answer.algorithm),
        a1,
        nonce=answer.nonce,
        nc=answer.nc,
        cnonce=answer.cnonce,
        qop=answer.qop,
        method=method,
        uri=answer.uri,
        body=body,
    )


def _is_same_uri(uri: str, request_uri: str) -> bool:
    """Tell whether two URIs are the same. Source: RFC 3261 19.1.4, 22.4."""
    if uri == request_uri:
        return True
    try:
        return parse_uri(uri).is_equivalent(parse_uri(request_uri))
    except RemoteProtocolError:
        return False
