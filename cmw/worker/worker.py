"""The worker: one SIP listener, one media engine and one link, and the runs that the gateway gives it."""

from __future__ import annotations

import asyncio
import contextlib
import platform
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

import cmw
from cmw.core.address import Address
from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.words import OutcomeKind
from cmw.errors import CommandError
from cmw.link.events import (
    CommandReceived,
    EarlierReportsAbandoned,
    EarlierReportsDelivered,
    LinkLost,
    LinkOpened,
    LinkRefused,
    WorkerEvent,
)
from cmw.link.presence import WorkerInfo, WorkerStatus
from cmw.link.samples import SampleBatch
from cmw.link.spool import Spool
from cmw.link.url import parse_gateway_url, parse_proxy_url
from cmw.load.run_link import DrainOrder, PrepareOrder, RunMessage, Started, StartOrder, StopOrder
from cmw.net.clock import monotonic_ns
from cmw.net.driver import Trace
from cmw.net.hep_exporter import HepExporter
from cmw.net.link_client import LinkClient
from cmw.net.spool_files import SpoolFiles
from cmw.worker.alarm import Alarm
from cmw.worker.capacity import FIRST_TIER, Capacity, endpoint_capacity, media_threads
from cmw.worker.execution import RunExecution
from cmw.worker.exposition import CONTENT_TYPE, MetricsPage, Vitals, WorkerCounts
from cmw.worker.generator import Generator, cpu_seconds, rss_bytes
from cmw.worker.health import HealthServer, HealthState, Page
from cmw.worker.logs import get_logger, set_level
from cmw.worker.packet_trace import PacketTrace
from cmw.worker.settings import Addresses, WorkerSettings
from cmw.worker.sip_trace import sip_trace
from cmw.worker.sip_traffic import sum_of_traffic
from cmw.worker.standstill import Standstill
from cmw.worker.station import Station, open_station
from cmw.worker.stations import Stations
from cmw.worker.values import parse_target

OrderT = TypeVar("OrderT", bound=RunMessage)

PAGE_LIFE_NS: Nanos = SECOND // 2
"""How old the page of figures may be."""

MAX_FAULT_CHARS = 255
"""A line of the link."""

RUNS_SHARE = 0.7
"""Part of the time of `Worker.stop` that runs may take."""

LEAVE_S = 0.25
"""Of the time of `Worker.stop`, for what cannot wait for anybody: sockets and threads are let go, the process ends."""


class Worker:
    """Start with `start`, end with `stop`; in between the gateway decides.

    Args:
        settings: as read from the environment, or made by a program that embeds the worker.
        embedded: whether the worker is part of a program that has its gateway too: then nobody asks for its health
            page, and a link without TLS leads nowhere else.
        home_ip: bound first when SIP_IP is not set; the address that the route to the gateway leaves from when None.
    """

    def __init__(self, settings: WorkerSettings, *, embedded: bool = False, home_ip: str | None = None) -> None:
        self.refused: LinkRefused | None = None
        self._settings = settings
        self._is_embedded = embedded
        self._home_ip = home_ip
        self._log = get_logger(component="worker")
        self._started_at: Nanos = monotonic_ns()
        self._runs: dict[str, RunExecution] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_draining = False
        self._is_stopping = False
        self.is_connected = False
        self._capacity = Capacity(0, "the worker has not started")
        self._configured: int | None = None
        self._counts = WorkerCounts()
        self._figures = MetricsPage(self._counts, self._vitals)
        self._page: Page | None = None
        self._page_made_at: Nanos = 0
        self._links_lost = 0
        self._log_level: str = settings.log_level
        self._trace = _trace_of(settings.log_level)
        self._status_timer: asyncio.TimerHandle | None = None
        self._stations: Stations | None = None
        self._generator: Generator | None = None
        self._standstill: Standstill | None = None
        self._packets: PacketTrace | None = None
        self._exporter: HepExporter | None = None
        self._link: LinkClient | None = None
        self._health: HealthServer | None = None
        self._alarm: Alarm | None = None

    # Life.

    async def start(self) -> None:
        """Bind what has to be bound and dial out.

        Raises:
            SettingsError, CapacityError, OSError: an address, a port or a file of the settings cannot be used.
        """
        loop = asyncio.get_running_loop()
        if self._settings.sip_ip is None and self._home_ip is not None:
            addresses = self._settings.addresses_at(self._home_ip)
        else:
            addresses = await loop.run_in_executor(None, self._settings.addresses)
        self._alarm = Alarm(loop)
        self._capacity = endpoint_capacity(self._settings.rtp_ports)
        capacity = self._capacity.endpoints
        if capacity < FIRST_TIER and not self._is_embedded:
            self._log.warn("few endpoints fit", capacity=capacity, bound=self._capacity.bound)
        self._exporter = await loop.run_in_executor(None, _exporter_of, self._settings)
        home = await self._open_station(addresses)
        self._stations = Stations(home, self._open_other if self._settings.sip_ip is None else None)
        if self._exporter is not None:
            home.export_rtcp(self._exporter, self._alarm)
        self._generator = Generator(home.engine, self._alarm)
        self._standstill = Standstill(home.engine.wakes)
        self._packets = PacketTrace(home.engine, self._alarm)
        self._packets.set(self._log_level == "trace")
        if not self._is_embedded:
            port = self._settings.health_port
            self._health = HealthServer(port, self._health_state, metrics=self._metrics_page)
            await self._health.start()
        self._start_link()
        if not home.engine.is_compiled:
            self._log.warn("media in plain Python", expect="a few hundred endpoints at most, and late packets")
        self._log.info(
            "worker started",
            version=cmw.__version__,
            sip=str(Address(addresses.sip, home.port)),
            media=addresses.media,
            rtp_ports=str(self._settings.rtp_ports),
            capacity=capacity,
            media_threads=len(home.engine),
            scheduling=home.engine.scheduling,
        )

    async def _open_station(self, addresses: Addresses, media_of: Station | None = None) -> Station:
        station = await open_station(
            addresses,
            self._settings.sip_ports,
            self._settings.rtp_ports,
            slots=self._capacity.endpoints,
            threads=media_threads(self._settings.media_threads),
            trace=self._trace,
            media_of=media_of,
        )
        if self._exporter is not None:
            station.export_sip(self._exporter)
        return station

    async def _open_other(self, ip: str) -> Station:
        """Open a station at another of our addresses, with the media engine of the first."""
        assert self._stations is not None
        addresses = self._settings.addresses_at(ip)
        station = await self._open_station(addresses, self._stations.home)
        self._log.info("one more address", sip=str(Address(ip, station.port)), media=addresses.media)
        return station

    async def stop(self, reason: str = "the worker is stopping", *, patience_s: float | None = None) -> None:
        """End every run politely, hand over what is still to be reported, and let everything go.

        Args:
            patience_s: how long all of it may take; SHUTDOWN_TIMEOUT when None. Most is for calls and registrations
                to be taken down, the rest, and what is left of the first part, for the reports.
        """
        patience_s = self._settings.shutdown_timeout if patience_s is None else patience_s
        patience_s = max(patience_s / 2, patience_s - LEAVE_S)
        end_at = monotonic_ns() + int(patience_s * SECOND)
        self._is_stopping = True
        self._tell_status()
        await self._finish_runs(reason, patience_s * RUNS_SHARE)
        await self._close_link(max(0.0, (end_at - monotonic_ns()) / SECOND))
        for task in list(self._tasks):
            task.cancel()
        if self._status_timer is not None:
            self._status_timer.cancel()
        if self._health is not None:
            await self._health.close()
        if self._generator is not None:
            self._generator.close()
        if self._packets is not None:
            self._packets.set(False)
        if self._stations is not None:
            self._stations.close()
        if self._exporter is not None:
            self._close_exporter(self._exporter)
        self._log.info("worker stopped", reason=reason)

    def _close_exporter(self, exporter: HepExporter) -> None:
        exporter.close()
        reports = self._stations.home.rtcp_export if self._stations is not None else None
        lost = exporter.lost + (reports.lost if reports is not None else 0)
        if lost:
            self._log.warn("the capture server was not told of everything", sent=exporter.sent, lost=lost)

    def drain(self) -> None:
        """Take no new runs from now on; those that are here go on."""
        self._drain(is_on=True)

    async def _finish_runs(self, reason: str, patience_s: float) -> None:
        if self._runs:
            self._log.info("stopping", reason=reason, runs=len(self._runs))
        for run in list(self._runs.values()):
            run.stop(reason, is_ours=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await asyncio.gather(*(run.finished.wait() for run in self._runs.values()))
        if left := sum(run.endpoints_open for run in self._runs.values()):
            self._log.warn("endpoints given up: their peers did not answer in time", endpoints=left)
        for run in list(self._runs.values()):
            run.abandon(reason, is_ours=True)

    async def _close_link(self, patience_s: float) -> None:
        if self._link is None:
            return
        if self.is_connected:
            await self._link.flush(patience_s * 2 / 3)
        if pending := self._link.link.pending:
            if self._settings.spool_dir is not None:
                self._log.warn("reports left in SPOOL_DIR: the next start sends them", reports=pending)
            else:
                self._log.warn("reports lost: the gateway did not take them in time", reports=pending)
        await self._link.close(patience_s / 3)

    # Looks.

    def _health_state(self) -> HealthState:
        reason = self._what_is_wrong()
        return HealthState(
            healthy=not reason,
            connected=self.is_connected,
            uptime_s=(monotonic_ns() - self._started_at) / SECOND,
            reason=reason,
            unready=reason or self._why_unready(),
        )

    def _what_is_wrong(self) -> str:
        """Return what people have to mend; "" for nothing: a gateway that is away comes back by itself."""
        return self.refused.message if self.refused is not None else self._fault()

    def _fault(self) -> str:
        """Return why this worker could not carry out a run, gateway or not; "" for nothing."""
        if self._capacity.endpoints == 0:
            return f"no endpoint fits: {self._capacity.bound}"
        return self._standstill.fault if self._standstill is not None else ""

    def _why_unready(self) -> str:
        if self._is_stopping:
            return "the worker is stopping"
        if self._is_draining:
            return "draining: no new runs are taken"
        return "" if self.is_connected else "no link to the gateway"

    def _metrics_page(self) -> Page:
        """Return the page of figures, made anew once in a while only: many may ask at once."""
        now = monotonic_ns()
        if self._page is None or now >= self._page_made_at + PAGE_LIFE_NS:
            self._page = Page(HTTPStatus.OK, CONTENT_TYPE, self._figures.render())
            self._page_made_at = now
        return self._page

    def _vitals(self) -> Vitals:
        generator, link = self._generator, self._link
        if generator is not None:
            generator.pull_pacing()
        return Vitals(
            version=cmw.__version__,
            uptime_s=(monotonic_ns() - self._started_at) / SECOND,
            healthy=not self._what_is_wrong(),
            connected=self.is_connected,
            draining=self._is_draining or self._is_stopping,
            capacity=self._capacity.endpoints,
            runs=len(self._runs),
            spool_reports=link.link.pending if link is not None else 0,
            spool_dropped_samples=self.samples_dropped,
            links_lost=self._links_lost,
            loop_lag_s=generator.lag_ms / 1e3 if generator is not None else 0.0,
            loop_tasks=len(asyncio.all_tasks()),
            cpu_s=cpu_seconds(),
            rss_bytes=rss_bytes(),
            pacing_us=generator.pacing if generator is not None else None,
            packets_skipped=generator.packets_skipped if generator is not None else 0,
            scheduling=generator.scheduling if generator is not None else "",
            sip=sum_of_traffic(each.sip_traffic for each in self._stations or ()),
        )

    def _status(self) -> WorkerStatus:
        runs = list(self._runs.values())
        generator = self._generator
        return WorkerStatus(
            capacity=0 if self._is_stopping else self._capacity.endpoints,
            endpoints=sum(run.endpoints_open for run in runs),
            calls=sum(run.calls_active for run in runs),
            loop_lag_ms=generator.lag_ms if generator is not None else None,
            runs=tuple(self._runs),
            draining=self._is_draining,
            fault=self._fault()[:MAX_FAULT_CHARS],
        )

    # The link.

    def _start_link(self) -> None:
        settings = self._settings
        assert self._stations is not None
        home = self._stations.home.addresses
        info = WorkerInfo(
            capacity=self._capacity.endpoints,
            name=settings.worker_name,
            version=cmw.__version__,
            host=platform.node(),
            sip_ip=home.sip,
            media_ip=home.media,
            engine="compiled" if self._stations.home.engine.is_compiled else "pure",
        )
        token = settings.worker_token.get_secret_value()
        files = None
        if settings.spool_dir is not None:
            files = SpoolFiles(Path(settings.spool_dir), token, max_bytes=settings.spool_max_bytes)
        proxy = settings.cloud_proxy
        self._link = LinkClient(
            url=parse_gateway_url(settings.cloud_url),
            token=token,
            info=info,
            on_event=self._receive_link_event,
            ca_file=settings.cloud_ca_file,
            spool=Spool(max_bytes=settings.spool_max_bytes),
            files=files,
            proxy=parse_proxy_url(proxy.get_secret_value()) if proxy is not None else None,
            on_warning=self._log.debug if self._is_embedded else self._log.warn,
        )
        self._link.start()
        self._update_link()

    def _update_link(self) -> None:
        """Keep what hello and heartbeats say of this worker fresh."""
        assert self._alarm is not None
        if self._standstill is not None:
            self._standstill.look()
        self._tell_status()
        self._status_timer = self._alarm.at(self._alarm.now() + SECOND, self._update_link)

    def _tell_status(self) -> None:
        if self._link is not None:
            status = self._status()
            self._link.run(lambda link, now: link.update(status))

    def _receive_link_event(self, event: WorkerEvent) -> None:
        if isinstance(event, LinkOpened):
            self.is_connected = True
            self.refused = None
            self._log.info("link open", worker_id=event.worker_id, name=event.name, acknowledged=event.acknowledged)
            self._compare_capacity(event.capacity)
        elif isinstance(event, LinkRefused):
            self.is_connected = False
            self.refused = event
            self._log.error(event.message, status=event.status, retry_in_s=self._seconds_until(event.retry_at))
        elif isinstance(event, LinkLost):
            self.is_connected = False
            self._links_lost += 1
            retry_in_s = self._seconds_until(event.retry_at)
            self._log.warn("link lost", reason=event.reason, retry_in_s=retry_in_s)
        elif isinstance(event, CommandReceived):
            self._carry_out(event)
        elif isinstance(event, EarlierReportsDelivered):
            self._log.info("reports of an earlier process delivered", session=event.session, reports=event.reports)
        elif isinstance(event, EarlierReportsAbandoned):
            self._log.error(
                "reports of an earlier process given up: the gateway does not take them",
                session=event.session,
                reports=event.reports,
                reason=event.reason,
            )
        else:
            self._log.debug("link event", fact=type(event).__name__)

    def _compare_capacity(self, configured: int | None) -> None:
        """Say, once for each number, that the worker was set up for more endpoints than fit here."""
        fit, bound = self._capacity
        if configured is not None and configured != self._configured and configured > fit and not self._is_embedded:
            self._log.warn("few endpoints fit", capacity=fit, configured=configured, bound=bound)
        self._configured = configured

    def _seconds_until(self, instant: Nanos | None) -> float | None:
        return None if instant is None else round((instant - monotonic_ns()) / SECOND, 1)

    # Commands of the gateway.

    def _carry_out(self, command: CommandReceived) -> None:
        """Answer a command in the end with done or rejected, whatever happens."""
        link = self._link
        assert link is not None
        link.run(lambda machine, now: machine.accept(command.id, now=now))
        task = asyncio.get_running_loop().create_task(self._answer(command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, command: CommandReceived) -> None:
        link = self._link
        assert link is not None
        try:
            result = await self._execute(command)
            link.run(lambda machine, now: machine.done(command.id, result, now=now))
        except CommandError as error:
            code, detail = error.code, error.detail
        except Exception as error:  # whatever it is, the gateway has to know, and the worker goes on
            self._log.exception("command failed", command=command.name, run=command.run_id)
            code, detail = "INTERNAL", f"{type(error).__name__}: {error}"
        else:
            return
        self._log.warn("command rejected", command=command.name, run=command.run_id, code=code, detail=detail)
        link.run(lambda machine, now: machine.reject(command.id, code, detail, now=now))

    async def _execute(self, command: CommandReceived) -> dict[str, Any]:
        if command.name == "prepare_run":
            return await self._prepare(command)
        if command.name == "start_run":
            return await self._start(command)
        if command.name == "stop_run":
            self._stop_run(command)
            return {}
        if command.name == "drain":
            self._drain(is_on=_read(command, DrainOrder).on)
            return {}
        raise CommandError(
            "UNKNOWN_COMMAND", f"expected prepare_run, start_run, stop_run or drain, found {command.name}"
        )

    async def _prepare(self, command: CommandReceived) -> dict[str, Any]:
        share = _read(command, PrepareOrder).share
        if self._is_draining or self._is_stopping:
            raise CommandError("DRAINING", "this worker takes no new runs")
        if share.run_id in self._runs:
            raise CommandError("RUN_EXISTS", f"run {share.run_id} is here already")
        free = self._capacity.endpoints - sum(run.endpoints_open for run in self._runs.values())
        if share.seats > free:
            wanted = f"{share.seats} endpoints asked for, {free} are free here"
            raise CommandError("NO_CAPACITY", f"{wanted}: {self._capacity.bound}")
        assert self._stations is not None
        assert self._alarm is not None
        assert self._generator is not None
        stations = self._stations
        run = RunExecution(share, stations.home, self._alarm, self, self._generator.watch(), stations.place)
        self._runs[share.run_id] = run
        run.when_finished(self._forget_run)
        try:
            result = await run.prepare()
        except BaseException:
            self._runs.pop(share.run_id, None)
            run.discard()
            raise
        failed = result["failed"]
        self._log.info(
            "run prepared", run=share.run_id, endpoints=share.total_endpoints, failed=failed, sip=run.sip_ips
        )
        return result

    async def _start(self, command: CommandReceived) -> dict[str, Any]:
        """Start a run, at the instant that all its workers do if the order names one."""
        order = _read(command, StartOrder)
        wanted = order.start_at_unix_ns
        link = self._link.link if self._link is not None else None
        start_at = link.instant_of(wanted) if link is not None and wanted is not None else None
        late_ms = await self._run(command).start(order.targets, start_at) / MILLISECOND
        self._log.info("run started", run=command.run_id, late_ms=round(late_ms, 1))
        return Started(start_late_ms=late_ms if wanted is not None else None).model_dump(exclude_none=True)

    def _drain(self, *, is_on: bool) -> None:
        self._is_draining = is_on
        self._tell_status()  # at once, for a hello that may be the next thing to go out
        self._log.info("draining: no new runs are taken" if is_on else "new runs are taken again")

    def _stop_run(self, command: CommandReceived) -> None:
        order = _read(command, StopOrder)
        run = self._runs.get(command.run_id or "")
        if run is not None:  # a run that has ended already is as good as stopped
            run.stop(order.reason)

    def _run(self, command: CommandReceived) -> RunExecution:
        run = self._runs.get(command.run_id or "")
        if run is None:
            raise CommandError("UNKNOWN_RUN", f"run {command.run_id} is not here")
        return run

    def _forget_run(self, run: RunExecution) -> None:
        self._runs.pop(run.share.run_id, None)
        self._log.info("run finished", run=run.share.run_id)

    # The uplink of the runs.

    @property
    def samples_dropped(self) -> int:
        """Return how many sample batches the spool had to give up so far."""
        return self._link.link.spool.dropped_samples if self._link is not None else 0

    def report(self, kind: str, run_id: str, data: dict[str, Any]) -> None:
        """Hand a report to the link."""
        self._counts.take_report(kind, run_id, data)
        if kind == "endpoint" and not self._is_embedded:
            self._log_endpoint(run_id, data)
        if self._link is not None:
            self._link.run(lambda link, now: link.report(kind, run_id, data, now=now))

    def send_samples(self, batch: SampleBatch) -> None:
        """Hand samples to the link."""
        self._counts.take_samples(batch)
        if self._link is not None:
            self._link.run(lambda link, now: link.send_samples(batch, now=now))

    # Logs.

    @property
    def log_level(self) -> str:
        """Return the level that is logged from."""
        return self._log_level

    def change_log_level(self, level: str) -> None:
        """Log from another level on, at once and everywhere."""
        set_level(level)
        self._log_level = level
        self._trace = _trace_of(level)
        for station in self._stations or ():
            station.set_trace(self._trace)
        if self._packets is not None:
            self._packets.set(level == "trace")
        self._log.warn("log level changed", log_level=level)

    def _log_endpoint(self, run_id: str, data: dict[str, Any]) -> None:
        """Log how an endpoint ended: failures for everybody, the rest for those who look closely."""
        is_failure = OutcomeKind(data["outcome"]).severity > OutcomeKind.COMPLETED_WITH_WARNINGS.severity
        log = self._log.info if is_failure else self._log.debug
        call = data["call"]
        log(
            "endpoint failed" if is_failure else "endpoint closed",
            run=run_id,
            endpoint=data["name"],
            outcome=data["outcome"],
            blame=data.get("blame"),
            reason=data["reason"],
            target=call["target"],
            status=call["status_code"] or data["registration"]["status"] or None,
            call_id=call["call_id"],
        )


def _exporter_of(settings: WorkerSettings) -> HepExporter | None:
    """Return what tells a capture server of SIP, when there is one; asks DNS.

    Raises:
        SettingsError: its name leads nowhere.
    """
    if settings.hep_target is None:
        return None
    key = settings.hep_auth_key
    return HepExporter(
        parse_target(settings.hep_target), settings.hep_capture_id, key.get_secret_value() if key is not None else ""
    )


def _trace_of(level: str) -> Trace | None:
    """Return what logs raw SIP, when the level asks for it: it costs too much to be always there."""
    return sip_trace("sip") if level == "trace" else None


def _read(command: CommandReceived, order: type[OrderT]) -> OrderT:
    """Return what a command carries.

    Raises:
        CommandError: it does not have the form; the detail names what is wrong.
    """
    try:
        return order.model_validate(command.data)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:5])
        raise CommandError("BAD_COMMAND", faults) from None  # without the input: it holds passwords
