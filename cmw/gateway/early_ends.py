"""Runs that a threshold may end: what their workers report is judged as it is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import sqlalchemy as sa
import structlog

from cmw.gateway.database import Database
from cmw.gateway.journal import Entry
from cmw.gateway.parts import ActiveRun
from cmw.gateway.run_store import RunStore
from cmw.gateway.sample_store import SampleStore
from cmw.gateway.tables import sessions
from cmw.link.samples import decode_samples
from cmw.load.early_end import EarlyEnd, EarlyEndJudge, may_end_early
from cmw.load.outcome import EndpointReport
from cmw.load.plan_parser import parse_plan

UNJUDGED = "a run cannot be judged while it goes on, and goes on to its own end"

log = structlog.get_logger("cmw.gateway.runs")

Session = tuple[str, str]
"""Worker and link session."""


class _Watch:
    """One run: its judge, what it has not looked at yet, and up to where each session was taken."""

    def __init__(self, judge: EarlyEndJudge, taken: dict[Session, int]) -> None:
        self.turn = asyncio.Lock()
        self._judge = judge
        self._taken = taken
        self._new: list[Entry] = []

    def take(self, entry: Entry) -> None:
        """Take what was committed, once: an entry that was sent again is among those that are told."""
        session = (entry.worker_id, entry.session)
        if entry.seq > self._taken.get(session, 0):
            self._taken[session] = entry.seq
            self._new.append(entry)

    def pull(self) -> list[Entry]:
        """Return what was taken since the last look."""
        entries, self._new = self._new, []
        return entries

    def judge(self, entries: Iterable[Entry], elapsed_ms: int) -> EarlyEnd | None:
        """Return the threshold that does not hold; in a thread, in turn."""
        for entry in entries:
            if entry.kind == "samples":
                _, batch = decode_samples(entry.frame)
                self._judge.add_samples(batch.endpoints, batch.columns)
            else:
                self._judge.add_report(EndpointReport.model_validate(entry.data))
        return self._judge.judge(elapsed_ms)


class EarlyEnds:
    """The runs under way that have such a threshold."""

    def __init__(self, database: Database, store: RunStore, samples: SampleStore) -> None:
        self._database = database
        self._store = store
        self._samples = samples
        self._watches: dict[str, _Watch] = {}

    async def begin(self, run: ActiveRun) -> None:
        """Watch a run that starts, or that an earlier process left, if it has such a threshold."""
        try:
            await self._begin(run)
        except Exception:
            log.exception(UNJUDGED, run=run.id)

    async def _begin(self, run: ActiveRun) -> None:
        plan = await asyncio.to_thread(parse_plan, await self._store.plan(run.id))
        if not may_end_early(plan):
            return
        group_of = {endpoint.number: endpoint.group for part in run.parts.values() for endpoint in part.endpoints}
        judge = EarlyEndJudge(plan, group_of, await self._samples.aggregate(run.id))
        for report in await self._store.reports(run.id):
            judge.add_report(EndpointReport.model_validate(report))
        workers = sessions.c.worker_id.in_(list(run.parts))
        rows = await self._database.rows(sa.select(sessions).where(workers))
        taken = {(row["worker_id"], row["session"]): row["committed_seq"] for row in rows}
        self._watches[run.id] = _Watch(judge, taken)

    def take(self, entry: Entry) -> None:
        """Take what was committed of a worker that has a part in the run."""
        watch = self._watches.get(entry.run_id)
        if watch is not None and entry.kind in ("samples", "endpoint"):
            watch.take(entry)

    async def judge(self, run_id: str, elapsed_ms: int) -> EarlyEnd | None:
        """Return the threshold of a run that does not hold; None when all do, or when it cannot be judged any more."""
        watch = self._watches.get(run_id)
        if watch is None:
            return None
        try:
            async with watch.turn:
                return await asyncio.to_thread(watch.judge, watch.pull(), elapsed_ms)
        except Exception:
            log.exception(UNJUDGED, run=run_id)
            self.end(run_id)
            return None

    def end(self, run_id: str) -> None:
        """Watch a run no longer."""
        self._watches.pop(run_id, None)
