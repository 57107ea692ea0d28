"""Both roles of the link over a simulated stream, in virtual time: a gateway with a store, a worker, a wire to cut."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from wsproto import ConnectionType, WSConnection
from wsproto import events as ws
from wsproto.connection import ConnectionState

from cmw.core.clock import SECOND, WallClock
from cmw.link import events
from cmw.link.commands import CommandOutbox
from cmw.link.gateway_link import GatewayLink
from cmw.link.limits import SUBPROTOCOL
from cmw.link.presence import WorkerInfo
from cmw.link.samples import SampleBatch
from cmw.link.spool import Spool
from cmw.link.worker_link import Predecessor, WorkerLink
from tests.support.ids import CountingIds

TOKEN = "cmw_" + "5ec2e7" * 10 + "abcd"
UNIX_NS = 1_700_000_000 * SECOND


def make_link(
    *,
    now: int = 0,
    spool: Spool | None = None,
    ids: CountingIds | None = None,
    predecessors: Sequence[Predecessor] = (),
) -> WorkerLink:
    """Return a worker's link that has not been started."""
    return WorkerLink(
        host="gateway.example:443",
        token=TOKEN,
        info=WorkerInfo(capacity=50, version="0.1.0", host="lab-1", sip_ip="10.0.0.1", engine="compiled"),
        ids=ids or CountingIds(),
        wall=WallClock(now, UNIX_NS + now),
        now=now,
        spool=spool,
        predecessors=predecessors,
    )


def make_batch(second: int = 0, endpoints: int = 2, run_id: str = "run-1") -> SampleBatch:
    """Return a small batch with one absent value."""
    return SampleBatch(
        run_id,
        second,
        1_700_000_000_000 + 1000 * second,
        array("I", range(endpoints)),
        {"jitter_ms": array("f", [0.5] * endpoints), "packets_sent": array("I", [50] * endpoints)},
    )


def drain(link: WorkerLink | GatewayLink) -> list[object]:
    """Return the events that are waiting."""
    drained: list[object] = []
    while (event := link.next_event()) is not None:
        drained.append(event)
    return drained


@dataclass
class Store:
    """What the gateway keeps when connections and processes go."""

    rows: list[tuple[str, int, object]] = field(default_factory=list)
    commands: CommandOutbox = field(default_factory=CommandOutbox)
    answers: list[object] = field(default_factory=list)

    def committed(self, session: str) -> int:
        return max((seq for owner, seq, _ in self.rows if owner == session), default=0)


class Server:
    """The gateway's end of one TCP connection: wsproto in front of a `GatewayLink`, committing as told."""

    def __init__(
        self,
        store: Store,
        *,
        now: int,
        commit: bool = True,
        status: int = 101,
        offset_ns: int = 0,
        retry_after: str | None = None,
    ) -> None:
        self._headers = [] if retry_after is None else [(b"Retry-After", retry_after.encode())]
        self.store = store
        self.request: ws.Request | None = None
        self.link = GatewayLink(wall=WallClock(0, UNIX_NS + offset_ns), now=now, outbox=store.commands)
        self.events: list[object] = []
        self.closed_by_worker: int | None = None
        self._ws = WSConnection(ConnectionType.SERVER)
        self._status = status
        self._commit = commit
        self._parts: list[str | bytes] = []
        self._out = bytearray()

    def receive_data(self, data: bytes, *, now: int) -> None:
        if self._ws.state is ConnectionState.CLOSED:
            return
        self._ws.receive_data(data)
        for event in self._ws.events():
            self._handle(event, now)
        self.drain(now)

    def data_to_send(self) -> bytes:
        data = bytes(self._out)
        self._out.clear()
        return data

    def drain(self, now: int) -> None:
        while (event := self.link.next_event()) is not None:
            self.events.append(event)
            self._apply(event, now)
        for frame in self.link.frames_to_send():
            self._out += self._ws.send(ws.Message(data=frame))
        if self.link.close is not None and self.closed_by_worker is None:
            self.closed_by_worker = 0
            self._out += self._ws.send(ws.CloseConnection(code=self.link.close.code, reason=self.link.close.reason))

    def commit(self, *, now: int) -> None:
        """Commit everything that has come and was not committed."""
        self._commit = True
        for event in self.events:
            self._store(event, now)
        self.drain(now)

    def ping(self, payload: bytes) -> None:
        self._out += self._ws.send(ws.Ping(payload=payload))

    def say(self, text: str) -> None:
        self._out += self._ws.send(ws.TextMessage(data=text))

    def raw(self, data: bytes) -> None:
        self._out += data

    def _handle(self, event: ws.Event, now: int) -> None:
        if isinstance(event, ws.Request):
            self.request = event
            if self._status != 101:
                self._out += self._ws.send(ws.RejectConnection(status_code=self._status, headers=self._headers))
                return
            self._out += self._ws.send(ws.AcceptConnection(subprotocol=SUBPROTOCOL))
        elif isinstance(event, ws.Message):
            self._parts.append(event.data)
            if event.message_finished:
                self._whole(now)
        elif isinstance(event, ws.CloseConnection):
            if self.closed_by_worker is None:
                self._out += self._ws.send(event.response())
            self.closed_by_worker = int(event.code)
            self.link.receive_close(int(event.code), now=now)

    def _whole(self, now: int) -> None:
        parts, self._parts = self._parts, []
        if isinstance(parts[0], str):
            self.link.receive_text("".join(part for part in parts if isinstance(part, str)), now=now)
        else:
            self.link.receive_bytes(b"".join(bytes(part) for part in parts if not isinstance(part, str)), now=now)

    def _apply(self, event: object, now: int) -> None:
        if isinstance(event, events.HelloReceived):
            acknowledged = self.store.committed(event.hello.session)
            self.link.welcome(worker_id="w-1", name="lab", acknowledged=acknowledged, now=now)
        elif isinstance(event, events.CommandWasAccepted | events.CommandWasDone | events.CommandWasRejected):
            self.store.answers.append(event)
        elif self._commit:
            self._store(event, now)

    def _store(self, event: object, now: int) -> None:
        if not isinstance(event, events.ReportReceived | events.SamplesReceived):
            return
        assert self.link.hello is not None
        if event.seq <= self.store.committed(self.link.hello.session):
            return
        content = event.data if isinstance(event, events.ReportReceived) else event.batch.second
        self.store.rows.append((self.link.hello.session, event.seq, content))
        self.link.committed(event.seq, now=now)


@dataclass
class World:
    """A worker's link, a store, and at most one connection between them.

    Args:
        chunk: how many bytes travel at a time; 0 for all there are.
        cut_after: how many bytes in all pass until the first connection is cut, wherever that is; None for never.
    """

    link: WorkerLink
    store: Store = field(default_factory=Store)
    chunk: int = 0
    cut_after: int | None = None
    status: int = 101
    retry_after: str | None = None
    commit: bool = True
    offset_ns: int = 0
    now: int = 0
    server: Server | None = None
    events: list[object] = field(default_factory=list)
    passed: int = 0
    dials: list[int] = field(default_factory=list)
    answer_commands: bool = True
    carried_out: list[str] = field(default_factory=list)

    def settle(self) -> None:
        """Let everything happen that happens without time passing."""
        busy = True
        while busy:
            busy = self._events() | self._exchange()

    def run_until(self, end: int) -> None:
        """Let time pass up to `end`, from deadline to deadline."""
        self.settle()
        while (at := self._next_at()) is not None and at <= end:
            self.now = max(self.now, at)
            self.link.handle_timeout(now=self.now)
            if self.server is not None:
                self.server.link.handle_timeout(now=self.now)
                self.server.drain(self.now)
            self.settle()
        self.now = max(self.now, end)

    def cut(self) -> None:
        """Cut the connection: what is on the way is gone."""
        server, self.server = self.server, None
        self.link.data_to_send()
        self.link.receive_eof(now=self.now)
        if server is not None:
            server.link.receive_close(now=self.now)

    def of(self, kind: type) -> list[object]:
        """Return the worker's events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def _next_at(self) -> int | None:
        deadlines = [self.link.next_timeout()]
        if self.server is not None:
            deadlines.append(self.server.link.next_timeout())
        return min((deadline.at for deadline in deadlines if deadline is not None), default=None)

    def _events(self) -> bool:
        drained = drain(self.link)
        for event in drained:
            self.events.append(event)
            if isinstance(event, events.ConnectDue):
                self.dials.append(self.now)
                self.server = Server(
                    self.store,
                    now=self.now,
                    status=self.status,
                    commit=self.commit,
                    offset_ns=self.offset_ns,
                    retry_after=self.retry_after,
                )
                self.link.connect(now=self.now)
            elif isinstance(event, events.CommandReceived) and self.answer_commands:
                self.link.accept(event.id, now=self.now)
                self.carried_out.append(event.id)
                self.link.done(event.id, {"did": event.name}, now=self.now)
        return bool(drained)

    def _exchange(self) -> bool:
        if self.server is None:
            return False
        server = self.server
        up = self.link.data_to_send()
        moved = self._carry(up, to_server=True)
        if self.server is not server:
            return True
        server.drain(self.now)
        down = server.data_to_send()
        moved |= self._carry(down, to_server=False)
        if self.server is server and self.link.close_expected:
            rest = self.link.data_to_send()
            self.server = None
            server.receive_data(rest, now=self.now)
            server.link.receive_close(now=self.now)
            moved = True
        return moved

    def _carry(self, data: bytes, *, to_server: bool) -> bool:
        size = self.chunk or len(data) or 1
        for start in range(0, len(data), size):
            part = data[start : start + size]
            if self.cut_after is not None and self.passed + len(part) > self.cut_after:
                part = part[: self.cut_after - self.passed]
                self._deliver(part, to_server=to_server)
                self.cut_after = None
                self.cut()
                return True
            self.passed += len(part)
            self._deliver(part, to_server=to_server)
        return bool(data)

    def _deliver(self, part: bytes, *, to_server: bool) -> None:
        if not part:
            return
        if to_server and self.server is not None:
            self.server.receive_data(part, now=self.now)
        elif not to_server:
            self.link.receive_data(part, now=self.now)
