"""The gateway is away during a run: its port is gone, and every sample is there once in the end."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from cmw.core.words import RunStatus
from cmw.link import events
from tests.gateway.world import linked_worker, make_plan, open_gateway, samples_of

pytestmark = pytest.mark.loopback

AWAY_S = int(os.environ.get("CMW_AWAY_SECONDS", "3"))
GROUPS = {"callees": {"endpoints": 50}, "callers": {"endpoints": 50, "call": {"group": "callees"}}}


def test_a_hundred_endpoints_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, capacity=100, seconds=None)
            run_id = await gateway.start_run(make_plan(groups=GROUPS, duration=f"{AWAY_S + 60}s"))
            await worker.ordered("start_run")
            port = server.port
            worker.report_second(run_id, 0)
        await worker.seen(events.LinkLost)
        for second in range(1, AWAY_S + 1):
            await asyncio.sleep(1)  # a sample a second, as a worker measures them
            worker.report_second(run_id, second)
        async with open_gateway(tmp_path, port=port) as (gateway, _):
            await worker.seen(events.LinkOpened, 2)
            worker.report_second(run_id, AWAY_S + 1)
            worker.finish(run_id)
            run = await gateway.wait_run(run_id)
            assert (run.status, run.verdict) == (RunStatus.COMPLETED, "PASSED")
            expected = [(endpoint, second) for endpoint in range(100) for second in range(AWAY_S + 2)]
            assert await samples_of(gateway, run_id) == expected
            summary = await gateway.summary(run_id)
            assert summary["generator"]["samples_dropped"] == 0
            await worker.stop()

    asyncio.run(asyncio.wait_for(work(), 60 + 3 * AWAY_S))
