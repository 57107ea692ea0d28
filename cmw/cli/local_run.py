"""Run a plan on this machine: a gateway, a worker and the link between them, in one process, for one run."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from cmw.cli.report_files import write_report
from cmw.core.address import Address
from cmw.errors import CapacityError, SettingsError
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

LOOK_PERIOD_S = 0.5
"""How often the progress of the run is looked at."""


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Addresses and ports of the worker; None means what the worker's own defaults say.

    Args:
        sip_ip: bound for SIP; without it, the address that the route to the plan's target leaves from.
    """

    sip_ip: str | None = None
    media_ip: str | None = None
    sdp_ip: str | None = None
    external_ip: str | None = None
    sip_port_start: int = 5060
    sip_port_end: int = 5080
    rtp_port_min: int = 10000
    rtp_port_max: int = 65535


@dataclass(slots=True)
class LocalResult:
    """What a run came to."""

    run: RunView
    summary: dict[str, Any]
    report: Path


async def run_here(plan: Plan, settings: LocalSettings, report: Path, watch: Callable[[RunView], None]) -> LocalResult:
    """Run `plan`, write its report directory and return its results.

    SIGINT and SIGTERM stop the run politely: calls are hung up, results are kept. A second one ends at once.

    Args:
        report: directory of the report.
        watch: told how the run stands, about twice a second.

    Raises:
        SettingsError, CapacityError, OSError: a port or an address cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="cmw-") as directory:
        async with Gateway.open(Path(directory)) as gateway, _worker_on(gateway, plan, settings):
            run_id = await gateway.start_run(plan)
            with _StopOnSignals(gateway, run_id):
                return await _follow(gateway, run_id, report, watch)


@asynccontextmanager
async def _worker_on(gateway: Gateway, plan: Plan, settings: LocalSettings) -> AsyncIterator[None]:
    """Have a worker linked to `gateway` over loopback for as long as the context lasts."""
    server = await serve(gateway, "127.0.0.1", 0)
    try:
        view, token = await gateway.create_worker("local", max(1, plan.total_endpoints))
        loop = asyncio.get_running_loop()
        sip_ip = settings.sip_ip
        if sip_ip is None:
            sip_ip = await loop.run_in_executor(None, _address_towards_target, plan)
        worker = Worker(_worker_settings(settings, sip_ip, token, server.port), with_health=False)
        await worker.start()
        try:
            if not await gateway.wait_worker(view.id, timeout_s=LINK_PATIENCE_S):
                raise CapacityError("the worker of this process did not reach its gateway on loopback")
            yield
        finally:
            await worker.stop("the run is over", patience_s=5.0)
    finally:
        await server.stop()


def _worker_settings(settings: LocalSettings, sip_ip: str, token: str, port: int) -> WorkerSettings:
    chosen = {
        **asdict(settings),
        "sip_ip": sip_ip,
        "worker_token": SecretStr(token),
        "cloud_url": f"ws://127.0.0.1:{port}",
    }
    try:
        return WorkerSettings.model_validate(chosen)
    except ValidationError as error:
        faults = [f"--{str(e['loc'][0]).replace('_', '-')}: found {e['input']!r}: {e['msg']}" for e in error.errors()]
        raise SettingsError("\n".join(faults)) from None


def _address_towards_target(plan: Plan) -> str:
    """Return the address that the route to the first server of the plan leaves from; loopback when there is none."""
    for destination in _destinations(plan):
        try:
            return local_address_towards(destination)
        except OSError:
            continue
    return default_address() or "127.0.0.1"


def _destinations(plan: Plan) -> list[Address]:
    found = [Address(registrar.domain.strip("[]"), registrar.port) for registrar in plan.registrars.values()]
    for group in plan.groups.values():
        if group.call is not None and group.call.uri is not None:
            uri = parse_uri(group.call.uri)
            found.append(Address(uri.host.strip("[]"), uri.port or 5060))
    return found


class _StopOnSignals:
    """Turn the first SIGINT or SIGTERM into a polite stop, the second into the end of the program."""

    def __init__(self, gateway: Gateway, run_id: str) -> None:
        self._gateway = gateway
        self._run_id = run_id
        self._loop = asyncio.get_running_loop()
        self._stopping: asyncio.Task[RunView] | None = None
        self._follower = asyncio.current_task()

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._signalled, number)

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.remove_signal_handler(number)

    def _signalled(self, number: int) -> None:
        if self._stopping is None:
            self._stopping = self._loop.create_task(self._gateway.stop_run(self._run_id))
        elif self._follower is not None:
            self._follower.cancel()


async def _follow(gateway: Gateway, run_id: str, report: Path, watch: Callable[[RunView], None]) -> LocalResult:
    over = asyncio.create_task(gateway.wait_run(run_id))
    try:
        while not over.done():
            watch(await gateway.run(run_id))
            await asyncio.wait({over}, timeout=LOOK_PERIOD_S)
    finally:
        over.cancel()
    run = await gateway.run(run_id)
    watch(run)
    summary = await gateway.summary(run_id)
    keys = await gateway.sample_keys(run_id)
    await write_report(report, summary, await gateway.endpoints(run_id), keys, gateway.samples(run_id))
    return LocalResult(run, summary, report)
