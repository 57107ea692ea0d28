"""The worker's parts on a stage: real user agents on a network in virtual time, and a media engine that only counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, TypeVar

from cmw.core.address import Address, PortRange
from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.timers import Deadline
from cmw.errors import CapacityError
from cmw.net.driver import TrafficCounts
from cmw.net.media import DigitEvent, DigitFate, PacingSnapshot
from cmw.net.packet_log import PacketLog
from cmw.rtp.snapshot import StreamSnapshot
from cmw.sip import UserAgent
from cmw.sip.hop import Datagram, Hop, Transport
from cmw.worker.call_media import AudioChoice
from cmw.worker.endpoint import Endpoint
from cmw.worker.endpoint_records import EndpointSettings
from cmw.worker.settings import Addresses
from cmw.worker.station import Station
from tests.support.ids import CountingIds
from tests.support.sip_link import Link, listen_at
from tests.support.sip_party import Party

HERE = Hop("10.0.0.1", 5060)
THERE = Hop("10.0.0.2", 5060)
PTIME_NS = 20 * MILLISECOND

T = TypeVar("T")


class StageLink(Link):
    """A link whose machines may be given commands while it drains, as the real driver allows it."""

    is_draining = False

    def drain(self) -> None:
        if self.is_draining:
            return
        self.is_draining = True
        try:
            super().drain()
        finally:
            self.is_draining = False


class Handle:
    """A timer that can be cancelled."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class VirtualAlarm:
    """`Alarm` on the time of a link; a machine on it, so that the link stops at its instants."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._due: list[tuple[Nanos, int, Handle]] = []
        self._order = 0

    def now(self) -> Nanos:
        return self._link.now

    def at(self, due_ns: Nanos, callback: Callable[[], None]) -> Any:
        handle = Handle(callback)
        self._order += 1
        heappush(self._due, (max(due_ns, self._link.now), self._order, handle))
        return handle

    @property
    def armed(self) -> int:
        """Return how many timers are still to fire."""
        return sum(handle.callback is not None for _, _, handle in self._due)

    # the machine

    def handle_timeout(self, *, now: Nanos) -> None:
        while self._due and self._due[0][0] <= now:
            handle = heappop(self._due)[2]
            if handle.callback is not None:
                callback, handle.callback = handle.callback, None
                callback()

    def next_timeout(self) -> Deadline | None:
        while self._due and self._due[0][2].callback is None:
            heappop(self._due)
        return Deadline(self._due[0][0], "alarm") if self._due else None

    def receive_datagram(self, data: bytes, source: Hop, *, now: Nanos) -> None: ...

    def datagrams_to_send(self) -> list[Datagram]:
        return []

    def next_event(self) -> None: ...


@dataclass
class Stream:
    """What `FakeEngine` knows of a slot."""

    port: int
    beside: int | None = None
    settings: dict[str, Any] | None = None
    began_at: Nanos | None = None
    ended_at: Nanos | None = None
    muted_at: Nanos | None = None
    is_muted: bool = False
    changes: list[str] = field(default_factory=list)
    log: PacketLog | None = None


def snapshot(**changes: Any) -> StreamSnapshot:
    """Return the figures of a stream that has done nothing, but for `changes`."""
    nothing: dict[str, Any] = {
        name: None if "None" in str(kind) else 0 for name, kind in StreamSnapshot.__annotations__.items()
    }
    return StreamSnapshot(**(nothing | changes))


class FakeEngine:
    """The media engine as far as the worker uses it: 50 packets of 160 bytes a second each way while a stream runs.

    Args:
        slots: streams at once.
    """

    scheduling = "SCHED_OTHER"

    def __init__(self, clock: Callable[[], Nanos], slots: int = 1000) -> None:
        self.streams: dict[int, Stream] = {}
        self.closed: list[Stream] = []
        self.sources: list[bytes] = []
        self.is_deaf = False
        self.extra: dict[str, Any] = {}
        self.pacing_skipped = 0
        self.dialled: list[tuple[int, str, dict[str, int]]] = []
        self.events: list[DigitEvent] = []
        self._clock = clock
        self._slots = slots
        self._next = 0

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def wakes(self) -> list[int]:
        return [self._clock() // MILLISECOND]

    def add_source(self, frames: bytes, frame_bytes: int) -> int:
        self.sources.append(frames)
        return len(self.sources) - 1

    def open(self, ip: str, rtp_port: int, dscp: int) -> int:
        if len(self.streams) >= self._slots:
            raise CapacityError(f"all {self._slots} media slots are in use")
        self._next += 1
        self.streams[self._next] = Stream(rtp_port)
        return self._next

    def open_beside(self, slot: int, ip: str, rtp_port: int, dscp: int) -> None:
        self.streams[slot].beside = rtp_port

    def change_pair(self, slot: int) -> None:
        stream = self.streams[slot]
        assert stream.beside is not None
        stream.port, stream.beside = stream.beside, stream.port

    def close_beside(self, slot: int) -> None:
        self.streams[slot].beside = None

    def set_log(self, slot: int, log: PacketLog | None) -> None:
        self.streams[slot].log = log

    def start_stream(self, slot: int, **settings: Any) -> None:
        stream = self.streams[slot]
        stream.settings, stream.began_at = settings, self._clock()

    def change_remote(self, slot: int, **remote: Any) -> None:
        settings = self.streams[slot].settings
        assert settings is not None
        settings.update(remote)
        self.streams[slot].changes.append(f"to {remote['remote_ip']}:{remote['remote_rtp_port']}")

    def change_sending(self, slot: int, **sending: Any) -> None:
        settings = self.streams[slot].settings
        assert settings is not None
        settings.update(sending)
        self.streams[slot].changes.append(f"in {sending['payload_type']}")

    def change_source(self, slot: int, *, source: int) -> None:
        self.streams[slot].changes.append(f"says {source}")

    def change_receiving(self, slot: int, **receiving: Any) -> None:
        settings = self.streams[slot].settings
        assert settings is not None
        settings.update(receiving)

    def set_sending(self, slot: int, on: bool) -> None:
        stream = self.streams[slot]
        stream.is_muted = not on
        stream.muted_at = None if on else self._clock()
        stream.changes.append("sending" if on else "muted")

    def send_digits(self, slot: int, digits: str, **order: int) -> None:
        self.dialled.append((slot, digits, order))

    def take_events(self) -> tuple[list[DigitEvent], int]:
        events, self.events = self.events, []
        return events, 0

    def stop_stream(self, slot: int) -> None:
        self.streams[slot].ended_at = self._clock()

    def close(self, slot: int) -> None:
        self.closed.append(self.streams.pop(slot))

    def snapshot(self, slot: int) -> StreamSnapshot:
        stream = self.streams[slot]
        if stream.began_at is None:
            return snapshot()
        until = stream.ended_at or self._clock()
        received = 0 if self.is_deaf else (until - stream.began_at) // PTIME_NS
        sent = ((stream.muted_at or until) - stream.began_at) // PTIME_NS
        heard: dict[str, Any] = {"jitter_ms": 0.5, "jitter_mean_ms": 0.4} if received else {}
        usual = {
            "packets_sent": sent,
            "bytes_sent": 160 * sent,
            "packets_received": received,
            "bytes_received": 160 * received,
            "packets_expected": received,
            "last_packet_at_ns": stream.began_at + received * PTIME_NS if received else None,
        }
        return snapshot(**(usual | heard | self.extra))

    def snapshot_all(self) -> list[tuple[int, StreamSnapshot]]:
        return [(slot, self.snapshot(slot)) for slot in self.streams]

    def rate_streams(self, ratings: list[tuple[int, int, int, int]]) -> None:
        self.ratings = {slot: scores for slot, *scores in ratings}

    def close_pacing_interval(self) -> PacingSnapshot:
        skipped, self.pacing_skipped = self.pacing_skipped, 0
        empty: dict[str, object] = {"scale": 5, "zero_count": 0, "offset": 0, "counts": []}
        return PacingSnapshot(empty, 0, None, None, skipped, 0, 0, 0.0)


class FakeSounds:
    """Sounds that are always there."""

    def __init__(self) -> None:
        self.prepared: list[tuple[str, tuple[str, ...]]] = []
        self.kept: dict[str, int] = {}

    def keep(self, name: str, pcm: Any) -> None:
        self.kept[name] = len(pcm)

    def number(self, source: str, codec: str, ptime_ms: int) -> int:
        return ("speech", "tone", "silence").index(source) if source in ("tone", "silence") else 0

    async def prepare(self, source: str, codecs: Any, ptime_ms: int) -> None:
        self.prepared.append((source, tuple(codecs)))


class FakeListener:
    """Stands for the driver's listener: gives commands and lets the link drain."""

    def local_of(self, transport: Transport) -> Address:
        return Address(HERE.host, HERE.port)

    def __init__(self, link: Link, machine: UserAgent, local: Hop) -> None:
        self.machine = machine
        self.local = local
        self.is_closed = False
        self.counts = TrafficCounts()
        self.kernel_drops = 0
        self._link = link

    def run(self, command: Callable[[UserAgent, Nanos], T]) -> T:
        try:
            return command(self.machine, self._link.now)
        finally:
            self._link.drain()

    def close(self) -> None:
        self.is_closed = True


class Stage:
    """A station at HERE, and a party that the test plays at THERE.

    Args:
        slots: calls with media at once.
        ports: RTP ports.
    """

    def __init__(self, *, slots: int = 1000, ports: PortRange | None = None) -> None:
        self.link = StageLink(delay_ns=MILLISECOND, now=SECOND)
        self.alarm = VirtualAlarm(self.link)
        self.link.attach(Hop("alarm", 0), self.alarm)
        self.engine = FakeEngine(self.alarm.now, slots)
        self.station = self.add_station(HERE, ports or PortRange(10000, 19999))
        self.party = Party(self.link, THERE)
        self.ready: list[Endpoint] = []
        self.closed: list[Endpoint] = []

    def add_station(self, address: Hop, ports: PortRange) -> Station:
        """Put a real station with a real user agent on the link."""
        addresses = Addresses(address.host, address.host, address.host, address.host)
        station = Station(addresses, self.engine, ports)  # type: ignore[arg-type]
        station.ids = CountingIds()  # type: ignore[assignment]
        station.sounds = FakeSounds()  # type: ignore[assignment]
        agent = UserAgent(listeners=listen_at(address), ids=station.ids)
        station.attach(FakeListener(self.link, agent, address), agent)  # type: ignore[arg-type]
        self.link.attach(address, agent, station.receive_event)  # type: ignore[arg-type]
        return station

    @property
    def agent(self) -> UserAgent:
        agent = self.station._agent
        assert agent is not None
        return agent

    def settings(self, **changes: Any) -> EndpointSettings:
        defaults: dict[str, Any] = {
            "index": 7,
            "name": "callers-0001",
            "user": "callers-0001",
            "group": "callers",
            "audio": AudioChoice(),
            "hold_ns": 10 * SECOND,
            "hold_limit_ns": 42 * SECOND,
            "setup_timeout_ns": 20 * SECOND,
        }
        return EndpointSettings(**(defaults | changes))

    def make(self, kind: Callable[..., Endpoint], **changes: Any) -> Any:
        """Make a caller or a callee whose ends are kept in `ready` and `closed`."""
        return kind(
            self.settings(**changes),
            self.station,
            self.alarm,
            on_ready=self.ready.append,
            on_closed=self.closed.append,
        )

    def after(self, span_ns: Nanos) -> None:
        """Let time pass."""
        self.link.run(self.link.now + span_ns)

    def tell_digits(self, fate: DigitFate, digits: str) -> None:
        """Have the engine tell this of each digit, of the newest stream."""
        slot = max(self.engine.streams)
        self.engine.events += [DigitEvent(slot, fate, digit, 100.0) for digit in digits]
        self.station.digits.deliver()

    def quiet(self, limit_s: int = 600) -> None:
        """Let time pass until nothing is left to happen."""
        self.link.run_until_quiet(self.link.now + limit_s * SECOND)

    def leaves_nothing(self) -> bool:
        """Tell whether every port, slot, timer, call, registration and user of the station was given back."""
        station = self.station
        left = {
            "ports": station.ports.in_use,
            "slots": len(self.engine.streams),
            "timers": self.alarm.armed,
            "calls": len(station._calls),
            "registrations": len(station._registrations),
            "registered users": len(station._registered_users),
            "users": len(station._users),
            "digit listeners": len(station.digits),
            "takers": len(station.takers),
            "agent's calls": self.agent.counters["calls"],
            "agent's registrations": self.agent.counters["registrations"],
        }
        found = {what: count for what, count in left.items() if count}
        assert not found, found
        return True


def run_async(scene: Callable[[], Awaitable[None]]) -> None:
    """Run a coroutine that lives on virtual time; the loop itself never waits."""

    async def main() -> None:
        await scene()

    asyncio.run(main())


async def settle() -> None:
    """Let every task go on as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def pass_time(stage: Stage, span_ns: Nanos, step_ns: Nanos = 100 * MILLISECOND) -> None:
    """Let time pass for the link and for tasks."""
    until = stage.link.now + span_ns
    await settle()
    while stage.link.now < until:
        stage.link.run(min(until, stage.link.now + step_ns))
        await settle()
