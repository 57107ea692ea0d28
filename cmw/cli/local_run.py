"""Run a plan on this machine: a gateway, a worker and the link between them, in one process, for one run."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from cmw.cli.hep_options import DEFAULT_CAPTURE_ID
from cmw.cli.report_files import USUAL_REPORT, ReportWish, report_directory, write_report
from cmw.cli.sample_files import SamplesFormat
from cmw.cli.steps_told import StepsTold
from cmw.core.address import Address
from cmw.errors import CapacityError, CmwError, CommandError, SettingsError
from cmw.gateway.server import serve
from cmw.gateway.service import Gateway
from cmw.gateway.views import RunView
from cmw.load.plan import Plan
from cmw.net.route import default_address, local_address_towards
from cmw.sip import parse_uri
from cmw.worker.settings import WorkerSettings
from cmw.worker.worker import Worker

LINK_PATIENCE_S = 15.0
"""How long worker and gateway of one process may take to find each other."""

STOP_PATIENCE_S = 5.0
"""How long the worker may take to let go after the run."""

HURRIED_PATIENCE_S = 0.5
"""The same after a second signal."""

OPTIONS = {
    "sip_port_start": "--sip-ports",
    "sip_port_end": "--sip-ports",
    "rtp_port_min": "--rtp-ports",
    "rtp_port_max": "--rtp-ports",
}
"""Options whose names are not those of the settings."""

LOOK_PERIOD_S = 0.5
"""How often the progress of the run is looked at."""


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Addresses and ports of the worker; None means what the worker's own defaults say.

    Args:
        sip_ip: bound for SIP; without it, the addresses that the routes to the plan's targets leave from.
    """

    sip_ip: str | None = None
    media_ip: str | None = None
    sdp_ip: str | None = None
    external_ip: str | None = None
    sip_port_start: int = 5060
    sip_port_end: int = 5080
    rtp_port_min: int = 10000
    rtp_port_max: int = 65535
    hep_target: str | None = None
    hep_capture_id: int = DEFAULT_CAPTURE_ID
    hep_auth_key: SecretStr | None = None


@dataclass(slots=True)
class LocalResult:
    """What a run came to.

    Args:
        signal: number of the signal that ended it early; None when it came to its own end.
    """

    run: RunView
    summary: dict[str, Any]
    report: Path
    signal: int | None


class InterruptedRunError(CmwError):
    """A signal ended the program before there were results.

    Args:
        signal: its number.
    """

    def __init__(self, number: int, reason: str = "") -> None:
        super().__init__(reason or f"ended by {signal.Signals(number).name}")
        self.signal = number


class NotRunError(CapacityError):
    """The run came to nothing; says why."""


async def run_here(
    plan: Plan,
    settings: LocalSettings,
    report: Path,
    watch: Callable[[RunView], None],
    tell: Callable[[str], None],
    wish: ReportWish = USUAL_REPORT,
) -> LocalResult:
    """Run `plan`, write its report directory and return its results.

    SIGINT and SIGTERM stop the run politely: calls are hung up, results are kept. A second one ends at once.

    Args:
        report: directory of the report.
        watch: told how the run stands, about twice a second.
        tell: given a line at the end of each step of a search.
        wish: what the report is to have.

    Raises:
        SettingsError: an address or a directory cannot be used.
        CapacityError: a port is taken, or the run could not begin.
        InterruptedRunError: a signal came before the run began, or a second one.
    """
    with _Signals() as signals, report_directory(report), tempfile.TemporaryDirectory(prefix="cmw-") as directory:
        try:
            async with Gateway.open(Path(directory)) as gateway, _worker_on(gateway, plan, settings, signals):
                run_id = await gateway.start_run(plan)
                signals.polite_stop = lambda: gateway.stop_run(run_id)
                return await _follow(gateway, run_id, report, watch, tell, signals, wish)
        except asyncio.CancelledError:
            if signals.first is None:
                raise
            raise InterruptedRunError(signals.first) from None


@asynccontextmanager
async def _worker_on(gateway: Gateway, plan: Plan, settings: LocalSettings, signals: _Signals) -> AsyncIterator[None]:
    """Have a worker linked to `gateway` over loopback for as long as the context lasts."""
    server = await serve(gateway, "127.0.0.1", 0)
    try:
        view, token = await gateway.create_worker("local", max(1, plan.seats))
        loop = asyncio.get_running_loop()
        home_ip = None
        if settings.sip_ip is None:
            home_ip = await loop.run_in_executor(None, _address_towards_target, plan)
        worker = Worker(_worker_settings(settings, token, server.port), embedded=True, home_ip=home_ip)
        try:
            await worker.start()
            if not await gateway.wait_worker(view.id, timeout_s=LINK_PATIENCE_S):
                raise CapacityError("the worker of this process did not reach its gateway on loopback")
            yield
        finally:
            patience_s = HURRIED_PATIENCE_S if signals.are_pressing else STOP_PATIENCE_S
            await worker.stop("the run is over", patience_s=patience_s)
    finally:
        await server.stop()


def _worker_settings(settings: LocalSettings, token: str, port: int) -> WorkerSettings:
    chosen = {
        **asdict(settings),
        "worker_token": SecretStr(token),
        "cloud_url": f"ws://127.0.0.1:{port}",
    }
    try:
        return WorkerSettings.model_validate(chosen)
    except ValidationError as error:
        raise SettingsError("\n".join(map(_fault, error.errors()))) from None


def _fault(detail: ErrorDetails) -> str:
    name = str(detail["loc"][0])
    cause = detail.get("ctx", {}).get("error")
    expected = str(cause).replace("SIP_PORT_START", "the first").replace("RTP_PORT_MIN", "the first")
    return f"{OPTIONS.get(name) or '--' + name.replace('_', '-')}: found {detail['input']!r}, expected {expected}"


def _address_towards_target(plan: Plan) -> str:
    """Return the address that the route to the first server of the plan leaves from; loopback when there is none."""
    for destination in _destinations(plan):
        try:
            return local_address_towards(destination)
        except OSError:
            continue
    return default_address() or "127.0.0.1"


def _destinations(plan: Plan) -> list[Address]:
    """Return where the plan's packets go first: to outbound proxies, registrars and whom is called."""
    proxies = [*(r.outbound_proxy for r in plan.registrars.values()), *(g.outbound_proxy for g in plan.groups.values())]
    found = [_address(uri) for each in proxies for uri in each or []]
    found += [Address(registrar.domain.strip("[]"), registrar.port or 5060) for registrar in plan.registrars.values()]
    for group in plan.groups.values():
        uri = group.call.uri if group.call is not None else None
        if uri is not None and not uri.lower().startswith("tel:"):
            found.append(_address(uri))
    return found


def _address(uri: str) -> Address:
    parsed = parse_uri(uri)
    return Address(parsed.host.strip("[]"), parsed.port or 5060)


class _Signals:
    """SIGINT and SIGTERM: the first one stops the run politely once there is one, any other ends the program.

    Args:
        first: the number of the first signal; None before.
        polite_stop: stops the run; None when there is nothing to stop yet.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self.are_pressing = False
        self.polite_stop: Callable[[], Coroutine[Any, Any, object]] | None = None
        self._loop = asyncio.get_running_loop()
        self._stopping: asyncio.Task[None] | None = None
        self._program = asyncio.current_task()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.getsignal(number)
            self._loop.add_signal_handler(number, self._take, number)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            self._loop.remove_signal_handler(number)
            signal.signal(number, handler)

    def _take(self, number: int) -> None:
        self.are_pressing = self.first is not None
        self.first = self.first or number
        if self.polite_stop is not None and not self.are_pressing:
            self._stopping = self._loop.create_task(self._stop(self.polite_stop))
        elif self._program is not None:
            self._program.cancel()

    async def _stop(self, stop: Callable[[], Coroutine[Any, Any, object]]) -> None:
        with contextlib.suppress(CommandError):  # it is over already
            await stop()


async def _follow(
    gateway: Gateway,
    run_id: str,
    report: Path,
    watch: Callable[[RunView], None],
    tell: Callable[[str], None],
    signals: _Signals,
    wish: ReportWish,
) -> LocalResult:
    """Watch a run, or the steps of a search, write the reports, and return how it ended."""
    steps = StepsTold()
    over = asyncio.create_task(gateway.wait_run(run_id))
    run = await gateway.run(run_id)
    try:
        while not run.status.is_final:
            watch(run if run.step_id is None else await gateway.run(run.step_id))
            await asyncio.wait({over}, timeout=LOOK_PERIOD_S)
            run = await gateway.run(run_id)
            for step, line in steps.news(run.search):
                tell(line)
                await _write_report(gateway, step.run_id, report / step.report, wish)
    finally:
        over.cancel()
    watch(run)
    try:
        summary = await gateway.summary(run_id)
    except CommandError:
        if signals.first is not None:
            raise InterruptedRunError(signals.first, run.reason) from None
        raise NotRunError(f"{run.status}: {run.reason}") from None
    await _write_report(gateway, run_id, report, wish)
    return LocalResult(run, summary, report, signals.first)


async def _write_report(gateway: Gateway, run_id: str, directory: Path, wish: ReportWish) -> None:
    summary, keys = await gateway.summary(run_id), await gateway.sample_keys(run_id)
    endpoints, evidence = await gateway.endpoints(run_id), await gateway.evidence(run_id)
    packets_of = partial(gateway.packets_of, run_id)
    parquet = await gateway.samples_parquet(run_id) if wish.samples is SamplesFormat.PARQUET else None
    samples = gateway.samples(run_id)
    await write_report(directory, summary, endpoints, keys, samples, evidence, packets_of, parquet, wish)
