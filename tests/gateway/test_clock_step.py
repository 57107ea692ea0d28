"""The clock of the gateway's machine is set while a run goes on: the run neither ends sooner nor later for it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from cmw.core.clock import MILLISECOND
from cmw.core.words import RunStatus
from cmw.gateway.instants import SteadyClock
from cmw.gateway.service import Gateway
from cmw.net.clock import monotonic_ns
from tests.gateway.world import START_MS, ManualClock, linked_worker, make_plan, run_async, serve

pytestmark = pytest.mark.loopback

HOUR_MS = 3_600_000


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS])
def test_a_run_goes_on(tmp_path: Path, step_ms: int) -> None:
    async def work() -> None:
        wall = ManualClock()
        async with Gateway.open(tmp_path, clock=wall, monotonic=monotonic_ns) as gateway:
            server = await serve(gateway, "127.0.0.1", 0)
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            wall.now_ms += step_ms
            await gateway._coordinator.tick()
            worker.report_second(run_id, 0)
            worker.finish(run_id)
            run = await gateway.wait_run(run_id)
            assert (run.status, run.reason) == (RunStatus.COMPLETED, "")
            summary = await gateway.summary(run_id)
            assert 0 <= summary["run"]["duration_s"] < 60
            later = await gateway.run(await gateway.start_run(make_plan()))
            told_ms = datetime.fromisoformat(later.created_at).timestamp() * 1000
            assert abs(told_ms - wall.now_ms) < HOUR_MS / 2  # nothing goes on: the new time holds
            await worker.stop()
            await gateway.close_links()
            await server.stop()

    run_async(work())


def test_a_run_that_waits_for_room_waits_as_long_as_it_may(tmp_path: Path) -> None:
    async def work() -> None:
        wall = ManualClock()
        async with Gateway.open(tmp_path, clock=wall, monotonic=monotonic_ns) as gateway:
            server = await serve(gateway, "127.0.0.1", 0)
            worker, _, _ = await linked_worker(gateway, server, capacity=8, seconds=None)
            first = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            second = await gateway.start_run(make_plan())
            wall.now_ms += HOUR_MS
            await gateway._coordinator.tick()
            assert (await gateway.run(second)).status is RunStatus.QUEUED
            worker.finish(first)
            await worker.ordered("start_run", 2)
            worker.finish(second)
            assert (await gateway.wait_run(second)).status is RunStatus.COMPLETED
            await worker.stop()
            await gateway.close_links()
            await server.stop()

    run_async(work())


def test_the_clock_moves_with_time_and_with_a_step_when_it_may() -> None:
    wall, now = ManualClock(), [7 * MILLISECOND]
    clock = SteadyClock(wall, lambda: now[0])
    assert clock() == START_MS
    now[0] += 5 * MILLISECOND
    wall.now_ms += HOUR_MS
    assert clock() == START_MS + 5
    assert clock.follow() == HOUR_MS - 5
    assert clock() == START_MS + HOUR_MS
