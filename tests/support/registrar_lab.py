"""A registrar, the clock it lives by, and the requests it gets."""

from __future__ import annotations

from collections.abc import Iterable

from cmw.core.address import Address
from cmw.core.clock import SECOND
from cmw.sip.hop import Hop
from cmw.sip.message import Request, Response, parse_message
from cmw.sip.registrar import Registrar
from tests.support.ids import CountingIds

HERE = Hop("192.0.2.1", 5060)
ALICE = Hop("192.0.2.10", 5062)
BOB = Hop("192.0.2.20", 5064)
PASSWORDS = {"alice": "a-secret", "bob": "b-secret"}


def make_request(
    method: str,
    uri: str,
    *,
    sender: Hop = ALICE,
    user: str = "alice",
    to: str | None = None,
    cseq: int = 1,
    branch: str = "z9hG4bK1",
    call_id: str = "c1",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> bytes:
    rows = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {sender};branch={branch};rport",
        "Max-Forwards: 70",
        f"From: <sip:{user}@example.com>;tag=f1",
        f"To: {to or f'<sip:{user}@example.com>'}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return ("\r\n".join(rows) + "\r\n\r\n").encode() + body


def make_register(contacts: Iterable[str], *, expires: str | None = None, **fields: object) -> bytes:
    headers = [("Contact", contact) for contact in contacts]
    headers += [("Expires", expires)] if expires is not None else []
    headers += fields.pop("headers", [])  # type: ignore[arg-type]
    return make_request("REGISTER", "sip:example.com", headers=headers, **fields)  # type: ignore[arg-type]


class Lab:
    """A registrar and the clock it lives by."""

    def __init__(self, **settings: object) -> None:
        self.registrar = Registrar(local=Address(*HERE[:2]), ids=CountingIds(), **settings)  # type: ignore[arg-type]
        self.now = 5 * SECOND

    def send(self, data: bytes, source: Hop = ALICE) -> list[tuple[Request | Response, Hop]]:
        self.registrar.receive_datagram(data, source, now=self.now)
        return [(parse_message(out.data), out.destination) for out in self.registrar.datagrams_to_send()]

    def answer(self, data: bytes, source: Hop = ALICE) -> Response:
        ((message, destination),) = self.send(data, source)
        assert isinstance(message, Response)
        assert destination == source
        return message

    def sent_on(self, data: bytes, source: Hop = ALICE) -> tuple[Request, Hop]:
        ((message, destination),) = self.send(data, source)
        assert isinstance(message, Request)
        return message, destination

    def events(self) -> list[object]:
        found = []
        while (event := self.registrar.next_event()) is not None:
            found.append(event)
        return found

    def register_bob(self) -> None:
        data = make_register(["<sip:bob@192.0.2.20:5064>"], user="bob", sender=BOB, branch="z9hG4bKbob", call_id="b")
        assert self.answer(data, BOB).status == 200
        self.events()
