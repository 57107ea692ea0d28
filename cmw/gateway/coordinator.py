"""Runs, from the plan to the summary.

    PENDING -> QUEUED     there is room, now or soon: the run waits its turn, and is then split over the workers that
                          are ONLINE, by free capacity; each gets `prepare_run`
    QUEUED -> RUNNING     every worker is prepared; each gets `start_run` with the targets of all
    RUNNING -> COMPLETED  every worker has reported all its endpoints, or is given up
    ... -> STOPPING       `stop_run` to each; ends like RUNNING

The store has every step before the next command goes out, so a gateway that is started again goes on where it was:
commands carry ids made of the run and the step, and a worker does not carry out the same id twice.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Set
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import structlog

from cmw.core.clock import MILLISECOND, Nanos
from cmw.core.words import RunStatus, WorkerState
from cmw.errors import CapacityError, CmwError, SettingsError
from cmw.gateway.early_ends import EarlyEnds
from cmw.gateway.errors import conflict
from cmw.gateway.hub import Hub
from cmw.gateway.instants import SteadyClock, UnixMillis
from cmw.gateway.journal import Entry
from cmw.gateway.parts import ActiveRun, Part, PartEndpoint, PartState, StepOf, Targets
from cmw.gateway.placement import ANYWHERE, Placement
from cmw.gateway.results import Results
from cmw.gateway.run_store import OWN_PLAN, Origin, RunStore
from cmw.gateway.watchers import RunWatchers
from cmw.gateway.workers import WorkerRegistry, WorkerRow
from cmw.link.limits import MAX_TO_WORKER_BYTES
from cmw.link.messages import Hello
from cmw.link.strict_json import serialize_json
from cmw.load.outcome import lost_endpoint
from cmw.load.plan import Plan
from cmw.load.share import RunShare
from cmw.load.split import split_run

PREPARE_GRACE_MS: UnixMillis = 30_000
"""Beyond the time that registrations may take, until a worker that did not answer `prepare_run` fails the run."""

RUN_GRACE_MS: UnixMillis = 60_000
"""After the end that the plan implies: how long a worker may still be away before its part is given up."""

RESTART_GRACE_MS: UnixMillis = 60_000
"""After the start of this gateway: workers come back within their back-off of at most 30 s."""

MAX_WAITING = 100
"""Runs that wait for room at once."""

WAIT_MS: UnixMillis = 600_000
"""How long a run waits for room unless told otherwise."""

START_LEAD: Nanos = 500 * MILLISECOND
"""From the order to start to the start itself, beside two round trips: every worker begins at the same instant."""

MAX_START_LEAD: Nanos = 5000 * MILLISECOND

TICK_S = 1.0
WORDS = {WorkerState.DRAINING: "draining", WorkerState.ERROR: "in error"}
"""For workers that are there and take no new runs."""

NOT_SUMMED_UP = "the results cannot be summed up"
STOPPED = "stopped on request"
"""The reason of a run that was stopped begins with this."""
WORKER_LOST = "the worker was lost during the run"

log = structlog.get_logger("cmw.gateway.runs")


@dataclass(frozen=True, slots=True)
class RunOrder:
    """How a plan is to be run.

    Args:
        name: in place of the plan's own.
        wait_ms: how long the run may wait for room that other runs have.
        lack: why it cannot be carried out for now; empty when nothing is missing.
        step: of which search it is a step.
    """

    name: str | None = None
    placement: Placement = ANYWHERE
    wait_ms: UnixMillis = WAIT_MS
    origin: Origin = OWN_PLAN
    lack: str = ""
    step: StepOf | None = None


class Coordinator:
    """Carries every run that is not over. All inputs take turns."""

    def __init__(
        self,
        store: RunStore,
        registry: WorkerRegistry,
        hub: Hub,
        results: Results,
        clock: SteadyClock,
        watchers: RunWatchers,
        early_ends: EarlyEnds,
    ) -> None:
        self._store = store
        self._registry = registry
        self._hub = hub
        self._results = results
        self._clock = clock
        self._watchers = watchers
        self._early_ends = early_ends
        self._opened_at_ms = clock()
        self._runs: dict[str, ActiveRun] = {}
        self._turn = asyncio.Lock()
        self._over = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    async def start(self) -> None:
        """Take up the runs that an earlier process left, and begin to watch the time."""
        for run in await self._store.active():
            self._runs[run.id] = run
            log.info("run taken up again", run=run.id, status=run.status)
            await self._resume(run)
        self._spawn(self._watch())

    async def stop(self) -> None:
        """Leave every run as it is in the store; `start` of a later process goes on."""
        self._is_stopping = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # What the service asks.

    async def submit(self, plan: Plan, order: RunOrder) -> str:
        """Take a run in as PENDING and return its id; it goes on by itself."""
        if not self._runs:
            self._opened_at_ms += self._clock.follow()
        now_ms = self._clock()
        run = ActiveRun(
            uuid4().hex,
            order.name or plan.name,
            RunStatus.PENDING,
            plan.total_endpoints,
            now_ms,
            placement=order.placement,
            wait_until_ms=now_ms + order.wait_ms,
            step=order.step,
            seats=plan.seats,
        )
        await self._store.add(run, plan, secrets.randbits(31), order.origin)
        self._runs[run.id] = run
        self._spawn(self._in_turn(partial(self._validate, run, order.lack)))
        return run.id

    async def stop_run(self, run_id: str) -> None:
        """End a run early: calls are hung up, and what was measured is reported.

        Raises:
            RequestError: there is no such run, or it is over.
        """
        async with self._turn:
            run = self._runs.get(run_id)
            if run is None or run.is_finishing:
                row = await self._store.row(run_id)
                raise conflict(f"the run is {row['status']} already")
            if run.status is RunStatus.STOPPING:
                return
            run.reason = STOPPED
            if run.status is RunStatus.PENDING:
                await self._end(run, RunStatus.FAILED, f"{STOPPED} before it started")
            elif run.status is RunStatus.QUEUED:
                await self._fail(run, f"{STOPPED} {'while it waited' if run.is_waiting else 'before it started'}")
            else:
                await self._stop(run)

    async def wait_over(self, run_id: str) -> None:
        """Wait until a run is over."""
        async with self._over:
            await self._over.wait_for(lambda: run_id not in self._runs)

    def active(self, run_id: str) -> ActiveRun | None:
        """Return a run that is not over."""
        return self._runs.get(run_id)

    def endpoints_on(self, worker_id: str) -> int:
        """Return how many endpoints a worker has in runs that are not over."""
        parts = (run.parts.get(worker_id) for run in self._runs.values())
        return sum(part.seats for part in parts if part is not None and not part.state.is_final)

    # What the hub tells.

    def endpoints_of(self, worker_id: str, run_id: str) -> Set[int] | None:
        """Return the numbers of the endpoints that a worker has in a run; None when the run is over or unknown."""
        found = self._part(run_id, worker_id)
        return found[1].numbers if found is not None else None

    async def worker_greeted(self, worker_id: str, hello: Hello) -> None:
        """Find out what a worker that connects has still to do, and what it lost."""
        async with self._turn:
            for run in list(self._runs.values()):
                part = run.parts.get(worker_id)
                if part is None or part.state.is_final:
                    continue
                if part.session not in (None, hello.session) and run.id not in hello.runs:
                    await self._worker_restarted(run, part)
            for run_id in hello.runs:
                run_part = self._part(run_id, worker_id)
                if run_part is None or run_part[1].state.is_final:
                    self._order_stop(worker_id, run_id)

    async def worker_deleted(self, worker_id: str) -> None:
        """Give up what a worker had that cannot come back any more."""
        async with self._turn:
            for run in list(self._runs.values()):
                part = run.parts.get(worker_id)
                if part is None or part.state.is_final:
                    continue
                reason = f"worker {part.worker_name} was deleted"
                if run.status is RunStatus.QUEUED:
                    await self._fail(run, reason)
                else:
                    await self._lose(run, part, reason)

    async def command_done(self, worker_id: str, command_id: str, result: dict[str, Any]) -> None:
        """Go on when a worker has carried out a step."""
        step, _, run_id = command_id.partition("-")
        async with self._turn:
            found = self._part(run_id, worker_id)
            if found is None:
                return
            run, part = found
            if step == "prepare" and part.state is PartState.ASSIGNED:
                await self._prepared(run, part, result)
            elif step == "start" and part.state is PartState.PREPARED:
                part.state = PartState.STARTED
                await self._store.update_part(run.id, part, sealed_share=None)

    async def command_rejected(self, worker_id: str, command_id: str, code: str, detail: str) -> None:
        """Give a run up that a worker cannot prepare, or a part that it cannot start.

        A worker that has nothing to stop has ended its part already: its reports are on their way.
        """
        step, _, run_id = command_id.partition("-")
        async with self._turn:
            found = self._part(run_id, worker_id)
            if found is None or found[1].state.is_final:
                return
            run, part = found
            reason = f"worker {part.worker_name}: {code}: {detail}"
            if step == "prepare":
                await self._fail(run, reason)
            elif step == "start":
                await self._lose(run, part, reason)

    def reports_committed(self, entries: Iterable[Entry]) -> None:
        """Take note of what the journal has written."""
        for entry in () if self._is_stopping else entries:
            found = self._part(entry.run_id, entry.worker_id)
            if found is None:
                continue
            run, part = found
            self._early_ends.take(entry)
            if entry.kind == "progress":
                part.progress = entry.data
                self._watchers.changed(run.id)
            elif entry.kind == "run_done" and part.state is not PartState.DONE and not run.is_finishing:
                part.state, part.done, part.reason = PartState.DONE, entry.data, ""
                self._hub.forget(part.worker_id, run.id)
                self._spawn(self._in_turn(partial(self._finish_if_over, run)))

    # Steps; all run in turn.

    async def _resume(self, run: ActiveRun) -> None:
        if run.status is RunStatus.PENDING or run.is_waiting:
            return  # `tick` allocates it as soon as there is room
        if run.status is RunStatus.RUNNING:
            await self._early_ends.begin(run)
        for part in run.open_parts():
            if part.state is PartState.ASSIGNED:
                await self._order_prepare(run, part)
            elif run.status is RunStatus.RUNNING and part.state is PartState.PREPARED:
                self._order_start(run, part)
            elif run.status is RunStatus.STOPPING:
                self._order_stop(part.worker_id, run.id)
        await self._start_if_prepared(run)
        await self._finish_if_over(run)

    async def _validate(self, run: ActiveRun, lack: str) -> None:
        """Refuse a run that cannot start whatever becomes of others; let the others have their turn."""
        waiting = sum(other.is_waiting for other in self._runs.values())
        if not lack and waiting >= MAX_WAITING:
            lack = f"{waiting} runs are waiting for room already"
        if lack and run.id in self._runs:
            await self._end(run, RunStatus.CANNOT_RUN_FOR_NOW, lack)
        else:
            await self._allocate(run)

    async def _allocate(self, run: ActiveRun) -> None:
        """Split a run over the workers that have room now, or have it wait until they do."""
        if run.id not in self._runs or not (run.status is RunStatus.PENDING or run.is_waiting):
            return
        rows = [row for row in await self._registry.all() if row["enabled"] and run.placement.allows(row)]
        free = self._free_workers(rows)
        whole = sum(self.capacity(row) for row, _ in free)
        if whole < run.seats:
            await self._no_room(run, self._too_little(run, rows, whole))
        elif self._is_behind_others(run, rows) or sum(room for _, room in free) < run.seats:
            room = sum(room for _, room in free)
            await self._wait(run, f"the plan needs {run.seats} endpoints, {room} are free")
        else:
            await self._split(run, free)

    def _too_little(self, run: ActiveRun, rows: list[WorkerRow], whole: int) -> str:
        online = self._who_is_online(rows)
        where = f" ({run.placement})" if str(run.placement) else ""
        if whole == 0:
            full = ", with room for none" if self._is_any_online(rows) else ""
            return f"{online}{full}{where}"
        return f"the plan needs {run.seats} endpoints, the workers have room for {whole}; {online}{where}"

    def _is_behind_others(self, run: ActiveRun, rows: list[WorkerRow]) -> bool:
        """Tell whether a run that came earlier waits for one of the same workers: a small one never overtakes it."""
        earlier = itertools.takewhile(lambda other: other is not run, self._runs.values())
        return any(other.placement.allows(row) for other in earlier if other.is_waiting for row in rows)

    async def _wait(self, run: ActiveRun, needs: str) -> None:
        """Have a run wait for room that other runs have now, as long as it may."""
        now_ms = self._clock()
        if now_ms >= (run.wait_until_ms or 0):
            await self._end(run, RunStatus.CANNOT_RUN_FOR_NOW, f"{needs}; other runs have the rest")
        elif run.status is RunStatus.PENDING:
            run.status, run.queued_at_ms, run.reason = RunStatus.QUEUED, now_ms, f"waiting for room: {needs}"
            await self._store.update(run)
            self._watchers.changed(run.id)
            log.info("run waits for room", run=run.id, lack=needs)

    async def _split(self, run: ActiveRun, free: list[tuple[WorkerRow, int]]) -> None:
        try:
            plan, seed = await self._store.sealed_plan(run.id)
            rooms = [(row["id"], room) for row, room in free]
            shares = await asyncio.to_thread(split_run, plan, run.id, rooms, seed)
        except CapacityError as error:
            await self._no_place(run, plan, seed, free, str(error))
            return
        except CmwError as error:
            await self._end(run, RunStatus.FAILED, str(error))
            return
        names = {row["id"]: _shown_name(row) for row, _ in free}
        run.parts = {worker: Part(worker, names[worker], _endpoints(share)) for worker, share in shares.items()}
        run.status, run.reason = RunStatus.QUEUED, ""
        now_ms = self._clock()
        run.queued_at_ms = run.queued_at_ms or now_ms
        within_ns = max(share.register_within_ns for share in shares.values())
        run.deadline_at_ms = now_ms + within_ns // MILLISECOND
        await self._store.assign(run, shares)
        self._watchers.changed(run.id)
        log.info("run queued", run=run.id, workers=len(shares), endpoints=run.total_endpoints)
        for part in run.open_parts():
            await self._order_prepare(run, part)

    async def _no_place(
        self, run: ActiveRun, plan: Plan, seed: int, free: list[tuple[WorkerRow, int]], lack: str
    ) -> None:
        """Have a run wait that needs more room in one place than there is now; end it where there never is."""
        whole = [(row["id"], self.capacity(row)) for row, _ in free]
        try:
            await asyncio.to_thread(split_run, plan, run.id, whole, seed)
        except CapacityError as error:
            await self._no_room(run, str(error))
        else:
            await self._wait(run, lack)

    async def _no_room(self, run: ActiveRun, reason: str) -> None:
        """End a run that cannot start now; after a restart of the gateway once workers had time to come back."""
        is_new = run.created_at_ms >= self._opened_at_ms
        may_wait = run.is_waiting and self._clock() < (run.wait_until_ms or 0)
        if not may_wait and (is_new or self._clock() >= self._opened_at_ms + RESTART_GRACE_MS):
            await self._end(run, RunStatus.CANNOT_RUN_FOR_NOW, reason)

    async def _allocate_waiting(self) -> None:
        """Let those have their turn that wait for what has just become free."""
        for run in list(self._runs.values()):
            if run.is_waiting:
                await self._allocate(run)

    def _free_workers(self, rows: Iterable[WorkerRow]) -> list[tuple[WorkerRow, int]]:
        online = [row for row in rows if self._hub.state(row["id"]) is WorkerState.ONLINE]
        return [(row, max(0, self.capacity(row) - self.endpoints_on(row["id"]))) for row in online]

    def _is_any_online(self, rows: Iterable[WorkerRow]) -> bool:
        return any(self._hub.state(row["id"]) is WorkerState.ONLINE for row in rows)

    def _who_is_online(self, rows: Iterable[WorkerRow]) -> str:
        states = Counter(self._hub.state(row["id"]) for row in rows)
        online, others = states[WorkerState.ONLINE], (WorkerState.DRAINING, WorkerState.ERROR)
        said = {0: "no worker is online", 1: "1 worker is online"}.get(online, f"{online} workers are online")
        return ", ".join([said, *(f"{states[state]} {WORDS[state]}" for state in others if states[state])])

    def capacity(self, row: WorkerRow) -> int:
        """Return how many endpoints a worker may have: the configured number, or what it says of itself if less."""
        link = self._hub.link_of(row["id"])
        if link is None or link.machine.hello is None:
            return int(row["capacity"])
        said = link.heartbeat.capacity if link.heartbeat is not None else link.machine.hello.capacity
        return min(int(row["capacity"]), said)

    async def _prepared(self, run: ActiveRun, part: Part, result: dict[str, Any]) -> None:
        part.state = PartState.PREPARED
        part.session = self._hub.session_of(part.worker_id)
        part.targets = _targets(result.get("targets"))
        part.prepared = {key: value for key, value in result.items() if key != "targets"}
        await self._store.update_part(run.id, part)
        self._watchers.changed(run.id)
        await self._start_if_prepared(run)

    async def _start_if_prepared(self, run: ActiveRun) -> None:
        """Start a run once every worker is prepared: receivers first, then callers with their targets."""
        if run.status is not RunStatus.QUEUED or not run.parts:
            return
        if any(part.state is not PartState.PREPARED for part in run.parts.values()):
            return
        targets = _all_targets(run)
        if len(serialize_json({"targets": targets})) > MAX_TO_WORKER_BYTES - 4096:
            await self._fail(run, "NO_CAPACITY: the run has more targets than fit into one command")
            return
        run.status = RunStatus.RUNNING
        run.started_at_ms = self._clock()
        run.deadline_at_ms = run.started_at_ms + await self._run_within_ms(run)
        await self._store.update(run, sealed_plan=None)
        await self._early_ends.begin(run)
        self._watchers.changed(run.id)
        log.info("run started", run=run.id)
        if len(run.parts) > 1:
            lead_ns = START_LEAD + 2 * max(self._hub.round_trip_ns(worker_id) for worker_id in run.parts)
            run.start_at_unix_ns = self._hub.instant_after(min(lead_ns, MAX_START_LEAD))
        for part in run.parts.values():
            self._order_start(run, part)

    async def _run_within_ms(self, run: ActiveRun) -> int:
        spans_ns: list[Nanos] = []
        for worker_id in run.parts:
            share = await self._store.share(run.id, worker_id)
            spans_ns.append(share["run_within_ns"] if share is not None else 0)
        return max(spans_ns) // MILLISECOND

    async def _stop(self, run: ActiveRun) -> None:
        self._early_ends.end(run.id)
        run.status = RunStatus.STOPPING
        run.deadline_at_ms = min(run.deadline_at_ms or self._clock(), self._clock())
        await self._store.update(run)
        self._watchers.changed(run.id)
        log.info("run stopping", run=run.id)
        for part in run.open_parts():
            self._order_stop(part.worker_id, run.id)

    async def _worker_restarted(self, run: ActiveRun, part: Part) -> None:
        """Give up what the former process of a worker had."""
        self._hub.forget(part.worker_id, run.id)
        if run.status is RunStatus.QUEUED:
            await self._fail(run, f"worker {part.worker_name} was restarted before the run started")
        else:
            await self._lose(run, part, f"worker {part.worker_name} was restarted during the run")

    async def _lose(self, run: ActiveRun, part: Part, reason: str) -> None:
        part.state = PartState.LOST
        part.reason = reason
        self._hub.forget(part.worker_id, run.id)
        await self._store.update_part(run.id, part, sealed_share=None)
        self._watchers.changed(run.id)
        log.warning("part of a run lost", run=run.id, worker=part.worker_name, reason=reason)
        if self._hub.is_linked(part.worker_id):
            self._order_stop(part.worker_id, run.id)
        await self._finish_if_over(run)

    async def _fail(self, run: ActiveRun, reason: str) -> None:
        """End a run that has not started, and tell its workers."""
        for part in run.open_parts():
            self._hub.forget(part.worker_id, run.id)
            self._order_stop(part.worker_id, run.id)
        await self._end(run, RunStatus.FAILED, reason)

    async def _finish_if_over(self, run: ActiveRun) -> None:
        if run.is_over and not run.is_finishing and run.id in self._runs:
            run.is_finishing = True
            self._spawn(self._finish(run))

    async def _finish(self, run: ActiveRun) -> None:
        """Sum a run up; works on its own, so that other runs go on meanwhile.

        What the store has when the end is written counts, and nothing that comes after it.
        """
        if run.ended_at_ms is None:
            run.ended_at_ms = self._clock()
            await self._store.close(run)
        run.parts = {part.worker_id: part for part in await self._store.parts(run.id)}
        try:
            await self._add_missing(run)
            summary = await self._results.sum_up(run)
        except Exception as error:
            log.exception("the results of a run cannot be summed up", run=run.id)
            await self._end(run, RunStatus.FAILED, f"{NOT_SUMMED_UP}: {type(error).__name__}: {error}")
            return
        reasons = [part.reason for part in run.parts.values() if part.reason]
        reason = "; ".join([*([run.reason] if run.reason else []), *reasons])
        await self._end(run, run.final_status(), reason, summary=summary, verdict=summary["run"]["verdict"])

    async def _add_missing(self, run: ActiveRun) -> None:
        """Report, in their workers' place, the endpoints that nobody reported."""
        reported = await self._store.reported(run.id)
        for part in run.parts.values():
            reason = part.reason or "the worker ended the run without a report of this endpoint"
            missing = [
                lost_endpoint(
                    run.id,
                    index=e.number,
                    name=e.name,
                    group=e.group,
                    worker=part.worker_name,
                    worker_id=part.worker_id,
                    reason=reason,
                ).model_dump(mode="json")
                for e in part.endpoints
                if e.number not in reported
            ]
            await self._store.add_missing(run.id, part.worker_id, missing)

    async def _end(self, run: ActiveRun, status: RunStatus, reason: str, **more: Any) -> None:
        run.status, run.reason = status, reason
        run.ended_at_ms = run.ended_at_ms or self._clock()
        await self._store.finish(run, **more)
        log.info("run over", run=run.id, status=status, reason=reason)
        self._runs.pop(run.id, None)
        self._early_ends.end(run.id)
        self._watchers.changed(run.id)
        self._spawn(self._in_turn(self._allocate_waiting))
        async with self._over:
            self._over.notify_all()

    # Orders.

    async def _order_prepare(self, run: ActiveRun, part: Part) -> None:
        if run.id not in self._runs:
            return  # another part has failed it
        try:
            share = await self._store.share(run.id, part.worker_id)
        except SettingsError as error:
            await self._fail(run, str(error))
            return
        if share is None:
            await self._fail(run, f"the share of worker {part.worker_name} is not in the store any more")
        elif len(serialize_json({"share": share})) > MAX_TO_WORKER_BYTES - 4096:
            await self._fail(run, f"NO_CAPACITY: the share of worker {part.worker_name} does not fit into one command")
        else:
            self._hub.command(part.worker_id, f"prepare-{run.id}", "prepare_run", run.id, {"share": share})

    def _order_start(self, run: ActiveRun, part: Part) -> None:
        data: dict[str, Any] = {"targets": _all_targets(run)}
        if run.start_at_unix_ns is not None:
            data["start_at_unix_ns"] = run.start_at_unix_ns
        self._hub.command(part.worker_id, f"start-{run.id}", "start_run", run.id, data)

    def _order_stop(self, worker_id: str, run_id: str) -> None:
        run = self._runs.get(run_id)
        reason = run.reason if run is not None and run.reason else "the run is over"
        self._hub.command(worker_id, f"stop-{run_id}", "stop_run", run_id, {"reason": reason})

    # Time.

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self.tick()
            except Exception:
                log.exception("cannot look at the deadlines of the runs; trying again")

    async def tick(self) -> None:
        """Look at the deadlines of every run."""
        now_ms = self._clock()
        for run in list(self._runs.values()):
            await self._check_early_end(run, now_ms)
        async with self._turn:
            for run in list(self._runs.values()):
                if run.status is RunStatus.PENDING or run.is_waiting:
                    await self._allocate(run)
                elif run.status is RunStatus.QUEUED:
                    await self._check_preparation(run, now_ms)
                elif not run.is_finishing:
                    await self._check_end(run, now_ms)
                    await self._finish_if_over(run)

    async def _check_preparation(self, run: ActiveRun, now_ms: UnixMillis) -> None:
        if now_ms <= self._patience_until(run) + PREPARE_GRACE_MS:
            return
        late = [part.worker_name for part in run.parts.values() if part.state is PartState.ASSIGNED]
        await self._fail(run, f"not prepared in time: worker {', '.join(late)}")

    async def _check_early_end(self, run: ActiveRun, now_ms: UnixMillis) -> None:
        """Stop a run one of whose thresholds does not hold, if it is to end then."""
        if run.status is not RunStatus.RUNNING or run.is_finishing:
            return
        broken = await self._early_ends.judge(run.id, now_ms - (run.started_at_ms or now_ms))
        if broken is None:
            return
        async with self._turn:
            if run.status is RunStatus.RUNNING and not run.is_finishing:
                run.early_end, run.reason = broken, str(broken)
                await self._stop(run)

    async def _check_end(self, run: ActiveRun, now_ms: UnixMillis) -> None:
        """After the deadline, stop what still goes on; after the grace, give up who did not answer."""
        overdue_ms = now_ms - self._patience_until(run)
        if overdue_ms <= 0:
            return
        for part in run.open_parts():
            is_online = self._hub.is_linked(part.worker_id)
            if overdue_ms > (2 * RUN_GRACE_MS if is_online else RUN_GRACE_MS):
                await self._lose(run, part, "the worker did not end its part in time" if is_online else WORKER_LOST)
            elif is_online and overdue_ms > RUN_GRACE_MS:
                self._order_stop(part.worker_id, run.id)

    def _patience_until(self, run: ActiveRun) -> UnixMillis:
        return max(run.deadline_at_ms or 0, self._opened_at_ms + RESTART_GRACE_MS - RUN_GRACE_MS)

    # Helpers.

    def _part(self, run_id: str, worker_id: str) -> tuple[ActiveRun, Part] | None:
        run = self._runs.get(run_id)
        part = run.parts.get(worker_id) if run is not None else None
        return (run, part) if run is not None and part is not None else None

    async def _in_turn(self, step: Callable[[], Awaitable[None]]) -> None:
        async with self._turn:
            await step()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a step of a run failed", error=repr(error))


def _shown_name(row: WorkerRow) -> str:
    return str((row["hello"] or {}).get("name") or row["name"])


def _endpoints(share: RunShare) -> list[PartEndpoint]:
    return [
        PartEndpoint(endpoint.index, endpoint.name, group.name, endpoint.position, endpoint.line)
        for group in share.groups.values()
        for endpoint in group.endpoints
    ]


def _targets(said: Any) -> Targets:
    """Return what a worker gave as targets, as far as it has the form: group -> position -> URI."""
    groups = said.items() if isinstance(said, dict) else ()
    return {
        group: {position: uri for position, uri in uris.items() if isinstance(uri, str)}
        for group, uris in groups
        if isinstance(uris, dict)
    }


def _all_targets(run: ActiveRun) -> Targets:
    merged: Targets = {}
    for part in run.parts.values():
        for group, uris in (part.targets or {}).items():
            merged.setdefault(group, {}).update(uris)
    return merged
