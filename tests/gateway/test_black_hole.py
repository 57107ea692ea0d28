"""A path that takes everything and delivers nothing, for longer than a link may be silent; the silence is shortened."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmw.core.clock import SECOND
from cmw.core.words import RunStatus
from cmw.link import events, gateway_link, limits
from tests.gateway.world import FakeWorker, make_plan, open_gateway, run_async, samples_of
from tests.support.tcp_path import TcpPath

pytestmark = pytest.mark.loopback

GROUPS = {"callees": {"endpoints": 50}, "callers": {"endpoints": 50, "call": {"group": "callees"}}}
BEFORE, DURING, AFTER = range(2), range(2, 6), range(6, 8)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEARTBEAT", SECOND)
    monkeypatch.setattr(limits, "HALF_OPEN", 3 * SECOND)
    monkeypatch.setattr(gateway_link, "HEARTBEAT", SECOND)
    monkeypatch.setattr(gateway_link, "HALF_OPEN", 3 * SECOND)


def test_both_sides_notice_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            with TcpPath(server.port) as path:
                _, token = await gateway.create_worker("w1", 100)
                worker = FakeWorker(path.port, token, seconds=None).start()
                await worker.seen(events.LinkOpened)
                run_id = await gateway.start_run(make_plan(groups=GROUPS))
                await worker.ordered("start_run")
                for second in BEFORE:
                    worker.report_second(run_id, second)
                path.swallow()
                for second in DURING:
                    worker.report_second(run_id, second)
                lost = await worker.seen(events.LinkLost)
                assert lost.reason == "nothing heard for 45 s"
                path.carry()
                await worker.seen(events.LinkOpened, 2)
                for second in AFTER:
                    worker.report_second(run_id, second)
                worker.finish(run_id)
                run = await gateway.wait_run(run_id)
                assert (run.status, run.verdict) == (RunStatus.COMPLETED, "PASSED")
                expected = [(endpoint, second) for endpoint in range(100) for second in range(AFTER.stop)]
                assert await samples_of(gateway, run_id) == expected
                assert (await gateway.summary(run_id))["generator"]["samples_dropped"] == 0
                await worker.stop()

    run_async(work())
