"""A client's part of digest authentication: whether to answer, and with which headers. Source: RFC 3261 22, RFC 7616.

Whoever sends requests has one `Authentication` for a dialog or registration, and around each request does this:

    attempt = authentication.begin()
    rows = authentication.headers(method, uri, body, is_home=..., attempt=attempt)      # add them, send
    ...
    if authentication.absorb(response, is_home=..., attempt=attempt):                   # a 401 or 407
        rows = authentication.headers(method, uri, body, is_home=..., attempt=attempt)  # again, with a higher CSeq
    elif not authentication.take_info(response, attempt=attempt):                       # a 2xx
        ...                                     # this server does not know the password: only if proof was asked for

Whoever has one request out at a time need not keep the attempt: without it the latest is meant. The method is whatever
it is: nothing here differs but for REGISTER.

**Who is answered.** Home is where the user told us to send requests: the registrar, the outbound proxy, the hop that
the INVITE went to. Home is answered in whatever realm it asks for, or in the realm of the credentials if they name one.
What it asked for is said to it alone: a call to another place begins without. Whom others name is no home: a Contact, a
redirection, the target of a transfer, a registrar that another one sends us to. Nor is a name before DNS told where it
leads: such a hop has to ask.
Anybody else is a stranger and gets nothing, whatever realm he names: a realm is no secret, our home tells it to
whoever asks. An answer lets him try passwords at leisure, and worse: he may fetch a nonce at our home, hand it to us
as his own, have us sign a Request-URI that is his Contact, and place calls on our account with what we say. This is
why a callee that our BYE goes to directly is not answered even if it names our realm. A PBX that has its calls
elsewhere than where it takes them is made home by naming that address in `Credentials.hosts`.

What comes through home is not told from what home says itself. Name the realm in the credentials, and a callee that
asks for one of its own gets no answer either; he still may name ours, and it is for the proxy to let nobody do that.
Until that is done, his challenges are at least not remembered beyond the call when the registrar has named its realm.

**Which algorithm.** The strongest that both know, MD5 only when nothing better is offered, never one that the
credentials leave out. A server may ask for a weaker one than before, as old and new machines may share a realm, but not
in answer to what was answered already, stale or not. To be safe from somebody who strikes the better offers out on the
way, leave MD5 out of `Credentials.algorithms`.

**How often.** Each realm twice for one request, the second time only if the nonce was stale, and four rounds in all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from cmw.core.ids import Ids
from cmw.errors import RemoteProtocolError
from cmw.sip.authentication_info import AuthenticationInfo, parse_authentication_info
from cmw.sip.challenge import Challenge, choose_challenges, parse_challenges
from cmw.sip.credentials import Credentials
from cmw.sip.digest import MAX_COUNT, DigestSession, is_weaker
from cmw.sip.hop import Hop
from cmw.sip.message import Response
from cmw.sip.protection_spaces import ProtectionSpaces

MAX_TRIES = 2
"""How often one request answers challenges of the same realm: once, and once more when its nonce was stale."""

MAX_ROUNDS = 4
"""How often one request is sent again for challenges of any realm: a proxy or two and the server."""

_ANSWERS = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}
"""A proxy that forked a request puts what it was asked into one response, so both may be there. RFC 3261 16.7."""

_INFOS = {"Authentication-Info": "Authorization", "Proxy-Authentication-Info": "Proxy-Authorization"}


_NOTHING: Mapping[tuple[str, str], Any] = MappingProxyType({})
"""What was tried for a request that nobody has challenged, as for most."""


class _Sent(NamedTuple):
    """One answer that went out: what a proof of the server is checked against."""

    header: str
    session: DigestSession
    nc: int
    uri: str


class Attempt:
    """One request, with all its repetitions for challenges."""

    __slots__ = ("answered", "rounds", "sent", "tries")

    def __init__(self) -> None:
        self.rounds = 0
        self.tries: Mapping[tuple[str, str], int] = _NOTHING
        self.answered: Mapping[tuple[str, str], Challenge] = _NOTHING
        self.sent: Sequence[_Sent] = ()


class Authentication:
    """The challenges that one party of a dialog or registration has met.

    Args:
        credentials: user name and password, or several of them for different realms, of which the first that names a
            realm counts before the first that names none; None answers no challenge.
        ids: source of client nonces.
        spaces: what the account knows of realms at this home, shared by all that it does; by default nothing yet.
    """

    __slots__ = ("_attempt", "_credentials", "_ids", "_own", "_shared")

    def __init__(
        self,
        credentials: Credentials | Sequence[Credentials] | None,
        ids: Ids,
        spaces: ProtectionSpaces | None = None,
    ) -> None:
        if isinstance(credentials, Credentials):
            credentials = (credentials,)
        self._credentials = tuple(sorted(credentials, key=lambda each: each.realm is None)) if credentials else ()
        self._ids = ids
        self._shared = spaces
        self._own: ProtectionSpaces | None = None
        self._attempt = Attempt()

    @property
    def spaces(self) -> ProtectionSpaces:
        """What the account knows, and what it counted."""
        if self._shared is None:
            self._shared = ProtectionSpaces()
        return self._shared

    def begin(self) -> Attempt:
        """Say that a new request begins; what was tried for those before does not count against it."""
        self._attempt = Attempt()
        return self._attempt

    def is_home(self, hop: Hop, home: Hop | None) -> bool:
        """Tell whether a hop may be given answers: it is home, or the credentials name its address.

        Args:
            hop: where the request goes.
            home: where the account's requests are meant to go.
        """
        if home is not None and hop[:3] == home[:3]:
            return True
        return any(hop.host in credentials.hosts for credentials in self._credentials)

    def absorb(self, response: Response, *, is_home: bool = True, attempt: Attempt | None = None) -> bool:
        """Take the challenges of a 401 or 407; return whether it is worth while to send the request again.

        It is when every realm that we can answer is new to this request, or says that only the nonce was too old, and
        no limit is reached. Otherwise nothing has changed.

        Args:
            is_home: the request went to where answers may go; see `is_home`.
            attempt: of the request; by default the latest.
        """
        if response.status not in (401, 407) or not self._credentials:
            return False
        attempt = attempt or self._attempt
        chosen = self._choose(response) if is_home and attempt.rounds < MAX_ROUNDS else {}
        if not chosen or not all(_is_worthwhile(attempt, key, found) for key, found in chosen.items()):
            self.spaces.counts.refused += 1
            return False
        attempt.rounds += 1
        self.spaces.counts.answered += 1
        is_register = (response.headers.get("CSeq") or "").endswith("REGISTER")
        for key, challenges in chosen.items():
            self._take(attempt, key, challenges, is_register)
        return True

    def headers(
        self, method: str, uri: str, body: bytes = b"", *, is_home: bool = True, attempt: Attempt | None = None
    ) -> list[tuple[str, str]]:
        """Return the Authorization and Proxy-Authorization rows of a request: what was asked, and is likely to be.

        Each call counts as one use of the nonces: call it once for each request that is sent, not for retransmissions,
        nor for ACK and CANCEL, which nobody can challenge.

        Args:
            method: of the request.
            uri: the Request-URI as it is sent.
            body: of the request, for auth-int.
            is_home: as for `absorb`; strangers get nothing.
            attempt: of the request; by default the latest.
        """
        if not is_home or not self._credentials:
            return []
        sent: list[_Sent] = []
        rows = []
        for spaces in (self.spaces, self._own):
            for header, session in spaces.sessions(method, uri) if spaces is not None else ():
                rows.append((header, session.answer(method, uri, body)))
                sent.append(_Sent(header, session, session.uses, uri))
                if session.uses >= MAX_COUNT:
                    spaces.drop(session)  # type: ignore[union-attr]
        (attempt or self._attempt).sent = sent
        return rows

    def take_info(self, response: Response, *, attempt: Attempt | None = None) -> bool:
        """Take what a server that let the request pass says of itself: its proof, and the nonce to use next.

        Returns:
            False when the credentials ask for a proof, and this response brings none that is right.
        """
        sent = (attempt or self._attempt).sent
        if not sent:
            return True
        proofs = false_proofs = 0
        for name, header in _INFOS.items():
            for info in _parse_infos(response.headers.get_all(name)):
                answer = _find_proved(info, sent, header, response.body)
                proofs += answer is not None and bool(info.rspauth)
                false_proofs += answer is None and bool(info.rspauth)
                if answer is not None and info.nextnonce:
                    self._renew(answer.session, info.nextnonce)
        self.spaces.counts.proofs += proofs
        self.spaces.counts.false_proofs += false_proofs
        is_wanted = any(each.session.credentials.requires_proof for each in sent)
        return not is_wanted or (proofs > 0 and not false_proofs)

    # private

    def _choose(self, response: Response) -> dict[tuple[str, str], list[Challenge]]:
        """Return the challenges to answer, by header of the answer and realm."""
        chosen: dict[tuple[str, str], list[Challenge]] = {}
        for asks, answers in _ANSWERS.items():
            values = response.headers.get_all(asks)
            challenges = parse_challenges(values) if values else []
            for credentials in self._credentials if challenges else ():
                mine = [each for each in challenges if self._credentials_for(each.realm) is credentials]
                for challenge in choose_challenges(mine, credentials):
                    chosen.setdefault((answers, challenge.realm), []).append(challenge)
        return chosen

    def _credentials_for(self, realm: str) -> Credentials | None:
        return next((credentials for credentials in self._credentials if credentials.answers(realm)), None)

    def _take(self, attempt: Attempt, key: tuple[str, str], challenges: list[Challenge], is_register: bool) -> None:
        """Put sessions for the challenges of a realm where requests find them."""
        header, realm = key
        attempt.tries = {**attempt.tries, key: attempt.tries.get(key, 0) + 1}
        attempt.answered = {**attempt.answered, key: challenges[0]}
        spaces = self._place(header, realm, is_register)
        known = spaces.find(header, realm)
        old = known.sessions if known is not None else []
        sessions = [self._open(challenge, old) for challenge in challenges]
        spaces.keep(header, realm, sessions, is_register=is_register)

    def _place(self, header: str, realm: str, is_register: bool) -> ProtectionSpaces:
        """Return where a realm is kept: with the account, or in this dialog only when a callee may have made it up."""
        credentials = self._credentials_for(realm)
        is_named = credentials is not None and credentials.realm is not None
        if is_register or is_named or header == "Proxy-Authorization" or self.spaces.is_home_realm(realm):
            return self.spaces
        if self._own is None:
            self._own = ProtectionSpaces()
        return self._own

    def _open(self, challenge: Challenge, old: Iterable[DigestSession]) -> DigestSession:
        """Return a session; the count goes on when the server gave the nonce that we use already."""
        credentials = self._credentials_for(challenge.realm)
        assert credentials is not None
        ha1 = self.spaces.ha1(challenge, credentials)
        same = next((each for each in old if each.challenge.nonce == challenge.nonce), None)
        if same is not None:
            return DigestSession(challenge, credentials, same.cnonce, ha1=ha1, uses=same.uses)
        return DigestSession(challenge, credentials, self._ids.cnonce(), ha1=ha1)

    def _renew(self, session: DigestSession, nonce: str) -> None:
        """Go on with the next nonce; some servers name the present one, whose count then just rises."""
        if nonce == session.challenge.nonce:
            return
        renewed = session.renewed(nonce)
        for spaces in (self.spaces, self._own):
            if spaces is not None:
                spaces.renew(session, renewed)


def _is_worthwhile(attempt: Attempt, key: tuple[str, str], challenges: list[Challenge]) -> bool:
    """Tell whether a realm may be answered once more: not if it said no to what we know already."""
    tries = attempt.tries.get(key, 0)
    if tries == 0:
        return True
    return tries < MAX_TRIES and all(
        challenge.stale and not is_weaker(challenge, attempt.answered[key]) for challenge in challenges
    )


def _parse_infos(values: Iterable[str]) -> list[AuthenticationInfo]:
    """Return what can be read of some header values."""
    infos = []
    for value in values:
        try:
            infos.append(parse_authentication_info(value))
        except RemoteProtocolError:
            continue
    return infos


def _find_proved(info: AuthenticationInfo, sent: Sequence[_Sent], header: str, body: bytes) -> _Sent | None:
    """Return the answer that a server speaks of: the one that its proof fits; without a proof, the only one.

    A proof tells by itself what it is of, and there are proxies that say Authentication-Info as if they were servers.
    """
    if not info.rspauth:
        answers = [each for each in sent if each.header == header]
        return answers[0] if len(answers) == 1 else None
    fitting = (each for each in sent if each.session.is_proved(info, each.nc, each.uri, body))
    return next(fitting, None)
