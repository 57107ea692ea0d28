"""Requests on their way: lookups, the next hop when one fails, transport by size, connections."""

from __future__ import annotations

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.core.timers import DeadlineHeap
from cmw.sip import lookup_table
from cmw.sip.client_request import ClientRequest, Timed
from cmw.sip.headers import Headers
from cmw.sip.hop import Datagram, Hop, Transport
from cmw.sip.listener import OwnAddresses
from cmw.sip.lookup import Lookup
from cmw.sip.message import Request, Response, make_response, parse_message
from cmw.sip.sender import MAX_UDP_BYTES, Sender
from cmw.sip.timing import Timing
from cmw.sip.transaction_facts import RequestReceived
from cmw.sip.transaction_layer import TransactionLayer
from cmw.sip.transaction_tables import State
from tests.support.ids import CountingIds
from tests.support.sip_link import listen_at

US = Hop("192.0.2.1", 5060)
US_TCP = US._replace(transport=Transport.TCP)
US_TLS = Hop("192.0.2.1", 5061, Transport.TLS)
A, B, C = (Hop(f"198.51.100.{number}", 5060) for number in (1, 2, 3))
A_TCP = A._replace(transport=Transport.TCP)


class Owner:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.failures: list[tuple[int, str]] = []

    def response_received(self, sent: ClientRequest, response: Response, source: Hop, *, now: int) -> None:
        self.statuses.append(response.status)

    def transaction_failed(self, sent: ClientRequest, status: int, reason: str, *, now: int) -> None:
        self.failures.append((status, reason))


class Bench:
    """A sender and its transactions, in time that the test moves."""

    def __init__(self, *listeners: Hop, max_udp_bytes: int = MAX_UDP_BYTES) -> None:
        ids = CountingIds()
        own = OwnAddresses(listen_at(*(listeners or (US,))), ids)
        self.now = 0
        self.out: list[Datagram] = []
        self.heap: DeadlineHeap[Timed] = DeadlineHeap()
        self.layer = TransactionLayer(own=own, ids=ids, timing=Timing(), out=self.out)
        self.sender = Sender(
            self.layer, own=own, ids=ids, out=self.out, heap=self.heap, timing=Timing(), max_udp_bytes=max_udp_bytes
        )
        self.owner = Owner()

    def send(
        self, method: str = "OPTIONS", uri: str = "sip:bob@198.51.100.1", size: int = 0, **more: object
    ) -> ClientRequest:
        rows = [("From", "<sip:a@x>;tag=f"), ("To", f"<{uri}>"), ("Call-ID", "c"), ("CSeq", f"1 {method}")]
        if "contact" in more:
            rows.append(("Contact", f"<{more['contact']}>;expires=60"))
        request = Request(method, uri, Headers(rows), b"x" * size)
        return self.sender.send(request, self.owner, now=self.now, **more)  # type: ignore[arg-type]

    def take(self) -> list[tuple[Request, Hop]]:
        """Return what was sent since, and where."""
        found = [(parse_message(each.data), each.destination) for each in self.out]
        self.out.clear()
        return [(message, hop) for message, hop in found if isinstance(message, Request)]

    def hops(self) -> list[Hop]:
        return [hop for _, hop in self.take()]

    def answer(self, request: Request, status: int, source: Hop, *headers: tuple[str, str]) -> None:
        self.layer.receive_message(make_response(request, status, to_tag="t", headers=headers), source, now=self.now)
        self.absorb()

    def fail(self, hop: Hop, reason: str = "connection refused") -> None:
        self.sender.hop_failed(hop, now=self.now)
        self.layer.transport_failed(hop, reason, now=self.now)
        self.absorb()

    def absorb(self) -> None:
        while self.layer.facts:
            assert self.sender.take(self.layer.facts.popleft(), now=self.now)

    def lookup(self) -> Lookup:
        (lookup,) = self.sender.lookups_to_make()
        return lookup

    def resolve(self, *hops: Hop, reason: str = "") -> None:
        self.sender.receive_lookup(self.lookup().number, hops, reason, now=self.now)

    def wait(self, span_ns: int) -> None:
        """Let time pass, timers included."""
        end = self.now + span_ns
        while True:
            due = [each.at for each in (self.layer.next_timeout(), self.heap.soonest()) if each is not None]
            if not due or min(due) > end:
                break
            self.now = max(self.now, *[min(due)])
            self.layer.handle_timeout(now=self.now)
            for machine in self.heap.expired(self.now):
                machine.handle_timeout(now=self.now)
            self.absorb()
        self.now = end


# where it goes


def test_only_so_many_names_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_table, "MAX_OPEN", 2)
    bench = Bench()
    for name in ("a.example", "b.example", "c.example", "a.example"):
        bench.send(uri=f"sip:{name}")
    bench.wait(MILLISECOND)
    assert len(bench.sender.lookups_to_make()) == 2
    assert bench.owner.failures == [(503, "too many names are being looked up")]


def test_a_literal_address_needs_no_lookup() -> None:
    bench = Bench()
    bench.send()
    assert bench.hops() == [A]
    assert bench.sender.lookups_to_make() == []


def test_a_destination_goes_before_the_route_and_the_route_before_the_request_uri() -> None:
    bench = Bench()
    bench.send(destination=C, next_uri="sip:198.51.100.2;lr")
    bench.send(next_uri="sip:198.51.100.2;lr")
    request = Request(
        "OPTIONS", "sip:bob@198.51.100.1", Headers([("Route", "<sip:198.51.100.3;lr>"), ("CSeq", "1 OPTIONS")])
    )
    bench.sender.send(request, bench.owner, now=0)
    assert [each.destination for each in bench.out] == [C, B, C]


def test_a_name_is_looked_up_once_for_all_who_ask_at_the_same_time() -> None:
    bench = Bench(US, US_TCP)
    bench.send(uri="sip:bob@PBX.example")
    bench.send(uri="sip:carol@pbx.example")
    assert bench.hops() == []
    lookup = bench.lookup()
    assert (str(lookup.uri), lookup.transports, lookup.families) == (
        "sip:pbx.example",
        (Transport.UDP, Transport.TCP),
        (4,),
    )
    bench.sender.receive_lookup(lookup.number, [A], "", now=0)
    assert bench.hops() == [A, A]
    bench.send(uri="sip:bob@pbx.example")
    assert bench.lookup().number != lookup.number  # the cache is the driver's


def test_a_name_that_does_not_exist_fails_with_the_reason() -> None:
    bench = Bench()
    bench.send(uri="sip:bob@pbx.example")
    bench.resolve(reason="pbx.example: no such name")
    assert bench.owner.failures == [(503, "pbx.example: no such name")]
    assert bench.heap.soonest() is None


def test_a_lookup_that_nobody_answers_fails_in_the_end() -> None:
    bench = Bench()
    bench.send(uri="sip:bob@pbx.example")
    bench.lookup()
    bench.wait(31 * SECOND)
    assert bench.owner.failures == []
    bench.wait(SECOND)
    assert bench.owner.failures == [(503, "the lookup was not answered")]
    bench.sender.receive_lookup(1, [A], "", now=bench.now)
    assert bench.hops() == []


def test_what_cannot_be_sent_fails_after_the_order_has_returned() -> None:
    bench = Bench()
    bench.send(uri="sip:bob@198.51.100.1;transport=tcp")
    bench.send(uri="sip:client.invalid;transport=ws")
    assert bench.owner.failures == []
    bench.wait(0)
    assert bench.owner.failures == [
        (503, "no listener for TCP to reach 198.51.100.1:5060;transport=tcp"),
        (503, "nobody can be reached at sip:client.invalid;transport=ws"),
    ]


def test_hops_without_a_listener_are_passed_over() -> None:
    bench = Bench()
    bench.send(uri="sip:bob@pbx.example")
    bench.resolve(A_TCP, B)
    assert bench.hops() == [B]


def test_what_is_withdrawn_goes_nowhere_and_tells_nobody() -> None:
    bench = Bench()
    waiting, sent = bench.send(uri="sip:bob@pbx.example"), bench.send()
    bench.sender.withdraw(waiting)
    bench.sender.withdraw(sent)
    bench.resolve(A)
    bench.wait(100 * SECOND)
    assert bench.hops() == [A]
    assert (bench.owner.statuses, bench.owner.failures) == ([], [])


# the next hop


def located(bench: Bench, *hops: Hop, method: str = "OPTIONS", **more: object) -> ClientRequest:
    sent = bench.send(method, "sip:bob@pbx.example", **more)  # type: ignore[arg-type]
    bench.resolve(*hops)
    return sent


def test_503_leads_to_the_next_hop_as_a_new_transaction() -> None:
    """RFC 3263 4.3."""
    bench = Bench()
    sent = located(bench, A, B)
    ((first, _),) = bench.take()
    bench.answer(first, 503, A)
    ((second, hop),) = bench.take()
    assert hop == sent.hop == B
    assert bench.owner.statuses == []
    assert first.top_via.branch != second.top_via.branch
    assert len(second.headers.get_all("Via")) == 1
    assert first.cseq == second.cseq
    bench.answer(second, 200, B)
    assert bench.owner.statuses == [200]


def test_the_last_503_is_told() -> None:
    bench = Bench()
    located(bench, A, B)
    for hop in (A, B):
        bench.answer(bench.take()[0][0], 503, hop)
    assert bench.owner.statuses == [503]


@pytest.mark.parametrize("status", [404, 480, 486, 500, 600])
def test_other_failures_are_answers(status: int) -> None:
    bench = Bench()
    located(bench, A, B)
    bench.answer(bench.take()[0][0], status, A)
    assert (bench.owner.statuses, bench.hops()) == ([status], [])


def test_silence_leads_to_the_next_hop_and_in_the_end_to_408() -> None:
    bench = Bench()
    sent = located(bench, A, B)
    bench.wait(32 * SECOND)
    assert bench.hops() == [A] * 11 + [B]
    bench.wait(32 * SECOND)
    assert bench.hops() == [B] * 10
    assert bench.owner.failures == [(408, "timeout")]
    assert sent.retransmissions == 20


def test_an_error_of_the_network_leads_to_the_next_hop_at_once() -> None:
    bench = Bench()
    located(bench, A, B)
    bench.fail(A)
    assert bench.hops() == [A, B]
    bench.fail(B, "no route to host")
    assert bench.owner.failures == [(503, "no route to host")]


def test_an_invite_that_was_answered_503_is_acknowledged_where_it_was() -> None:
    bench = Bench()
    located(bench, A, B, method="INVITE")
    ((first, _),) = bench.take()
    bench.answer(first, 503, A)
    (ack, to), (second, hop) = bench.take()
    assert (ack.method, to, ack.top_via.branch) == ("ACK", A, first.top_via.branch)
    assert (second.method, hop) == ("INVITE", B)
    bench.answer(first, 503, A)
    assert [(request.method, hop) for request, hop in bench.take()] == [("ACK", A)]


def test_what_is_kept_goes_nowhere_else() -> None:
    bench = Bench()
    sent = located(bench, A, B, method="INVITE")
    sent.is_kept = True
    bench.answer(bench.take()[0][0], 503, A)
    assert bench.owner.statuses == [503]
    assert [request.method for request, _ in bench.take()] == ["ACK"]


def test_a_hop_that_failed_is_tried_last_for_a_while() -> None:
    bench = Bench()
    located(bench, A, B)
    bench.answer(bench.take()[0][0], 503, A, ("Retry-After", "20"))
    bench.take()
    located(bench, A, B)
    assert bench.hops() == [B]
    bench.now += 20 * SECOND
    located(bench, A, B)
    assert bench.hops() == [A]


def test_a_hop_that_failed_is_tried_all_the_same_when_there_is_no_other() -> None:
    bench = Bench()
    bench.fail(A)
    bench.send()
    assert bench.hops() == [A]


def test_a_request_may_be_tried_again_where_a_hop_answered_of_late() -> None:
    """RFC 3261 21.4.9: after 408 a request may be repeated without modification at any later time."""
    bench = Bench()
    bench.send()
    bench.answer(bench.take()[0][0], 200, A)
    bench.now += 31 * SECOND
    bench.send("BYE", tries=2)
    bench.wait(32 * SECOND)
    assert bench.owner.failures == []
    branches = [request.top_via.branch for request, _ in bench.take()]
    assert len(branches) == 12
    assert len(set(branches)) == 2
    bench.wait(32 * SECOND)
    assert bench.owner.failures == [(408, "timeout")]


def test_where_nobody_ever_answered_it_is_not_tried_again() -> None:
    bench = Bench()
    bench.send("INVITE", tries=2)
    bench.wait(32 * SECOND)
    assert bench.owner.failures == [(408, "timeout")]
    assert bench.hops() == [A] * 7


def test_a_repetition_with_credentials_goes_where_the_challenge_came_from() -> None:
    bench = Bench()
    first = located(bench, A, B)
    bench.answer(bench.take()[0][0], 401, A)
    bench.send(uri="sip:bob@pbx.example", follows=first)
    ((second, hop),) = bench.take()
    assert hop == A
    bench.answer(second, 503, A)
    assert bench.hops() == [B]


# transport


def test_via_and_contact_follow_the_transport_of_the_hop() -> None:
    bench = Bench(US, US_TCP)
    sent = located(bench, A_TCP, B, method="REGISTER", contact="sip:bob@192.0.2.1:5060", contact_user="bob")
    ((first, _),) = bench.take()
    assert first.top_via.transport == "TCP"
    assert first.headers.get("Contact") == "<sip:bob@192.0.2.1:5060;transport=tcp>;expires=60"
    bench.fail(A_TCP)
    ((second, _),) = bench.take()
    assert second.top_via.transport == "UDP"
    assert second.headers.get("Contact") == "<sip:bob@192.0.2.1:5060>;expires=60"
    assert sent.contact == "sip:bob@192.0.2.1:5060"


def test_a_long_request_goes_over_tcp() -> None:
    """RFC 3261 18.1.1."""
    bench = Bench(US, US_TCP)
    bench.send(size=1, contact="sip:bob@192.0.2.1:5060", contact_user="bob")
    (short,) = bench.out
    assert short.destination == A
    room = MAX_UDP_BYTES - len(short.data)
    bench.out.clear()
    bench.send(size=room - 2, contact="sip:bob@192.0.2.1:5060", contact_user="bob")
    bench.send(size=room + 2, contact="sip:bob@192.0.2.1:5060", contact_user="bob")
    (at_most, to), (longer, to_tcp) = bench.take()
    assert (to, at_most.top_via.transport) == (A, "UDP")
    assert (to_tcp, longer.top_via.transport) == (A_TCP, "TCP")
    assert len(longer.headers.get_all("Via")) == 1
    assert longer.headers.get("Contact") == "<sip:bob@192.0.2.1:5060>;expires=60"


def test_where_tcp_is_refused_a_long_request_goes_over_udp_and_later_ones_do_so_at_once() -> None:
    bench = Bench(US, US_TCP)
    bench.send(size=1400)
    bench.fail(A_TCP)
    (first, to), (second, then_to) = bench.take()
    assert (to, then_to) == (A_TCP, A)
    assert second.top_via.transport == "UDP"
    assert first.top_via.branch != second.top_via.branch
    bench.send(size=1400)
    assert bench.hops() == [A]
    bench.now += 61 * SECOND
    bench.send(size=1400)
    assert bench.hops() == [A_TCP]


@pytest.mark.parametrize(("listeners", "limit"), [((US,), MAX_UDP_BYTES), ((US, US_TCP), 65535)])
def test_without_tcp_or_where_it_is_not_wanted_long_requests_go_in_fragments(
    listeners: tuple[Hop, ...], limit: int
) -> None:
    bench = Bench(*listeners, max_udp_bytes=limit)
    bench.send(size=1400)
    assert bench.hops() == [A]


def test_over_tcp_nothing_is_sent_twice() -> None:
    bench = Bench(US_TCP)
    bench.send("INVITE", destination=A_TCP)
    bench.wait(31_900 * MILLISECOND)
    assert bench.hops() == [A_TCP]
    bench.wait(100 * MILLISECOND)
    assert bench.owner.failures == [(408, "timeout")]


# connections and dialogs


def test_a_client_that_nobody_can_connect_to_is_reached_over_its_connection() -> None:
    bench = Bench(US_TLS)
    flow = Hop("203.0.113.9", 40000, Transport.TLS, "", 7)
    bench.send("BYE", "sip:bob@df7jal23ls0d.invalid", fallback=flow)
    assert bench.hops() == [flow]


def test_a_name_that_leads_nowhere_falls_back_to_where_the_peer_sent_from() -> None:
    bench = Bench()
    bench.send("BYE", "sip:bob@pbx.example", fallback=C)
    bench.resolve(reason="no such name")
    assert bench.hops() == [C]


def test_the_connection_that_stands_is_used_for_its_own_address() -> None:
    """Its certificate was right for a name; the address of a Record-Route says no name to ask it for."""
    bench = Bench(US_TLS)
    flow = Hop("198.51.100.1", 5061, Transport.TLS, "proxy.example", 7)
    bench.send("BYE", next_uri="sip:198.51.100.1;transport=tls;lr", fallback=flow)
    assert bench.hops() == [flow]
    bench.layer.flow_lost(7, flow, "closed", now=0)
    bench.absorb()
    assert bench.hops() == [flow._replace(flow=0)]


def test_over_udp_a_contact_that_refuses_is_not_mended_by_guessing() -> None:
    bench = Bench()
    bench.send("BYE", fallback=C)
    bench.fail(A)
    assert bench.hops() == [A]
    assert bench.owner.failures == [(503, "connection refused")]


def test_the_loss_of_a_connection_fails_what_waits_on_it() -> None:
    bench = Bench(US_TCP)
    bench.send(destination=A_TCP)
    bench.send(destination=A_TCP._replace(flow=3))
    bench.send(destination=A_TCP._replace(flow=4))
    bench.layer.flow_lost(3, A_TCP, "reset", now=0)
    bench.absorb()
    assert bench.owner.failures == [(503, "reset"), (503, "reset")]


def test_what_is_still_to_be_answered_goes_to_the_via_when_its_connection_is_gone() -> None:
    """RFC 3261 18.2.2: to `received`, at the port of sent-by."""
    bench = Bench(US_TCP)
    source = Hop("203.0.113.9", 40000, Transport.TCP, "", 3)
    rows = [("From", "<sip:a@x>;tag=f"), ("To", "<sip:b@x>"), ("Call-ID", "c"), ("CSeq", "1 OPTIONS")]
    via = ("Via", "SIP/2.0/TCP 10.0.0.1:5070;branch=z9hG4bKx;rport")
    bench.layer.receive_message(Request("OPTIONS", "sip:b@x", Headers([via, *rows])), source, now=0)
    fact = bench.layer.facts.popleft()
    assert isinstance(fact, RequestReceived)
    bench.layer.flow_lost(3, source._replace(flow=0), "reset", now=0)
    bench.layer.respond(fact.transaction, make_response(fact.request, 200, to_tag="t"), now=0)
    assert bench.out[0].destination == Hop("203.0.113.9", 5070, Transport.TCP)


@pytest.mark.parametrize(("us", "failures"), [(US_TCP, []), (Hop("192.0.2.1", 0, Transport.WS), [(503, "reset")])])
def test_an_invite_that_rings_outlives_its_connection_where_we_can_be_reached(
    us: Hop, failures: list[tuple[int, str]]
) -> None:
    """RFC 3261 18.2.2: the server opens a connection to us for its response, unless nobody can: RFC 7118 5."""
    bench = Bench(us)
    hop = A._replace(transport=us.transport)
    bench.send("INVITE", destination=hop)
    bench.answer(bench.take()[0][0], 180, hop)
    bench.layer.flow_lost(3, hop, "reset", now=0)
    bench.absorb()
    assert bench.owner.failures == failures


# ACK and CANCEL


def test_an_ack_has_no_transaction_and_is_repeated_as_it_was() -> None:
    bench = Bench()
    ack = bench.send("ACK", "sip:bob@pbx.example")
    bench.sender.repeat(ack, now=0)
    assert bench.hops() == []
    bench.resolve(A, B)
    bench.sender.repeat(ack, now=0)
    (first, _), (second, hop) = bench.take()
    assert first.top_via == second.top_via
    assert (hop, len(bench.layer)) == (A, 0)


def test_an_ack_whose_hop_failed_goes_to_the_next_and_is_repeated_there() -> None:
    """It has no transaction that could be told."""
    bench = Bench()
    ack = bench.send("ACK", "sip:bob@pbx.example")
    bench.resolve(A, B)
    bench.fail(C)
    assert bench.hops() == [A]
    bench.fail(A)
    assert bench.hops() == [B]
    bench.sender.repeat(ack, now=0)
    assert bench.hops() == [B]


@pytest.mark.parametrize("own_flow", [0, -3])
def test_a_connection_that_is_gone_is_opened_again_as_what_it_was(own_flow: int) -> None:
    bench = Bench(US_TCP)
    here = A_TCP._replace(flow=7)
    bench.send("BYE", "sip:bob@198.51.100.1;transport=tcp", fallback=here, own_flow=own_flow)
    bench.fail(here)
    assert bench.hops() == [here, A_TCP._replace(flow=own_flow)]
    assert bench.owner.failures == []


# an INVITE that went another way


def test_a_2xx_from_where_an_invite_was_given_up_is_taken_and_the_other_way_is_left() -> None:
    bench = Bench()
    sent = located(bench, A, B, method="INVITE")
    first = bench.take()[0][0]
    bench.wait(32 * SECOND)
    assert bench.hops()[-1] == B
    bench.answer(first, 180, A)
    bench.answer(first, 200, A)
    bench.answer(first, 200, A)
    assert bench.owner.statuses == [200, 200]
    bench.wait(65 * SECOND)
    assert (bench.take(), len(bench.layer), bench.owner.failures) == ([], 0, [])
    assert sent.is_kept


def test_another_callee_that_rings_meanwhile_is_cancelled() -> None:
    bench = Bench()
    located(bench, A, B, method="INVITE")
    first = bench.take()[0][0]
    bench.wait(32 * SECOND)
    second = bench.take()[-1][0]
    bench.answer(second, 180, B)
    bench.answer(first, 200, A)
    ((cancel, hop),) = bench.take()
    assert (cancel.method, hop, cancel.top_via) == ("CANCEL", B, second.top_via)
    bench.answer(cancel, 200, B)
    bench.answer(second, 200, B)
    assert bench.owner.statuses == [180, 200, 200]
    bench.wait(65 * SECOND)
    assert len(bench.layer) == 0


def test_a_482_to_an_invite_that_did_arrive_before_waits_for_what_is_said_there() -> None:
    bench = Bench()
    located(bench, A, B, method="INVITE")
    first = bench.take()[0][0]
    bench.wait(32 * SECOND)
    bench.answer(bench.take()[-1][0], 482, B)
    bench.wait(10 * SECOND)
    assert bench.owner.statuses == []
    bench.answer(first, 200, A)
    bench.wait(65 * SECOND)
    assert (bench.owner.statuses, bench.owner.failures, len(bench.layer)) == ([200], [], 0)


def test_a_482_is_told_when_nothing_is_said_there() -> None:
    bench = Bench()
    located(bench, A, B, method="INVITE")
    bench.wait(32 * SECOND)
    bench.answer(bench.take()[-1][0], 482, B)
    bench.wait(31 * SECOND)
    assert bench.owner.statuses == []
    bench.wait(SECOND)
    assert (bench.owner.statuses, len(bench.layer)) == ([482], 0)


def test_a_482_to_an_invite_that_was_withdrawn_tells_nobody() -> None:
    bench = Bench()
    sent = located(bench, A, B, method="INVITE")
    bench.wait(32 * SECOND)
    bench.answer(bench.take()[-1][0], 482, B)
    bench.sender.withdraw(sent)
    bench.wait(65 * SECOND)
    assert (bench.owner.statuses, bench.heap.soonest()) == ([], None)


def test_a_cancel_goes_where_its_invite_is() -> None:
    bench = Bench()
    invite = located(bench, A, B, method="INVITE")
    bench.answer(bench.take()[0][0], 503, A)
    _, (request, _) = bench.take()
    bench.answer(request, 180, B)
    assert invite.state is State.PROCEEDING
    bench.sender.cancel(invite, bench.owner, now=0)
    ((cancel, hop),) = bench.take()
    assert (cancel.method, hop) == ("CANCEL", B)
    assert cancel.top_via == request.top_via
    bench.answer(cancel, 200, B)
    bench.answer(request, 487, B)
    assert bench.owner.statuses == [180, 200, 487]
