"""What one account knows of the realms that asked it for a password: shared by its registration and its calls.

So a nonce is used, with its count rising, for what comes after it, and only the first request is challenged.
"""

from __future__ import annotations

from dataclasses import dataclass

from cmw.sip.challenge import Challenge
from cmw.sip.credentials import Credentials
from cmw.sip.digest import DigestSession, find_ha1
from cmw.sip.digest_algorithm import base_of

MAX_REALMS = 8
"""How many realms one account answers, those that asked last; beyond that somebody makes them up."""


@dataclass(slots=True)
class AuthenticationCounts:
    """What an account met.

    Args:
        answered: 401 and 407 that were answered.
        refused: those that were not: by strangers, of other realms or algorithms, or because it was enough.
        proofs: servers that proved to know the password.
        false_proofs: servers that tried and did not.
    """

    answered: int = 0
    refused: int = 0
    proofs: int = 0
    false_proofs: int = 0


@dataclass(slots=True)
class Space:
    """The answers that one realm takes in one header: a session, or one for each of several servers.

    Args:
        is_for_register: a REGISTER was asked for it.
        is_for_others: another request was.
    """

    sessions: list[DigestSession]
    is_for_register: bool = False
    is_for_others: bool = False

    def covers(self, header: str, method: str, uri: str) -> bool:
        """Tell whether a request brings the answers along before it is asked.

        A proxy takes its part out before it sends a request on. What is in Authorization goes all the way to whoever
        is called, so what the registrar gave is kept for it until somebody asks a call for the same, or unless the
        challenge says that its domain is wider. A REGISTER brings what a REGISTER was asked for: the proxy that a call
        met may not be on its way. Source: RFC 3261 22.2, 22.3; RFC 7616 3.3, domain.
        """
        if method == "REGISTER":
            return self.is_for_register
        if self.is_for_others or header == "Proxy-Authorization":
            return True
        domain = self.sessions[0].challenge.domain
        return bool(domain) and any(_is_within(uri, part) for part in domain)


class ProtectionSpaces:
    """The realms of one account at one home."""

    __slots__ = ("_ha1", "_registrar_realms", "_spaces", "counts")

    def __init__(self) -> None:
        self.counts = AuthenticationCounts()
        self._spaces: dict[tuple[str, str], Space] = {}
        self._registrar_realms: set[str] = set()
        self._ha1: dict[tuple[Credentials, str, str, str], str] = {}

    def __len__(self) -> int:
        return len(self._spaces)

    def sessions(self, method: str, uri: str) -> list[tuple[str, DigestSession]]:
        """Return the header and session of every answer that a request brings along."""
        return [
            (header, session)
            for (header, _), space in self._spaces.items()
            if space.covers(header, method, uri)
            for session in space.sessions
        ]

    def is_home_realm(self, realm: str) -> bool:
        """Tell whether the registrar or a proxy asked for a realm, or nobody registered here, who would know."""
        return (
            not self._registrar_realms
            or realm in self._registrar_realms
            or ("Proxy-Authorization", realm) in self._spaces
        )

    def find(self, header: str, realm: str) -> Space | None:
        """Return what is known of a realm."""
        return self._spaces.get((header, realm))

    def keep(self, header: str, realm: str, sessions: list[DigestSession], *, is_register: bool) -> None:
        """Remember the sessions of a realm in place of those before; the realm that asked longest ago may go."""
        if is_register and len(self._registrar_realms) < MAX_REALMS:
            self._registrar_realms.add(realm)
        known = self._spaces.pop((header, realm), None)
        self._spaces[header, realm] = Space(
            sessions,
            is_for_register=is_register or (known is not None and known.is_for_register),
            is_for_others=not is_register or (known is not None and known.is_for_others),
        )
        if len(self._spaces) > MAX_REALMS:
            del self._spaces[next(iter(self._spaces))]

    def renew(self, old: DigestSession, new: DigestSession) -> None:
        """Put a session in the place of another, unless that is not there any more."""
        for space in self._spaces.values():
            space.sessions = [new if session is old else session for session in space.sessions]

    def drop(self, spent: DigestSession) -> None:
        """Forget the realm of a session whose nonce can be used no more."""
        self._spaces = {key: space for key, space in self._spaces.items() if spent not in space.sessions}

    def ha1(self, challenge: Challenge, credentials: Credentials) -> str:
        """Return the hash of name, realm and password, computed once."""
        key = (credentials, challenge.realm, base_of(challenge.algorithm or "MD5"), challenge.charset)
        found = self._ha1.get(key)
        if found is None:
            if len(self._ha1) >= 4 * MAX_REALMS:
                self._ha1.clear()
            found = self._ha1[key] = find_ha1(challenge, credentials)
        return found


def _is_within(uri: str, part: str) -> bool:
    """Tell whether a Request-URI is on the host of a URI of a domain. Source: RFC 7616 3.3."""
    return _host_of(uri) == _host_of(part) != ""


def _host_of(uri: str) -> str:
    """Return the host and port of a SIP URI in lower case, empty for what is none."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() not in ("sip", "sips"):
        return ""
    return rest.partition("?")[0].rpartition("@")[2].partition(";")[0].lower()
