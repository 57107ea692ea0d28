"""What a user agent answers by itself, what it refuses, and how long its handles live."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmw.core.address import Address
from cmw.core.clock import SECOND
from cmw.errors import LocalProtocolError
from cmw.sip import transaction_layer
from cmw.sip.account import Account
from cmw.sip.call_options import CallOptions
from cmw.sip.call_state import CallState
from cmw.sip.events import (
    CallCancelled,
    CallEnded,
    CallOffered,
    CallRejected,
    DatagramDiscarded,
    DiscardReason,
    MessageReceived,
    NotifyReceived,
    RequestAnswered,
)
from cmw.sip.hop import Hop, Transport
from cmw.sip.listener import Listener
from cmw.sip.message import Request, serialize_message
from cmw.sip.methods import ALLOW
from cmw.sip.outbound_call import MAX_FORKS
from cmw.sip.user_agent import UserAgent
from tests.support.ids import CountingIds
from tests.support.sip_link import Link, listen_at
from tests.support.sip_party import SDP, Party

US = Hop("127.0.0.1", 5060)
PEER = Hop("127.0.0.2", 5060)
URI = "sip:bob@127.0.0.1"


class Stage:
    """A user agent and a party on one link."""

    def __init__(self) -> None:
        self.link = Link()
        self.agent = UserAgent(listeners=listen_at(US), ids=CountingIds())
        self.link.attach(US, self.agent)
        self.party = Party(self.link, PEER)

    @property
    def events(self) -> list[object]:
        return self.link.events[US]

    def ask(self, request: Request) -> int:
        """Send a request; return the status of the last answer."""
        self.party.send(request, US)
        return self.party.statuses(request.method)[-1]

    def offer(self, **more: object) -> int:
        """Send an INVITE with SDP; return the handle of the call."""
        self.party.send(self.party.request("INVITE", URI, body=SDP, **more), US)  # type: ignore[arg-type]
        return next(each.call for each in reversed(self.events) if isinstance(each, CallOffered))

    def discards(self) -> list[DiscardReason]:
        return [each.reason for each in self.events if isinstance(each, DatagramDiscarded)]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_options_tell_what_is_served(stage: Stage) -> None:
    assert stage.ask(stage.party.request("OPTIONS", URI)) == 200
    answer = stage.party.responses("OPTIONS")[-1]
    assert answer.headers.get_tokens("Allow") == ALLOW.split(", ")
    assert answer.headers.get("Accept") == "application/sdp"
    assert answer.headers.get_tokens("Supported") == ["replaces", "norefersub", "100rel", "timer"]
    assert answer.to.tag is not None
    assert stage.events[-1] == RequestAnswered("OPTIONS", 200, PEER, stage.events[-1].at)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("method", "status"), [("PUBLISH", 405), ("REGISTER", 405), ("FROB", 501)])
def test_methods_that_are_not_served_are_refused_with_allow(stage: Stage, method: str, status: int) -> None:
    assert stage.ask(stage.party.request(method, URI)) == status
    assert "INVITE" in stage.party.responses(method)[-1].headers.get_tokens("Allow")


def test_subscriptions_are_refused_naming_the_events(stage: Stage) -> None:
    assert stage.ask(stage.party.request("SUBSCRIBE", URI, headers=[("Event", "presence")])) == 489
    assert stage.party.responses("SUBSCRIBE")[-1].headers.get("Allow-Events") == "refer"


def test_a_transfer_outside_of_any_call_is_declined(stage: Stage) -> None:
    assert stage.ask(stage.party.request("REFER", URI, headers=[("Refer-To", "<sip:c@h>")])) == 603


@pytest.mark.parametrize(("method", "kind"), [("MESSAGE", MessageReceived), ("NOTIFY", NotifyReceived)])
def test_messages_and_notifications_that_nobody_asked_for_are_answered_and_told(
    stage: Stage, method: str, kind: type[MessageReceived | NotifyReceived]
) -> None:
    rows = [("Content-Type", "text/plain"), ("Event", "keep-alive")]
    assert stage.ask(stage.party.request(method, URI, headers=rows, body=b"hello")) == 200
    told = stage.events[-1]
    assert isinstance(told, kind)
    assert (told.call, told.body, told.source) == (0, b"hello", PEER)
    assert told.request.headers.get("Event") == "keep-alive"


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "PRACK"])
def test_requests_for_no_dialog_get_481(stage: Stage, method: str) -> None:
    assert stage.ask(stage.party.request(method, URI)) == 481


@pytest.mark.parametrize("method", ["INVITE", "BYE", "OPTIONS", "INFO", "FROB"])
def test_requests_for_an_unknown_dialog_get_481(stage: Stage, method: str) -> None:
    assert stage.ask(stage.party.request(method, URI, to=f"<{URI}>;tag=unknown")) == 481


def test_a_cancel_without_invite_gets_481(stage: Stage) -> None:
    assert stage.ask(stage.party.request("CANCEL", URI)) == 481


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_required_extension_gets_420_naming_it(stage: Stage, method: str) -> None:
    request = stage.party.request(method, URI, headers=[("Require", "100rel, frob, Timer, x")])
    assert stage.ask(request) == 420
    assert stage.party.responses(method)[-1].headers.get("Unsupported") == "frob, x"


def test_a_body_of_another_kind_gets_415_naming_ours(stage: Stage) -> None:
    request = stage.party.request("INVITE", URI, body=b"x", headers=[("Content-Type", "text/plain")])
    assert stage.ask(request) == 415
    assert stage.party.responses("INVITE")[-1].headers.get("Accept") == "application/sdp"


def test_a_body_of_another_kind_that_is_optional_is_ignored(stage: Stage) -> None:
    headers = [("Content-Type", "text/plain"), ("Content-Disposition", "render; handling=optional")]
    stage.party.send(stage.party.request("INVITE", URI, body=b"x", headers=headers), US)
    offered = stage.events[-1]
    assert isinstance(offered, CallOffered)
    assert offered.body == b""


@pytest.mark.parametrize(("uri", "status"), [("mailto:bob@h", 416), ("tel:1", 400), ("sip:bob@", 400)])
def test_a_request_uri_that_is_not_ours_to_read_is_refused(stage: Stage, uri: str, status: int) -> None:
    assert stage.ask(stage.party.request("INVITE", uri, to="<sip:bob@127.0.0.1>", body=SDP)) == status


def test_the_same_invite_by_two_paths_gets_482(stage: Stage) -> None:
    stage.offer()
    stage.party.send(stage.party.request("INVITE", URI, body=SDP, branch="z9hG4bKsecond"), US)
    assert 482 in stage.party.statuses("INVITE")
    assert sum(isinstance(each, CallOffered) for each in stage.events) == 1


def test_a_request_that_cannot_be_read_gets_400(stage: Stage) -> None:
    request = stage.party.request("OPTIONS", URI)
    data = serialize_message(request).replace(b"CSeq: 1 OPTIONS", b"CSeq: 1 BYE")
    stage.party.send_bytes(data, US)
    assert [each.status for each in stage.party.received if hasattr(each, "status")] == [400]
    assert stage.discards() == [DiscardReason.METHOD_MISMATCH]


def test_another_version_gets_505(stage: Stage) -> None:
    data = serialize_message(stage.party.request("OPTIONS", URI)).replace(b" SIP/2.0\r\nVia", b" SIP/3.0\r\nVia", 1)
    stage.party.send_bytes(data, US)
    assert [each.status for each in stage.party.received if hasattr(each, "status")] == [505]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", DiscardReason.KEEPALIVE),
        (b"\r\n\r\n", DiscardReason.KEEPALIVE),
        (b"\0\0\0\0", DiscardReason.KEEPALIVE),
        (b"GET / HTTP/1.1\r\n\r\n", DiscardReason.MALFORMED),
        (b"\x80\x00\x12\x34", DiscardReason.MALFORMED),
    ],
)
def test_what_is_no_sip_is_discarded_by_name(stage: Stage, data: bytes, reason: DiscardReason) -> None:
    stage.party.send_bytes(data, US)
    assert stage.discards() == [reason]
    assert stage.agent.counters[f"discarded_{reason}"] == 1
    assert stage.party.received == []


def test_strays_are_discarded_by_name(stage: Stage) -> None:
    stage.party.send(stage.party.request("ACK", URI, to=f"<{URI}>;tag=x"), US)
    invite = stage.party.request("INVITE", URI)
    stage.party.respond(invite, 200, destination=US)
    assert stage.discards() == [DiscardReason.STRAY_ACK, DiscardReason.STRAY_RESPONSE]


def test_an_offer_tells_who_calls_whom(stage: Stage) -> None:
    stage.offer(call_id="c77")
    offered = stage.events[-1]
    assert isinstance(offered, CallOffered)
    assert (offered.request_user, offered.request_uri, offered.call_id) == ("bob", URI, "c77")
    assert offered.from_uri == "sip:party@127.0.0.2:5060"
    assert (offered.body, offered.source) == (SDP, PEER)
    assert stage.party.statuses("INVITE") == [100]


def test_a_call_is_rejected_with_what_was_asked(stage: Stage) -> None:
    call = stage.offer()
    stage.agent.reject(call, status=486, reason="Very Busy", headers=[("Retry-After", "5")], now=stage.link.now)
    stage.link.run(stage.link.now + SECOND // 10)
    refusal = stage.party.responses("INVITE")[-1]
    assert (refusal.status, refusal.reason, refusal.headers.get("Retry-After")) == (486, "Very Busy", "5")
    ended = stage.events[-1]
    assert isinstance(ended, CallEnded)
    assert (ended.by, ended.status) == ("local", 486)


@pytest.mark.parametrize("status", [180, 183])
def test_ringing_carries_the_tag_and_contact_of_the_dialog(stage: Stage, status: int) -> None:
    call = stage.offer(headers=[("Record-Route", "<sip:192.0.2.1;lr>")])
    stage.agent.ring(call, status=status, body=SDP if status == 183 else b"", now=stage.link.now)
    stage.agent.answer(call, body=SDP, now=stage.link.now)
    stage.link.run(stage.link.now + SECOND // 10)
    trying, ringing, success = stage.party.responses("INVITE")
    assert trying.to.tag is None
    assert ringing.to.tag == success.to.tag is not None
    for each in (ringing, success):
        assert each.headers.get("Contact") == "<sip:bob@127.0.0.1:5060>"
        assert each.headers.get_all("Record-Route") == ["<sip:192.0.2.1;lr>"]


def test_commands_that_do_not_fit_the_state_change_nothing(stage: Stage) -> None:
    call = stage.offer()
    agent, now = stage.agent, stage.link.now
    for status in (100, 200, 300):
        with pytest.raises(LocalProtocolError):
            agent.ring(call, status=status, now=now)
    with pytest.raises(LocalProtocolError):
        agent.reject(call, status=200, now=now)
    with pytest.raises(LocalProtocolError):
        agent.reject(call, status=486, reason="two\r\nlines", now=now)
    with pytest.raises(LocalProtocolError):
        agent.answer_reoffer(call, body=SDP, now=now)
    agent.answer(call, body=SDP, now=now)
    with pytest.raises(LocalProtocolError):
        agent.answer(call, body=SDP, now=now)
    assert agent.call_snapshot(call).state is CallState.ACCEPTED


@pytest.mark.parametrize("target", ["tel:+1", "", "sip:b ob@127.0.0.2"])
def test_a_target_that_cannot_be_reached_is_refused_at_once(stage: Stage, target: str) -> None:
    with pytest.raises(LocalProtocolError):
        stage.agent.invite(target, body=SDP, now=0)
    assert stage.agent.counters["calls"] == 0


def test_a_header_with_a_line_break_is_refused(stage: Stage) -> None:
    with pytest.raises(LocalProtocolError):
        stage.agent.invite("sip:b@127.0.0.2", body=SDP, headers=[("X-A", "1\r\nX-B: 2")], now=0)


def test_a_named_target_goes_to_the_given_destination(stage: Stage) -> None:
    stage.agent.invite("sip:bob@pbx.example", body=SDP, destination=PEER, headers=[("X-Run", "7")], now=0)
    stage.link.run(SECOND // 10)
    invite = stage.party.requests("INVITE")[0]
    assert invite.uri == "sip:bob@pbx.example"
    assert invite.headers.get("X-Run") == "7"
    assert invite.body == SDP


def test_an_account_names_the_caller_and_the_next_hop(stage: Stage) -> None:
    account = Account("sip:alice@lab.example", "sip:lab.example", None, "alice-1", PEER)
    stage.agent.invite("sip:bob@lab.example", account=account, body=SDP, now=0)
    stage.link.run(SECOND // 10)
    invite = stage.party.requests("INVITE")[0]
    assert invite.from_.uri == "sip:alice@lab.example"
    assert invite.headers.get("Contact") == "<sip:alice-1@127.0.0.1:5060>"


def test_the_advertised_address_is_what_peers_see() -> None:
    listener = Listener(Transport.UDP, Address("0.0.0.0", 5060), Address("192.0.2.5", 15060))
    agent = UserAgent(listeners=[listener], ids=CountingIds())
    agent.invite("sip:bob@127.0.0.2", contact_user="caller", body=SDP, now=0)
    data = agent.datagrams_to_send()[0].data
    assert b"Via: SIP/2.0/UDP 192.0.2.5:15060;rport;branch=" in data
    assert b"Contact: <sip:caller@192.0.2.5:15060>" in data
    assert b"From: <sip:caller@192.0.2.5:15060>" in data


def test_a_handle_is_good_until_the_look_after_its_last_event(stage: Stage) -> None:
    call = stage.offer()
    agent = stage.agent
    agent.hang_up(call, now=stage.link.now)
    event = agent.next_event()
    assert isinstance(event, CallEnded)
    assert agent.call_snapshot(call).state is CallState.ENDED
    assert agent.next_event() is None
    with pytest.raises(LocalProtocolError):
        agent.call_snapshot(call)
    with pytest.raises(LocalProtocolError):
        agent.answer(call, body=SDP, now=stage.link.now)
    agent.hang_up(call, now=stage.link.now)
    assert agent.next_event() is None


def test_handles_that_never_were_are_refused(stage: Stage) -> None:
    with pytest.raises(LocalProtocolError):
        stage.agent.call_snapshot(99)
    with pytest.raises(LocalProtocolError):
        stage.agent.unregister(99, now=0)
    with pytest.raises(LocalProtocolError):
        stage.agent.registration_snapshot(99)


def test_commands_for_inbound_calls_refuse_outbound_ones(stage: Stage) -> None:
    call = stage.agent.invite("sip:b@127.0.0.2", body=SDP, now=0)
    with pytest.raises(LocalProtocolError):
        stage.agent.answer(call, body=SDP, now=0)


def test_an_address_where_nobody_listens_rejects_the_call_at_once(stage: Stage) -> None:
    call = stage.agent.invite("sip:b@127.0.0.2", body=SDP, now=0)
    stage.agent.transport_failed(PEER, "Connection refused", now=5)
    assert stage.agent.next_event() == CallRejected(call, 503, "Connection refused", 5, is_response=False)


def test_time_that_goes_back_is_taken_as_standing_still(stage: Stage) -> None:
    stage.agent.invite("sip:b@127.0.0.2", body=SDP, now=SECOND)
    stage.agent.handle_timeout(now=0)
    deadline = stage.agent.next_timeout()
    assert deadline is not None
    assert deadline.at == SECOND + SECOND // 2


def test_the_instants_of_an_inbound_call(stage: Stage) -> None:
    call = stage.offer()
    stage.agent.ring(call, now=SECOND)
    stage.agent.answer(call, body=SDP, now=2 * SECOND)
    instants = stage.agent.call_snapshot(call).instants
    assert instants.invite_at == instants.trying_at == 10_000_000
    assert instants.ringing_at == SECOND
    assert instants.answered_at == 2 * SECOND
    assert instants.acked_at is instants.bye_at is instants.ended_at is None


def test_a_bye_before_the_answer_is_as_good_as_a_cancel(stage: Stage) -> None:
    call = stage.offer()
    stage.agent.ring(call, now=stage.link.now)
    stage.link.run(stage.link.now + SECOND // 10)
    tag = stage.party.responses("INVITE")[-1].to.tag
    stage.party.send(stage.party.request("BYE", URI, cseq=2, to=f"<{URI}>;tag={tag}"), US)
    assert stage.party.statuses("BYE") == [200]
    assert 487 in stage.party.statuses("INVITE")
    assert isinstance(stage.events[-1], CallCancelled)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_never_raise(data: bytes) -> None:
    agent = UserAgent(listeners=listen_at(US), ids=CountingIds())
    agent.receive_datagram(data, PEER, now=0)
    assert agent.next_event() is not None


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["INVITE", "BYE", "ACK", "CANCEL", "OPTIONS", "UPDATE"]))
def test_damaged_messages_never_raise(seed: int, method: str) -> None:
    stage = Stage()
    call = stage.offer()
    stage.agent.answer(call, body=SDP, now=stage.link.now)
    stage.link.drain()
    tag = "tag00000001"
    request = stage.party.request(method, URI, cseq=2, to=f"<{URI}>;tag={tag}", body=SDP)
    data = bytearray(serialize_message(request))
    chance = random.Random(seed)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(data))
        data[at : at + chance.randrange(3)] = bytes(chance.randrange(256) for _ in range(chance.randrange(3)))
    stage.party.send_bytes(bytes(data), US)
    stage.agent.handle_timeout(now=100 * SECOND)


def test_an_invite_by_a_route_that_cannot_be_read_gets_400(stage: Stage) -> None:
    request = stage.party.request("INVITE", URI, body=SDP, headers=[("Record-Route", "<sip:192.0.2.1;lr")])
    assert stage.ask(request) == 400


def test_a_200_by_a_route_that_cannot_be_read_is_acknowledged_and_released(stage: Stage) -> None:
    call = stage.agent.invite(f"sip:x@{PEER}", body=SDP, now=0)
    stage.link.run(SECOND // 10)
    (invite,) = stage.party.requests("INVITE")
    stage.party.respond(invite, 200, headers=[("Record-Route", "<sip:192.0.2.1;lr")], body=SDP, destination=US)
    assert len(stage.party.requests("ACK")) == 1
    stage.agent.hang_up(call, now=stage.link.now)
    stage.link.run(stage.link.now + SECOND)
    assert len(stage.party.requests("BYE")) >= 1


def test_callees_without_end_are_not_released_without_end(stage: Stage) -> None:
    stage.agent.invite(f"sip:x@{PEER}", body=SDP, now=0)
    stage.link.run(SECOND // 10)
    (invite,) = stage.party.requests("INVITE")
    for number in range(100):
        stage.party.respond(invite, 200, tag=f"made-up-{number}", body=SDP, destination=US)
    tags = {ack.to.tag for ack in stage.party.requests("ACK")}
    assert len(tags) == 1 + MAX_FORKS
    assert stage.agent.counters["ignored_responses_of_forks"] > 0


def test_what_is_kept_for_repetitions_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction_layer, "MAX_KEPT_BYTES", 100_000)
    long = [("Via", "SIP/2.0/UDP h;x=" + "y" * 4000)]
    for number in range(100):
        assert stage.ask(stage.party.request("OPTIONS", URI, call_id=f"o{number}", headers=long)) == 200
    assert stage.agent.counters["kept_bytes"] <= 100_000
    for number in range(100):
        stage.party.send(stage.party.request("INVITE", URI, call_id=f"i{number}", body=SDP, headers=long), US)
    assert stage.agent.counters["kept_bytes"] <= 110_000
    refused = stage.party.responses("INVITE")[-1]
    assert (refused.status, refused.headers.get("Retry-After")) == (503, "10")
    assert stage.agent.counters["refused_invites_without_room"] == stage.party.statuses("INVITE").count(503)
    for event in [each for each in stage.events if isinstance(each, CallOffered)]:
        stage.agent.reject(event.call, status=486, now=stage.link.now)
    stage.link.run(stage.link.now + 40 * SECOND)
    assert stage.agent.counters["kept_bytes"] == 0
    assert stage.agent.counters["transactions"] == 0
    stage.offer(call_id="later")


@pytest.mark.parametrize("by", ["options", "account", "request"])
def test_a_transport_that_is_wished_for_counts_where_the_uri_names_none_and_every_server_is_tried(by: str) -> None:
    agent = UserAgent(listeners=listen_at(US, US._replace(transport=Transport.TCP)), ids=CountingIds())
    account = Account("sip:alice@home.example", "sip:home.example", None, "alice", transport=Transport.TCP)
    servers = [Hop("10.0.0.8", 5060, Transport.TCP), Hop("10.0.0.9", 5060, Transport.TCP)]
    if by == "request":
        agent.request("OPTIONS", "sip:bob@pbx.example", account=account, now=0)
    else:
        options = CallOptions(transport=Transport.TCP) if by == "options" else CallOptions()
        agent.invite(
            "sip:bob@pbx.example", account=account if by == "account" else None, options=options, body=SDP, now=0
        )
    (lookup,) = agent.lookups_to_make()
    assert str(lookup.uri) == "sip:pbx.example;transport=tcp"
    agent.receive_lookup(lookup.number, servers, now=0)
    assert [sent.destination for sent in agent.datagrams_to_send()] == servers[:1]
    agent.transport_failed(servers[0], "Connection refused", now=0)
    (sent,) = agent.datagrams_to_send()
    assert sent.destination == servers[1]
    assert b"bob@pbx.example SIP/2.0\r\n" in sent.data, "the Request-URI stays as it was told"


def test_the_wish_of_a_call_goes_before_that_of_its_account_and_a_uri_before_both() -> None:
    agent = UserAgent(listeners=listen_at(US), ids=CountingIds())
    account = Account("sip:alice@home.example", "sip:home.example", None, "alice", transport=Transport.TLS)
    options = CallOptions(transport=Transport.TCP)
    for target in ("sip:bob@pbx.example", "sip:bob@pbx.example;transport=udp", "sips:bob@pbx.example"):
        agent.invite(target, account=account, options=options, body=SDP, now=0)
    assert [str(lookup.uri) for lookup in agent.lookups_to_make()] == [
        "sip:pbx.example;transport=tcp",
        "sip:pbx.example;transport=udp",
        "sips:pbx.example",
    ]
