"""One side of a measurement of capacity, a process of its own: calls that are held, by the code that runs load.

    python -m cmw.worker.capacity_load < lines

The first line on stdin is a `LoadSpec` as JSON. Then each of these lines is carried out and answered by one line of
JSON: ``register``, ``call``, ``window SECONDS``. The end of stdin ends the process, and with it every call: the other
side is ours too.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Collection
from dataclasses import asdict
from typing import Any, Literal

import uvloop
from pydantic import BaseModel

from cmw.core.address import Address, PortRange
from cmw.core.ids import Ids
from cmw.link.samples import SampleBatch, encode_samples
from cmw.load.capacity import Window
from cmw.load.outcome import EndpointReport
from cmw.load.plan_parser import parse_plan
from cmw.load.split import whole_run
from cmw.net.clock import wall_clock
from cmw.net.yardstick import ClockControl
from cmw.sip.listener import Listener
from cmw.sip.registrar import Registrar
from cmw.worker.alarm import Alarm
from cmw.worker.answerer import Answerer, AnswererSettings
from cmw.worker.call_media import AudioChoice
from cmw.worker.callee import AnswerChoice
from cmw.worker.capacity import endpoint_capacity, media_threads
from cmw.worker.execution import RunExecution
from cmw.worker.generator import Generator, cpu_seconds, rss_bytes
from cmw.worker.logs import configure_logging
from cmw.worker.settings import Addresses
from cmw.worker.station import Station, open_station

SETUP_PATIENCE_S = 20.0
"""How long the last call may take to be answered."""

PASSWORD = "capacity"  # noqa: S105 - of accounts that exist on loopback, for as long as a measurement lasts


class LoadSpec(BaseModel):
    """What this process does.

    Args:
        role: ``call`` places `endpoints` calls, ``answer`` takes all that come.
        cpus: cores that it may run on.
        rate: calls begun each second.
        target: HOST:PORT of the other side.
        registers: whether endpoints have accounts; then the side that answers is their registrar.
    """

    role: Literal["call", "answer"]
    ip: str
    rtp_port_first: int
    rtp_port_last: int
    cpus: list[int]
    endpoints: int
    rate: float = 200.0
    target: str = ""
    registers: bool = False


class LoadSide:
    """Carry out the commands of `cmw capacity`; made by `open`."""

    def __init__(self, spec: LoadSpec, station: Station) -> None:
        self._spec = spec
        self._station = station
        self._alarm = Alarm(asyncio.get_running_loop())
        self._generator = Generator(station.engine, self._alarm)
        self._samples_sent = 0
        self._settled = asyncio.Event()
        self._run: RunExecution | None = None
        self._answerer: Answerer | None = None
        self.samples_dropped = 0
        if spec.role == "answer":
            settings = AnswererSettings(audio=AudioChoice(), answering=AnswerChoice())
            self._answerer = Answerer(station, self._alarm, settings, _ignore)

    @classmethod
    async def open(cls, spec: LoadSpec) -> LoadSide:
        """Bind SIP to any port and start the media engine.

        Raises:
            CmwError: there is no address, port or descriptor.
        """
        ports = PortRange(spec.rtp_port_first, spec.rtp_port_last)
        endpoint_capacity(ports)  # raises the limit of descriptors
        accounts = dict.fromkeys(_users(spec), PASSWORD) if spec.registers and spec.role == "answer" else None

        def make_registrar(listeners: tuple[Listener, ...], ids: Ids) -> Registrar:
            return Registrar(local=listeners[0].local, ids=ids, accounts=accounts or {}, clock=wall_clock())

        station = await open_station(
            Addresses(spec.ip, spec.ip, spec.ip, spec.ip),
            0,
            ports,
            slots=spec.endpoints,
            threads=media_threads(None),
            make_registrar=make_registrar if accounts is not None else None,
        )
        await station.sounds.prepare("speech", AudioChoice().codecs, AudioChoice().ptime_ms)
        return cls(spec, station)

    def describe(self) -> dict[str, Any]:
        """Return where this side is reached, and its memory before there is any endpoint."""
        return {"sip": str(Address(self._spec.ip, self._station.port)), "rss_bytes": rss_bytes()}

    async def carry_out(self, line: str) -> dict[str, Any]:
        """Carry out one line of stdin; return the answer."""
        match line.split():
            case ["register"]:
                return await self._register()
            case ["call"]:
                return await self._call()
            case ["window", seconds]:
                return await self._window(float(seconds))
        raise ValueError(f"expected register, call or window SECONDS, found {line!r}")

    # What a run reports; samples are encoded as for the link, and then nobody wants them.

    def report(self, kind: str, run_id: str, data: dict[str, Any]) -> None:
        """Look whether every call is up or has failed."""
        if kind == "progress" and data["calls_active"] + sum(data["by_outcome"].values()) >= self._spec.endpoints:
            self._settled.set()

    def send_samples(self, batch: SampleBatch) -> None:
        """Take one second of samples."""
        self._samples_sent += 1
        encode_samples(batch, self._samples_sent)

    async def _register(self) -> dict[str, Any]:
        share = whole_run(parse_plan(_plan(self._spec), name="capacity"), "capacity")
        self._run = RunExecution(share, self._station, self._alarm, self, self._generator.watch())
        result = await self._run.prepare()
        return {"failed": result["failed"], "rss_bytes": rss_bytes()}

    async def _call(self) -> dict[str, Any]:
        assert self._run is not None
        cpu, media_cpu = cpu_seconds(), self._station.engine.cpu_seconds()
        began = self._alarm.now()
        await self._run.start({})
        try:
            async with asyncio.timeout(self._spec.endpoints / self._spec.rate + SETUP_PATIENCE_S):
                await self._settled.wait()
        except TimeoutError:
            pass  # `in_call` tells how many are missing
        media_cpu = self._station.engine.cpu_seconds() - media_cpu
        return {
            "in_call": self._in_call,
            "seconds": (self._alarm.now() - began) / 1e9,
            "signalling_cpu_seconds": cpu_seconds() - cpu - media_cpu,
        }

    async def _window(self, seconds: float) -> dict[str, Any]:
        engine = self._station.engine
        before = _streams(self._station)
        watch = self._generator.watch()
        busy = busy_seconds(self._spec.cpus)
        began, cpu, media_cpu = self._alarm.now(), cpu_seconds(), engine.cpu_seconds()
        with ClockControl(self._spec.cpus) as control:
            await asyncio.sleep(seconds)
            elapsed_s = (self._alarm.now() - began) / 1e9
            cpu, media_cpu = cpu_seconds() - cpu, engine.cpu_seconds() - media_cpu
        reading, busy_after = control.reading(), busy_seconds(self._spec.cpus)
        after = _streams(self._station)
        moved = {name: after[name] - before[name] for name in after}
        totals = watch.finish(
            endpoints=self._in_call,
            packets_sent=moved["packets_sent"],
            packets_received=moved["packets_received"],
            send_errors=moved["send_errors"],
            kernel_drops=moved["kernel_drops"],
            samples_dropped=0,
        )
        window = Window(
            seconds=elapsed_s,
            totals=totals,
            media_cpu_seconds=media_cpu,
            signalling_cpu_seconds=max(0.0, cpu - media_cpu - reading.cpu_seconds),
            packets_lost=moved["packets_lost"],
            bytes_sent=moved["bytes_sent"],
            bytes_received=moved["bytes_received"],
            cpus=tuple(self._spec.cpus),
            cores_busy_seconds=None if busy is None or busy_after is None else busy_after - busy,
            control_p99_us=reading.p99_us,
        )
        return asdict(window) | {"totals": totals.model_dump(mode="json")}

    @property
    def _in_call(self) -> int:
        if self._answerer is not None:
            return self._answerer.calls_active
        return self._run.calls_active if self._run is not None else 0


def busy_seconds(cpus: Collection[int], path: str = "/proc/stat") -> float | None:
    """Return the CPU seconds that some cores have given to anybody since the machine started. Source: proc(5).

    None where it cannot be read.
    """
    try:
        with open(path, encoding="ascii") as file:
            rows = [line.split() for line in file if line.startswith("cpu")]
    except OSError:
        return None
    wanted = {f"cpu{cpu}" for cpu in cpus}
    found = [[int(word) for word in row[1:9]] for row in rows if row[0] in wanted]
    if len(found) < len(wanted):
        return None
    idle_columns = (3, 4)  # idle, iowait
    return sum(n for row in found for at, n in enumerate(row) if at not in idle_columns) / os.sysconf("SC_CLK_TCK")


COUNTERS = (
    "packets_sent packets_received packets_lost bytes_sent bytes_received send_errors kernel_drops"  # of StreamSnapshot
).split()


def _streams(station: Station) -> dict[str, int]:
    """Return the counters of all streams, added up."""
    snapshots = [snapshot for _, snapshot in station.engine.snapshot_all()]
    return {name: sum(getattr(snapshot, name) for snapshot in snapshots) for name in COUNTERS}


def _users(spec: LoadSpec) -> list[str]:
    return [f"u{n + 1}" for n in range(spec.endpoints)]


def _plan(spec: LoadSpec) -> dict[str, Any]:
    """Return the plan of a run that holds its calls longer than anybody measures."""
    callers: dict[str, Any] = {
        "endpoints": spec.endpoints,
        "call": {"uri": f"sip:capacity@{spec.target}"},
        "load": {"arrivals": "constant", "rate": f"{spec.rate:g}/s"},
    }
    plan: dict[str, Any] = {"version": 1, "name": "capacity", "duration": "1h", "groups": {"callers": callers}}
    if spec.registers:
        host, _, port = spec.target.rpartition(":")
        accounts = [{"username": name, "password": PASSWORD} for name in _users(spec)]
        plan["registrars"] = {"lab": {"domain": host, "port": int(port), "accounts": accounts}}
        callers["registrar"] = "lab"
    return plan


def _ignore(report: EndpointReport) -> None:
    """A call that ended is missed in the window."""


async def _serve() -> None:
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    spec = LoadSpec.model_validate_json(await stdin.readline())
    os.sched_setaffinity(0, set(spec.cpus))
    side = await LoadSide.open(spec)
    _say(side.describe())
    while line := (await stdin.readline()).decode():
        _say(await side.carry_out(line.strip()))


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    configure_logging("error", "pretty", sys.stderr, colours=False)
    uvloop.run(_serve())
    os._exit(0)  # no call is taken down: the other side is ended too
