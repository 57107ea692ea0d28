"""Transactions in virtual time: retransmission instants, matching, and memory."""

from __future__ import annotations

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.errors import LocalProtocolError
from cmw.sip.events import DiscardReason
from cmw.sip.headers import Headers
from cmw.sip.hop import Datagram, Hop
from cmw.sip.listener import OwnAddresses
from cmw.sip.message import Request, Response, make_response, parse_message, serialize_message
from cmw.sip.timing import Timing
from cmw.sip.transaction import Transaction
from cmw.sip.transaction_facts import (
    AckReceived,
    Fact,
    RequestReceived,
    ResponseReceived,
    TransactionTimedOut,
    TransportFailed,
)
from cmw.sip.transaction_layer import TransactionLayer
from cmw.sip.transaction_tables import State
from tests.support.ids import CountingIds
from tests.support.sip_link import listen_at

US = Hop("127.0.0.1", 5060)
PEER = Hop("127.0.0.2", 5070)


class Bench:
    """A layer, and what it did."""

    def __init__(self) -> None:
        self.out: list[Datagram] = []
        self.ids = CountingIds()
        self.own = OwnAddresses(listen_at(US), self.ids)
        self.layer = TransactionLayer(own=self.own, ids=self.ids, timing=Timing(), out=self.out)

    def send(self, request: Request, destination: Hop, owner: object, *, now: int) -> Transaction:
        branch = self.ids.branch()
        request.headers.add_first("Via", self.own.towards(destination).via_start + branch)
        return self.layer.begin_client(request, branch, serialize_message(request), destination, owner, now=now)

    def facts(self) -> list[Fact]:
        found = list(self.layer.facts)
        self.layer.facts.clear()
        return found

    def sent(self) -> list[Request | Response]:
        messages = [parse_message(datagram.data) for datagram in self.out]
        self.out.clear()
        return messages

    def run_until(self, end: int) -> list[int]:
        """Let time pass up to `end`; return the instants at which something was sent."""
        instants = []
        while (deadline := self.layer.next_timeout()) is not None and deadline.at <= end:
            self.layer.handle_timeout(now=deadline.at)
            instants += [deadline.at] * len(self.sent())
        return instants


def make_request(method: str, *, via: str | None = None, to_tag: str = "", cseq: int = 1) -> Request:
    rows = [("Via", via)] if via is not None else []
    rows += [
        ("From", "<sip:a@127.0.0.2>;tag=f"),
        ("To", "<sip:b@127.0.0.1>" + (f";tag={to_tag}" if to_tag else "")),
        ("Call-ID", "c1"),
        ("CSeq", f"{cseq} {method}"),
    ]
    return Request(method, "sip:b@127.0.0.1", Headers(rows))


def seconds(instants: list[int]) -> list[float]:
    return [instant / SECOND for instant in instants]


def received(method: str, branch: str = "z9hG4bKx", **more: object) -> Request:
    return make_request(method, via=f"SIP/2.0/UDP 127.0.0.2:5070;branch={branch}", **more)  # type: ignore[arg-type]


def test_invite_is_sent_again_at_doubling_intervals_until_timer_b() -> None:
    bench = Bench()
    transaction = bench.send(make_request("INVITE"), PEER, "owner", now=0)
    assert len(bench.sent()) == 1
    assert seconds(bench.run_until(100 * SECOND)) == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert bench.facts() == [TransactionTimedOut(transaction, "owner")]
    assert len(bench.layer) == 0
    assert bench.layer.retransmissions_sent == 6


def test_other_requests_are_sent_again_up_to_every_t2_until_timer_f() -> None:
    bench = Bench()
    transaction = bench.send(make_request("BYE"), PEER, None, now=0)
    bench.sent()
    expected = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert seconds(bench.run_until(100 * SECOND)) == expected
    assert bench.facts() == [TransactionTimedOut(transaction, None)]


def test_a_provisional_response_slows_other_requests_down_to_t2() -> None:
    bench = Bench()
    transaction = bench.send(make_request("BYE"), PEER, None, now=0)
    request = bench.sent()[0]
    assert isinstance(request, Request)
    bench.layer.receive_message(make_response(request, 100), PEER, now=100 * MILLISECOND)
    assert seconds(bench.run_until(10 * SECOND)) == [0.5, 4.5, 8.5]
    assert transaction.state is State.PROCEEDING


def test_a_provisional_response_stops_the_invite() -> None:
    bench = Bench()
    bench.send(make_request("INVITE"), PEER, None, now=0)
    request = bench.sent()[0]
    assert isinstance(request, Request)
    bench.layer.receive_message(make_response(request, 180), PEER, now=100 * MILLISECOND)
    assert bench.run_until(100 * SECOND) == []
    assert bench.layer.next_timeout() is None


def test_failure_responses_are_acknowledged_each_time_and_told_once() -> None:
    bench = Bench()
    bench.send(make_request("INVITE"), PEER, None, now=0)
    invite = bench.sent()[0]
    assert isinstance(invite, Request)
    refusal = make_response(invite, 486, to_tag="t")
    for _ in range(3):
        bench.layer.receive_message(refusal, PEER, now=SECOND)
    acks = bench.sent()
    assert [each.method for each in acks if isinstance(each, Request)] == ["ACK"] * 3
    assert acks[0].headers.get("Via") == invite.headers.get("Via")
    assert acks[0].to.tag == "t"
    assert acks[0].cseq.number == 1
    assert len(bench.facts()) == 1
    bench.run_until(100 * SECOND)
    assert len(bench.layer) == 0


def test_every_2xx_is_told() -> None:
    bench = Bench()
    bench.send(make_request("INVITE"), PEER, None, now=0)
    invite = bench.sent()[0]
    assert isinstance(invite, Request)
    for _ in range(2):
        bench.layer.receive_message(make_response(invite, 200, to_tag="t"), PEER, now=SECOND)
    assert bench.sent() == []
    assert [type(fact) for fact in bench.facts()] == [ResponseReceived] * 2
    bench.run_until(100 * SECOND)
    assert len(bench.layer) == 0


def test_our_failure_response_is_repeated_until_the_ack() -> None:
    bench = Bench()
    bench.layer.receive_message(received("INVITE"), PEER, now=0)
    fact = bench.facts()[0]
    assert isinstance(fact, RequestReceived)
    bench.layer.respond(fact.transaction, make_response(fact.request, 486, to_tag="t"), now=0)
    bench.sent()
    assert seconds(bench.run_until(10 * SECOND)) == [0.5, 1.5, 3.5, 7.5]
    bench.layer.receive_message(received("ACK", to_tag="t"), PEER, now=10 * SECOND)
    assert bench.run_until(100 * SECOND) == []
    assert bench.facts() == []
    assert len(bench.layer) == 0


def test_our_failure_response_without_ack_times_out() -> None:
    bench = Bench()
    bench.layer.receive_message(received("INVITE"), PEER, now=0)
    fact = bench.facts()[0]
    assert isinstance(fact, RequestReceived)
    bench.layer.respond(fact.transaction, make_response(fact.request, 486, to_tag="t"), now=0)
    bench.sent()
    expected = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert seconds(bench.run_until(100 * SECOND)) == expected
    assert [type(each) for each in bench.facts()] == [TransactionTimedOut]
    assert len(bench.layer) == 0


@pytest.mark.parametrize(("method", "status"), [("INVITE", 180), ("INVITE", 486), ("BYE", 200), ("BYE", 100)])
def test_a_request_that_comes_again_gets_the_same_response_again(method: str, status: int) -> None:
    bench = Bench()
    bench.layer.receive_message(received(method), PEER, now=0)
    fact = bench.facts()[0]
    assert isinstance(fact, RequestReceived)
    bench.layer.respond(fact.transaction, make_response(fact.request, status, to_tag="t"), now=0)
    first = bench.out[0]
    bench.layer.receive_message(received(method), PEER, now=1)
    assert bench.out[1] == first
    assert bench.facts() == []
    assert bench.layer.retransmissions_received == 1


def test_an_invite_that_comes_again_after_its_2xx_is_absorbed() -> None:
    bench = Bench()
    bench.layer.receive_message(received("INVITE"), PEER, now=0)
    fact = bench.facts()[0]
    assert isinstance(fact, RequestReceived)
    bench.layer.respond(fact.transaction, make_response(fact.request, 200, to_tag="t"), now=0)
    bench.sent()
    bench.layer.receive_message(received("INVITE"), PEER, now=1)
    assert bench.sent() == []
    bench.layer.repeat_success(fact.transaction, now=2)
    assert len(bench.sent()) == 1


def test_an_ack_for_a_2xx_has_a_branch_of_its_own_and_is_told() -> None:
    bench = Bench()
    bench.layer.receive_message(received("ACK", branch="z9hG4bKy", to_tag="t"), PEER, now=0)
    assert [type(fact) for fact in bench.facts()] == [AckReceived]


@pytest.mark.parametrize("difference", ["branch", "sent_by", "method"])
def test_a_request_that_differs_in_the_key_is_another(difference: str) -> None:
    bench = Bench()
    bench.layer.receive_message(received("OPTIONS", to_tag="t"), PEER, now=0)
    via = "SIP/2.0/UDP 127.0.0.2:5070;branch=z9hG4bKx"
    if difference == "branch":
        via = via.replace("z9hG4bKx", "z9hG4bKz")
    elif difference == "sent_by":
        via = via.replace("5070", "5071")
    method = "INFO" if difference == "method" else "OPTIONS"
    bench.layer.receive_message(make_request(method, via=via, to_tag="t"), PEER, now=0)
    assert len(bench.facts()) == 2


def test_a_peer_of_rfc_2543_is_told_apart_by_more_than_its_branch() -> None:
    bench = Bench()
    via = "SIP/2.0/UDP 127.0.0.2:5070"
    bench.layer.receive_message(make_request("INVITE", via=via), PEER, now=0)
    bench.layer.receive_message(make_request("INVITE", via=via), PEER, now=0)
    assert len(bench.facts()) == 1
    bench.layer.receive_message(make_request("INVITE", via=via, cseq=2), PEER, now=0)
    assert len(bench.facts()) == 1


def test_the_same_request_by_another_path_is_marked_as_merged() -> None:
    bench = Bench()
    bench.layer.receive_message(received("INVITE"), PEER, now=0)
    bench.layer.receive_message(received("INVITE", branch="z9hG4bKother"), PEER, now=0)
    facts = bench.facts()
    assert [fact.is_merged for fact in facts if isinstance(fact, RequestReceived)] == [False, True]


def test_responses_go_where_the_request_came_from_when_it_asks_so() -> None:
    bench = Bench()
    source = Hop("127.0.0.9", 9999)
    request = make_request("OPTIONS", via="SIP/2.0/UDP 10.0.0.1:5070;rport;branch=z9hG4bKx")
    bench.layer.receive_message(request, source, now=0)
    fact = bench.facts()[0]
    assert isinstance(fact, RequestReceived)
    bench.layer.respond(fact.transaction, make_response(fact.request, 200, to_tag="t"), now=0)
    assert bench.out[0].destination == source
    via = parse_message(bench.out[0].data).top_via
    assert (via.param("received"), via.param("rport")) == ("127.0.0.9", "9999")


def test_responses_go_to_the_port_of_the_via_without_rport() -> None:
    bench = Bench()
    request = make_request("OPTIONS", via="SIP/2.0/UDP pbx.example:5070;branch=z9hG4bKx")
    bench.layer.receive_message(request, Hop("127.0.0.9", 9999), now=0)
    fact = bench.facts()[0]
    assert isinstance(fact, RequestReceived)
    assert fact.transaction.destination == Hop("127.0.0.9", 5070)


def test_responses_never_go_to_a_name() -> None:
    bench = Bench()
    request = make_request("OPTIONS", via="SIP/2.0/UDP 127.0.0.2:5070;maddr=evil.example;branch=z9hG4bKx")
    bench.layer.receive_message(request, PEER, now=0)
    fact = bench.facts()[0]
    assert isinstance(fact, RequestReceived)
    assert fact.transaction.destination == PEER


def test_a_response_without_transaction_is_a_stray() -> None:
    bench = Bench()
    response = make_response(received("INVITE"), 200, to_tag="t")
    assert bench.layer.receive_message(response, PEER, now=0) is DiscardReason.STRAY_RESPONSE


def test_cancel_has_the_branch_and_the_to_of_its_invite() -> None:
    bench = Bench()
    transaction = bench.send(make_request("INVITE"), PEER, None, now=0)
    invite = bench.sent()[0]
    assert isinstance(invite, Request)
    with pytest.raises(LocalProtocolError):
        bench.layer.send_cancel(transaction, None, now=0)
    bench.layer.receive_message(make_response(invite, 180, to_tag="t"), PEER, now=0)
    bench.layer.send_cancel(transaction, None, now=0)
    cancel = bench.sent()[0]
    assert isinstance(cancel, Request)
    assert cancel.method == "CANCEL"
    assert cancel.uri == invite.uri
    for name in ("Via", "From", "To", "Call-ID"):
        assert cancel.headers.get_all(name) == invite.headers.get_all(name)
    assert str(cancel.cseq) == "1 CANCEL"


def test_a_transport_failure_ends_what_waits_for_that_address_only() -> None:
    bench = Bench()
    transaction = bench.send(make_request("INVITE"), PEER, "a", now=0)
    other = bench.send(make_request("OPTIONS"), Hop("127.0.0.3", 5060), "b", now=0)
    bench.layer.transport_failed(PEER, "refused", now=1)
    assert bench.facts() == [TransportFailed(transaction, "a", "refused")]
    assert transaction.is_over
    assert not other.is_over
    bench.layer.transport_failed(PEER, "refused", now=2)
    assert bench.facts() == []


def test_a_late_wake_up_sends_once_and_not_what_was_missed() -> None:
    bench = Bench()
    bench.send(make_request("INVITE"), PEER, None, now=0)
    bench.sent()
    bench.layer.handle_timeout(now=20 * SECOND)
    assert len(bench.sent()) == 1


def test_an_early_wake_up_does_nothing() -> None:
    bench = Bench()
    bench.send(make_request("INVITE"), PEER, None, now=0)
    bench.sent()
    bench.layer.handle_timeout(now=499 * MILLISECOND)
    assert bench.sent() == []


def test_serialized_requests_carry_our_via_on_top() -> None:
    bench = Bench()
    request = make_request("OPTIONS", via="SIP/2.0/UDP below.example;branch=z9hG4bKbelow")
    bench.send(request, PEER, None, now=0)
    sent = parse_message(bench.out[0].data)
    assert sent.headers.get_all("Via")[0] == "SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bK00000001"
    assert serialize_message(request) == bench.out[0].data


def test_a_datagram_that_is_too_long_ends_the_transaction_that_sent_it_only() -> None:
    bench = Bench()
    transaction = bench.send(make_request("INVITE"), PEER, "a", now=0)
    other = bench.send(make_request("OPTIONS"), PEER, "b", now=0)
    bench.layer.transport_failed(PEER, "Message too long", at_fault=b"a response of ours", now=1)
    assert bench.facts() == []
    bench.layer.transport_failed(PEER, "Message too long", at_fault=bench.out[0].data, now=1)
    assert bench.facts() == [TransportFailed(transaction, "a", "Message too long")]
    assert not other.is_over
