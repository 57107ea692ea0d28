"""Cost of a registration with digest on the client's side: REGISTER, 401, REGISTER, 200, without sockets.

Each bench asserts its result before it is timed; under `--benchmark-disable` it runs once, untimed.
"""

from __future__ import annotations

from typing import Any

from cmw.core.clock import MILLISECOND, Nanos
from cmw.net.ids import RandomIds
from cmw.sip import Account, Credentials, Hop, RegistrationSucceeded, UserAgent
from tests.support.sip_link import listen_at

US = Hop("192.0.2.1", 5060)
REGISTRAR = Hop("192.0.2.2", 5060)
CHALLENGE = b'WWW-Authenticate: Digest realm="lab", nonce="8e2f0c1a7b3d4956", algorithm=MD5, qop="auth"\r\n'
COPIED = (b"Via:", b"From:", b"Call-ID:", b"CSeq:")


def answer(register: bytes) -> bytes:
    """Return what a registrar says: a challenge first, then the binding."""
    lines = register.split(b"\r\n")
    rows = [line for line in lines if line.startswith(COPIED)]
    rows += [line + b";tag=r1" for line in lines if line.startswith(b"To:")]
    if b"\r\nAuthorization:" not in register:
        return b"\r\n".join([b"SIP/2.0 401 Unauthorized", *rows, CHALLENGE + b"Content-Length: 0\r\n\r\n"])
    rows += [line for line in lines if line.startswith(b"Contact:")]
    return b"\r\n".join([b"SIP/2.0 200 OK", *rows, b"Content-Length: 0\r\n\r\n"])


class Lab:
    """A user agent that registers one account after the other, in time that the bench moves."""

    def __init__(self) -> None:
        self.now: Nanos = 0
        self.agent = UserAgent(listeners=listen_at(US), ids=RandomIds())
        self.count = 0

    def register(self) -> int:
        """Register an account, a millisecond after the last one; return how many bindings were made."""
        self.now += MILLISECOND
        self.count += 1
        deadline = self.agent.next_timeout()
        if deadline is not None and deadline.at <= self.now:
            self.agent.handle_timeout(now=self.now)
        user = f"u{self.count}"
        account = Account(f"sip:{user}@lab.example", "sip:lab.example", Credentials(user, "secret"), user, REGISTRAR)
        self.agent.register(account, expires_s=86_400, now=self.now)
        while sent := self.agent.datagrams_to_send():
            for datagram in sent:
                self.agent.receive_datagram(answer(datagram.data), REGISTRAR, now=self.now)
        made = 0
        while (event := self.agent.next_event()) is not None:
            made += isinstance(event, RegistrationSucceeded)
        return made


def test_register_with_digest(benchmark: Any) -> None:
    lab = Lab()
    assert lab.register() == 1
    benchmark.pedantic(lab.register, rounds=4000, warmup_rounds=200)


def test_canned_registrar(benchmark: Any) -> None:
    """What of the bench above is the registrar's."""
    register = (
        b"REGISTER sip:lab.example SIP/2.0\r\nVia: v\r\nFrom: f\r\nTo: t\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n\r\n"
    )
    assert answer(register).startswith(b"SIP/2.0 401")
    benchmark(answer, register)
