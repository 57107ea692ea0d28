"""A user agent on a link with a registrar that answers what the test says."""

from __future__ import annotations

from collections.abc import Iterable

from cmw.core.clock import SECOND
from cmw.sip.account import Account
from cmw.sip.auth_fields import parse_authorization
from cmw.sip.credentials import Credentials
from cmw.sip.hop import Hop
from cmw.sip.message import Request
from cmw.sip.user_agent import UserAgent
from tests.support.ids import CountingIds
from tests.support.sip_link import Link, listen_at
from tests.support.sip_party import Party

US = Hop("127.0.0.1", 5060)
REGISTRAR = Hop("127.0.0.2", 5060)
ACCOUNT = Account("sip:alice@lab.example", "sip:lab.example", Credentials("alice", "secret"), "alice", REGISTRAR)
CONTACT = "<sip:alice@127.0.0.1:5060>"


class Stage:
    """A user agent and a registrar that answers what the test says."""

    def __init__(self) -> None:
        self.link = Link()
        self.agent = UserAgent(listeners=listen_at(US), ids=CountingIds())
        self.link.attach(US, self.agent)
        self.party = Party(self.link, REGISTRAR)
        self.handle = 0

    def register(self, account: Account = ACCOUNT, *, expires_s: int = 300) -> None:
        self.handle = self.agent.register(account, expires_s=expires_s, now=self.link.now)
        self.run(0.02)

    def run(self, seconds: float) -> None:
        self.link.run(self.link.now + int(seconds * SECOND))

    def last(self, method: str = "REGISTER") -> Request:
        return self.party.requests(method)[-1]

    def count(self) -> int:
        return len(self.party.requests("REGISTER"))

    def respond(self, status: int, headers: Iterable[tuple[str, str]] = (), *, method: str = "REGISTER") -> None:
        self.party.respond(self.last(method), status, headers=headers, destination=US)

    def accept(self, expires_s: int = 300) -> None:
        self.respond(200, [("Contact", f"{CONTACT};expires={expires_s}")])

    def challenge(self, nonce: str, *, status: int = 401, stale: bool = False, method: str = "REGISTER") -> None:
        name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
        value = f'Digest realm="lab", nonce="{nonce}", qop="auth"' + (", stale=true" if stale else "")
        self.respond(status, [(name, value)], method=method)

    def proof(self, name: str = "Authorization", method: str = "REGISTER") -> dict[str, str]:
        return parse_authorization(self.last(method).headers.get(name) or "")

    def events(self) -> list[object]:
        return self.link.events[US]
