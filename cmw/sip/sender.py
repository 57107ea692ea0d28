"""From a request of ours to the hop that answers it: lookup, transport by size, the next hop when one fails.

Stands between the machines that send requests (calls, registrations, requests of their own) and the transactions.
Source: RFC 3261 8.1.2, 8.1.3.1, 18.1.1; RFC 3263 4.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from cmw.core.clock import Nanos
from cmw.core.ids import Ids
from cmw.core.timers import Deadline, DeadlineHeap
from cmw.sip.client_request import ClientRequest, RequestOwner, Timed
from cmw.sip.hop import Datagram, Hop, Transport
from cmw.sip.hop_memory import HopMemory
from cmw.sip.listener import OwnAddresses
from cmw.sip.lookup import Lookup, literal_hop, question
from cmw.sip.lookup_table import LookupTable
from cmw.sip.message import Request, Response
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.retry_after import parse_retry_after
from cmw.sip.timing import Timing
from cmw.sip.transaction_facts import Fact, ResponseReceived, TransactionTimedOut, TransportFailed
from cmw.sip.transaction_layer import TransactionLayer
from cmw.sip.transaction_tables import State
from cmw.sip.uri import is_sips

MAX_UDP_BYTES: Final = 1300
"""A longer request goes over TCP where we have it. Source: RFC 3261 18.1.1."""

MAX_ACKS: Final = 256
"""ACKs of late that have another way to go, should the network refuse the first: there is no transaction to tell."""

_UDP, _TCP = Transport.UDP, Transport.TCP
_SENT: Final = Request("ACK", "")


class Sender:
    """Sends requests, and tells their owners of responses and of failures that no other hop could mend.

    Args:
        layer: the transactions.
        own: who we are over each transport.
        ids: source of branches.
        out: takes the datagrams to send.
        heap: wakes us.
        timing: base values of the timers.
        max_udp_bytes: a longer request goes over TCP, if we have it and the hop takes it; else in fragments over UDP.
    """

    def __init__(
        self,
        layer: TransactionLayer,
        *,
        own: OwnAddresses,
        ids: Ids,
        out: list[Datagram],
        heap: DeadlineHeap[Timed],
        timing: Timing,
        max_udp_bytes: int,
    ) -> None:
        self._layer = layer
        self._own = own
        self._ids = ids
        self._out = out
        self._heap = heap
        self._timing = timing
        self._max_udp_bytes = max_udp_bytes
        self._memory = HopMemory()
        self._lookups = LookupTable(own)
        self._acks: dict[ClientRequest, Nanos] = {}
        self._failures: deque[tuple[ClientRequest, str]] = deque()
        self._merged: dict[ClientRequest, tuple[Response, Hop]] = {}

    # commands

    def send(
        self,
        request: Request,
        owner: RequestOwner,
        *,
        next_uri: str = "",
        destination: Hop | None = None,
        fallback: Hop | None = None,
        own_flow: int = 0,
        contact: str = "",
        contact_user: str = "",
        follows: ClientRequest | None = None,
        tries: int = 1,
        now: Nanos,
    ) -> ClientRequest:
        """Send a request; an ACK is sent without a transaction.

        Nobody is told of anything before this returns. 503 from a hop, an error of the network or silence send it to
        the next hop, as a new transaction; what the last one says is told.

        Args:
            request: without Via; it is kept.
            owner: is told of responses and failures.
            next_uri: where it goes; by default the first Route or else the Request-URI. Names are looked up.
            destination: goes before `next_uri`.
            fallback: the hop to take where `next_uri` leads nowhere, and after it over a connection: where the peer's
                own messages came from.
            own_flow: which connection takes the place of that of `fallback` when it is gone: one of the sender's own
                by its negative number, or any by 0.
            contact: our URI in the first Contact of the request, in angle brackets there; it is exchanged for that of
                the transport which the request takes in the end. "" leaves the Contact as it is.
            contact_user: user part of that URI, "" for none.
            follows: the request that this one repeats with credentials or a change: its hop comes first, for no other
                may know what was said there.
            tries: how often all hops are tried that are silent now but answered something shortly before, or meanwhile:
                it is the way then that loses much. Source: RFC 3261 21.4.9.
            now: instant of the monotonic clock, nanoseconds.
        """
        if not next_uri:
            route = request.headers.get("Route")
            next_uri = request.uri if route is None else parse_name_addr(route).uri
        sent = ClientRequest(request, owner, next_uri, fallback, own_flow, contact, contact_user, tries)
        if follows is not None and follows.hop is not None:
            self._go(sent, (follows.hop, *follows.hops), "", now)
        elif (hop := destination or literal_hop(next_uri)) is not None:
            self._go(sent, (hop,), "", now)
        elif (uri := question(next_uri)) is not None:
            if not self._lookups.ask(uri, sent, now=now):
                self._failures.append((sent, "too many names are being looked up"))
            self._rearm(now)
        else:
            self._go(sent, (), f"nobody can be reached at {next_uri}", now)
        return sent

    def cancel(
        self, invite: ClientRequest, owner: RequestOwner, headers: Iterable[tuple[str, str]] = (), *, now: Nanos
    ) -> ClientRequest:
        """Send the CANCEL of an INVITE that rings, to the same hop; the INVITE goes nowhere else. RFC 3261 9.1."""
        assert invite.transaction is not None
        invite.is_kept = True
        sent = ClientRequest(invite.request, owner, invite.next_uri, None, 0, "", "", 1)
        sent.hop, sent.is_kept = invite.hop, True
        sent.transaction = self._layer.send_cancel(invite.transaction, sent, headers, now=now)
        sent.request = sent.transaction.request
        return sent

    def withdraw(self, sent: ClientRequest) -> None:
        """Forget a request: nobody is told of it any more, and it goes nowhere else."""
        sent.is_kept = sent.is_withdrawn = True
        if sent.transaction is not None and not sent.transaction.is_over:
            self._layer.forget(sent.transaction)

    def settle(self, invite: ClientRequest, *, now: Nanos) -> None:
        """Stop an INVITE that another one, or this one on another way, was accepted for; who rings is told.

        A 2xx that comes nevertheless is passed on, for it has to be acknowledged.
        """
        transaction, invite.is_kept = invite.transaction, True
        if transaction is None:
            self.withdraw(invite)
        elif transaction.state in (State.CALLING, State.PROCEEDING):
            if transaction.state is State.PROCEEDING:
                self.cancel(invite, invite.owner, now=now).is_withdrawn = True
            self._layer.await_late_success(transaction, invite, now=now)

    def repeat(self, ack: ClientRequest, *, now: Nanos) -> None:
        """Send an ACK again; to its next hop when the one it went to has failed meanwhile."""
        if ack.hop is None:
            return
        if self._memory.has_failed(ack.hop, now=now) and (ack.udp_hop is not None or ack.hops):
            self._send_next(ack, now)
        else:
            self._out.append(Datagram(ack.data, ack.hop))

    # inputs

    def receive_lookup(self, number: int, hops: Sequence[Hop], reason: str, *, now: Nanos) -> None:
        """Take the answer to a lookup: the hops in the order of RFC 3263, none with a reason."""
        for sent in self._lookups.take(number):
            if not sent.is_withdrawn:
                self._go(sent, hops, reason or f"no address of {sent.next_uri} is known", now)
        self._tell_failures(now)
        self._rearm(now)

    def take(self, fact: Fact, *, now: Nanos) -> bool:
        """Take a fact about a transaction; return whether it was one of ours."""
        if isinstance(fact, ResponseReceived):
            transaction, sent, response, source = fact
            if not isinstance(sent, ClientRequest):
                return False
            if transaction is not sent.transaction and sent.method == "INVITE":
                self.settle(sent, now=now)
                self._merged.pop(sent, None)
            self._take_response(sent, response, source, now)
            return True
        if not isinstance(fact, (TransactionTimedOut, TransportFailed)) or not isinstance(fact.owner, ClientRequest):
            return False
        if isinstance(fact, TransactionTimedOut):
            self._take_silence(fact.owner, now)
        else:
            self._take_refusal(fact.owner, fact.reason, now)
        return True

    def hop_failed(self, hop: Hop, *, now: Nanos) -> None:
        """Remember that a hop failed, whoever waits for it; the ACKs that went there go another way."""
        self._memory.note_failure(hop, now=now)
        since = now - self._timing.timeout_ns
        for ack in [each for each, at in self._acks.items() if each.hop == hop and at >= since]:
            self._send_next(ack, now)

    def handle_timeout(self, *, now: Nanos) -> None:
        """Give up on lookups that nobody answers; tell of requests that could not be sent, or were merged in vain."""
        for number in self._lookups.overdue(now):
            self.receive_lookup(number, (), "the lookup was not answered", now=now)
        for sent in [each for each in self._merged if each.heard_until <= now]:
            response, source = self._merged.pop(sent)
            if not sent.is_withdrawn:
                sent.owner.response_received(sent, response, source, now=now)
        self._tell_failures(now)
        self._rearm(now)

    # outputs

    def lookups_to_make(self) -> list[Lookup]:
        """Return the questions for DNS; drains."""
        return self._lookups.to_make()

    # private

    def _go(self, sent: ClientRequest, hops: Sequence[Hop], reason: str, now: Nanos) -> None:
        """Send over the first of the hops that we have a listener for, remember the others."""
        usable = self._own.reachable(hops)
        if not usable and hops:
            reason = f"no listener for {hops[0].transport} to reach {hops[0]}"
        if len(usable) > 1:
            usable = self._memory.order(usable, now=now)
        if sent.fallback is not None:
            usable = _with_fallback(usable, sent.fallback, sent.own_flow)
        if not usable:
            self._failures.append((sent, reason))
            self._rearm(now)
            return
        sent.hops = usable
        if sent.tries > 1:
            sent.hops_again = usable
        self._send_next(sent, now)

    def _tell_failures(self, now: Nanos) -> None:
        while self._failures:
            sent, reason = self._failures.popleft()
            if not sent.is_withdrawn:
                sent.owner.transaction_failed(sent, 503, reason, now=now)

    def _rearm(self, now: Nanos) -> None:
        """Ask to be woken: at once for a failure, whose owner is not told before its order has returned."""
        deadlines = [Deadline(each.heard_until, "MERGED_REQUEST") for each in self._merged]
        if self._failures:
            deadlines = [Deadline(now, "REQUEST_FAILED")]
        elif (lookup := self._lookups.next_timeout()) is not None:
            deadlines.append(lookup)
        self._heap.set(self, min(deadlines, default=None))

    def _send_next(self, sent: ClientRequest, now: Nanos) -> None:
        """Send over the next hop, by a transaction of its own."""
        is_first, came_back = sent.hop is None, sent.udp_hop is not None
        hop = sent.udp_hop
        if hop is None:
            hop, sent.hops = sent.hops[0], sent.hops[1:]
        sent.udp_hop = None
        if sent.contact and not came_back:
            self._show_contact(sent, hop)
        branch = self._ids.branch()
        data = self._stamp(sent.request, hop, branch, is_first=is_first)
        if len(data) > self._max_udp_bytes and hop.transport is _UDP and not came_back:
            tcp = hop._replace(transport=_TCP)
            if _TCP in self._own and not self._memory.has_failed(tcp, now=now):
                sent.udp_hop, hop = hop, tcp
                data = self._stamp(sent.request, hop, branch, is_first=False)
        sent.hop = hop
        if sent.request.method == "ACK":
            sent.data = data
            self._out.append(Datagram(data, hop))
            self._keep_ack(sent, now)
            return
        if sent.transaction is not None:
            sent.retransmissions_before += sent.transaction.retransmissions
        sent.transaction = self._layer.begin_client(sent.request, branch, data, hop, sent, now=now)

    def _keep_ack(self, ack: ClientRequest, now: Nanos) -> None:
        """Remember an ACK that has another way to go, for as long as its 2xx may come again."""
        self._acks.pop(ack, None)
        if not ack.hops and ack.udp_hop is None:
            ack.request = _SENT  # it is sent again as it was
        else:
            self._acks[ack] = now
            if len(self._acks) > MAX_ACKS:
                del self._acks[next(iter(self._acks))]

    def _stamp(self, request: Request, hop: Hop, branch: str, *, is_first: bool) -> bytes:
        """Put our Via on top, or in the place of the one of an earlier hop; return the bytes to send."""
        via, headers = self._own.towards(hop).via_start + branch, request.headers
        if is_first:
            headers.add_first("Via", via)
        else:
            headers.replace_first("Via", via)
        return headers.serialize(f"{request.method} {request.uri} SIP/2.0", request.body)

    def _show_contact(self, sent: ClientRequest, hop: Hop) -> None:
        is_secure = is_sips(sent.request.uri) or is_sips(sent.next_uri)
        contact = self._own.towards(hop).contact(sent.contact_user, is_secure=is_secure)
        if contact != sent.contact:
            shown = sent.request.headers.get("Contact") or ""
            sent.request.headers.replace_first("Contact", shown.replace(f"<{sent.contact}>", f"<{contact}>", 1))
            sent.contact = contact

    def _take_response(self, sent: ClientRequest, response: Response, source: Hop, now: Nanos) -> None:
        assert sent.hop is not None
        if response.status != 503:
            self._memory.note_answer(sent.hop, now=now)
        else:
            retry_after = parse_retry_after(response.headers)
            self._memory.note_failure(sent.hop, None if retry_after is None else retry_after.after_s, now=now)
            sent.udp_hop = None
            if sent.hops and not sent.is_kept:
                self._send_next(sent, now)
                return
        if response.status == 482 and now < sent.heard_until:  # it did arrive before, and is being answered there
            self._merged[sent] = response, source
            self._rearm(now)
        elif not sent.is_withdrawn:
            sent.owner.response_received(sent, response, source, now=now)

    def _take_silence(self, sent: ClientRequest, now: Nanos) -> None:
        assert sent.hop is not None
        self._memory.note_failure(sent.hop, now=now)
        sent.udp_hop = None
        if not sent.hops and sent.tries > 1 and self._is_lossy(sent, now):
            sent.tries -= 1
            sent.hops = sent.hops_again
        if sent.hops and not sent.is_kept:
            self._go_on(sent, now)
        elif not sent.is_withdrawn:
            sent.owner.transaction_failed(sent, 408, "timeout", now=now)

    def _go_on(self, sent: ClientRequest, now: Nanos) -> None:
        """Send over the next hop; whoever took an INVITE at the last one, and was not heard, may still say so."""
        if sent.method == "INVITE" and sent.transaction is not None:
            self._layer.await_late_success(sent.transaction, sent, now=now)
            sent.heard_until = now + self._timing.timeout_ns
        self._send_next(sent, now)

    def _is_lossy(self, sent: ClientRequest, now: Nanos) -> bool:
        """Tell whether a hop of a request that timed out answered anything while it was tried, or as long before."""
        since = now - 2 * self._timing.timeout_ns
        return any(self._memory.has_answered(hop, since=since) for hop in sent.hops_again)

    def _take_refusal(self, sent: ClientRequest, reason: str, now: Nanos) -> None:
        """Take an error of the network; of UDP, `hop_failed` tells whether it was the hop's fault."""
        assert sent.hop is not None
        if sent.hop.transport.is_reliable:
            self._memory.note_failure(sent.hop, now=now)
        if (sent.hops or sent.udp_hop is not None) and not sent.is_kept:
            self._go_on(sent, now)
        elif not sent.is_withdrawn:
            sent.owner.transaction_failed(sent, 503, reason, now=now)


def _with_fallback(hops: tuple[Hop, ...], fallback: Hop, own_flow: int) -> tuple[Hop, ...]:
    """Return the hops with the one that the peer's messages came from.

    It stands alone where there is no other. Where the first leads to the same address, its connection is used: that
    one is known to be right, whatever name its certificate had to show. Over connections it is the last resort.
    """
    if not hops:
        return (fallback, fallback._replace(flow=own_flow)) if fallback.flow else (fallback,)
    if hops[0][:3] == fallback[:3]:
        return (fallback, fallback._replace(flow=own_flow), *hops[1:]) if fallback.flow else (fallback, *hops[1:])
    return (*hops, fallback) if fallback.transport.is_reliable else hops
