"""Runs, from the plan to the summary, with workers on real links."""

from __future__ import annotations

import asyncio
from array import array
from pathlib import Path
from typing import Any

import pytest

from cmw.core.clock import SECOND, WallClock
from cmw.core.words import RunStatus
from cmw.gateway import coordinator
from cmw.gateway.errors import RequestError
from cmw.gateway.parts import add_progress
from cmw.gateway.service import Gateway
from cmw.gateway.views import Page
from cmw.link import events
from cmw.link.samples import SampleBatch
from tests.gateway.world import (
    PLAN,
    START_MS,
    FakeWorker,
    ManualClock,
    linked_worker,
    make_plan,
    open_gateway,
    run_async,
    samples_of,
)

pytestmark = pytest.mark.loopback

PASSWORD = "hunter2-very-secret"

WITH_ACCOUNTS = PLAN | {
    "registrars": {
        "lab": {
            "domain": "127.0.0.1",
            "accounts": [{"username": f"u{n}", "password": PASSWORD} for n in range(4)],
        }
    },
    "groups": {
        "callees": {"endpoints": 4, "registrar": "lab"},
        "callers": {"endpoints": 4, "call": {"group": "callees"}},
    },
}

EVERY_SAMPLE = [(endpoint, second) for endpoint in range(8) for second in range(2)]


def test_one_worker_runs_a_plan_to_its_summary(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server)
            run_id = await gateway.start_run(make_plan())
            run = await gateway.wait_run(run_id)
            assert (run.status, run.verdict, run.exit_code) == (RunStatus.COMPLETED, "PASSED", 0)
            [listed], _ = await gateway.runs(Page())
            assert (listed.verdict, listed.exit_code) == ("PASSED", 0)
            assert run.progress["by_phase"] == {"INCALL": 8}
            assert worker.commands == ["prepare_run", "start_run"]
            assert worker.targets[run_id]["callees"]["3"] == "sip:callees-0004@127.0.0.1"
            summary = await gateway.summary(run_id)
            assert summary["calls"]["attempted"] == 4
            assert summary["endpoints"]["total"] == 8
            assert summary["media"]["receive"]["jitter_ms"]["count"] == 16
            assert await samples_of(gateway, run_id) == EVERY_SAMPLE
            ended = await gateway.endpoints(run_id)
            assert [e["index"] for e in ended] == list(range(8))
            assert {e["worker"] for e in ended} == {"w1"}
            assert (await gateway.worker(view.id)).active_endpoints == 0
            await worker.stop()

    run_async(work())


def test_a_run_is_split_over_workers_and_everyone_gets_all_targets(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            one, _, _ = await linked_worker(gateway, server, "one", capacity=4)
            two, _, _ = await linked_worker(gateway, server, "two", capacity=4)
            run_id = await gateway.start_run(make_plan())
            run = await gateway.wait_run(run_id)
            assert run.status is RunStatus.COMPLETED
            assert [(part.worker_name, part.endpoints, part.state) for part in run.workers] == [
                ("one", 4, "DONE"),
                ("two", 4, "DONE"),
            ]
            assert one.targets == two.targets
            assert sorted(one.targets[run_id]["callees"]) == ["0", "1", "2", "3"]
            for index in range(8):  # on either worker
                rows = [row async for row in gateway.samples(run_id, endpoint=index)]
                assert [(row["endpoint"], row["second"]) for row in rows] == [(index, 0), (index, 1)]
            assert await samples_of(gateway, run_id) == EVERY_SAMPLE
            await one.stop()
            await two.stop()

    run_async(work())


def test_all_workers_begin_at_one_instant_whatever_their_clocks_show(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            workers = []
            for name, wrong_by_s in (("slow", -7200), ("fast", 3)):
                _, token = await gateway.create_worker(name, 4)
                worker = FakeWorker(server.port, token, capacity=4)
                true = worker.client.link._wall
                worker.client.link._wall = WallClock(true.now, true.unix_ns + wrong_by_s * SECOND)
                workers.append(worker.start())
                await worker.seen(events.ClockMeasured)
            run = await gateway.wait_run(await gateway.start_run(make_plan()))
            assert run.status is RunStatus.COMPLETED
            one, two = workers
            assert one.starts_at is not None
            assert two.starts_at is not None
            rtts_ns = sum(worker.client.link.clock.rtt_ns for worker in workers)
            assert abs(one.starts_at - two.starts_at) <= rtts_ns
            for worker in workers:
                await worker.stop()

    run_async(work())


@pytest.mark.parametrize(
    ("capacity", "reason"),
    [(None, "no worker is online"), (7, "the plan needs 8 endpoints, the workers have room for 7; 1 worker is online")],
)
def test_a_run_without_room_cannot_run_for_now(tmp_path: Path, capacity: int | None, reason: str) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            if capacity is not None:
                worker, _, _ = await linked_worker(gateway, server, capacity=capacity)
            run = await gateway.wait_run(await gateway.start_run(make_plan()))
            assert (run.status, run.reason, run.exit_code) == (RunStatus.CANNOT_RUN_FOR_NOW, reason, 75)
            with pytest.raises(RequestError, match="there is no summary"):
                await gateway.summary(run.id)
            if capacity is not None:
                await worker.stop()

    run_async(work())


def test_two_runs_share_the_capacity_of_a_worker(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server, capacity=12, seconds=None)
            first = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            assert (await gateway.worker(view.id)).active_endpoints == 8
            second = await gateway.wait_run(await gateway.start_run(make_plan(), wait_ms=0))
            assert second.status is RunStatus.CANNOT_RUN_FOR_NOW
            assert second.reason == "the plan needs 8 endpoints, 4 are free; other runs have the rest"
            worker.finish(first)
            assert (await gateway.wait_run(first)).status is RunStatus.COMPLETED
            await worker.stop()

    run_async(work())


def test_a_worker_that_cannot_prepare_fails_the_run_with_its_reason(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server)
            worker.reject = ("PORTS_BUSY", "5060-5080 are taken")
            run = await gateway.wait_run(await gateway.start_run(make_plan()))
            assert (run.status, run.exit_code) == (RunStatus.FAILED, 75)
            assert run.reason == "worker w1: PORTS_BUSY: 5060-5080 are taken"
            await worker.stop()

    run_async(work())


def test_a_run_is_stopped_on_request_and_keeps_its_results(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            worker.report_second(run_id, 0)
            assert (await gateway.stop_run(run_id)).status in (RunStatus.STOPPING, RunStatus.COMPLETED)
            run = await gateway.wait_run(run_id)
            assert (run.status, run.reason) == (RunStatus.COMPLETED, "stopped on request")
            assert worker.commands[-1] == "stop_run"
            with pytest.raises(RequestError, match="COMPLETED already"):
                await gateway.stop_run(run_id)
            await worker.stop()

    run_async(work())


def test_a_worker_that_stays_away_is_given_up_and_its_endpoints_blame_it(tmp_path: Path) -> None:
    async def work() -> None:
        clock = ManualClock()
        async with open_gateway(tmp_path, clock) as (gateway, server):
            one, _, _ = await linked_worker(gateway, server, "one", capacity=4)
            two, _, _ = await linked_worker(gateway, server, "two", capacity=4, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await two.ordered("start_run")
            two.report_second(run_id, 0)
            assert await two.client.flush(5.0)
            await two.stop()
            clock.now_ms = START_MS + 3600_000
            await gateway.tick()
            run = await gateway.wait_run(run_id)
            assert run.status is RunStatus.COMPLETED
            assert run.verdict == "INVALID"
            assert run.reason == "the worker was lost during the run"
            lost = [e for e in await gateway.endpoints(run_id) if e["outcome"] == "OSERROR"]
            assert len(lost) == 4
            assert {(e["blame"], e["worker"], e["reason"]) for e in lost} == {("WORKER", "two", run.reason)}
            assert len(await samples_of(gateway, run_id)) == 4 * 2 + 4
            await one.stop()

    run_async(work())


def test_a_worker_that_was_restarted_has_lost_its_part(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, token = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            worker.report_second(run_id, 0)
            await worker.stop()
            successor = FakeWorker(server.port, token).start()
            run = await gateway.wait_run(run_id)
            assert (run.status, run.reason) == (RunStatus.FAILED, "worker w1 was restarted during the run")
            assert await gateway.wait_worker(view.id, timeout_s=5)
            assert (await gateway.worker(view.id)).active_endpoints == 0
            assert successor.commands == []
            await successor.stop()

    run_async(work())


def test_a_run_goes_on_after_a_restart_of_the_gateway(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            worker.report_second(run_id, 0)
            assert await worker.client.flush(5.0)
            port = server.port
        await worker.seen(events.LinkLost)
        worker.report_second(run_id, 1)
        worker.finish(run_id)
        async with open_gateway(tmp_path, port=port) as (gateway, _):
            run = await gateway.wait_run(run_id)
            assert run.status is RunStatus.COMPLETED
            assert await samples_of(gateway, run_id) == EVERY_SAMPLE
            assert len(await gateway.endpoints(run_id)) == 8
            assert worker.commands == ["prepare_run", "start_run"]
            await worker.stop()

    run_async(work())


def test_a_run_that_was_being_prepared_goes_on_after_a_restart(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server)
            worker.answers = False
            run_id = await gateway.start_run(make_plan(**WITH_ACCOUNTS))
            await worker.ordered("prepare_run")
            await worker.stop()
            token = (await gateway.regenerate_token((await gateway.workers(Page()))[0][0].id))[1]
            port = server.port
        async with open_gateway(tmp_path, port=port) as (gateway, _):
            worker = FakeWorker(port, token).start()
            run = await gateway.wait_run(run_id)
            assert run.status is RunStatus.COMPLETED
            share = worker.shares[run_id].groups["callees"]
            assert [e.account.password.get_secret_value() for e in share.endpoints if e.account] == [PASSWORD] * 4
            await worker.stop()

    run_async(work())


def test_passwords_are_readable_nowhere(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, token = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan(**WITH_ACCOUNTS))
            await worker.ordered("start_run")
            _assert_nowhere(tmp_path, PASSWORD, token)
            assert PASSWORD not in str(await gateway.plan(run_id))
            worker.finish(run_id)
            await gateway.wait_run(run_id)
            await worker.stop()
        _assert_nowhere(tmp_path, PASSWORD, token)

    run_async(work())


def _assert_nowhere(directory: Path, *secrets: str) -> None:
    for path in directory.iterdir():
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path.name


def test_reports_of_another_workers_run_are_dropped(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            stranger, _, _ = await linked_worker(gateway, server, "stranger")
            stranger.shares = dict(worker.shares)
            stranger.report_second(run_id, 7)
            stranger.finish(run_id)
            assert await stranger.client.flush(5.0)
            assert await samples_of(gateway, run_id) == []
            assert await gateway.endpoints(run_id) == []
            assert (await gateway.run(run_id)).status is RunStatus.RUNNING
            worker.finish(run_id)
            await gateway.wait_run(run_id)
            await stranger.stop()
            await worker.stop()

    run_async(work())


def test_a_report_that_cannot_be_read_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            bad: dict[str, Any] = {"index": -1}
            worker.client.run(lambda link, now: link.report("endpoint", run_id, bad, now=now))
            worker.finish(run_id)
            assert (await gateway.wait_run(run_id)).status is RunStatus.COMPLETED
            assert len(await gateway.endpoints(run_id)) == 8
            await worker.stop()

    run_async(work())


def test_two_gateways_do_not_share_a_directory(tmp_path: Path) -> None:
    async def work() -> None:
        async with Gateway.open(tmp_path):
            with pytest.raises(Exception, match="another gateway uses this directory"):
                async with Gateway.open(tmp_path):
                    pass
        async with Gateway.open(tmp_path):
            await asyncio.sleep(0)

    run_async(work())


def test_one_look_at_the_deadlines_that_fails_is_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "TICK_S", 0.01)

    async def work() -> None:
        looks: list[int] = []

        async def look() -> None:
            looks.append(1)
            raise RuntimeError("for once")

        async with Gateway.open(tmp_path) as gateway:
            gateway._coordinator.tick = look  # type: ignore[method-assign]
            while len(looks) < 3:  # noqa: ASYNC110 - counted by another task
                await asyncio.sleep(0.01)

    run_async(work())


def test_progress_that_makes_no_sense_hides_no_run() -> None:
    said = [{"second": 1, "by_phase": {"INCALL": 1}, "x": "y"}, {"second": "soon", "by_phase": 7, "x": {"y": 1}}]
    assert add_progress(said) == {"second": 1, "by_phase": {"INCALL": 1}, "x": {"y": 1}}


def test_a_worker_speaks_for_its_own_endpoints_only(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            one, _, _ = await linked_worker(gateway, server, "one", capacity=4, seconds=None)
            two, _, _ = await linked_worker(gateway, server, "two", capacity=4, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await one.ordered("start_run")
            await two.ordered("start_run")
            own = one.shares[run_id]
            one.shares[run_id] = two.shares[run_id]  # it speaks for the other, and first
            one.report_second(run_id, 0)
            one.finish(run_id)
            two.report_second(run_id, 0)
            two.finish(run_id)
            one.shares[run_id] = own
            await gateway.wait_run(run_id)
            summary = await gateway.summary(run_id)
            assert summary["endpoints"]["total"] == 8
            assert {e["index"]: e["worker"] for e in await gateway.endpoints(run_id) if e["outcome"] == "SUCCESS"} == {
                endpoint.index: "two" for group in two.shares[run_id].groups.values() for endpoint in group.endpoints
            }
            assert summary["media"]["receive"]["jitter_ms"]["count"] == 4
            await one.stop()
            await two.stop()

    run_async(work())


def test_samples_that_name_an_endpoint_twice_are_left_out(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            columns = {"receive.jitter_ms": array("f", [1.0, 2.0])}
            twice = SampleBatch(run_id, 0, START_MS, array("I", [3, 3]), columns)
            worker.client.run(lambda link, now: link.send_samples(twice, now=now))
            worker.report_second(run_id, 1)
            worker.finish(run_id)
            await gateway.wait_run(run_id)
            assert await samples_of(gateway, run_id) == [(endpoint, 1) for endpoint in range(8)]
            await worker.stop()

    run_async(work())
