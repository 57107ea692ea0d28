"""The gateway as one object: what the API offers, for callers in the same process too.

async with Gateway.open(data_dir) as gateway:
    server = await serve(gateway, "127.0.0.1", 0)
    worker, token = await gateway.create_worker("here", 100)
    ...                                                     # a worker dials server.link_url
    run_id = await gateway.start_run(plan)
    await gateway.wait_run(run_id)
    summary = await gateway.summary(run_id)
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from cmw.core.clock import Nanos
from cmw.core.words import RunStatus, Verdict, WorkerState
from cmw.errors import SettingsError
from cmw.gateway.api_keys import ApiKeys
from cmw.gateway.coordinator import NOT_SUMMED_UP, WAIT_MS, Coordinator, RunOrder
from cmw.gateway.database import Database
from cmw.gateway.early_ends import EarlyEnds
from cmw.gateway.errors import conflict, not_found
from cmw.gateway.hub import Hub
from cmw.gateway.idempotency import Idempotency
from cmw.gateway.instants import SteadyClock, UnixClock, iso, unix_ms
from cmw.gateway.journal import Entry, Journal
from cmw.gateway.key_check import open_vault
from cmw.gateway.limiter import FailureLimiter
from cmw.gateway.link_endpoint import LinkEndpoint
from cmw.gateway.parquet import ParquetWriter
from cmw.gateway.parts import Part, add_progress
from cmw.gateway.placement import ANYWHERE, Placement
from cmw.gateway.projects import Projects
from cmw.gateway.registrars import Registrars
from cmw.gateway.results import Results
from cmw.gateway.retention import Kept, Retention
from cmw.gateway.run_store import Origin, RunRow, RunStore
from cmw.gateway.sample_store import SamplePacker, SampleStore
from cmw.gateway.saved_tests import SavedTests
from cmw.gateway.searches import Searches
from cmw.gateway.sip_accounts import SipAccounts
from cmw.gateway.vault import Vault
from cmw.gateway.views import EvidenceView, Page, RunPart, RunView, WorkerView
from cmw.gateway.watchers import RunWatchers
from cmw.gateway.workers import DEFAULT_CAPACITY, WorkerRegistry, WorkerRow
from cmw.link.refusal import Refusal
from cmw.load.evidence import Evidence
from cmw.load.exit_code import exit_code_of
from cmw.load.packets import EvidencePackets, read_packets
from cmw.load.plan import Plan
from cmw.load.report import UNTRUSTED
from cmw.load.search import SearchPart, searched_group
from cmw.metrics.keys import COLUMNS
from cmw.net.clock import monotonic_ns

LOCK_FILE = "lock"
QUIET_S = 15.0
"""How long a watcher of a run hears nothing before he is told that the gateway is still there."""
UNAVAILABLE_EXIT_CODE = 75
INTERNAL_EXIT_CODE = 70


class Gateway:
    """Workers, runs and results on one data directory. `open` makes one; `serve` puts it on the network."""

    def __init__(
        self, data_dir: Path, database: Database, vault: Vault, clock: UnixClock, steady: SteadyClock, kept: Kept
    ) -> None:
        self.data_dir = data_dir
        self._clock = clock
        self._database = database
        self._registry = WorkerRegistry(database, clock)
        self._store = RunStore(database, vault)
        samples = SampleStore(database)
        self._results = Results(self._store, samples)
        self._journal = Journal(database, clock, self._committed)
        self._hub = Hub(self._registry, self._journal)
        self._watchers = RunWatchers()
        self._retention = Retention(database, clock, kept)
        self._packer = SamplePacker(database, clock)
        self._coordinator = Coordinator(
            self._store,
            self._registry,
            self._hub,
            self._results,
            steady,
            self._watchers,
            EarlyEnds(database, self._store, samples),
        )
        self._searches = Searches(self._store, self._coordinator, self._watchers, steady)
        self._limiter = FailureLimiter()
        self.api_keys = ApiKeys(database, clock)
        self.idempotency = Idempotency(database, clock)
        self.projects = Projects(database, clock)
        self.accounts = SipAccounts(database, vault)
        self.registrars = Registrars(database, vault, clock, self.accounts)
        self.tests = SavedTests(database, vault, clock, self.registrars, self.accounts)
        self.link_endpoint = LinkEndpoint(self._registry, self._hub, self._limiter)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        data_dir: Path,
        *,
        clock: UnixClock = unix_ms,
        monotonic: Callable[[], Nanos] = monotonic_ns,
        secret_key: str | None = None,
        kept: Kept | None = None,
    ) -> AsyncIterator[Gateway]:
        """Open the store of `data_dir`, made if need be, and go on with what an earlier process left.

        Args:
            clock: the wall clock.
            monotonic: the clock that deadlines of runs go by, so that a step of the other moves none.
            secret_key: what secrets are encrypted with, in place of a file of the directory.
            kept: how long results are kept; for ever when not given.

        Raises:
            SettingsError: the directory or the store cannot be used, or another gateway uses it.
        """
        lock = _lock(data_dir)
        try:
            database = await Database.open(data_dir)
            try:
                vault = await open_vault(database, data_dir, secret_key)
                gateway = cls(data_dir, database, vault, clock, SteadyClock(clock, monotonic), kept or Kept())
                await gateway._start()
                try:
                    yield gateway
                finally:
                    await gateway._stop()
            finally:
                await database.close()
        finally:
            os.close(lock)

    # Workers.

    async def create_worker(
        self,
        name: str,
        capacity: int = DEFAULT_CAPACITY,
        *,
        region: str | None = None,
        labels: dict[str, str] | None = None,
    ) -> tuple[WorkerView, str]:
        """Add a worker; return it and its token, which is shown nowhere else."""
        row, token = await self._registry.create(name, capacity, region=region, labels=labels)
        return self._worker_view(row), token

    async def workers(
        self, page: Page, *, name: str | None = None, region: str | None = None
    ) -> tuple[list[WorkerView], int]:
        """Return one page of the workers, and how many there are."""
        rows, total = await self._registry.page(page, name=name, region=region)
        return [self._worker_view(row) for row in rows], total

    async def change_worker(self, worker_id: str, **values: Any) -> WorkerView:
        """Change the name, the capacity, the region or the labels; runs that go on keep what they have."""
        return self._worker_view(await self._registry.change(worker_id, **values))

    async def worker(self, worker_id: str) -> WorkerView:
        """Return one worker."""
        return self._worker_view(await self._registry.get(worker_id))

    async def regenerate_token(self, worker_id: str) -> tuple[WorkerView, str]:
        """Give a worker a new token; the old one ends at once, with its live link."""
        row, token = await self._registry.regenerate(worker_id)
        self._hub.refuse(worker_id, Refusal.INVALID_TOKEN)
        return self._worker_view(row), token

    async def enable_worker(self, worker_id: str) -> WorkerView:
        """Let a worker connect and take runs: the opposite of `disable_worker` and of `drain_worker`."""
        row = await self._registry.enable(worker_id)
        self._hub.set_draining(worker_id, False)
        return self._worker_view(row)

    async def drain_worker(self, worker_id: str) -> WorkerView:
        """Let a worker finish what it has and take no new runs, until it is enabled."""
        row = await self._registry.drain(worker_id)
        self._hub.set_draining(worker_id, True)
        return self._worker_view(row)

    async def disable_worker(self, worker_id: str) -> WorkerView:
        """Let a worker connect no more, and end its live link at once."""
        row = await self._registry.disable(worker_id)
        self._hub.refuse(worker_id, Refusal.WORKER_DISABLED)
        return self._worker_view(row)

    async def delete_worker(self, worker_id: str) -> None:
        """Forget a worker, and end its live link; results of its runs stay."""
        await self._registry.delete(worker_id)
        self._hub.refuse(worker_id, Refusal.INVALID_TOKEN)
        await self._coordinator.worker_deleted(worker_id)
        self._hub.delete(worker_id)

    def state(self, worker_id: str) -> WorkerState:
        """Return the state of a worker."""
        return self._hub.state(worker_id)

    async def wait_worker(self, worker_id: str, *, timeout_s: float) -> bool:
        """Wait until a worker is linked; return False when it is not in time."""
        return await self._hub.wait_online(worker_id, timeout_s)

    # Runs.

    async def start_run(
        self, plan: Plan, *, name: str | None = None, placement: Placement | None = None, wait_ms: int = WAIT_MS
    ) -> str:
        """Take a run or a search in and return its id; its status tells what becomes of it."""
        return await self._submit(plan, RunOrder(name, placement or ANYWHERE, wait_ms))

    async def run_test(
        self,
        project_id: str,
        test_id: str,
        *,
        name: str | None = None,
        placement: Placement | None = None,
        wait_ms: int = WAIT_MS,
    ) -> str:
        """Run a test with what its registrars have now, on the workers of the test unless told otherwise."""
        test = await self.tests.get(project_id, test_id)
        ready = await self.tests.ready_plan(project_id, test_id)
        chosen = placement or Placement.model_validate(test["placement"])
        order = RunOrder(name or test["name"], chosen, wait_ms, Origin(project_id, test_id), ready.lack)
        return await self._submit(ready.plan, order)

    async def runs(
        self,
        page: Page,
        *,
        status: RunStatus | None = None,
        origin: Origin | None = None,
        search_id: str | None = None,
    ) -> tuple[list[RunView], int]:
        """Return one page of the runs, the latest first, without their workers, and how many there are.

        Args:
            search_id: of the search whose steps are wanted; without it, steps are left out.
        """
        rows, total = await self._store.page(page, status, origin, search_id)
        return [self._run_view(row, ()) for row in rows], total

    async def run(self, run_id: str) -> RunView:
        """Return one run with its progress and its workers."""
        row = await self._store.row(run_id)
        summary = await self._store.summary(run_id) if row["summary_known"] else None
        step_id = self._searches.step_of(run_id)
        view = self._run_view(row, await self._parts(step_id or _measured_in(summary, run_id)))
        view.step_id = step_id
        view.search = self._searches.found(run_id)
        if summary is not None:
            found = summary.get("search")
            view.search = SearchPart.model_validate(found) if found is not None else None
        return view

    async def wait_run(self, run_id: str) -> RunView:
        """Wait until a run is over, and return it."""
        await self._store.row(run_id)
        await self._searches.wait_over(run_id)
        await self._coordinator.wait_over(run_id)
        return await self.run(run_id)

    async def watch_run(self, run_id: str) -> AsyncIterator[RunView | None]:
        """Yield a run now and after each change until it is over or the gateway goes away; None when all is quiet."""
        event = self._watchers.enter(run_id)
        told: RunView | None = None
        try:
            while not self._watchers.is_closed:
                event.clear()
                view = await self.run(run_id)
                yield view if view != told else None
                told = view
                if view.status.is_final:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), QUIET_S)
        finally:
            self._watchers.leave(run_id, event)

    async def stop_run(self, run_id: str) -> RunView:
        """End a run early."""
        if (await self._store.row(run_id))["is_search"]:
            await self._searches.stop_search(run_id)
        else:
            await self._coordinator.stop_run(run_id)
        return await self.run(run_id)

    async def plan(self, run_id: str) -> dict[str, Any]:
        """Return the plan of a run, its passwords masked."""
        return await self._store.plan(run_id)

    # Results.

    async def summary(self, run_id: str) -> dict[str, Any]:
        """Return the summary of a run.

        Raises:
            RequestError: there is none, or not yet.
        """
        summary = await self._store.summary(run_id)
        if summary is None:
            row = await self._store.row(run_id)
            raise conflict(f"there is no summary: the run is {row['status']}")
        return summary

    async def endpoints(self, run_id: str) -> list[dict[str, Any]]:
        """Return the final reports of the endpoints that have ended, by index."""
        return await self._store.reports(await self._measured(run_id))

    async def evidence(self, run_id: str) -> list[dict[str, Any]]:
        """Return what workers kept of endpoints: documents of `cmw.load.evidence.Evidence`."""
        return await self._store.evidence(await self._measured(run_id))

    async def evidence_page(self, run_id: str, page: Page) -> tuple[list[EvidenceView], int]:
        """Return one page of the endpoints whose SIP messages are kept, and how many there are."""
        rows, total = await self._store.evidence_page(await self._measured(run_id), page)
        return [EvidenceView.model_validate(row) for row in rows], total

    async def evidence_of(self, run_id: str, endpoint: int) -> Evidence:
        """Return the SIP messages of an endpoint.

        Raises:
            RequestError: there is no such run, or no message of the endpoint was kept.
        """
        found = await self._store.evidence_of(await self._measured(run_id), endpoint)
        if found is None:
            raise not_found("message that was kept of endpoint", str(endpoint))
        return Evidence.model_validate(found)

    async def packets_of(self, run_id: str, endpoint: int) -> list[EvidencePackets]:
        """Return the packets of an endpoint in parts, none if none were kept; what makes no sense is left out."""
        found = await self._store.packets_of(await self._measured(run_id), endpoint)
        return [part for each in found if (part := read_packets(each)) is not None]

    async def endpoint_page(
        self, run_id: str, page: Page, *, outcome: str | None = None
    ) -> tuple[list[dict[str, Any]], int]:
        """Return one page of the final reports, and how many there are."""
        return await self._store.endpoint_page(await self._measured(run_id), page, outcome)

    async def samples(self, run_id: str, *, endpoint: int | None = None) -> AsyncIterator[dict[str, Any]]:
        """Yield what was measured: a mapping for each endpoint and second, by second; absent values are None."""
        async for rows in self._results.rows(await self._measured(run_id), endpoint):
            for row in rows:
                yield row

    async def sample_keys(self, run_id: str) -> list[str]:
        """Return the names of the columns that the rows of `samples` have, beside endpoint, second and at_unix_ms."""
        await self._store.row(run_id)
        return [*COLUMNS, UNTRUSTED]

    async def samples_csv(self, run_id: str, *, endpoint: int | None = None) -> AsyncIterator[str]:
        """Yield samples.csv piece by piece, a line for each endpoint and second."""
        async for piece in self._results.csv(await self._measured(run_id), endpoint):
            yield piece

    async def samples_parquet(self, run_id: str, *, endpoint: int | None = None) -> AsyncIterator[bytes]:
        """Return what yields samples.parquet piece by piece.

        Raises:
            RequestError: there is no such run, or no pyarrow.
        """
        return self._results.parquet(await self._measured(run_id), ParquetWriter(), endpoint)

    async def delete_run(self, run_id: str) -> None:
        """Delete a run that is over, and all that is known of it."""
        await self._retention.delete_run(run_id)

    async def close_links(self) -> None:
        """Tell workers and watchers that this gateway goes away; to be called before the server is stopped."""
        self._watchers.close()
        await self._hub.stop()

    async def tick(self) -> None:
        """Look at the deadlines of every run now; done every second anyway."""
        await self._coordinator.tick()

    def counters(self) -> dict[str, int]:
        """Return what the journal has counted since the start."""
        return dict(self._journal.counters)

    # Private.

    async def _start(self) -> None:
        self._journal.start()
        self._hub.start(self._coordinator, draining=await self._registry.draining())
        await self._coordinator.start()
        await self._searches.start()
        self._retention.start()
        self._packer.start()

    async def _stop(self) -> None:
        await self._hub.stop()
        await self._retention.stop()
        await self._packer.stop()
        await self._searches.stop()
        await self._coordinator.stop()
        await self._journal.stop()

    async def _submit(self, plan: Plan, order: RunOrder) -> str:
        carrier = self._coordinator if searched_group(plan) is None else self._searches
        return await carrier.submit(plan, order)

    async def _parts(self, run_id: str) -> list[Part]:
        active = self._coordinator.active(run_id)
        return list(active.parts.values()) if active is not None else await self._store.parts(run_id)

    async def _measured(self, run_id: str) -> str:
        """Return the run whose measurements those of a run are: of a search, the step that stands for it."""
        row = await self._store.row(run_id)
        if not row["is_search"]:
            return run_id
        return self._searches.step_of(run_id) or _measured_in(await self._store.summary(run_id), run_id)

    def _committed(self, entries: Sequence[Entry]) -> None:
        self._hub.settle(entries)
        self._coordinator.reports_committed(entries)

    def _worker_view(self, row: WorkerRow) -> WorkerView:
        link = self._hub.link_of(row["id"])
        hello = row["hello"] or {}
        state = self._hub.state(row["id"])
        heartbeat = link.heartbeat if link is not None else None
        return WorkerView(
            id=row["id"],
            name=hello.get("name") or row["name"],
            configured_name=row["name"],
            region=row["region"],
            labels=row["labels"],
            capacity=self._coordinator.capacity(row),
            configured_capacity=row["capacity"],
            active_endpoints=self._coordinator.endpoints_on(row["id"]),
            enabled=row["enabled"],
            draining=row["draining"],
            state=state,
            fault=link.fault if link is not None and state is WorkerState.ERROR else "",
            token_prefix=row["token_prefix"],
            created_at=iso(row["created_at_ms"]) or "",
            last_seen_at=iso(self._clock() if state is not WorkerState.OFFLINE else row["last_seen_at_ms"]),
            version=hello.get("version") or None,
            host=hello.get("host") or None,
            sip_ip=hello.get("sip_ip") or None,
            media_ip=hello.get("media_ip") or None,
            engine=hello.get("engine") or None,
            load=heartbeat.model_dump(mode="json", exclude={"type", "sent_at_unix_ns", "fault"}) if heartbeat else {},
        )

    def _run_view(self, row: RunRow, parts: Sequence[Part]) -> RunView:
        status = RunStatus(row["status"])
        return RunView(
            id=row["id"],
            name=row["name"],
            status=status,
            verdict=row["verdict"],
            reason=row["reason"],
            endpoints=row["endpoints"],
            project_id=row["project_id"],
            test_id=row["test_id"],
            placement=row["placement"],
            created_at=iso(row["created_at_ms"]) or "",
            queued_at=iso(row["queued_at_ms"]),
            wait_until=iso(row["wait_until_ms"]),
            started_at=iso(row["started_at_ms"]),
            ended_at=iso(row["ended_at_ms"]) if status.is_final else None,
            progress=add_progress(part.progress for part in parts if part.progress),
            workers=[
                RunPart(
                    worker_id=part.worker_id,
                    worker_name=part.worker_name,
                    state=part.state,
                    endpoints=len(part.endpoints),
                    reason=part.reason,
                )
                for part in parts
            ],
            exit_code=_exit_code(row, status),
            late_reports=row["late_reports"],
            search_id=row["search_id"],
        )


def _measured_in(summary: dict[str, Any] | None, run_id: str) -> str:
    """Return the run whose figures a summary has; of a search, the step that stands for it."""
    return str(summary["run"]["id"]) if summary is not None else run_id


def _exit_code(row: RunRow, status: RunStatus) -> int | None:
    """Return that of its summary; without one 75 for a run that no worker could carry out, 70 if it was our fault."""
    if not status.is_final:
        return None
    if row["summary_known"]:
        thresholds_hold = all(threshold["passed"] for threshold in row["thresholds"] or ())
        verdict = Verdict(row["verdict"]) if row["verdict"] is not None else None
        return exit_code_of(status, verdict, thresholds_hold=thresholds_hold)
    return INTERNAL_EXIT_CODE if row["reason"].startswith(NOT_SUMMED_UP) else UNAVAILABLE_EXIT_CODE


def _lock(data_dir: Path) -> int:
    """Make the directory, and take it for this process; the lock goes with the process, however it ends."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"{data_dir}: expected a directory that can be written, found: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SettingsError(f"{data_dir}: another gateway uses this directory") from None
    return descriptor
