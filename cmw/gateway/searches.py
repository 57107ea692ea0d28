"""Searches for what a target carries: one step after the other, each a run of its own.

A search is a row of the store like a run, and has no workers itself. What it has found follows from its steps, which
the store has, so a gateway that is started again goes on with the step that it was at.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy.exc import OperationalError

from cmw.core.words import RunStatus
from cmw.gateway.coordinator import STOPPED, Coordinator, RunOrder
from cmw.gateway.errors import RequestError, conflict
from cmw.gateway.instants import SteadyClock
from cmw.gateway.parts import ActiveRun, StepOf
from cmw.gateway.run_store import RETRY_S, RunStore
from cmw.gateway.watchers import RunWatchers
from cmw.load.plan import Plan
from cmw.load.search import Search, SearchPart, step_plan
from cmw.load.search_step import search_step
from cmw.load.summary import Summary


class _NoResultsError(Exception):
    """A search ends without results: a step could not be run."""

    def __init__(self, status: RunStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


log = structlog.get_logger("cmw.gateway.searches")


@dataclass(slots=True)
class _Going:
    """A search that is not over.

    Args:
        order: how each of its steps is to be run.
        step_id: the run that is its present step.
        over: set once its end is in the store.
    """

    run: ActiveRun
    plan: Plan
    order: RunOrder
    search: Search
    step_id: str | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Searches:
    """Carries every search that is not over."""

    def __init__(self, store: RunStore, coordinator: Coordinator, watchers: RunWatchers, clock: SteadyClock) -> None:
        self._store = store
        self._coordinator = coordinator
        self._watchers = watchers
        self._clock = clock
        self._going: dict[str, _Going] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take up the searches that an earlier process left; their steps must have been taken up before."""
        for run, origin in await self._store.active_searches():
            plan, _ = await self._store.sealed_plan(run.id)
            wait_ms = (run.wait_until_ms or run.created_at_ms) - run.created_at_ms
            log.info("search taken up again", run=run.id, status=run.status)
            self._begin(run, plan, RunOrder(placement=run.placement, wait_ms=wait_ms, origin=origin))

    async def stop(self) -> None:
        """Leave every search as it is in the store; `start` of a later process goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def submit(self, plan: Plan, order: RunOrder) -> str:
        """Take a search in and return its id; it goes on by itself.

        Args:
            plan: one for which `cmw.load.search.searched_group` has a name.
        """
        now_ms = self._clock()
        named = plan if order.name is None else plan.model_copy(update={"name": order.name})
        run = ActiveRun(
            uuid4().hex,
            named.name,
            RunStatus.RUNNING,
            plan.total_endpoints,
            now_ms,
            started_at_ms=now_ms,
            placement=order.placement,
            wait_until_ms=now_ms + order.wait_ms,
        )
        await self._store.add(run, named, secrets.randbits(31), order.origin, is_search=True)
        await self._store.update(run)
        log.info("search started", run=run.id)
        self._begin(run, named, replace(order, name=None))
        return run.id

    async def stop_search(self, search_id: str) -> None:
        """End a search early, with the step that it is at.

        Raises:
            RequestError: it is over.
        """
        going = self._going.get(search_id)
        if going is None:
            row = await self._store.row(search_id)
            raise conflict(f"the run is {row['status']} already")
        if going.run.status is RunStatus.STOPPING:
            return
        going.run.status, going.run.reason = RunStatus.STOPPING, STOPPED
        await self._store.update(going.run)
        self._watchers.changed(search_id)
        await self._stop_step(going)

    async def wait_over(self, search_id: str) -> None:
        """Wait until a search is over."""
        going = self._going.get(search_id)
        if going is not None:
            await going.over.wait()

    def found(self, search_id: str) -> SearchPart | None:
        """Return what a search that is not over has found so far."""
        going = self._going.get(search_id)
        return going.search.result() if going is not None else None

    def step_of(self, search_id: str) -> str | None:
        """Return the run that is the present step of a search."""
        going = self._going.get(search_id)
        return going.step_id if going is not None else None

    def _begin(self, run: ActiveRun, plan: Plan, order: RunOrder) -> None:
        going = self._going[run.id] = _Going(run, plan, order, Search(plan))
        task = asyncio.create_task(self._carry_out(going), name=f"search {run.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, going: _Going) -> None:
        run = going.run
        try:
            await self._try_loads(going)
            await self._finish(going)
        except _NoResultsError as error:
            await self._end(going, error.status, str(error))
        except Exception as error:
            log.exception("a search cannot go on", run=run.id)
            await self._end(going, RunStatus.FAILED, f"the search cannot go on: {type(error).__name__}: {error}")

    async def _try_loads(self, going: _Going) -> None:
        """Carry out the steps; those that the store has already are counted as they ended.

        A step that was stopped, by itself or with the search, ends the search: its figures are not those of its load.
        """
        run, search = going.run, going.search
        known = await self._store.steps(run.id)
        while (load := search.next_load()) is not None:
            number = len(search.steps) + 1
            if number > len(known) and run.status is RunStatus.STOPPING:
                search.stop()
                return
            if number > len(known):
                order = replace(going.order, step=StepOf(run.id, number))
                known.append(await self._submit(step_plan(going.plan, load), order))
            going.step_id = known[number - 1]
            await self._wait_step(going, going.step_id)
            row, document = await self._store.row(going.step_id), await self._store.summary(going.step_id)
            if row["reason"].startswith(STOPPED):
                search.stop()
                return
            if document is None:
                raise _NoResultsError(
                    RunStatus(row["status"]), f"step {number}, {float(load):g} {search.unit}: {row['reason']}"
                )
            search.record(search_step(number, load, Summary.model_validate(document)))
            self._watchers.changed(run.id)

    async def _submit(self, plan: Plan, order: RunOrder) -> str:
        """Begin a step, trying again for as long as the store cannot be written, as runs do that are under way."""
        while True:
            try:
                return await self._coordinator.submit(plan, order)
            except OperationalError as error:
                log.error("cannot write the state of a run; trying again", error=str(error.orig))
                await asyncio.sleep(RETRY_S)

    async def _wait_step(self, going: _Going, step_id: str) -> None:
        self._watchers.step_begins(going.run.id, step_id)
        self._watchers.changed(going.run.id)
        try:
            if going.run.status is RunStatus.STOPPING:
                await self._stop_step(going)
            await self._coordinator.wait_over(step_id)
        finally:
            self._watchers.step_ends(step_id)

    async def _stop_step(self, going: _Going) -> None:
        if going.step_id is not None:
            with suppress(RequestError):  # it is over already
                await self._coordinator.stop_run(going.step_id)

    async def _finish(self, going: _Going) -> None:
        """Write the results: those of the step that stands for the search, with what was found."""
        part = going.search.result()
        step_id = part.told.run_id if part.told is not None else going.step_id
        document = await self._store.summary(step_id) if step_id is not None else None
        if document is None:
            await self._end(going, RunStatus.FAILED, f"{STOPPED} before it had results")
            return
        summary = {**document, "search": part.model_dump(mode="json")}
        verdict = summary["run"]["verdict"]
        await self._end(going, RunStatus(summary["run"]["status"]), part.found, summary=summary, verdict=verdict)

    async def _end(self, going: _Going, status: RunStatus, reason: str, **more: Any) -> None:
        run = going.run
        run.status, run.reason, run.ended_at_ms = status, reason, self._clock()
        await self._store.finish(run, **more)
        log.info("search over", run=run.id, status=status, reason=reason)
        del self._going[run.id]
        going.over.set()
        self._watchers.changed(run.id)
