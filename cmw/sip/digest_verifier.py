"""Digest authentication, the asking side: a registrar's or a proxy's. Source: RFC 7616 3, 5.4; RFC 8760.

A nonce is the instant it was made at and a counter under an HMAC, so that none needs to be remembered before it is
used. Of those in use the last count is kept, so that a captured answer cannot be used for another request.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from cmw.core.clock import SECOND, Nanos
from cmw.core.ids import Ids
from cmw.errors import RemoteProtocolError
from cmw.sip.digest import digest_response, parse_authorization
from cmw.sip.grammar import quote

NONCE_LIFE_S = 300
"""Seconds for which a nonce is good."""

MAX_NONCES = 100_000
"""Nonces whose counts are kept; when the oldest must go, everything made before it turns stale."""

REPEAT_NS: Nanos = 32 * SECOND
"""How long a request may be sent again: 64*T1. Source: RFC 3261 17.1.1.2."""

_HEX = frozenset("0123456789abcdef")


class DigestStatus(StrEnum):
    """What became of the credentials of a request."""

    ACCEPTED = "accepted"
    MISSING = "missing"
    STALE = "stale"
    REJECTED = "rejected"


class DigestResult(NamedTuple):
    """The status, and the user name when it was accepted."""

    status: DigestStatus
    username: str = ""


class _Use(NamedTuple):
    """The last use of a nonce: its count, what it was used for (None: for nothing that may come again), and when."""

    number: int
    use: int | None
    at: Nanos


class DigestVerifier:
    """Asks for and checks the passwords of one realm.

    Args:
        realm: protection space.
        accounts: passwords by user name; looked up at each request, never shown.
        ids: where the key of the nonces comes from.
        algorithms: what is offered, the favourite first: of ``SHA-256``, ``SHA-256-sess``, ``MD5``, ``MD5-sess``.
        nonce_life_s: seconds for which a nonce is good.
    """

    def __init__(
        self,
        realm: str,
        accounts: Mapping[str, str],
        ids: Ids,
        *,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        nonce_life_s: int = NONCE_LIFE_S,
    ) -> None:
        self.realm = realm
        self._accounts = accounts
        self._algorithms = {name.upper(): name for name in algorithms}
        self._key = (ids.uuid() + ids.uuid()).encode("ascii")
        self._nonce_life_ns = nonce_life_s * SECOND
        self._made = 0
        self._stale_before: Nanos = 0
        self._used: dict[str, _Use] = {}

    def challenges(self, *, now: Nanos, stale: bool = False) -> list[str]:
        """Return the values of WWW-Authenticate or Proxy-Authenticate, one row for each algorithm."""
        nonce = self._make_nonce(now)
        tail = ", stale=true" if stale else ""
        return [
            f'Digest realm={quote(self.realm)}, nonce="{nonce}", algorithm={name}, qop="auth"{tail}'
            for name in self._algorithms.values()
        ]

    def verify(self, values: Sequence[str], method: str, *, request_id: str | None = None, now: Nanos) -> DigestResult:
        """Check the values of Authorization or Proxy-Authorization; those for other realms are passed over.

        The `uri` field is hashed as it came and not compared with the Request-URI, which proxies may rewrite.
        Neither are Contact or Call-ID part of the digest, so a count is good for one request only: it is accepted
        again for `REPEAT_NS`, with the very same response and `request_id`, as a retransmission has them.

        Args:
            values: the rows of the header.
            method: of the request.
            request_id: tells the request from all others but its retransmissions; None when those do not come here.
            now: instant of the monotonic clock, nanoseconds.
        """
        for value in values:
            try:
                fields = parse_authorization(value)
            except RemoteProtocolError:
                continue
            if fields.get("realm") == self.realm:
                return self._verify_fields(fields, method, request_id, now)
        return DigestResult(DigestStatus.MISSING)

    def _verify_fields(
        self, fields: Mapping[str, str], method: str, request_id: str | None, now: Nanos
    ) -> DigestResult:
        algorithm = fields.get("algorithm", "MD5").upper()
        qop = fields.get("qop", "").lower()
        count = fields.get("nc", "") if qop else ""
        if algorithm not in self._algorithms or qop not in ("", "auth") or (qop and not _is_count(count)):
            return DigestResult(DigestStatus.REJECTED)
        username, nonce = fields.get("username", ""), fields.get("nonce", "")
        password = self._accounts.get(username)
        expected = digest_response(
            algorithm=algorithm,
            username=username,
            realm=self.realm,
            password=password or "",
            method=method,
            uri=fields.get("uri", ""),
            nonce=nonce,
            qop=qop,
            nc=count,
            cnonce=fields.get("cnonce", ""),
        )
        response = fields.get("response", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(expected.encode("ascii"), response) or password is None:
            return DigestResult(DigestStatus.REJECTED)
        use = None if request_id is None else hash((expected, request_id))
        if not self._is_fresh(nonce, now) or not self._count(nonce, int(count, 16) if count else 0, use, now):
            return DigestResult(DigestStatus.STALE)
        return DigestResult(DigestStatus.ACCEPTED, username)

    def _make_nonce(self, now: Nanos) -> str:
        self._made += 1
        stamp = f"{max(now, 0):016x}{self._made & 0xFFFFFFFF:08x}"
        return stamp + self._sign(stamp)

    def _sign(self, stamp: str) -> str:
        return hmac.new(self._key, stamp.encode("ascii"), hashlib.sha256).hexdigest()[:32]

    def _is_fresh(self, nonce: str, now: Nanos) -> bool:
        """Tell whether a nonce is ours and young enough; a nonce of an earlier start is stale, not wrong."""
        if len(nonce) != 56 or not _HEX.issuperset(nonce):
            return False
        if not hmac.compare_digest(self._sign(nonce[:24]).encode("ascii"), nonce[24:].encode("ascii")):
            return False
        made_at = int(nonce[:16], 16)
        return made_at >= self._stale_before and now - made_at <= self._nonce_life_ns

    def _count(self, nonce: str, count: int, use: int | None, now: Nanos) -> bool:
        """Take note of a use of `nonce`; False when this count was used before for something else."""
        last = self._used.get(nonce)
        if last is not None and count <= last.number:
            return count == last.number and use is not None and use == last.use and now - last.at <= REPEAT_NS
        self._used[nonce] = _Use(count, use, now)
        if len(self._used) > MAX_NONCES:
            oldest = next(iter(self._used))
            del self._used[oldest]
            self._stale_before = max(self._stale_before, int(oldest[:16], 16) + 1)
        return True


def _is_count(text: str) -> bool:
    return len(text) == 8 and _HEX.issuperset(text.lower() if text.isascii() else text)
