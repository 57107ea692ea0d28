"""A client's memory of digest challenges: whether to try again, and with which headers. Source: RFC 3261 22."""

from __future__ import annotations

from dataclasses import dataclass

from cmw.core.ids import Ids
from cmw.sip.digest import Challenge, Credentials, authorize, choose_challenges, parse_challenges
from cmw.sip.message import Response

MAX_TRIES = 2
"""How often one request answers challenges of the same realm: once, and once more when its nonce was stale."""

MAX_ROUNDS = 4
"""How often one request is sent again for challenges of any realm: a proxy or two and the server."""

MAX_REALMS = 16
"""How many realms one party answers; beyond that somebody makes them up."""

_ANSWERS = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}


@dataclass(slots=True)
class _Known:
    """A challenge, the client nonce that goes with it, and how often its nonce was used."""

    challenge: Challenge
    cnonce: str
    tries: int
    uses: int = 0


class Authentication:
    """The challenges that one party of a dialog or registration has met.

    Credentials without a realm answer whatever realm home asks for: the registrar, or wherever the user told us to send
    the INVITE. Anybody else, such as a callee that our BYE goes to directly, is answered in those realms only, for an
    answer to a challenge of his choice would let a stranger guess the password at leisure. Source: RFC 3261 22.1, 26.

    Args:
        credentials: user name and password; None answers no challenge.
        ids: source of client nonces.
        realms: the realms that home has asked for, shared by all that one account does; by default a new set.
    """

    __slots__ = ("_credentials", "_ids", "_known", "_realms", "_rounds")

    def __init__(self, credentials: Credentials | None, ids: Ids, realms: set[str] | None = None) -> None:
        self._credentials = credentials
        self._ids = ids
        self._realms = realms if realms is not None else set()
        self._known: dict[tuple[str, str], _Known] = {}
        self._rounds = 0

    def begin(self) -> None:
        """Say that a new request begins; what was tried before no longer counts against it."""
        self._rounds = 0
        for known in self._known.values():
            known.tries = 0

    def absorb(self, response: Response, *, is_home: bool = True) -> bool:
        """Take the challenges of a 401 or 407; return whether it is worth while to send the request again.

        It is when every challenge is new, or says that only the nonce was too old, and no limit is reached.

        Args:
            is_home: the request went to where the account's requests are meant to go.
        """
        credentials = self._credentials
        if credentials is None or response.status not in _ANSWERS or self._rounds >= MAX_ROUNDS:
            return False
        self._rounds += 1
        asks, answers = _ANSWERS[response.status]
        chosen = choose_challenges(parse_challenges(response.headers.get_all(asks)), credentials)
        if is_home:
            self._realms.update([challenge.realm for challenge in chosen][: MAX_REALMS - len(self._realms)])
        chosen = [challenge for challenge in chosen if challenge.realm in self._realms | {credentials.realm}]
        taken = [self._take(answers, challenge) for challenge in chosen]
        return bool(taken) and all(taken)

    def headers(self, method: str, uri: str, body: bytes) -> list[tuple[str, str]]:
        """Return an Authorization or Proxy-Authorization row for every challenge known."""
        rows = []
        for (name, _), known in self._known.items():
            assert self._credentials is not None
            known.uses += 1
            value = authorize(
                known.challenge, self._credentials, method, uri, body=body, nc=known.uses, cnonce=known.cnonce
            )
            rows.append((name, value))
        return rows

    def _take(self, header: str, challenge: Challenge) -> bool:
        key = (header, challenge.realm)
        known = self._known.get(key)
        tries = known.tries if known is not None else 0
        if tries >= MAX_TRIES or (tries and not challenge.stale):
            return False
        self._known[key] = _Known(challenge, self._ids.cnonce(), tries + 1)
        return True
