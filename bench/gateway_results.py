"""What the samples of a long run take in the gateway's store, and how long it takes to ask for them.

    python -m bench.gateway_results --endpoints 500 --seconds 3600

Every column of the table of metrics is filled, with gauges that wander and counters that go up. That nothing is missing
is asserted before any time is given.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import operator
import random
import tempfile
import time
from array import array
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

from cmw.gateway.database import DATABASE_FILE
from cmw.gateway.sample_store import SampleStore
from cmw.gateway.service import Gateway
from cmw.gateway.tables import batches, runs
from cmw.link.samples import SampleBatch, encode_samples
from cmw.load.plan_parser import parse_plan
from cmw.metrics.keys import COLUMNS

RUN = "0" * 32
PER_BATCH = 50
"""Endpoints of one worker."""
START_MS = 1_700_000_000_000


def frames(endpoints: int, seconds: int) -> Any:
    """Yield (second, rows, frame) of a run."""
    chance = random.Random(1)
    state = {name: [chance.uniform(1, 50) for _ in range(endpoints)] for name in COLUMNS}
    steps = [chance.gauss(0, 0.1) for _ in range(8191)]
    for second in range(seconds):
        for name, column in COLUMNS.items():
            if column.metric.column == "I":
                step = 50 if "packets" in name else 0
                state[name] = [value + step for value in state[name]]
            else:
                at = chance.randrange(len(steps))
                moved = itertools.cycle(steps[at:] + steps[:at])
                state[name] = list(map(operator.add, state[name], moved))
        for first in range(0, endpoints, PER_BATCH):
            own = slice(first, min(first + PER_BATCH, endpoints))
            columns: dict[str, Any] = {}
            for name, column in COLUMNS.items():
                if column.metric.column == "I":
                    columns[name] = array("I", map(int, state[name][own]))
                else:
                    columns[name] = array("f", state[name][own])
            numbers = array("I", range(own.start, own.stop))
            batch = SampleBatch(RUN, second, START_MS + 1000 * second, numbers, columns)
            yield second, len(numbers), encode_samples(batch, 1)


async def fill(gateway: Gateway, endpoints: int, seconds: int) -> dict[str, float]:
    """Write a run that is over, as the journal does, pack its minutes and return how long that took."""
    plan = parse_plan({"version": 1, "duration": "1h", "groups": {"all": {"endpoints": endpoints}}})
    row = {
        "id": RUN,
        "name": "bench",
        "status": "COMPLETED",
        "ended_at_ms": 0,
        "reason": "",
        "endpoints": endpoints,
        "seed": 0,
    }
    row |= {"plan": plan.model_dump(mode="json", exclude_none=True), "created_at_ms": START_MS}
    async with gateway._database.write() as connection:
        await connection.execute(runs.insert().values(row))
    group: list[dict[str, Any]] = []
    packed_s = 0.0
    slowest_s = 0.0
    for second, rows, frame in frames(endpoints, seconds):
        group.append({"run_id": RUN, "worker_id": "w", "second": second, "rows": rows, "frame": frame})
        if len(group) == 500:
            _, spent_s = await timed(write(gateway, group))
            slowest_s = max(slowest_s, spent_s)
            packed_s += (await timed(gateway._packer.pack()))[1]
    await write(gateway, group)
    async with gateway._database.write() as connection:
        await connection.execute(runs.update().values(ended_at_ms=START_MS))
    packed_s += (await timed(gateway._packer.pack()))[1]
    return {"packed_s": round(packed_s, 2), "slowest_commit_s": slowest_s}


async def write(gateway: Gateway, group: list[dict[str, Any]]) -> None:
    if group:
        async with gateway._database.write() as connection:
            await connection.execute(batches.insert(), group)
        group.clear()


async def count(items: AsyncIterator[Any]) -> int:
    return sum([1 async for _ in items])


async def timed(work: Awaitable[Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return await work, round(time.perf_counter() - began, 2)


async def measure(data: Path, endpoints: int, seconds: int) -> dict[str, Any]:
    """Return what the run takes and how long each question takes."""
    async with Gateway.open(data) as gateway:
        packing, filled_s = await timed(fill(gateway, endpoints, seconds))
        rows, one_endpoint_s = await timed(count(gateway.samples(RUN, endpoint=endpoints // 2)))
        assert rows == seconds
        _, csv_s = await timed(count(gateway.samples_csv(RUN)))
        total, summed_s = await timed(SampleStore(gateway._database).aggregate(RUN))
        assert "receive.jitter_ms" in total.total.columns()
        parquet = await gateway.samples_parquet(RUN)
        pieces, parquet_s = await timed(collect(parquet))
        _, list_s = await timed(gateway.run(RUN))
        found = {"rows": endpoints * seconds, "columns": len(COLUMNS), "filled_s": filled_s} | packing
        found |= {"one_endpoint_s": one_endpoint_s, "all_as_csv_s": csv_s, "summary_s": summed_s}
        found |= {"all_as_parquet_s": parquet_s, "parquet_bytes": sum(map(len, pieces)), "run_s": list_s}
    found["store_bytes"] = (data / DATABASE_FILE).stat().st_size
    found["bytes_per_row"] = round(found["store_bytes"] / found["rows"], 1)
    async with Gateway.open(data) as gateway:
        _, found["deleted_s"] = await timed(gateway.delete_run(RUN))
    return found


async def collect(pieces: AsyncIterator[bytes]) -> list[bytes]:
    return [piece async for piece in pieces]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--endpoints", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=3600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        print(json.dumps(asyncio.run(measure(Path(data), options.endpoints, options.seconds)), indent=2))


if __name__ == "__main__":
    main()
