"""Reports that come after their run is over, and reports that come while it is being summed up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cmw.core.words import RunStatus
from cmw.gateway.service import Gateway
from tests.gateway.world import (
    PATIENCE_S,
    START_MS,
    ManualClock,
    linked_worker,
    make_plan,
    open_gateway,
    run_async,
    samples_of,
)

pytestmark = pytest.mark.loopback


async def late_reports(gateway: Gateway, run_id: str, count: int) -> int:
    async with asyncio.timeout(PATIENCE_S):
        while (found := (await gateway.run(run_id)).late_reports) < count:  # noqa: ASYNC110 - it comes over a socket
            await asyncio.sleep(0.01)
    return found


def test_what_a_worker_reports_too_late_is_kept_and_counted_and_changes_no_verdict(tmp_path: Path) -> None:
    async def work() -> None:
        clock = ManualClock()
        async with open_gateway(tmp_path, clock) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            worker.report_second(run_id, 0)
            assert await worker.client.flush(5.0)
            clock.now_ms = START_MS + 3600_000  # it is there, but it does not end
            await gateway.tick()
            run = await gateway.wait_run(run_id)
            assert (run.status, run.verdict) == (RunStatus.FAILED, "INVALID")
            assert run.late_reports <= 8 + 1  # the worker is told to stop, and reports as soon as it is
            summary = await gateway.summary(run_id)
            worker.report_second(run_id, 1)
            await worker.ordered("stop_run")  # it is told, and reports all it has
            assert await late_reports(gateway, run_id, 10) == 1 + 8 + 1  # a sample batch, the endpoints, the end
            run = await gateway.run(run_id)
            assert (run.status, run.verdict, run.exit_code) == (RunStatus.FAILED, "INVALID", 97)
            assert await gateway.summary(run_id) == summary
            assert len(await samples_of(gateway, run_id)) == 16
            assert {(e["outcome"], e["late"]) for e in await gateway.endpoints(run_id)} == {("SUCCESS", True)}
            await worker.stop()

    run_async(work())


def test_a_worker_that_was_given_up_still_counts_while_the_run_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            one, _, _ = await linked_worker(gateway, server, "one", capacity=4, seconds=None)
            two, view, _ = await linked_worker(gateway, server, "two", capacity=4, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await one.ordered("start_run")
            await two.ordered("start_run")
            await gateway.delete_worker(view.id)
            run = await gateway.run(run_id)
            assert [(p.worker_name, p.state, p.reason) for p in run.workers if p.state == "LOST"] == [
                ("two", "LOST", "worker two was deleted")
            ]
            one.finish(run_id)
            run = await gateway.wait_run(run_id)
            assert (run.status, run.reason, run.late_reports) == (RunStatus.COMPLETED, "worker two was deleted", 0)
            limits = (await gateway.summary(run_id))["generator"]["limits"]
            assert [limit["worker"] for limit in limits] == ["two", "two"]
            await one.stop()
            await two.stop()

    run_async(work())


def test_a_run_that_was_being_summed_up_is_summed_up_after_a_restart(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            hanging = asyncio.Event()

            async def hang(*_: object) -> None:
                hanging.set()
                await asyncio.Event().wait()

            gateway._results.sum_up = hang  # type: ignore[method-assign, assignment]
            worker.finish(run_id)
            await hanging.wait()
            run = await gateway.run(run_id)
            assert (run.status, run.ended_at) == (RunStatus.RUNNING, None)
            worker.report_second(run_id, 5)
            assert await late_reports(gateway, run_id, 1) == 1
            await worker.stop()
        async with open_gateway(tmp_path) as (gateway, _):
            run = await gateway.wait_run(run_id)
            assert (run.status, run.verdict, run.late_reports) == (RunStatus.COMPLETED, "PASSED", 1)

    run_async(work())
