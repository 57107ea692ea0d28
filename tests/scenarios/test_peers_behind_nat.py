"""Peers whose Contact leads nowhere, but whose connection stands: everything in their dialogs reaches them."""

from __future__ import annotations

import pytest

from cmw.core.clock import SECOND
from cmw.sip import Account, UserAgent
from cmw.sip.call_events import CallAnswered, CallOffered
from cmw.sip.hop import Hop, Transport
from cmw.sip.message import Request, make_response, parse_message, serialize_message
from tests.support.ids import CountingIds
from tests.support.sip_link import listen_at
from tests.support.sip_party import SDP

TCP = Transport.TCP
US = Hop("192.0.2.1", 5060, TCP)
HIDDEN = Hop("10.0.0.7", 5060, TCP)
CONTACT = ("Contact", "<sip:bob@10.0.0.7;transport=tcp>")


def sent(agent: UserAgent) -> list[tuple[str, Hop]]:
    """Return the requests that go out, and where."""
    found = [(parse_message(each.data), each.destination) for each in agent.datagrams_to_send()]
    return [(message.method, hop) for message, hop in found if isinstance(message, Request)]


def called_from(source: Hop) -> tuple[UserAgent, int]:
    """Return an agent that a peer with a hidden Contact called over a connection of its own."""
    agent = UserAgent(listeners=listen_at(US), ids=CountingIds())
    request = Request("INVITE", "sip:us@192.0.2.1", body=SDP)
    rows = [("Via", "SIP/2.0/TCP 10.0.0.7;branch=z9hG4bK1"), ("From", "<sip:bob@x>;tag=b"), ("To", "<sip:us@x>")]
    rows += [("Call-ID", "c"), ("CSeq", "1 INVITE"), CONTACT, ("Content-Type", "application/sdp")]
    request.headers.extend(rows)
    agent.receive_datagram(serialize_message(request), source, now=0)
    offered = agent.next_event()
    assert isinstance(offered, CallOffered)
    agent.answer(offered.call, body=SDP, now=0)
    to = [parse_message(each.data) for each in agent.datagrams_to_send()][-1].headers.get("To") or ""
    ack = Request("ACK", request.uri)
    ack.headers.extend([("Via", "SIP/2.0/TCP 10.0.0.7;branch=z9hG4bK2"), rows[1], ("To", to), rows[3]])
    ack.headers.add("CSeq", "1 ACK")
    agent.receive_datagram(serialize_message(ack), source, now=0)
    return agent, offered.call


def test_a_bye_goes_back_over_the_connection_through_the_nat() -> None:
    source = Hop("9.9.9.9", 40001, TCP, flow=7)
    agent, call = called_from(source)
    agent.hang_up(call, now=0)
    assert sent(agent) == [("BYE", source)]
    agent.flow_lost(7, source._replace(flow=0), "reset", now=0)
    assert sent(agent) == [("BYE", source._replace(flow=0))]


def test_where_it_cannot_be_told_from_outside_the_connection_is_the_second_try() -> None:
    """Both addresses are private: the Contact may well be right."""
    source = Hop("10.1.0.9", 40001, TCP, flow=7)
    agent, call = called_from(source)
    agent.hang_up(call, now=0)
    assert sent(agent) == [("BYE", HIDDEN)]
    agent.transport_failed(HIDDEN, "no route to host", now=0)
    assert sent(agent) == [("BYE", source)]


def test_an_ack_that_cannot_be_sent_to_the_contact_goes_over_the_connection() -> None:
    """It has no transaction: without this only the repeated 200 would have it sent again."""
    agent = UserAgent(listeners=listen_at(US), ids=CountingIds())
    agent.invite("sip:bob@10.1.0.9;transport=tcp", body=SDP, now=0)
    (datagram,) = agent.datagrams_to_send()
    invite = parse_message(datagram.data)
    assert isinstance(invite, Request)
    rows = [CONTACT, ("Content-Type", "application/sdp")]
    source = datagram.destination._replace(flow=3)
    agent.receive_datagram(
        serialize_message(make_response(invite, 200, to_tag="b", headers=rows, body=SDP)), source, now=0
    )
    assert isinstance(agent.next_event(), CallAnswered)
    assert sent(agent) == [("ACK", HIDDEN)]
    agent.transport_failed(HIDDEN, "no route to host", now=0)
    assert sent(agent) == [("ACK", source)]


@pytest.mark.parametrize("own_flow", [0, -4])
def test_a_call_over_a_connection_of_ones_own_stays_with_it(own_flow: int) -> None:
    home = Hop("192.0.2.9", 5060, TCP, flow=own_flow)
    account = Account("sip:us@pbx", "sip:192.0.2.9;transport=tcp", None, "us", home)
    agent = UserAgent(listeners=listen_at(US), ids=CountingIds())
    call = agent.invite("sip:bob@pbx", account=account, body=SDP, now=0)
    (datagram,) = agent.datagrams_to_send()
    invite = parse_message(datagram.data)
    assert isinstance(invite, Request)
    assert datagram.destination == home
    rows = [("Contact", "<sip:bob@192.0.2.9;transport=tcp>"), ("Content-Type", "application/sdp")]
    here = home._replace(flow=12)
    agent.receive_datagram(
        serialize_message(make_response(invite, 200, to_tag="b", headers=rows, body=SDP)), here, now=0
    )
    assert sent(agent) == [("ACK", here)]
    later = 60 * SECOND
    agent.flow_lost(12, home, "reset", now=later)
    agent.hang_up(call, now=later)
    assert sent(agent) == [("BYE", here)]
    agent.transport_failed(here, "the connection is gone", now=later)
    assert sent(agent) == [("BYE", home)], "the ACK was heard long ago"
