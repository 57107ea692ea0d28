"""A user agent and a registrar on one socket: who gets what."""

from __future__ import annotations

import random

import pytest

from cmw.core.address import Address
from cmw.sip.events import CallCancelled, CallOffered, DatagramDiscarded
from cmw.sip.hop import Hop
from cmw.sip.message import serialize_message
from cmw.sip.registrar import Registrar
from cmw.sip.shared_socket import SharedSocket
from cmw.sip.user_agent import UserAgent
from tests.support.ids import CountingIds
from tests.support.sip_link import Link, listen_at
from tests.support.sip_party import SDP, Party

US = Hop("127.0.0.1", 5060)
CALLER = Hop("127.0.0.2", 5060)
USER = Hop("127.0.0.3", 5060)
URI = "sip:bob@127.0.0.1"


class Stage:
    """Both on one socket, a caller, and a user who registers when the test says so."""

    def __init__(self) -> None:
        self.link = Link()
        ids = CountingIds()
        self.agent = UserAgent(listeners=listen_at(US), ids=ids)
        self.link.attach(US, SharedSocket(self.agent, Registrar(local=Address(*US[:2]), ids=ids)))
        self.caller = Party(self.link, CALLER)
        self.user = Party(self.link, USER)

    def register(self) -> None:
        self.user.send(self.user.request("REGISTER", "sip:127.0.0.1", to=f"<{URI}>", branch="z9hG4bKuser"), US)
        assert self.user.statuses("REGISTER") == [200]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_registered_user_is_called_there(stage: Stage) -> None:
    stage.register()
    stage.caller.send(stage.caller.request("INVITE", URI, body=SDP), US)
    assert len(stage.user.requests("INVITE")) == 1


def test_what_belongs_to_an_invite_stays_where_it_went(stage: Stage) -> None:
    """A user who registers while the agent rings changes nothing for that call: neither its INVITE nor its CANCEL."""
    invite = stage.caller.request("INVITE", URI, body=SDP, branch="z9hG4bKinvite")
    stage.caller.send(invite, US)
    stage.register()
    again = stage.caller.request("INVITE", URI, body=SDP, branch="z9hG4bKinvite")
    stage.caller.send(again, US)
    stage.caller.send(stage.caller.request("CANCEL", URI, branch="z9hG4bKinvite"), US)
    assert stage.user.requests("INVITE") == stage.user.requests("CANCEL") == []
    assert stage.caller.statuses("CANCEL") == [200]
    assert 487 in stage.caller.statuses("INVITE")
    kinds = [type(event) for event in stage.link.events[US]]
    assert kinds.count(CallOffered) == kinds.count(CallCancelled) == 1


def test_a_refusal_is_acknowledged_to_the_agent_though_the_user_has_registered(stage: Stage) -> None:
    stage.caller.send(stage.caller.request("INVITE", URI, body=SDP, branch="z9hG4bKinvite"), US)
    (offer,) = [event for event in stage.link.events[US] if isinstance(event, CallOffered)]
    stage.agent.reject(offer.call, status=486, now=stage.link.now)
    stage.link.run(stage.link.now + 1)
    stage.register()
    to = stage.caller.responses("INVITE")[-1].headers.get("To") or ""
    stage.caller.send(stage.caller.request("ACK", URI, to=to, branch="z9hG4bKinvite"), US)
    assert stage.user.requests("ACK") == []


SPOILED = (
    "Via: SIP/2.0/UDP",
    "From: <sip",
    "To: <sip:bob",
    "Call-ID:",
    "CSeq: x",
    "Contact: <",
    "Max-Forwards: -1",
    "Route: <",
)


@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "CANCEL", "ACK", "BYE", "OPTIONS", "MADE-UP"])
@pytest.mark.parametrize("row", SPOILED)
def test_no_row_that_cannot_be_read_raises(stage: Stage, method: str, row: str) -> None:
    stage.register()
    good = serialize_message(stage.caller.request(method, URI))
    name = row.partition(":")[0].encode()
    lines = [row.encode() if line.startswith(name + b":") else line for line in good.split(b"\r\n")]
    stage.caller.send_bytes(b"\r\n".join(lines), US)
    stage.caller.send_bytes(b"\r\n".join([lines[0], row.encode(), *lines[1:]]), US)


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"\0", b"\xff" * 50, b"INVITE", b"SIP/2.0 200 OK\r\n\r\n", b"\r\n" * 3]
)
def test_what_is_no_message_is_the_agents_to_count(stage: Stage, data: bytes) -> None:
    stage.caller.send_bytes(data, US)
    assert stage.caller.received == []
    assert any(isinstance(event, DatagramDiscarded) for event in stage.link.events[US])


def test_random_bytes_never_raise(stage: Stage) -> None:
    stage.register()
    chance = random.Random(7)
    good = serialize_message(stage.caller.request("INVITE", URI, body=SDP))
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        stage.link.inject(CALLER, US, bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.3 else data))
        stage.link.run(stage.link.now + 20_000_000)


def test_whoever_has_the_next_timer_is_woken(stage: Stage) -> None:
    stage.register()
    stage.link.drain()
    idle = stage.link.machines[US].next_timeout()
    stage.caller.send(stage.caller.request("INVITE", URI.replace("bob", "alice"), body=SDP), US)
    busy = stage.link.machines[US].next_timeout()
    assert busy is not None
    assert idle is None or busy.at < idle.at
    stage.link.run_until_quiet(stage.link.now + 7200 * 1_000_000_000)
    assert stage.link.machines[US].next_timeout() is None
