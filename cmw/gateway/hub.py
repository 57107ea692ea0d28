"""The live links: one per worker, looked after until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence, Set
from typing import Any, Protocol
from uuid import uuid4

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError
from starlette.websockets import WebSocket, WebSocketDisconnect

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.words import WorkerState
from cmw.errors import LocalProtocolError
from cmw.gateway.journal import Entry, Journal
from cmw.gateway.live_link import LiveLink
from cmw.gateway.workers import WorkerRegistry, WorkerRow
from cmw.link import events
from cmw.link.commands import CommandOutbox
from cmw.link.gateway_link import GatewayLink
from cmw.link.gateway_states import GatewayState
from cmw.link.limits import CLOSE_LIMIT, HEARTBEAT, MAX_TO_GATEWAY_BYTES, SILENCE, WINDOW_BYTES
from cmw.link.messages import Command, Heartbeat, Hello, JsonObject
from cmw.link.refusal import CloseCode, Refusal
from cmw.load.outcome import EndpointReport
from cmw.net.clock import monotonic_ns, wall_clock

STALE: Nanos = 2 * HEARTBEAT
"""A link that was silent for two heartbeats gives way to another connection with the same token."""

SWEEP_S = 1.0

MAX_UNHANDLED_BYTES = WINDOW_BYTES + 2 * MAX_TO_GATEWAY_BYTES
"""What a worker may have said that is not handled yet; beyond it its connection is not read. None of ours gets there:
it waits for acknowledgements at `WINDOW_BYTES`."""

PREDECESSOR_LIMIT_S = 5.0
"""How long a welcome waits for what an earlier connection of the worker has brought to be handled and committed."""

log = structlog.get_logger("cmw.gateway.hub")


class LinkListener(Protocol):
    """Who wants to know what workers say, apart from what the journal keeps."""

    def endpoints_of(self, worker_id: str, run_id: str) -> Set[int] | None:
        """Return the numbers of the endpoints that a worker has in a run; None when the run is over or unknown."""

    def worker_greeted(self, worker_id: str, hello: Hello) -> Awaitable[None]:
        """Take note of a worker that connects; called before its welcome, so commands queued now go out with it."""

    def command_done(self, worker_id: str, command_id: str, result: JsonObject) -> Awaitable[None]:
        """Take the result of a command."""

    def command_rejected(self, worker_id: str, command_id: str, code: str, detail: str) -> Awaitable[None]:
        """Take note that a command cannot be carried out."""


class Hub:
    """Every live link, at most one per worker."""

    def __init__(self, registry: WorkerRegistry, journal: Journal) -> None:
        self._registry = registry
        self._journal = journal
        self._listener: LinkListener | None = None
        self._wall = wall_clock()
        self._links: dict[str, LiveLink] = {}
        self._served: dict[str, set[LiveLink]] = {}
        self._outboxes: dict[str, CommandOutbox] = {}
        self._draining: set[str] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()

    def start(self, listener: LinkListener, *, draining: set[str]) -> None:
        """Begin to look after links.

        Args:
            draining: the workers that are to take no new runs.
        """
        self._listener = listener
        self._draining = set(draining)
        self._sweeper = asyncio.create_task(self._sweep(), name="hub sweep")

    async def stop(self) -> None:
        """Tell every worker that this gateway goes away; they come back by themselves."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        for link in list(self._links.values()):
            link.end(CloseCode.GOING_AWAY, "the gateway stops")

    # What the link endpoint calls.

    def attach(self, worker: WorkerRow, session: str | None, websocket: WebSocket) -> LiveLink | Refusal:
        """Take a connection whose token was found right, in place of a stale one if there is one.

        Returns:
            the link, for `serve` after the upgrade; or the refusal when another live connection has the token.
        """
        now = monotonic_ns()
        old = self._links.get(worker["id"])
        if old is not None and not old.is_over:
            same_process = session is not None and session == old.session
            if not same_process and now - old.machine.last_heard_at <= STALE:
                return Refusal.DUPLICATE_CONNECTION
            old.end(CloseCode.SUPERSEDED, "superseded by a newer connection")
        machine = GatewayLink(wall=self._wall, now=now, outbox=self.outbox(worker["id"]))
        link = LiveLink(worker, session, websocket, machine)
        self._links[worker["id"]] = link
        return link

    async def serve(self, link: LiveLink) -> None:
        """Look after one link until it ends: one task reads, one hands on what came, one writes.

        Reading waits for nobody: that a worker has gone, and another may come in its place, is known at once, and
        heartbeats are answered while the store cannot be written.
        """
        self._served.setdefault(link.worker_id, set()).add(link)
        tasks = {
            work: asyncio.create_task(work(link), name=f"{work.__name__} {link.worker['name']}")
            for work in (self._read, self._handle, self._write)
        }
        reader, handler, writer = tasks.values()
        try:
            await asyncio.wait({reader, handler}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                await handler  # what has come is handed on, though nobody is there any more
            await self._leave(link)
            await asyncio.wait({reader, writer}, timeout=CLOSE_LIMIT / SECOND)  # a worker may take nothing more
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
            await self._leave(link)

    async def _leave(self, link: LiveLink) -> None:
        link.is_handled.set()
        if link in self._served[link.worker_id]:
            self._served[link.worker_id].discard(link)
            await self.detach(link)

    async def detach(self, link: LiveLink) -> None:
        """Forget a link that has ended."""
        if self._links.get(link.worker_id) is link:
            del self._links[link.worker_id]
            await self._remember(link)
        await self._notify()

    # What the gateway asks.

    def instant_after(self, lead_ns: Nanos) -> int:
        """Return an instant of the clock that workers measure, which no step moves; nanoseconds since 1970 UTC."""
        return self._wall.unix_at(monotonic_ns()) + lead_ns

    def round_trip_ns(self, worker_id: str) -> Nanos:
        """Return what a worker last said of its round trip, 0 if nothing."""
        link = self._links.get(worker_id)
        rtt_ms = link.heartbeat.rtt_ms if link is not None and link.heartbeat is not None else None
        return int((rtt_ms or 0.0) * MILLISECOND)

    def state(self, worker_id: str) -> WorkerState:
        """Return OFFLINE without a welcomed link that was heard of within a minute, ERROR when it told of a fault."""
        link = self._links.get(worker_id)
        if link is None or not link.is_open or monotonic_ns() - link.machine.last_heard_at > SILENCE:
            return WorkerState.OFFLINE
        if link.fault:
            return WorkerState.ERROR
        return WorkerState.DRAINING if worker_id in self._draining else WorkerState.ONLINE

    def is_linked(self, worker_id: str) -> bool:
        """Tell whether a worker is there, draining or not."""
        return self.state(worker_id) is not WorkerState.OFFLINE

    def link_of(self, worker_id: str) -> LiveLink | None:
        """Return the live link of a worker."""
        return self._links.get(worker_id)

    def session_of(self, worker_id: str) -> str | None:
        """Return the session that the worker's hello named, None without a link."""
        link = self._links.get(worker_id)
        return link.machine.hello.session if link is not None and link.machine.hello is not None else None

    def refuse(self, worker_id: str, refusal: Refusal) -> None:
        """End the live link of a worker, if there is one."""
        link = self._links.get(worker_id)
        if link is not None:
            link.refuse(refusal)

    def set_draining(self, worker_id: str, on: bool) -> None:
        """Have a worker take no new runs, or take them again; one that is away is told when it comes back."""
        if on:
            self._draining.add(worker_id)
        else:
            self._draining.discard(worker_id)
        link = self._links.get(worker_id)
        if link is not None and link.is_open:
            self._order_drain(worker_id, found=not on)

    def delete(self, worker_id: str) -> None:
        """Forget what a worker that is no more was ordered."""
        self._draining.discard(worker_id)
        self._outboxes.pop(worker_id, None)

    def outbox(self, worker_id: str) -> CommandOutbox:
        """Return the commands that the worker has not finished."""
        return self._outboxes.setdefault(worker_id, CommandOutbox())

    def command(self, worker_id: str, command_id: str, name: str, run_id: str | None, data: dict[str, Any]) -> None:
        """Order something: at once if the worker is linked, with its next welcome otherwise.

        A command that is outstanding already is not ordered again.
        """
        outbox = self.outbox(worker_id)
        if any(command.id == command_id for command in outbox.outstanding()):
            return
        link = self._links.get(worker_id)
        if link is None:
            outbox.submit(Command(id=command_id, name=name, run_id=run_id, data=data))
            return
        link.machine.send_command(command_id, name, run_id, data, now=monotonic_ns())
        link.wake()

    def forget(self, worker_id: str, run_id: str) -> None:
        """Order nothing more of a run, and take no further answers to what was ordered."""
        outbox = self.outbox(worker_id)
        for command in outbox.outstanding():
            if command.run_id == run_id:
                outbox.forget(command.id)

    def settle(self, entries: Iterable[Entry]) -> None:
        """Acknowledge what the journal has committed."""
        highest: dict[tuple[str, str], int] = {}
        for entry in entries:
            key = (entry.worker_id, entry.session)
            highest[key] = max(highest.get(key, 0), entry.seq)
        for (worker_id, session), seq in highest.items():
            link = self._links.get(worker_id)
            if link is None or not link.is_open or self.session_of(worker_id) != session:
                continue
            try:
                link.machine.committed(seq, now=monotonic_ns())
            except LocalProtocolError:
                continue  # it came over the link before this one: it will come again, and be acknowledged then
            link.wake()

    async def wait_online(self, worker_id: str, timeout_s: float) -> bool:
        """Wait until a worker is linked; return False when it is not in time."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: self.is_linked(worker_id))
        except TimeoutError:
            return False
        return True

    # Private.

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = monotonic_ns()
            for link in list(self._links.values()):
                deadline = link.machine.next_timeout()
                if deadline is not None and deadline.at <= now and not link.is_held_up:
                    link.machine.handle_timeout(now=now)
                    link.wake()

    async def _write(self, link: LiveLink) -> None:
        try:
            while True:
                for frame in link.machine.frames_to_send():
                    await link.websocket.send_text(frame)
                if link.machine.close is not None:
                    await link.websocket.close(link.machine.close.code, link.machine.close.reason)
                if link.is_over:
                    return
                await link.has_output.wait()
                link.has_output.clear()
        except (WebSocketDisconnect, RuntimeError):
            return  # the reader is told the same

    async def _read(self, link: LiveLink) -> None:
        try:
            await self._read_all(link)
        except Exception:
            self._fail(link)
        finally:
            link.machine.receive_close(now=monotonic_ns())  # nothing happens if we have ended it
            link.wake()

    async def _read_all(self, link: LiveLink) -> None:
        while not link.is_over:
            message = await link.websocket.receive()
            link.is_held_up = False
            now = monotonic_ns()
            data: str | bytes | None = None
            if message["type"] == "websocket.disconnect":
                link.machine.receive_close(message.get("code"), now=now)
            elif (data := message.get("text")) is not None:
                link.machine.receive_text(data, now=now)
            else:
                data = message.get("bytes") or b""
                link.machine.receive_bytes(data, now=now)
            link.unhandled_bytes += len(data or b"")
            link.wake()
            if link.unhandled_bytes > MAX_UNHANDLED_BYTES and not link.is_over:
                link.is_held_up = True
                await link.has_room.wait()

    async def _handle(self, link: LiveLink) -> None:
        """Hand on what came over a link, in order, up to its end."""
        while True:
            await link.has_events.wait()
            link.has_events.clear()
            link.has_room.clear()
            try:
                await self._absorb(link)
            except Exception:
                self._fail(link)
            link.unhandled_bytes = 0
            link.has_room.set()
            link.has_output.set()
            if link.is_over and not link.machine.has_events:
                return

    def _fail(self, link: LiveLink) -> None:
        log.exception("a link failed", worker=link.worker["name"])
        link.end(CloseCode.INTERNAL_ERROR, "the gateway failed; its log says why")

    async def _absorb(self, link: LiveLink) -> None:
        while (event := link.machine.next_event()) is not None:
            if isinstance(event, events.HelloReceived):
                await self._greet(link, event.hello)
            elif isinstance(event, events.HeartbeatReceived):
                await self._take_heartbeat(link, event.heartbeat)
            elif isinstance(event, events.ReportReceived | events.SamplesReceived):
                await self._journal.append(self._entry(link, event))
            elif isinstance(event, events.LinkLost):
                log.info("link ended", worker=link.worker["name"], reason=event.reason)
            else:
                await self._tell(link, event)

    async def _tell(self, link: LiveLink, event: events.GatewayEvent) -> None:
        assert self._listener is not None
        if isinstance(event, events.CommandWasDone):
            await self._listener.command_done(link.worker_id, event.id, event.result)
        elif isinstance(event, events.CommandWasRejected):
            await self._listener.command_rejected(link.worker_id, event.id, event.code, event.detail)
        elif isinstance(event, events.ErrorReceived):
            log.warning(
                "a worker did not understand us", worker=link.worker["name"], code=event.code, detail=event.detail
            )

    async def _take_heartbeat(self, link: LiveLink, heartbeat: Heartbeat) -> None:
        before, link.heartbeat = link.fault, heartbeat
        if link.fault != before:
            log.warning("a worker cannot work", worker=link.name, fault=link.fault) if link.fault else log.info(
                "a worker can work again", worker=link.name
            )
            await self._notify()

    def _entry(self, link: LiveLink, event: events.ReportReceived | events.SamplesReceived) -> Entry:
        assert link.machine.hello is not None
        assert self._listener is not None
        session = link.machine.hello.session
        if isinstance(event, events.SamplesReceived):
            batch = event.batch
            own = self._listener.endpoints_of(link.worker_id, batch.run_id)
            if not _are_own(batch.endpoints, own):
                return Entry(link.worker_id, session, event.seq, "event", batch.run_id, _foreign(link, "samples"))
            return Entry(
                link.worker_id,
                session,
                event.seq,
                "samples",
                batch.run_id,
                frame=event.data,
                second=batch.second,
                rows=len(batch),
            )
        kind, data = event.kind, event.data
        if kind == "endpoint":
            kind, data = _checked(link, event.run_id or "", data)
        if kind == "endpoint":
            own = self._listener.endpoints_of(link.worker_id, event.run_id or "")
            kind, data = (kind, data) if _are_own([data["index"]], own) else ("event", _foreign(link, "report"))
        return Entry(link.worker_id, session, event.seq, kind, event.run_id or "", data)

    async def _greet(self, link: LiveLink, hello: Hello) -> None:
        """Answer the hello, if the token still holds: it may have been changed since the upgrade was allowed."""
        assert self._listener is not None
        refusal = await self._recheck(link)
        if refusal is not None:
            link.refuse(refusal)
            return
        await self._finish_earlier(link)
        acknowledged = await self._journal.committed_seq(link.worker_id, hello.session)
        await self._remember(link, hello)
        await self._listener.worker_greeted(link.worker_id, hello)
        if link.machine.state is not GatewayState.AWAITING_WELCOME:
            return
        self._order_drain(link.worker_id, found=hello.draining)
        name = link.name
        link.machine.welcome(
            worker_id=link.worker_id,
            name=name,
            acknowledged=acknowledged,
            capacity=link.worker["capacity"],
            now=monotonic_ns(),
        )
        log.info("worker online", worker=name, id=link.worker_id, version=hello.version, host=hello.host)
        await self._notify()

    async def _finish_earlier(self, link: LiveLink) -> None:
        """Take what earlier connections of a worker brought first: it may be what its runs have come to."""
        earlier = [other for other in self._served.get(link.worker_id, ()) if other is not link]
        try:
            async with asyncio.timeout(PREDECESSOR_LIMIT_S):
                for other in earlier:
                    await other.is_handled.wait()
                await self._journal.flush()
        except TimeoutError:
            log.warning("what an earlier connection brought is not committed yet", worker=link.worker["name"])

    async def _remember(self, link: LiveLink, hello: Hello | None = None) -> None:
        """Write that a worker was seen; a store that cannot be written now is no reason to lose a link."""
        said = hello.model_dump(mode="json", exclude={"type", "runs", "draining"}) if hello is not None else None
        try:
            await self._registry.seen(link.worker_id, said)
        except OperationalError as error:
            log.error("cannot write what is known of a worker", worker=link.worker["name"], error=str(error.orig))

    def _order_drain(self, worker_id: str, *, found: bool) -> None:
        """Order what holds now unless that is how the worker is, and nothing of what was ordered before."""
        outbox = self.outbox(worker_id)
        for command in outbox.outstanding():
            if command.name == "drain":
                outbox.forget(command.id)
        wanted = worker_id in self._draining
        if found is not wanted:
            self.command(worker_id, f"drain-{uuid4().hex}", "drain", None, {"on": wanted})

    async def _recheck(self, link: LiveLink) -> Refusal | None:
        row = await self._registry.find(link.worker_id)
        if row is None or row["token_sha256"] != link.worker["token_sha256"]:
            return Refusal.INVALID_TOKEN
        return None if row["enabled"] else Refusal.WORKER_DISABLED


def _are_own(endpoints: Sequence[int], own: Set[int] | None) -> bool:
    """Tell whether a worker speaks of endpoints of its own, and of each once."""
    named = set(endpoints)
    return len(named) == len(endpoints) and (own is None or named <= own)


def _foreign(link: LiveLink, what: str) -> JsonObject:
    log.warning("a worker speaks of endpoints that it does not have", worker=link.name, what=what)
    return {"kind": f"foreign_{what}", "worker": link.name}


def _checked(link: LiveLink, run_id: str, data: JsonObject) -> tuple[str, JsonObject]:
    """Return a final report in the name of its worker; one that cannot be read becomes an event that says so."""
    worker = link.name
    known = {"run_id": run_id, "worker": worker, "worker_id": link.worker_id, "late": False}
    try:
        report = EndpointReport.model_validate(data | known)
    except ValidationError as error:
        log.warning("an endpoint's report cannot be read", worker=worker, run=run_id, faults=error.error_count())
        return "event", {"kind": "unreadable_report", "worker": worker, "report": data}
    return "endpoint", report.model_dump(mode="json")
