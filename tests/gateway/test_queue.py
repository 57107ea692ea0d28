"""Runs that wait for room, and runs that choose their workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmw.core.words import RunStatus
from cmw.gateway import coordinator
from cmw.gateway.placement import Placement
from cmw.gateway.service import Gateway
from cmw.gateway.views import RunView
from tests.gateway.world import PATIENCE_S, ManualClock, linked_worker, make_plan, open_gateway, run_async

pytestmark = pytest.mark.loopback


async def seen(gateway: Gateway, run_id: str, fits: Callable[[RunView], bool]) -> RunView:
    """Watch a run until it fits."""
    async with asyncio.timeout(PATIENCE_S):
        async for view in gateway.watch_run(run_id):
            if view is not None and fits(view):
                return view
    raise AssertionError("the run is over")


def is_waiting(run: RunView) -> bool:
    return run.status is RunStatus.QUEUED and not run.workers


def test_a_run_waits_until_another_has_ended(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server, capacity=12, seconds=None)
            first = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            second = await gateway.start_run(make_plan())
            waiting = await seen(gateway, second, is_waiting)
            assert waiting.reason == "waiting for room: the plan needs 8 endpoints, 4 are free"
            assert (waiting.queued_at is not None, waiting.wait_until is not None) == (True, True)
            assert (await gateway.worker(view.id)).active_endpoints == 8
            worker.finish(first)
            await worker.ordered("start_run", 2)
            worker.finish(second)
            run = await gateway.wait_run(second)
            assert (run.status, run.reason) == (RunStatus.COMPLETED, "")
            await worker.stop()

    run_async(work())


def test_a_small_run_does_not_overtake_one_that_waits_for_the_same_workers(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, "one", capacity=12, seconds=None)
            other, _, _ = await linked_worker(gateway, server, "two", capacity=4, seconds=None)
            only_one, only_two = Placement(workers=["one"]), Placement(workers=["two"])
            first = await gateway.start_run(make_plan(), placement=only_one)
            await worker.ordered("start_run")
            large = await gateway.start_run(make_plan(), placement=only_one)
            await seen(gateway, large, is_waiting)
            pair = {"callees": {"endpoints": 1}, "callers": {"endpoints": 1, "call": {"group": "callees"}}}
            small = await gateway.start_run(make_plan(groups=pair), placement=only_one)
            await seen(gateway, small, is_waiting)
            elsewhere = await gateway.start_run(make_plan(groups=pair), placement=only_two)
            await other.ordered("start_run")
            worker.finish(first)
            await worker.ordered("start_run", 3)
            assert list(worker.shares) == [first, large, small]
            for run_id in (large, small):
                worker.finish(run_id)
            other.finish(elsewhere)
            for run_id in (large, small, elsewhere):
                assert (await gateway.wait_run(run_id)).status is RunStatus.COMPLETED
            await worker.stop()
            await other.stop()

    run_async(work())


def test_a_run_waits_no_longer_than_it_may(tmp_path: Path) -> None:
    clock = ManualClock()

    async def work() -> None:
        async with open_gateway(tmp_path, clock) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, capacity=8, seconds=None)
            first = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            second = await gateway.start_run(make_plan(), wait_ms=5_000)
            await seen(gateway, second, is_waiting)
            clock.now_ms += 4_999
            await gateway.tick()
            assert is_waiting(await gateway.run(second))
            clock.now_ms += 1
            await gateway.tick()
            run = await gateway.run(second)
            assert (run.status, run.exit_code) == (RunStatus.CANNOT_RUN_FOR_NOW, 75)
            assert run.reason == "the plan needs 8 endpoints, 0 are free; other runs have the rest"
            worker.finish(first)
            await gateway.wait_run(first)
            await worker.stop()

    run_async(work())


def test_a_run_that_waits_can_be_stopped_and_outlives_the_gateway(tmp_path: Path) -> None:
    ids: list[str] = []

    async def begin() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, capacity=8, seconds=None)
            ids.append(await gateway.start_run(make_plan()))
            await worker.ordered("start_run")
            for _ in range(2):
                ids.append(await gateway.start_run(make_plan()))
                await seen(gateway, ids[-1], is_waiting)
            stopped = await gateway.stop_run(ids.pop())
            assert (stopped.status, stopped.reason) == (RunStatus.FAILED, "stopped on request while it waited")
            await worker.stop()

    async def go_on() -> None:
        async with open_gateway(tmp_path) as (gateway, _):
            assert is_waiting(await gateway.run(ids[1]))
            await gateway.delete_worker((await gateway.run(ids[0])).workers[0].worker_id)
            await gateway.tick()
            assert is_waiting(await gateway.run(ids[1]))  # a worker may come yet
            await gateway.stop_run(ids[1])

    run_async(begin())
    run_async(go_on())


def test_no_more_runs_wait_than_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "MAX_WAITING", 1)

    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, capacity=8, seconds=None)
            first = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            second = await gateway.start_run(make_plan())
            await seen(gateway, second, is_waiting)
            third = await gateway.wait_run(await gateway.start_run(make_plan()))
            assert third.reason == "1 runs are waiting for room already"
            await gateway.stop_run(second)
            await gateway.stop_run(first)
            await gateway.wait_run(first)
            await worker.stop()

    run_async(work())


@pytest.mark.parametrize(
    ("placement", "chosen"),
    [
        ({}, {"ber-1", "ber-2", "nyc-1"}),
        ({"region": "eu"}, {"ber-1", "ber-2"}),
        ({"region": "eu", "labels": {"cpu": "fast"}}, {"ber-2"}),
        ({"workers": ["nyc-1", "ber-1"]}, {"nyc-1", "ber-1"}),
        ({"region": "mars"}, "no worker is online (region mars)"),
        (
            {"labels": {"cpu": "fast"}, "workers": ["ber-1"]},
            "no worker is online (label cpu=fast, one of ber-1)",
        ),
    ],
)
def test_a_run_goes_to_the_workers_that_it_may_have(
    tmp_path: Path, placement: dict[str, Any], chosen: set[str] | str
) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            workers = []
            where: dict[str, dict[str, Any]] = {
                "ber-1": {"region": "eu"},
                "ber-2": {"region": "eu", "labels": {"cpu": "fast", "rack": "7"}},
                "nyc-1": {"region": "us"},
            }
            for name, said in where.items():
                worker, view, _ = await linked_worker(gateway, server, name)
                await gateway.change_worker(view.id, **said)
                workers.append(worker)
            run_id = await gateway.start_run(make_plan(), placement=Placement.model_validate(placement))
            run = await gateway.wait_run(run_id)
            if isinstance(chosen, str):
                assert (run.status, run.reason) == (RunStatus.CANNOT_RUN_FOR_NOW, chosen)
            else:
                assert {part.worker_name for part in run.workers} == chosen
            for worker in workers:
                await worker.stop()

    run_async(work())


def test_an_endpoint_that_calls_again_needs_the_room_of_one(tmp_path: Path) -> None:
    async def work() -> None:
        group = {"endpoints": 4, "call": {"uri": "sip:600@127.0.0.1"}, "repeats": 9}
        plan = make_plan(registrars={}, groups={"callers": group}, thresholds={})
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server, capacity=6, seconds=None)
            first = await gateway.start_run(plan)
            await worker.ordered("start_run")
            assert (await gateway.run(first)).endpoints == 40
            assert (await gateway.worker(view.id)).active_endpoints == 4
            second = await gateway.start_run(plan)
            waiting = await seen(gateway, second, is_waiting)
            assert waiting.reason == "waiting for room: the plan needs 4 endpoints, 2 are free"
            await worker.stop()
        async with open_gateway(tmp_path) as (gateway, server):
            other, _, _ = await linked_worker(gateway, server, "other", capacity=4, seconds=None)
            await other.ordered("start_run")
            assert [part.endpoints for part in (await gateway.run(second)).workers] == [40]
            await other.stop()

    run_async(work())


def test_a_receiver_of_many_calls_needs_room_for_all_in_one_place(tmp_path: Path) -> None:
    async def work() -> None:
        groups = {
            "callees": {"endpoints": 1},
            "callers": {"endpoints": 4, "call": {"group": "callees", "pairing": "4:1"}},
        }
        plan = make_plan(registrars={}, groups=groups, thresholds={})
        lack = "callees-0001 takes 4 calls at a time, no worker has room left for them"
        async with open_gateway(tmp_path) as (gateway, server):
            small = [
                (await linked_worker(gateway, server, name, capacity=3))[0] for name in ("one", "two", "three", "four")
            ]
            nowhere = await gateway.wait_run(await gateway.start_run(plan))
            assert (nowhere.status, nowhere.reason) == (RunStatus.CANNOT_RUN_FOR_NOW, lack)
            worker, view, _ = await linked_worker(gateway, server, "large", capacity=5, seconds=None)
            first = await gateway.start_run(plan)
            await worker.ordered("start_run")
            assert (await gateway.worker(view.id)).active_endpoints >= 4
            second = await gateway.start_run(plan)
            waiting = await seen(gateway, second, is_waiting)
            assert waiting.reason == f"waiting for room: {lack}"
            worker.finish(first)
            await worker.ordered("start_run", 2)
            worker.finish(second)
            assert (await gateway.wait_run(second)).status is RunStatus.COMPLETED
            for each in (worker, *small):
                await each.stop()

    run_async(work())
