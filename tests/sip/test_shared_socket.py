"""A user agent and a registrar on one socket: who gets what."""

from __future__ import annotations

import pytest

from cmw.core.address import Address
from cmw.sip.events import CallCancelled, CallOffered
from cmw.sip.registrar import Registrar
from cmw.sip.shared_socket import SharedSocket
from cmw.sip.user_agent import UserAgent
from tests.support.ids import CountingIds
from tests.support.sip_link import Link
from tests.support.sip_party import SDP, Party

US = Address("127.0.0.1", 5060)
CALLER = Address("127.0.0.2", 5060)
USER = Address("127.0.0.3", 5060)
URI = "sip:bob@127.0.0.1"


class Stage:
    """Both on one socket, a caller, and a user who registers when the test says so."""

    def __init__(self) -> None:
        self.link = Link()
        ids = CountingIds()
        self.agent = UserAgent(local=US, ids=ids)
        self.link.attach(US, SharedSocket(self.agent, Registrar(local=US, ids=ids)))
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
