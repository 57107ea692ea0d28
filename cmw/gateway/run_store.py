"""Runs in the store: what survives the process.

A run that is under way cannot go on without its state being written, so while the store cannot be written (the disk is
full) every step waits and tries again; only `add`, before which there is no run, fails at once.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.sqlite import insert

from cmw.core.words import RunStatus
from cmw.errors import CmwError
from cmw.gateway.database import Database
from cmw.gateway.errors import not_found
from cmw.gateway.journal import endpoint_row
from cmw.gateway.parts import ActiveRun, Part, PartEndpoint, PartState, StepOf
from cmw.gateway.placement import Placement
from cmw.gateway.tables import endpoints, events, run_workers, runs
from cmw.gateway.vault import Vault
from cmw.gateway.views import Page
from cmw.link.spool import SPOOL_DROPPED
from cmw.load.early_end import EarlyEnd
from cmw.load.evidence import KIND as EVIDENCE
from cmw.load.packets import KIND as PACKETS
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from cmw.load.share import RunShare

RETRY_S = 1.0

RunRow = dict[str, Any]


class Origin(NamedTuple):
    """Where a run comes from: nowhere if it was started with a plan of its own."""

    project_id: str | None = None
    test_id: str | None = None


OWN_PLAN = Origin()

Statement = tuple[sa.UpdateBase, list[dict[str, Any]] | None]
"""What to execute, and the rows of an insertion."""

log = structlog.get_logger("cmw.gateway.runs")

_LIST_COLUMNS = [
    *(c for c in runs.c if c.name not in ("plan", "sealed_plan", "summary")),
    runs.c.summary.is_not(None).label("summary_known"),
    runs.c.summary["thresholds"].label("thresholds"),
]

_ENDPOINT = events.c.data["endpoint"].as_integer()
"""Of evidence: whose it is."""


class RunStore:
    """Rows of `runs`, `run_workers`, `endpoints` and `events`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    # Runs.

    async def add(self, run: ActiveRun, plan: Plan, seed: int, origin: Origin, *, is_search: bool = False) -> None:
        """Write a new run; the passwords of its plan only sealed."""
        row = {
            "id": run.id,
            "name": run.name,
            "status": run.status,
            "verdict": None,
            "reason": run.reason,
            "plan": plan.model_dump(mode="json", exclude_none=True),
            "sealed_plan": self._vault.seal(json.dumps(plan.to_document())),
            "endpoints": run.total_endpoints,
            "seed": seed,
            "created_at_ms": run.created_at_ms,
            "placement": run.placement.to_document(),
            "wait_until_ms": run.wait_until_ms,
            "project_id": origin.project_id,
            "test_id": origin.test_id,
            "is_search": is_search,
            "search_id": run.step.search_id if run.step is not None else None,
            "search_step": run.step.number if run.step is not None else None,
        }
        async with self._database.write() as connection:
            await connection.execute(runs.insert().values(row))

    async def update(self, run: ActiveRun, **more: Any) -> None:
        """Write what changes of a run while it goes on."""
        await self._write((_update(run, **more), None))

    async def close(self, run: ActiveRun) -> None:
        """Write when a run ended: what is committed after it is late, what was before is summed up."""
        await self._write((_update(run, ended_at_ms=run.ended_at_ms), None))

    async def finish(self, run: ActiveRun, **more: Any) -> None:
        """Write the end of a run, and erase its secrets."""
        parts = run_workers.update().where(run_workers.c.run_id == run.id).values(sealed_share=None)
        end = _update(run, ended_at_ms=run.ended_at_ms, sealed_plan=None, **more)
        await self._write((end, None), (parts, None))

    async def row(self, run_id: str) -> RunRow:
        """Return a run without plan and summary.

        Raises:
            RequestError: there is none with this id.
        """
        return await self._one(sa.select(*_LIST_COLUMNS), run_id)

    async def plan(self, run_id: str) -> dict[str, Any]:
        """Return the plan as it was given, with its passwords masked."""
        found: dict[str, Any] = (await self._one(sa.select(runs.c.plan), run_id))["plan"]
        return found

    async def summary(self, run_id: str) -> dict[str, Any] | None:
        """Return the summary, None as long as there is none."""
        found: dict[str, Any] | None = (await self._one(sa.select(runs.c.summary), run_id))["summary"]
        return found

    async def page(
        self,
        page: Page,
        status: RunStatus | None = None,
        origin: Origin | None = None,
        search_id: str | None = None,
    ) -> tuple[list[RunRow], int]:
        """Return one page of the runs, the latest first, and how many there are; only those that fit what is given.

        Steps of searches are left out, unless one search is asked for.
        """
        query = sa.select(*_LIST_COLUMNS).order_by(runs.c.created_at_ms.desc(), runs.c.id)
        query = query.where(runs.c.search_id == search_id if search_id else runs.c.search_id.is_(None))
        if status is not None:
            query = query.where(runs.c.status == status)
        for column, value in origin._asdict().items() if origin is not None else ():
            query = query.where(runs.c[column] == value) if value is not None else query
        rows = await self._database.rows(query.limit(page.per_page).offset(page.offset))
        return rows, await self._database.count(query)

    async def sealed_plan(self, run_id: str) -> tuple[Plan, int]:
        """Return the whole plan of a run that is not over, and its seed."""
        row = await self._one(sa.select(runs.c.sealed_plan, runs.c.seed), run_id)
        return await asyncio.to_thread(lambda: parse_plan(self._unseal(row["sealed_plan"]))), row["seed"]

    async def active(self) -> list[ActiveRun]:
        """Return every run that is not over, the oldest first, without searches."""
        found = [_active_run(row) for row in await self._active_rows(is_search=False)]
        for run in found:
            run.parts = {part.worker_id: part for part in await self.parts(run.id)}
            if not run.parts:
                run.seats = await self._seats_of(run)
        return found

    async def active_searches(self) -> list[tuple[ActiveRun, Origin]]:
        """Return every search that is not over, the oldest first."""
        rows = await self._active_rows(is_search=True)
        return [(_active_run(row), Origin(row["project_id"], row["test_id"])) for row in rows]

    async def steps(self, search_id: str) -> list[str]:
        """Return the ids of the runs that are the steps of a search, in their order."""
        query = sa.select(runs.c.id).where(runs.c.search_id == search_id).order_by(runs.c.search_step)
        return [row["id"] for row in await self._database.rows(query)]

    async def _active_rows(self, *, is_search: bool) -> list[RunRow]:
        over = [status for status in RunStatus if status.is_final]
        query = sa.select(*_LIST_COLUMNS).where(runs.c.status.not_in(over), runs.c.is_search.is_(is_search))
        return await self._database.rows(query.order_by(runs.c.created_at_ms))

    # Parts.

    async def assign(self, run: ActiveRun, shares: dict[str, RunShare]) -> None:
        """Write the parts of a run that has just been split, and its status."""
        rows = [
            _part_row(run.id, run.parts[worker_id], await asyncio.to_thread(self._seal, share))
            for worker_id, share in shares.items()
        ]
        await self._write((run_workers.insert(), rows), (_update(run), None))

    async def update_part(self, run_id: str, part: Part, **more: Any) -> None:
        """Write what changes of a part by what its worker answers; reports are written by the journal."""
        values = {
            "state": part.state,
            "session": part.session,
            "targets": part.targets,
            "prepared": part.prepared,
            "reason": part.reason,
        } | more
        mine = run_workers.update().where(run_workers.c.run_id == run_id, run_workers.c.worker_id == part.worker_id)
        await self._write((mine.values(values), None))

    async def parts(self, run_id: str) -> list[Part]:
        """Return the parts of a run."""
        query = sa.select(run_workers).where(run_workers.c.run_id == run_id).order_by(run_workers.c.worker_name)
        return [_part(row) for row in await self._database.rows(query)]

    async def share(self, run_id: str, worker_id: str) -> dict[str, Any] | None:
        """Return the share of a part that has not started, passwords included."""
        query = sa.select(run_workers.c.sealed_share).where(
            run_workers.c.run_id == run_id, run_workers.c.worker_id == worker_id
        )
        row = await self._database.row(query)
        if row is None or row["sealed_share"] is None:
            return None
        share: dict[str, Any] = await asyncio.to_thread(self._unseal, row["sealed_share"])
        return share

    # Results.

    async def add_missing(self, run_id: str, worker_id: str, reports: Iterable[dict[str, Any]]) -> None:
        """Write reports in the name of a worker for the endpoints that it did not report itself."""
        rows = [endpoint_row(run_id, worker_id, report) for report in reports]
        if rows:
            await self._write((insert(endpoints).on_conflict_do_nothing(), rows))

    async def reported(self, run_id: str) -> set[int]:
        """Return the indices of the endpoints that have ended."""
        query = sa.select(endpoints.c.endpoint).where(endpoints.c.run_id == run_id)
        return {row["endpoint"] for row in await self._database.rows(query)}

    async def endpoint_page(
        self, run_id: str, page: Page, outcome: str | None = None
    ) -> tuple[list[dict[str, Any]], int]:
        """Return one page of the final reports, by index, and how many there are."""
        query = sa.select(endpoints.c.report).where(endpoints.c.run_id == run_id).order_by(endpoints.c.endpoint)
        if outcome is not None:
            query = query.where(endpoints.c.outcome == outcome)
        rows = await self._database.rows(query.limit(page.per_page).offset(page.offset))
        return [row["report"] for row in rows], await self._database.count(query)

    async def reports(self, run_id: str) -> list[dict[str, Any]]:
        """Return every final report of a run, by index."""
        query = sa.select(endpoints.c.report).where(endpoints.c.run_id == run_id).order_by(endpoints.c.endpoint)
        return [row["report"] for row in await self._database.rows(query)]

    async def evidence(self, run_id: str) -> list[dict[str, Any]]:
        """Return what workers kept of endpoints, in the order in which it was written."""
        return [row["data"] for row in await self._database.rows(_evidence_of(run_id, events.c.data))]

    async def evidence_page(self, run_id: str, page: Page) -> tuple[list[dict[str, Any]], int]:
        """Return one page of what is kept, by endpoint: whose it is and how many messages; and how many there are."""
        query = (
            _evidence_of(
                run_id,
                _ENDPOINT.label("endpoint"),
                events.c.data["name"].as_string().label("name"),
                sa.func.json_array_length(events.c.data, "$.messages").label("messages"),
                sa.func.coalesce(events.c.data["messages_left_out"].as_integer(), 0).label("messages_left_out"),
            )
            .order_by(None)
            .order_by(_ENDPOINT)
        )
        rows = await self._database.rows(query.limit(page.per_page).offset(page.offset))
        return [dict(row) for row in rows], await self._database.count(query)

    async def evidence_of(self, run_id: str, endpoint: int) -> dict[str, Any] | None:
        """Return what a worker kept of an endpoint, None for nothing."""
        rows = await self._database.rows(_evidence_of(run_id, events.c.data).where(endpoint == _ENDPOINT).limit(1))
        found: dict[str, Any] | None = rows[0]["data"] if rows else None
        return found

    async def packets_of(self, run_id: str, endpoint: int) -> list[dict[str, Any]]:
        """Return what a worker kept of the packets of an endpoint, in parts."""
        query = _evidence_of(run_id, events.c.data, kind=PACKETS).where(endpoint == _ENDPOINT)
        return [row["data"] for row in await self._database.rows(query)]

    async def dropped_samples(self, run_id: str) -> dict[str, int]:
        """Return how many sample batches each worker had to drop, as the notes that it left in their place say."""
        dropped: Counter[str] = Counter()
        query = sa.select(events.c.worker_id, events.c.data).where(events.c.run_id == run_id)
        for row in await self._database.rows(query):
            number = row["data"].get("sample_batches")
            if row["data"].get("kind") == SPOOL_DROPPED and isinstance(number, int):
                dropped[row["worker_id"]] += max(0, number)
        return dict(dropped)

    async def _write(self, *statements: Statement) -> None:
        """Write in one transaction, trying again for as long as the store cannot be written."""
        while True:
            try:
                async with self._database.write() as connection:
                    for statement, rows in statements:
                        await connection.execute(statement, rows)
                return
            except sa.exc.OperationalError as error:
                log.error("cannot write the state of a run; trying again", error=str(error.orig))
                await asyncio.sleep(RETRY_S)

    def _seal(self, share: RunShare) -> bytes:
        return self._vault.seal(json.dumps(share.to_wire()))

    async def _seats_of(self, run: ActiveRun) -> int:
        try:
            plan, _ = await self.sealed_plan(run.id)
        except CmwError:  # whoever splits the run finds out, and says so
            return run.total_endpoints
        return plan.seats

    def _unseal(self, sealed: bytes) -> Any:
        return json.loads(self._vault.unseal(sealed))

    async def _one(self, query: sa.Select[Any], run_id: str) -> dict[str, Any]:
        row = await self._database.row(query.where(runs.c.id == run_id))
        if row is None:
            raise not_found("run", run_id)
        return row


def _active_run(row: RunRow) -> ActiveRun:
    return ActiveRun(
        id=row["id"],
        name=row["name"],
        status=RunStatus(row["status"]),
        total_endpoints=row["endpoints"],
        created_at_ms=row["created_at_ms"],
        queued_at_ms=row["queued_at_ms"],
        started_at_ms=row["started_at_ms"],
        deadline_at_ms=row["deadline_at_ms"],
        ended_at_ms=row["ended_at_ms"],
        reason=row["reason"],
        placement=Placement.model_validate(row["placement"]),
        wait_until_ms=row["wait_until_ms"],
        early_end=EarlyEnd.model_validate(row["early_end"]) if row["early_end"] is not None else None,
        step=StepOf(row["search_id"], row["search_step"]) if row["search_id"] is not None else None,
    )


def _update(run: ActiveRun, **more: Any) -> sa.Update:
    values = {
        "status": run.status,
        "reason": run.reason,
        "queued_at_ms": run.queued_at_ms,
        "started_at_ms": run.started_at_ms,
        "deadline_at_ms": run.deadline_at_ms,
        "early_end": run.early_end.model_dump() if run.early_end is not None else None,
    }
    return runs.update().where(runs.c.id == run.id).values(values | more)


def _evidence_of(run_id: str, *columns: sa.ColumnElement[Any], kind: str = EVIDENCE) -> sa.Select[Any]:
    is_evidence = events.c.data["kind"].as_string() == kind
    return sa.select(*columns).where(events.c.run_id == run_id, is_evidence).order_by(events.c.id)


def _part_row(run_id: str, part: Part, sealed_share: bytes) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "worker_id": part.worker_id,
        "worker_name": part.worker_name,
        "state": part.state,
        "endpoints": [list(endpoint) for endpoint in part.endpoints],
        "endpoint_count": len(part.endpoints),
        "sealed_share": sealed_share,
        "reason": part.reason,
    }


def _part(row: dict[str, Any]) -> Part:
    return Part(
        worker_id=row["worker_id"],
        worker_name=row["worker_name"],
        endpoints=[PartEndpoint(*endpoint) for endpoint in row["endpoints"]],
        state=PartState(row["state"]),
        session=row["session"],
        targets=row["targets"],
        prepared=row["prepared"],
        progress=row["progress"],
        done=row["done"],
        reason=row["reason"],
    )
