"""What is kept of runs, for how long, and in which forms it is given out."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pyarrow.parquet
import pytest
import sqlalchemy as sa

from cmw.core.words import RunStatus
from cmw.gateway.errors import RequestError
from cmw.gateway.rest.app import create_app
from cmw.gateway.retention import DAY_MS, Kept
from cmw.gateway.service import Gateway
from cmw.gateway.tables import batches, endpoints, run_workers, runs, sample_blocks, sample_sums
from tests.gateway.world import ManualClock, linked_worker, make_plan, open_gateway, run_async

pytestmark = pytest.mark.loopback


async def finished_run(path: Path, clock: ManualClock) -> str:
    async with open_gateway(path, clock) as (gateway, server):
        worker, _, _ = await linked_worker(gateway, server)
        run_id = await gateway.start_run(make_plan())
        await gateway.wait_run(run_id)
        await worker.stop()
        return run_id


async def left(gateway: Gateway) -> dict[str, int]:
    return {
        table.name: await gateway._database.count(sa.select(table))
        for table in (runs, batches, sample_blocks, sample_sums, endpoints, run_workers)
    }


def test_a_run_is_deleted_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            worker.report_second(run_id, 0)
            with pytest.raises(RequestError, match="expected one that is over"):
                await gateway.delete_run(run_id)
            worker.finish(run_id)
            assert (await gateway.wait_run(run_id)).status is RunStatus.COMPLETED
            assert (await left(gateway))["batches"] == 1
            await gateway.delete_run(run_id)
            assert set((await left(gateway)).values()) == {0}
            with pytest.raises(RequestError, match="there is no run"):
                await gateway.delete_run(run_id)
            await worker.stop()

    run_async(work())


def test_packed_samples_are_deleted_like_others(tmp_path: Path) -> None:
    clock = ManualClock()

    async def work() -> None:
        run_id = await finished_run(tmp_path, clock)
        async with Gateway.open(tmp_path, clock=clock, kept=Kept(samples_days=7)) as gateway:
            before = [row async for row in gateway.samples(run_id)]
            clock.now_ms += DAY_MS
            assert await gateway._packer.pack() == 1
            assert [row async for row in gateway.samples(run_id)] == before != []
            found = await left(gateway)
            assert (found["batches"], found["sample_sums"]) == (0, 1)
            clock.now_ms += 7 * DAY_MS
            await gateway._retention.forget_old()
            found = await left(gateway)
            assert (found["sample_blocks"], found["sample_sums"], found["runs"]) == (0, 0, 1)

    run_async(work())


def test_samples_go_first_and_then_the_run(tmp_path: Path) -> None:
    clock = ManualClock()
    kept = Kept(runs_days=30, samples_days=7)

    async def work() -> None:
        run_id = await finished_run(tmp_path, clock)
        async with Gateway.open(tmp_path, clock=clock, kept=kept) as gateway:
            for days, samples, all_runs in ((0, 2, 1), (7, 2, 1), (8, 0, 1), (31, 0, 0)):
                ended = clock.now_ms
                clock.now_ms = ended + days * DAY_MS
                await gateway._retention.forget_old()
                found = await left(gateway)
                assert (found["batches"], found["runs"], found["endpoints"]) == (samples, all_runs, 8 * all_runs), days
                if all_runs:
                    assert (await gateway.summary(run_id))["endpoints"]["total"] == 8
                clock.now_ms = ended

    run_async(work())


def test_samples_as_parquet_have_null_where_nothing_is_known(tmp_path: Path) -> None:
    async def work() -> None:
        run_id = await finished_run(tmp_path, ManualClock())
        async with Gateway.open(tmp_path) as gateway:
            _, key = await gateway.api_keys.create("test")
            transport = httpx.ASGITransport(create_app(gateway))
            headers = {"Authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
                path = f"/api/v1/runs/{run_id}/samples"
                answer = await client.get(path, params={"format": "parquet"})
                assert answer.headers["content-type"] == "application/vnd.apache.parquet"
                table = pyarrow.parquet.read_table(io.BytesIO(answer.content))
                one = await client.get(path, params={"format": "parquet", "endpoint": 3})
                assert pyarrow.parquet.read_table(io.BytesIO(one.content)).num_rows == 2
                rows = (await client.get(path)).json()["data"]
        assert table.num_rows == 16
        assert table.column("send.mos").null_count == 16
        assert table.column("receive.packets_received").to_pylist() == [row["receive.packets_received"] for row in rows]
        told = [row["receive.jitter_ms"] for row in rows]
        assert table.column("receive.jitter_ms").to_pylist() == pytest.approx(told, rel=1e-6)

    run_async(work())
