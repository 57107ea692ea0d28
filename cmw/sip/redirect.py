"""Where a call goes after a 3xx: the contacts by preference, each once, bounded. Source: RFC 3261 8.1.3.4, 13.3.1.2."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.grammar import read_q
from cmw.sip.message import Response
from cmw.sip.name_addr import NameAddr, parse_name_addr
from cmw.sip.tel_uri import parse_called_uri
from cmw.sip.uri import SipUri

MAX_CONTACTS = 16
"""Contacts of one response that are looked at."""

MAX_BOUND = 70
"""No chain of redirections is longer than that of the hops of a message."""


class Follow(StrEnum):
    """Whose word is followed."""

    NONE = "none"
    """Nobody's: a 3xx ends the call."""
    SAME_HOST = "same-host"
    """Contacts at the host that was called."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class RedirectPolicy:
    """What is done with a 3xx.

    Args:
        follow: which contacts are tried.
        most: how many redirections one call follows, 1 .. 70.
    """

    follow: Follow = Follow.NONE
    most: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.most <= MAX_BOUND:
            raise LocalProtocolError(f"expected 1 to {MAX_BOUND} redirections, found {self.most}")


class Redirects:
    """The targets of one call: those visited and those still to be tried.

    Args:
        policy: which contacts are tried, and how many.
        target: the URI that was called first.
    """

    __slots__ = ("_followed", "_host", "_is_secure", "_policy", "_visited", "_waiting")

    def __init__(self, policy: RedirectPolicy, target: str) -> None:
        uri = parse_called_uri(target)
        self._policy = policy
        self._host = uri.host.lower() if isinstance(uri, SipUri) else ""
        self._is_secure = isinstance(uri, SipUri) and uri.scheme == "sips"
        self._visited = {_key(uri)} if isinstance(uri, SipUri) else set()
        self._waiting: list[str] = []
        self._followed = 0

    def absorb(self, response: Response) -> None:
        """Take the contacts of a 3xx: they are tried before those that are left of earlier ones, best q first."""
        if self._policy.follow is Follow.NONE:
            return
        rated = []
        for value in response.headers.get_all("Contact")[:MAX_CONTACTS]:
            contact = _parse(value)
            if contact is not None and (uri := self._accepted(contact)) is not None:
                rated.append((_preference(contact), uri))
        rated.sort(key=lambda pair: -pair[0])
        self._waiting = [uri for _, uri in rated] + self._waiting

    def next_target(self) -> str | None:
        """Return the next target, None when there is none or the bound is reached."""
        if not self._waiting or self._followed >= self._policy.most:
            return None
        self._followed += 1
        return self._waiting.pop(0)

    def _accepted(self, contact: NameAddr) -> str | None:
        """Return the Request-URI of a contact that may be tried and was not yet."""
        try:
            uri = contact.sip_uri()
        except RemoteProtocolError:
            return None
        if self._is_secure and uri.scheme != "sips":
            return None  # "a SIPS URI ... MUST NOT" be left for less. RFC 3261 26.4.4, RFC 5630 3.3
        if self._policy.follow is Follow.SAME_HOST and uri.host.lower() != self._host:
            return None
        params = tuple([pair for pair in uri.params if pair[0] != "method"])
        uri = uri._replace(params=params, headers=())
        if _key(uri) in self._visited:
            return None
        self._visited.add(_key(uri))
        return str(uri)


def _parse(value: str) -> NameAddr | None:
    try:
        return parse_name_addr(value)
    except RemoteProtocolError:
        return None


def _key(uri: SipUri) -> str:
    """Return what is the same for URIs that lead to the same place."""
    return str(uri._replace(host=uri.host.lower(), password=None, headers=()))


def _preference(contact: NameAddr) -> float:
    """Return q, 1 when there is none, 0 when it makes no sense. Source: RFC 3261 20.10."""
    return read_q(contact.param("q")) or 0.0
