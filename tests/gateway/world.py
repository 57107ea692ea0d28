"""Workers for the gateway's tests: a real link, and a made-up load behind it."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from cmw.core.address import Address
from cmw.core.clock import MILLISECOND
from cmw.gateway.rest.app import ApiLimits
from cmw.gateway.server import RunningServer, serve
from cmw.gateway.service import Gateway
from cmw.gateway.views import WorkerView
from cmw.link import events
from cmw.link.messages import Hello
from cmw.link.presence import WorkerInfo, WorkerStatus
from cmw.link.samples import SampleBatch
from cmw.link.url import GatewayUrl
from cmw.load.outcome import CallReport, EndpointReport, RunTotals
from cmw.load.packets import CallPacket, EvidencePackets, parts_of
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from cmw.load.share import RunShare
from cmw.net.ids import RandomIds
from cmw.net.link_client import LinkClient

PATIENCE_S = 20
START_MS = 1_800_000_000_000

PLAN: dict[str, Any] = {
    "version": 1,
    "name": "two-groups",
    "duration": "10s",
    "groups": {"callees": {"endpoints": 4}, "callers": {"endpoints": 4, "call": {"group": "callees"}}},
}


def run_async(work: Awaitable[None]) -> None:
    """Run a test's coroutine on uvloop, and not for ever."""

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work

    uvloop.run(bounded())


def make_plan(**changes: Any) -> Plan:
    return parse_plan(PLAN | changes)


def make_packets(endpoint: int) -> list[dict[str, Any]]:
    """Return what a worker keeps of the packets of an endpoint: two parts, and one that makes no sense."""
    at = START_MS * MILLISECOND
    heard = [CallPacket(at + number, False, False, 10000, "10.0.0.2", 4000, 172, bytes(172)) for number in range(2)]
    data = [next(parts_of([packet])) for packet in heard]
    return [
        EvidencePackets(endpoint=endpoint, part=part, local_host="10.0.0.1", data=each).model_dump(mode="json")
        for part, each in enumerate((*data, "odd"))
    ]


def make_evidence(endpoint: int, name: str) -> dict[str, Any]:
    """Return what a worker keeps of an endpoint: an INVITE and a refusal that would clear a terminal."""
    place = {
        "transport": "UDP",
        "local_host": "10.0.0.1",
        "local_port": 5060,
        "remote_host": "10.0.0.2",
        "remote_port": 5060,
    }
    texts = (
        f"INVITE sip:{name}@10.0.0.2 SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n",
        "SIP/2.0 486 Busy\x1b[2J\r\nCSeq: 1 INVITE\r\n\r\n",
    )
    messages = [
        {"at_unix_ns": START_MS * MILLISECOND + k, "is_sent": k == 0, "text": text} | place
        for k, text in enumerate(texts)
    ]
    return {"kind": "evidence", "endpoint": endpoint, "name": name, "messages": messages, "messages_left_out": 3}


class ManualClock:
    """A wall clock that moves when told."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


class QuickIds(RandomIds):
    """The shortest back-off."""

    def unit(self) -> float:
        return 0.0


class FakeWorker:
    """Answers commands as a worker does, and reports what it is told to.

    Args:
        seconds: how many seconds of samples a started run gives; None: nothing is reported until `finish` is called.
        shown_as: what it calls itself; None: nothing.
        carries: how many calls of a run its target answers; None: all.
        answers: whether commands are answered.
    """

    def __init__(
        self,
        port: int,
        token: str,
        *,
        capacity: int = 100,
        seconds: int | None = 2,
        shown_as: str | None = None,
        carries: int | None = None,
    ) -> None:
        self.capacity = capacity
        self.carries = carries
        self.seconds = seconds
        self.answers = True
        self.reject: tuple[str, str] | None = None
        self.is_draining = False
        self.fault = ""
        self.starts_at: int | None = None
        self.events: list[object] = []
        self.shares: dict[str, RunShare] = {}
        self.targets: dict[str, Any] = {}
        self.commands: list[str] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.client = LinkClient(
            url=GatewayUrl(Address("127.0.0.1", port), False),
            token=token,
            info=WorkerInfo(capacity=capacity, version="test", host="here", engine="compiled", name=shown_as),
            on_event=self._on_event,
            ids=QuickIds(),
        )

    def start(self) -> FakeWorker:
        self.client.start()
        return self

    async def stop(self) -> None:
        await self.client.close(2.0)

    async def seen(self, kind: type, count: int = 1) -> Any:
        return await self._wait_for([self.events, kind, count])

    async def ordered(self, name: str, count: int = 1) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: self.commands.count(name) >= count)

    async def _wait_for(self, wanted: list[Any]) -> Any:
        found, kind, count = wanted
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: sum(isinstance(e, kind) for e in found) >= count)
        return [event for event in found if isinstance(event, kind)][count - 1]

    def alive(self, *run_ids: str) -> None:
        status = WorkerStatus(capacity=self.capacity, runs=run_ids, draining=self.is_draining, fault=self.fault)
        self.client.run(lambda link, now: link.update(status))

    def report_second(self, run_id: str, second: int) -> None:
        """Report samples and progress of one second."""
        indices = [e.index for group in self.shares[run_id].groups.values() for e in group.endpoints]
        columns = {
            "receive.jitter_ms": array("f", [second + index / 1000 for index in indices]),
            "receive.packets_received": array("I", [50 * (second + 1)] * len(indices)),
        }
        batch = SampleBatch(run_id, second, START_MS + 1000 * second, array("I", indices), columns)
        self.client.run(lambda link, now: link.send_samples(batch, now=now))
        data = {"second": second, "by_phase": {"INCALL": len(indices)}, "calls_active": len(indices)}
        self.client.run(lambda link, now: link.report("progress", run_id, data, now=now))

    def finish(self, run_id: str) -> None:
        """Report the end of every endpoint, then of the run."""
        for group in self.shares[run_id].groups.values():
            for endpoint in group.endpoints:
                is_answered = self.carries is None or endpoint.position < self.carries
                report = EndpointReport(
                    run_id=run_id,
                    index=endpoint.index,
                    name=endpoint.name,
                    group=group.name,
                    phase="INCALL" if is_answered else "CALLING",
                    outcome="SUCCESS" if is_answered else "CALL_FAILED",
                    blame=None if is_answered else "TARGET",
                    reason="" if is_answered else "486 Busy Here",
                    call=CallReport(
                        attempted=True,
                        answered=is_answered,
                        direction="outbound" if group.calls else "inbound",
                        status_code=200 if is_answered else 486,
                    ),
                )
                if endpoint.name in self.shares[run_id].evidence.endpoints:
                    self._report("event", run_id, make_evidence(endpoint.index, endpoint.name))
                    for document in make_packets(endpoint.index):
                        self._report("event", run_id, document)
                self._report("endpoint", run_id, report.model_dump(mode="json"))
        self._report("run_done", run_id, {"generator": RunTotals(endpoints=1).model_dump(mode="json")})

    def _report(self, kind: str, run_id: str, data: dict[str, Any]) -> None:
        self.client.run(lambda link, now: link.report(kind, run_id, data, now=now))

    def _on_event(self, event: object) -> None:
        self.events.append(event)
        if isinstance(event, events.CommandReceived):
            self.commands.append(event.name)
            if self.answers:
                self._carry_out(event)
        task = asyncio.ensure_future(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _carry_out(self, command: events.CommandReceived) -> None:
        run_id = command.run_id or ""
        self.client.run(lambda link, now: link.accept(command.id, now=now))
        if self.reject is not None:
            code, detail = self.reject
            self.client.run(lambda link, now: link.reject(command.id, code, detail, now=now))
            return
        result: dict[str, Any] = {}
        if command.name == "prepare_run":
            self.shares[run_id] = RunShare.model_validate(command.data["share"])
            result = {"targets": self._uris(self.shares[run_id])}
        elif command.name == "start_run":
            self.targets[run_id] = command.data["targets"]
            if "start_at_unix_ns" in command.data:
                self.starts_at = self.client.link.instant_of(command.data["start_at_unix_ns"])
        elif command.name == "drain":
            self.is_draining = command.data["on"]
            self.alive()
        self.client.run(lambda link, now: link.done(command.id, result, now=now))
        if command.name == "start_run" and self.seconds is not None:
            for second in range(self.seconds):
                self.report_second(run_id, second)
            self.finish(run_id)
        elif command.name == "stop_run" and run_id in self.shares:
            self.finish(run_id)

    def _uris(self, share: RunShare) -> dict[str, dict[str, str]]:
        return {
            group.name: {str(e.position): f"sip:{e.name}@127.0.0.1" for e in group.endpoints}
            for group in share.groups.values()
            if not group.calls
        }


Open = Callable[..., Any]


@asynccontextmanager
async def open_gateway(
    data_dir: Path, clock: Callable[[], int] | None = None, port: int = 0, limits: ApiLimits | None = None
) -> AsyncIterator[tuple[Gateway, RunningServer]]:
    """Have a gateway on loopback for as long as the context lasts."""
    more: dict[str, Any] = {}
    if clock is not None:
        more = {"clock": clock, "monotonic": lambda: clock() * MILLISECOND}
    async with Gateway.open(data_dir, **more) as gateway:
        server = await serve(gateway, "127.0.0.1", port, limits=limits)
        try:
            yield gateway, server
        finally:
            await gateway.close_links()
            await server.stop()


async def linked_worker(
    gateway: Gateway, server: RunningServer, name: str = "w1", **options: Any
) -> tuple[FakeWorker, WorkerView, str]:
    """Create a worker, and have it connected."""
    view, token = await gateway.create_worker(name, options.get("capacity", 100))
    worker = FakeWorker(server.port, token, **options).start()
    assert await gateway.wait_worker(view.id, timeout_s=PATIENCE_S)
    return worker, view, token


async def samples_of(gateway: Gateway, run_id: str) -> list[tuple[int, int]]:
    """Return (endpoint, second) of every sample, sorted."""
    return sorted([(row["endpoint"], row["second"]) async for row in gateway.samples(run_id)])


def hello(session: str, runs: tuple[str, ...] = ()) -> Hello:
    return Hello(protocol=1, session=session, capacity=100, runs=list(runs))
