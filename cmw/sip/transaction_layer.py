"""All transactions of one user agent: found by key, woken by one heap, forgotten when they end.

The user of the layer hands in parsed messages and drains two things: datagrams, and facts about transactions.
Source: RFC 3261 17, 18.2; RFC 3581; RFC 6026.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from cmw.core.clock import Nanos
from cmw.core.ids import Ids
from cmw.core.timers import Deadline, DeadlineQueues
from cmw.errors import LocalProtocolError
from cmw.sip.discard_reason import DiscardReason
from cmw.sip.hop import Datagram, Hop, Transport
from cmw.sip.listener import OwnAddresses
from cmw.sip.message import Request, Response, make_response, serialize_message
from cmw.sip.methods import CANCELLABLE
from cmw.sip.timing import Timer, Timing
from cmw.sip.transaction import Transaction, client_key, make_cancel, server_key
from cmw.sip.transaction_facts import (
    AckReceived,
    Fact,
    RequestReceived,
    ResponseReceived,
    TransactionTimedOut,
    TransportFailed,
)
from cmw.sip.transaction_tables import CLIENT_TABLES, SERVER_TABLES, Action, Input, State

MAX_KEPT_BYTES = 256 << 20
"""What the server transactions may take together: four times those of 500 calls a second. Beyond it nothing is kept
for retransmissions, and no new INVITE is taken: anybody may send requests, as long ones as he likes."""

_PASS_UP, _TIME_OUT = Action.PASS_UP, Action.TIME_OUT
_RX_1XX, _RX_2XX, _RX_3XX_6XX = Input.RX_1XX, Input.RX_2XX, Input.RX_3XX_6XX
_TX_1XX, _TX_2XX, _TX_3XX_6XX = Input.TX_1XX, Input.TX_2XX, Input.TX_3XX_6XX
_TERMINATED, _UDP = State.TERMINATED, Transport.UDP
# Python 3.11 finds a member in its class eight times slower than a name of the module

BUSY_HEADERS = (("Retry-After", "10"),)


def stamp(request: Request, source: Hop) -> Hop:
    """Write into the top Via where the request came from; return where its answer goes. Source: RFC 3261 18.2."""
    if request.headers.stamp_plain_via(source.host, source.port):
        return source
    via = request.top_via.stamped(source)
    request.headers.replace_first("Via", str(via))
    return via.answer_hop(source)


def response_key(response: Response) -> tuple[str, str]:
    """Return the key of the transaction of a response, and sent-by as its Via has it; "" for one to be looked at."""
    plain = response.headers.plain_client_key()
    return plain or (client_key(response.top_via.branch or "", response.cseq.method), "")


class TransactionLayer:
    """The transactions of one user agent.

    Args:
        own: who we are over each transport, for Via.
        ids: source of branches.
        timing: base values of the timers.
        out: takes the datagrams to send; shared with the user, so that order is kept.

    Attributes:
        facts: what happened, for the user to take away.
    """

    def __init__(self, *, own: OwnAddresses, ids: Ids, timing: Timing, out: list[Datagram]) -> None:
        self._own = own
        self._ids = ids
        self._timing = timing
        self._out = out
        self._clients: dict[str, Transaction] = {}
        self._servers: dict[str, Transaction] = {}
        self._merge_keys: dict[object, Transaction] = {}
        self._waiting: dict[Hop, dict[Transaction, None]] = {}
        self._answering: dict[int, dict[Transaction, None]] = {}
        self._due: DeadlineQueues[Transaction] = DeadlineQueues(set(timing.durations.values()))
        self.facts: deque[Fact] = deque()
        self.kept_bytes = 0
        self.retransmissions_received = 0
        self.retransmissions_sent = 0
        self.invites_refused = 0
        """INVITEs that were answered 503, because MAX_KEPT_BYTES was reached."""

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    # inputs

    def receive_message(self, message: Request | Response, source: Hop, *, now: Nanos) -> DiscardReason | None:
        """Take a message from the network; return why it was discarded, None when it was not."""
        if isinstance(message, Response):
            return self._receive_response(message, source, now)
        destination = stamp(message, source)
        if message.method == "ACK":
            return self._receive_ack(message, source, now)
        self._receive_request(message, source, destination, now)
        return None

    def handle_timeout(self, *, now: Nanos) -> None:
        """Let every timer fire that is due."""
        for transaction in self._due.expired(now):
            while (timer := transaction.pop_due(now)) is not None:
                self._advance(transaction, timer, None, now)

    def transport_failed(self, destination: Hop, reason: str, *, at_fault: bytes | None = None, now: Nanos) -> None:
        """End the client transactions that wait for `destination`; how the network says that nobody is there.

        Args:
            at_fault: ends only the transaction that sent this; a response of ours that is too long ends none.
        """
        for transaction in list(self._waiting.get(destination, ())):
            if at_fault is not None and not transaction.has_sent(at_fault):
                continue
            owner = transaction.owner
            if Action.FAIL in self._advance(transaction, Input.TRANSPORT_FAILED, None, now):
                self.facts.append(TransportFailed(transaction, owner, reason))

    def flow_lost(self, flow: int, hop: Hop, reason: str, *, now: Nanos) -> None:
        """Take the end of a connection: what waits on it fails, what is still to be answered goes another way.

        Args:
            flow: number of the connection.
            hop: the other end, as requests over it named it: with the flow 0, or the negative one of their own.
            reason: what the network said, for people.
        """
        for waited_for in (hop._replace(flow=flow), hop):
            self.transport_failed(waited_for, reason, now=now)
            if not self._own.towards(hop).is_reachable:
                self._abandon(waited_for, reason)
        for transaction in self._answering.pop(flow, ()):
            transaction.destination = transaction.reopened

    # commands

    def begin_client(
        self, request: Request, branch: str, data: bytes, destination: Hop, owner: object, *, now: Nanos
    ) -> Transaction:
        """Start a client transaction with a request that has its Via.

        Args:
            request: is kept.
            branch: of its Via.
            data: the request as it is sent.
            destination: where it goes.
            owner: is told with each of its facts.
            now: instant of the monotonic clock, nanoseconds.
        """
        method = request.method
        key = client_key(branch, method)
        table = CLIENT_TABLES[method == "INVITE", destination.transport is not _UDP]
        transaction = Transaction(key, method, table, request, destination, owner, data)
        transaction.begin(self._timing, self._out, now=now)
        self._clients[key] = transaction
        waiting = self._waiting.get(destination)
        if waiting is None:
            waiting = self._waiting[destination] = {}
        waiting[transaction] = None
        self._due.set(transaction, transaction.next_timeout(), now=now)
        return transaction

    def send_cancel(
        self, invite: Transaction, owner: object, headers: Iterable[tuple[str, str]] = (), *, now: Nanos
    ) -> Transaction:
        """Start the transaction that cancels `invite`, with further rows such as Reason. Source: RFC 3261 9.1."""
        if invite.state is not State.PROCEEDING:
            raise LocalProtocolError(f"expected an INVITE in state PROCEEDING to cancel, found {invite.state.name}")
        cancel = make_cancel(invite.request)
        for name, value in headers:
            cancel.headers.add(name, value)
        branch = cancel.top_via.branch or ""
        return self.begin_client(cancel, branch, serialize_message(cancel), invite.destination, owner, now=now)

    def respond(self, transaction: Transaction, response: Response, *, now: Nanos) -> None:
        """Send `response` through a server transaction; responses that come too late are dropped."""
        if transaction.is_over:
            return
        status = response.status
        event = _TX_1XX if status < 200 else _TX_2XX if status < 300 else _TX_3XX_6XX
        self._advance(transaction, event, response, now)
        transaction.shed()
        if not transaction.is_over:
            self._weigh(transaction)
            if self.kept_bytes > MAX_KEPT_BYTES and transaction.state is State.COMPLETED:
                self.forget(transaction)  # as a stateless server does, RFC 3261 8.2.7

    def settle(self, transaction: Transaction, tag: str) -> None:
        """Let go of a call that is over, and of the INVITE that began it; its repetitions are still absorbed."""
        if not transaction.is_over:
            transaction.settle(tag)
            self._weigh(transaction)

    def repeat_success(self, transaction: Transaction, *, now: Nanos) -> None:
        """Send the 2xx of an INVITE again, as its user must until the ACK. Source: RFC 3261 13.3.1.4."""
        if transaction.state is State.ACCEPTED:
            self._advance(transaction, _TX_2XX, None, now)

    def respond_stateless(self, response: Response, source: Hop) -> None:
        """Send a response without a transaction, for requests too broken to have one."""
        self._out.append(Datagram(serialize_message(response), source))

    def find_invite(self, request: Request) -> Transaction | None:
        """Return the INVITE that a CANCEL, or an ACK, or the INVITE itself is about. Source: RFC 3261 9.2."""
        return self._servers.get(server_key(request, "INVITE"))

    def find_cancelled(self, cancel: Request) -> Transaction | None:
        """Return what a CANCEL is about: an INVITE, or another request, on which it has no effect. RFC 3261 9.2."""
        found = (self._servers.get(server_key(cancel, method)) for method in CANCELLABLE)
        return next((transaction for transaction in found if transaction is not None), None)

    def await_late_success(self, transaction: Transaction, owner: object, *, now: Nanos) -> None:
        """Listen for 64*T1 whether an INVITE is accepted after all that was given up, and went another way meanwhile.

        It is as if the first 2xx had come already: others reach the owner, who has to acknowledge each. RFC 6026 7.2.
        """
        transaction.owner = owner
        transaction.listen_for_success(self._timing, now=now)
        self._clients[transaction.key] = transaction
        self._no_longer_waiting(transaction)
        self._due.set(transaction, transaction.next_timeout(), now=now)

    def forget(self, transaction: Transaction) -> None:
        """End a transaction without a word. Source: RFC 3261 9.1, of an INVITE that was cancelled in vain."""
        transaction.state = _TERMINATED
        self._drop(transaction)

    # outputs

    def next_timeout(self) -> Deadline | None:
        """Return when to come back."""
        at = self._due.soonest()
        return None if at is None else Deadline(at, "TRANSACTION")

    # private

    def _receive_response(self, response: Response, source: Hop, now: Nanos) -> DiscardReason | None:
        if response.headers.count("Via") > 1:
            return DiscardReason.SEVERAL_VIAS
        key, sent_by = response_key(response)
        transaction = self._clients.get(key)
        if transaction is None:
            return DiscardReason.STRAY_RESPONSE
        if sent_by not in self._own.sent_by and not self._own.has_written(response.top_via):
            return DiscardReason.FOREIGN_VIA
        status = response.status
        event = _RX_1XX if status < 200 else _RX_2XX if status < 300 else _RX_3XX_6XX
        known, owner = transaction.state, transaction.owner
        left = self._advance(transaction, event, response, now)
        if _PASS_UP in left:
            self.facts.append(ResponseReceived(transaction, owner, response, source))
        if status >= 200:
            self.retransmissions_received += transaction.state is known
            self._no_longer_waiting(transaction)
            transaction.shed()
        return None

    def _receive_ack(self, ack: Request, source: Hop, now: Nanos) -> DiscardReason | None:
        transaction = self._servers.get(server_key(ack))
        if transaction is None:
            self.facts.append(AckReceived(ack, source))
            return None
        if _PASS_UP in self._advance(transaction, Input.RX_ACK, ack, now):
            self.facts.append(AckReceived(ack, source))
        return None

    def _receive_request(self, request: Request, source: Hop, destination: Hop, now: Nanos) -> None:
        """Take a request whose Via is stamped and whose answer goes to `destination`."""
        key = server_key(request)
        known = self._servers.get(key)
        if known is not None:
            self.retransmissions_received += 1
            self._advance(known, Input.RX_REQUEST, request, now)
            return
        method = request.method
        if self.kept_bytes > MAX_KEPT_BYTES and method == "INVITE" and not request.to_tag:
            busy = make_response(request, 503, to_tag=self._ids.tag(), headers=BUSY_HEADERS)
            self.respond_stateless(busy, destination)
            self.invites_refused += 1
            return
        transport = destination.transport
        table = SERVER_TABLES[method == "INVITE", transport is not _UDP]
        transaction = Transaction(key, method, table, request, destination)
        self._servers[key] = transaction
        if destination.flow:
            self._answering.setdefault(destination.flow, {})[transaction] = None
            transaction.reopened = request.top_via.reopened_hop(transport)
        self._weigh(transaction)
        is_merged = self._is_merged(transaction)
        transaction.begin(self._timing, self._out, now=now)
        self.facts.append(RequestReceived(transaction, request, source, is_merged))

    def _is_merged(self, transaction: Transaction) -> bool:
        """Tell whether the same request is served already; the Request-URI counts, for a listener holds many users."""
        request = transaction.request
        if request.method == "CANCEL" or request.to_tag:
            return False
        merge_key = (request.call_id, request.from_tag, request.seq, request.method, request.uri)
        if merge_key in self._merge_keys:
            return True
        self._merge_keys[merge_key] = transaction
        transaction.merge_key = merge_key
        return False

    def _advance(
        self, transaction: Transaction, event: Input | Timer, message: Request | Response | None, now: Nanos
    ) -> tuple[Action, ...]:
        sent = transaction.retransmissions
        left = transaction.advance(event, message, self._timing, self._out, now=now)
        self.retransmissions_sent += transaction.retransmissions - sent
        if left and _TIME_OUT in left:
            self.facts.append(TransactionTimedOut(transaction, transaction.owner))
        if transaction.state is _TERMINATED:
            self._drop(transaction)
        elif (at := transaction.next_timeout()) != transaction.due_at:
            self._due.set(transaction, at, now=now)
        return left

    def _abandon(self, destination: Hop, reason: str) -> None:
        """End the INVITEs that ring: whoever answers them has no connection left to us, and cannot open one."""
        for transaction in list(self._waiting.get(destination, ())):
            owner = transaction.owner
            self.forget(transaction)
            self.facts.append(TransportFailed(transaction, owner, reason))

    def _weigh(self, transaction: Transaction) -> None:
        self.kept_bytes += transaction.weigh()

    def _drop(self, transaction: Transaction) -> None:
        transaction.stop_timers()
        transaction.owner = None
        self._due.set(transaction, None, now=0)
        if transaction.is_client:
            self._clients.pop(transaction.key, None)
            self._no_longer_waiting(transaction)
            return
        self._servers.pop(transaction.key, None)
        self.kept_bytes -= transaction.weight
        transaction.weight = 0
        self._no_longer_answering(transaction)
        if transaction.merge_key is not None:
            del self._merge_keys[transaction.merge_key]
            transaction.merge_key = None

    def _no_longer_waiting(self, transaction: Transaction) -> None:
        waiting = self._waiting.get(transaction.destination)
        if waiting is not None and transaction in waiting:
            del waiting[transaction]
            if not waiting:
                del self._waiting[transaction.destination]

    def _no_longer_answering(self, transaction: Transaction) -> None:
        answering = self._answering.get(transaction.destination.flow)
        if answering is not None and transaction in answering:
            del answering[transaction]
            if not answering:
                del self._answering[transaction.destination.flow]
