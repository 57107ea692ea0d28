"""What a run measured: rows of samples, and the summary."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from math import isnan
from typing import Any

from pydantic import ValidationError

from cmw.gateway.instants import UnixMillis, iso
from cmw.gateway.parquet import ParquetWriter
from cmw.gateway.parts import ActiveRun, Part
from cmw.gateway.run_store import RunStore
from cmw.gateway.sample_store import SampleStore
from cmw.link.samples import ABSENT_COUNT, SampleBatch
from cmw.load.outcome import EndpointReport, RunTotals
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from cmw.load.report import UNTRUSTED, samples_csv
from cmw.load.summary import RunInfo, WorkerPart, build_summary
from cmw.metrics.grouped_samples import GroupedSamples
from cmw.metrics.keys import COLUMNS

Row = dict[str, Any]


class Results:
    """Reads the results of runs; everything that takes long is done in a thread, a minute of samples at a time."""

    def __init__(self, store: RunStore, samples: SampleStore) -> None:
        self._store = store
        self._samples = samples

    async def rows(self, run_id: str, endpoint: int | None = None) -> AsyncIterator[list[Row]]:
        """Yield the samples of a run by second, a minute at a time; only those of one endpoint if given."""
        async for batches in self._samples.minutes(run_id, endpoint):
            yield await asyncio.to_thread(_rows, batches)

    async def csv(self, run_id: str, endpoint: int | None = None) -> AsyncIterator[str]:
        """Yield samples.csv piece by piece."""
        yield "".join(samples_csv(()))
        async for batches in self._samples.minutes(run_id, endpoint):
            yield await asyncio.to_thread(_csv, batches)

    async def parquet(self, run_id: str, writer: ParquetWriter, endpoint: int | None = None) -> AsyncIterator[bytes]:
        """Yield samples.parquet piece by piece."""
        async for batches in self._samples.minutes(run_id, endpoint):
            yield await asyncio.to_thread(writer.write, batches)
        yield await asyncio.to_thread(writer.close)

    async def sum_up(self, run: ActiveRun) -> dict[str, Any]:
        """Return the summary of a run whose parts are all over."""
        plan = parse_plan(await self._store.plan(run.id)).model_copy(update={"name": run.name})
        samples = await self._samples.aggregate(run.id)
        reports = await self._store.reports(run.id)
        dropped = await self._store.dropped_samples(run.id)
        return await asyncio.to_thread(_summary, run, plan, reports, samples, dropped)


def _summary(
    run: ActiveRun, plan: Plan, reports: list[dict[str, Any]], samples: GroupedSamples, dropped: dict[str, int]
) -> dict[str, Any]:
    parts = run.parts.values()
    info = RunInfo(
        id=run.id,
        status=run.final_status(),
        started_at=iso(run.started_at_ms),
        duration_s=_seconds(run.started_at_ms, run.ended_at_ms),
        early_end=run.early_end,
        workers=[WorkerPart(id=part.worker_id, name=part.worker_name, endpoints=len(part.endpoints)) for part in parts],
    )
    totals = {part.worker_id: figures for part in parts if (figures := _totals(part)) is not None}
    checked = [EndpointReport.model_validate(report) for report in reports]
    document = build_summary(info, plan, checked, samples, totals).to_document()
    known = {worker_id: figures.samples_dropped for worker_id, figures in totals.items()}
    document["generator"]["samples_dropped"] += sum(max(0, n - known.get(w, 0)) for w, n in dropped.items())
    return document


def _seconds(since: UnixMillis | None, until: UnixMillis | None) -> float | None:
    return None if since is None or until is None else (until - since) / 1000


def _totals(part: Part) -> RunTotals | None:
    """Return what a worker said of its health; None when it said nothing that can be read."""
    try:
        return RunTotals.model_validate((part.done or {}).get("generator"))
    except ValidationError:
        return None


def _rows(batches: Sequence[SampleBatch]) -> list[Row]:
    rows: list[Row] = []
    for batch in batches:
        for at, index in enumerate(batch.endpoints):
            row: Row = {"endpoint": index, "second": batch.second, "at_unix_ms": batch.at_unix_ms}
            for key in (*COLUMNS, UNTRUSTED):
                column = batch.columns.get(key)
                row[key] = None if column is None else _value(column.typecode, column[at])
            rows.append(row)
    return rows


def _value(typecode: str, value: Any) -> float | int | None:
    """Return a sample as people read it: None when absent, floats with the digits that float32 has."""
    if typecode == "I":
        return None if value == ABSENT_COUNT else int(value)
    return None if isnan(value) else float(f"{value:.7g}")


def _csv(batches: Sequence[SampleBatch]) -> str:
    return "".join(itertools.islice(samples_csv(batches), 1, None))
