"""A gateway ends a run whose threshold does not hold, and the run is FAILED by it."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from cmw.core.words import RunStatus
from cmw.gateway.journal import Entry
from cmw.gateway.placement import Placement
from cmw.gateway.service import Gateway
from cmw.gateway.views import Page
from cmw.link.samples import SampleBatch, encode_samples
from cmw.load.early_end import EarlyEndJudge
from cmw.load.plan import Plan
from tests.gateway.world import START_MS, FakeWorker, ManualClock, linked_worker, make_plan, open_gateway, run_async

pytestmark = pytest.mark.loopback

MOS = "receive.mos"


def plan_of(delay: str = "0s") -> Plan:
    rule = {"threshold": "avg >= 4", "abort_on_fail": True, "delay": delay}
    return make_plan(thresholds={"mos": [rule, "max <= 5"]})


def measure(worker: FakeWorker, run_id: str, second: int, mos: float) -> None:
    indices = array("I", [e.index for group in worker.shares[run_id].groups.values() for e in group.endpoints])
    batch = SampleBatch(run_id, second, START_MS + 1000 * second, indices, {MOS: array("f", [mos] * len(indices))})
    worker.client.run(lambda link, now: link.send_samples(batch, now=now))
    worker.client.run(lambda link, now: link.report("progress", run_id, {"second": second + 1}, now=now))


async def until_second(gateway: Gateway, run_id: str, second: int) -> None:
    """Wait until the gateway has what was measured before a second."""
    async for view in gateway.watch_run(run_id):
        if view is not None and view.progress.get("second", 0) >= second:
            return


def test_a_threshold_ends_its_run_and_fails_it_though_it_holds_again(tmp_path: Path) -> None:
    async def work() -> None:
        clock = ManualClock()
        async with open_gateway(tmp_path, clock) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(plan_of("2s"))
            await worker.ordered("start_run")
            measure(worker, run_id, 0, 3.0)
            await until_second(gateway, run_id, 1)
            clock.now_ms += 1500
            await gateway.tick()
            assert (await gateway.run(run_id)).status is RunStatus.RUNNING
            clock.now_ms += 1000
            await gateway.tick()
            await worker.ordered("stop_run")
            measure(worker, run_id, 1, 5.0)
            measure(worker, run_id, 2, 5.0)
            run = await gateway.wait_run(run_id)
            summary = await gateway.summary(run_id)
            await worker.stop()
        assert (run.status, run.verdict, run.exit_code) == (RunStatus.COMPLETED, "FAILED", 99)
        assert [each.exit_code for each in (await gateway.runs(Page()))[0]] == [99]
        assert run.reason == "mos avg >= 4 failed in second 2 with 3"
        assert summary["run"]["blame"] == "TARGET"
        ended, other = summary["thresholds"]
        assert (ended["passed"], ended["ended_run_in_second"], ended["note"]) == (
            False, 2, "3 in second 2, which ended the run"
        )  # fmt: skip
        assert (other["passed"], other["ended_run_in_second"]) == (True, None)

    run_async(work())


def test_a_gateway_that_is_started_again_judges_what_it_has(tmp_path: Path) -> None:
    async def work() -> None:
        clock = ManualClock()
        async with open_gateway(tmp_path, clock) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(plan_of("5s"))
            await worker.ordered("start_run")
            measure(worker, run_id, 0, 1.0)
            await until_second(gateway, run_id, 1)
            port = server.port
        async with open_gateway(tmp_path, clock, port=port) as (gateway, server):
            assert await gateway.wait_worker(view.id, timeout_s=20)
            measure(worker, run_id, 1, 4.5)
            await until_second(gateway, run_id, 2)
            clock.now_ms += 5000
            await gateway.tick()
            await worker.ordered("stop_run")
            run = await gateway.wait_run(run_id)
            await worker.stop()
        assert run.reason == "mos avg >= 4 failed in second 5 with 2.75"

    run_async(work())


def test_a_run_whose_thresholds_hold_comes_to_its_own_end(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(plan_of())
            await worker.ordered("start_run")
            measure(worker, run_id, 0, 4.5)
            await until_second(gateway, run_id, 1)
            await gateway.tick()
            worker.finish(run_id)
            run = await gateway.wait_run(run_id)
            await worker.stop()
        assert (run.verdict, run.reason) == ("PASSED", "")
        assert "stop_run" not in worker.commands

    run_async(work())


def test_what_another_worker_says_of_a_run_ends_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server, "one", seconds=None)
            await gateway.start_run(plan_of())
            await worker.ordered("start_run")
            [run_id] = worker.shares
            indices = array("I", [0, 1])
            bad = SampleBatch(run_id, 0, START_MS, indices, {MOS: array("f", [1.0, 1.0])})
            stranger = Entry("w-other", "s", 1, "samples", run_id, frame=encode_samples(bad, 1), rows=2)
            gateway._coordinator.reports_committed([stranger])
            await gateway.tick()
            assert (await gateway.run(run_id)).status is RunStatus.RUNNING
            own = replace(stranger, worker_id=view.id)
            gateway._coordinator.reports_committed([own])
            await gateway.tick()
            assert (await gateway.run(run_id)).reason.startswith("mos avg >= 4 failed")
            await worker.stop()

    run_async(work())


def test_a_fault_of_ours_in_judging_a_run_leaves_it_and_the_deadlines_of_all_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[int] = []

    def judge(self: EarlyEndJudge, elapsed_ms: int) -> None:
        judged.append(elapsed_ms)
        raise OverflowError("no such figure")

    monkeypatch.setattr(EarlyEndJudge, "judge", judge)

    async def work() -> None:
        clock = ManualClock()
        async with open_gateway(tmp_path, clock) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(plan_of())
            await worker.ordered("start_run")
            waiting = await gateway.start_run(make_plan(), placement=Placement(workers=["nobody"]), wait_ms=0)
            await gateway.tick()
            await gateway.tick()
            assert (await gateway.wait_run(waiting)).status is RunStatus.CANNOT_RUN_FOR_NOW
            assert (await gateway.run(run_id)).status is RunStatus.RUNNING
            await worker.stop()

    run_async(work())
    assert len(judged) == 1
