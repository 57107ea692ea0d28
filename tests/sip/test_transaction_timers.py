"""Each timer of RFC 3261 table 4 and RFC 6026 8, to the nanosecond, over UDP and over a reliable transport."""

from __future__ import annotations

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.sip.headers import Headers
from cmw.sip.hop import Datagram, Hop, Transport
from cmw.sip.listener import OwnAddresses
from cmw.sip.message import Request, make_response, parse_message, serialize_message
from cmw.sip.timing import Timing
from cmw.sip.transaction import Transaction
from cmw.sip.transaction_facts import TransactionTimedOut
from cmw.sip.transaction_layer import TransactionLayer
from cmw.sip.transaction_tables import State
from tests.support.ids import CountingIds
from tests.support.sip_link import listen_at

T1, T2, T4 = 500 * MILLISECOND, 4 * SECOND, 5 * SECOND
BEGIN = 7
"""The instant at which everything begins; nothing here is a multiple of it."""
RELIABLE = [Transport.TCP, Transport.TLS, Transport.WS, Transport.WSS]


class Bench:
    """A layer with one transaction over one transport, in time that the test moves."""

    def __init__(self, transport: Transport) -> None:
        self.us, self.peer = (Hop(f"192.0.2.{number}", 5060, transport) for number in (1, 2))
        self.out: list[Datagram] = []
        ids = CountingIds()
        self.layer = TransactionLayer(
            own=OwnAddresses(listen_at(self.us), ids), ids=ids, timing=Timing(T1, T2, T4), out=self.out
        )
        self.now = BEGIN

    def request(self, method: str) -> Request:
        via = f"SIP/2.0/{self.peer.transport} 192.0.2.2:5060;branch=z9hG4bKx"
        rows = [
            ("Via", via),
            ("From", "<sip:a@x>;tag=f"),
            ("To", "<sip:b@x>"),
            ("Call-ID", "c"),
            ("CSeq", f"1 {method}"),
        ]
        return Request(method, "sip:b@x", Headers(rows))

    def ask(self, method: str) -> Transaction:
        """Send a request."""
        request = self.request(method)
        request.headers.set("Via", f"SIP/2.0/{self.us.transport} 192.0.2.1:5060;rport;branch=z9hG4bKy")
        data = serialize_message(request)
        return self.layer.begin_client(request, "z9hG4bKy", data, self.peer, "owner", now=self.now)

    def be_asked(self, method: str) -> Transaction:
        """Receive a request."""
        self.layer.receive_message(self.request(method), self.peer, now=self.now)
        fact = self.layer.facts.popleft()
        transaction = fact.transaction  # type: ignore[union-attr]
        assert isinstance(transaction, Transaction)
        return transaction

    def respond(self, transaction: Transaction, status: int) -> None:
        self.layer.respond(transaction, make_response(transaction.request, status, to_tag="t"), now=self.now)

    def be_answered(self, transaction: Transaction, status: int) -> None:
        sent = parse_message(self.out[0].data)
        assert isinstance(sent, Request)
        self.layer.receive_message(make_response(sent, status, to_tag="t"), self.peer, now=self.now)

    def instants(self) -> list[int]:
        """Let time pass until nothing is left to happen; return when something was sent, T1 = 1 from the beginning."""
        found = []
        self.out.clear()
        while (deadline := self.layer.next_timeout()) is not None:
            self.now = deadline.at
            self.layer.handle_timeout(now=self.now)
            found += [(self.now - BEGIN) // T1 for _ in self.out]
            self.out.clear()
        return found

    def lived_ns(self) -> int:
        """Let time pass until nothing is left; return how long that took."""
        self.instants()
        assert len(self.layer) == 0
        return self.now - BEGIN

    def timed_out(self) -> bool:
        facts = list(self.layer.facts)
        self.layer.facts.clear()
        return any(isinstance(fact, TransactionTimedOut) for fact in facts)


def test_a_doubles_without_bound_and_b_ends_after_64_t1() -> None:
    bench = Bench(Transport.UDP)
    bench.ask("INVITE")
    assert bench.instants() == [1, 3, 7, 15, 31, 63]
    assert bench.now - BEGIN == 64 * T1
    assert bench.timed_out()


@pytest.mark.parametrize("transport", RELIABLE)
def test_without_a_b_still_ends_after_64_t1(transport: Transport) -> None:
    bench = Bench(transport)
    bench.ask("INVITE")
    assert bench.instants() == []
    assert bench.now - BEGIN == 64 * T1
    assert bench.timed_out()


def test_d_absorbs_failure_responses_for_32_s_over_udp() -> None:
    bench = Bench(Transport.UDP)
    invite = bench.ask("INVITE")
    bench.be_answered(invite, 486)
    assert invite.state is State.COMPLETED
    assert bench.lived_ns() == 32 * SECOND


@pytest.mark.parametrize("transport", RELIABLE)
def test_d_is_zero_over_a_reliable_transport(transport: Transport) -> None:
    bench = Bench(transport)
    bench.be_answered(bench.ask("INVITE"), 486)
    assert [parse_message(each.data).method for each in bench.out] == ["INVITE", "ACK"]  # type: ignore[union-attr]
    assert len(bench.layer) == 0


def test_e_doubles_up_to_t2_and_f_ends_after_64_t1() -> None:
    bench = Bench(Transport.UDP)
    bench.ask("BYE")
    assert bench.instants() == [1, 3, 7, 15, 23, 31, 39, 47, 55, 63]
    assert bench.now - BEGIN == 64 * T1
    assert bench.timed_out()


def test_e_is_t2_once_a_provisional_response_came() -> None:
    bench = Bench(Transport.UDP)
    bench.be_answered(bench.ask("BYE"), 100)
    assert bench.instants() == [1, 9, 17, 25, 33, 41, 49, 57]
    assert bench.now - BEGIN == 64 * T1


@pytest.mark.parametrize("transport", RELIABLE)
def test_without_e_f_still_ends_after_64_t1(transport: Transport) -> None:
    bench = Bench(transport)
    bench.ask("BYE")
    assert bench.instants() == []
    assert bench.now - BEGIN == 64 * T1
    assert bench.timed_out()


def test_g_doubles_up_to_t2_and_h_ends_after_64_t1() -> None:
    bench = Bench(Transport.UDP)
    bench.respond(bench.be_asked("INVITE"), 486)
    assert bench.instants() == [1, 3, 7, 15, 23, 31, 39, 47, 55, 63]
    assert bench.now - BEGIN == 64 * T1
    assert bench.timed_out()


@pytest.mark.parametrize("transport", RELIABLE)
def test_without_g_h_still_ends_after_64_t1(transport: Transport) -> None:
    bench = Bench(transport)
    bench.respond(bench.be_asked("INVITE"), 486)
    assert bench.instants() == []
    assert bench.now - BEGIN == 64 * T1
    assert bench.timed_out()


def test_i_absorbs_acks_for_t4_over_udp() -> None:
    bench = Bench(Transport.UDP)
    invite = bench.be_asked("INVITE")
    bench.respond(invite, 486)
    bench.layer.receive_message(bench.request("ACK"), bench.peer, now=bench.now)
    assert invite.state is State.CONFIRMED
    assert bench.lived_ns() == T4


@pytest.mark.parametrize("transport", RELIABLE)
def test_i_is_zero_over_a_reliable_transport(transport: Transport) -> None:
    bench = Bench(transport)
    bench.respond(bench.be_asked("INVITE"), 486)
    bench.layer.receive_message(bench.request("ACK"), bench.peer, now=bench.now)
    assert len(bench.layer) == 0


def test_j_answers_retransmissions_for_64_t1_over_udp() -> None:
    bench = Bench(Transport.UDP)
    bench.respond(bench.be_asked("BYE"), 200)
    bench.layer.receive_message(bench.request("BYE"), bench.peer, now=bench.now)
    assert len(bench.out) == 2
    assert bench.lived_ns() == 64 * T1


@pytest.mark.parametrize("transport", RELIABLE)
def test_j_is_zero_over_a_reliable_transport(transport: Transport) -> None:
    bench = Bench(transport)
    bench.respond(bench.be_asked("BYE"), 200)
    assert len(bench.layer) == 0


def test_k_absorbs_responses_for_t4_over_udp() -> None:
    bench = Bench(Transport.UDP)
    bye = bench.ask("BYE")
    bench.be_answered(bye, 200)
    bench.be_answered(bye, 200)
    assert bench.layer.retransmissions_received == 1
    assert bench.lived_ns() == T4


@pytest.mark.parametrize("transport", RELIABLE)
def test_k_is_zero_over_a_reliable_transport(transport: Transport) -> None:
    bench = Bench(transport)
    bench.be_answered(bench.ask("BYE"), 200)
    assert len(bench.layer) == 0


@pytest.mark.parametrize("transport", Transport)
def test_l_absorbs_an_accepted_invite_for_64_t1(transport: Transport) -> None:
    """RFC 6026 7.1: over every transport."""
    bench = Bench(transport)
    invite = bench.be_asked("INVITE")
    bench.respond(invite, 200)
    bench.out.clear()
    bench.layer.receive_message(bench.request("INVITE"), bench.peer, now=bench.now)
    assert (bench.out, invite.state) == ([], State.ACCEPTED)
    assert bench.lived_ns() == 64 * T1


@pytest.mark.parametrize("transport", Transport)
def test_m_lets_further_2xx_pass_for_64_t1(transport: Transport) -> None:
    """RFC 6026 7.2: over every transport."""
    bench = Bench(transport)
    invite = bench.ask("INVITE")
    for _ in range(3):
        bench.be_answered(invite, 200)
    assert invite.state is State.ACCEPTED
    assert bench.lived_ns() == 64 * T1
