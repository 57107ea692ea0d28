"""Searches on a gateway: what is run, what is found, and what becomes of them when something ends early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from cmw.core.words import RunStatus
from cmw.gateway import searches
from cmw.gateway.errors import RequestError
from cmw.gateway.parts import ActiveRun
from cmw.gateway.placement import Placement
from cmw.gateway.service import Gateway
from cmw.gateway.views import Page, RunView
from cmw.load.plan import Plan
from tests.gateway.world import PATIENCE_S, linked_worker, make_plan, open_gateway, run_async

pytestmark = pytest.mark.loopback


def search_plan(first: int = 2, last: int = 8) -> Plan:
    callers = {
        "endpoints": last,
        "call": {"group": "callees"},
        "load": {"arrivals": "search", "calls": {"from": first, "to": last}},
    }
    return make_plan(name="limit", groups={"callees": {"endpoints": last}, "callers": callers})


async def steps_of(gateway: Gateway, search_id: str) -> list[RunView]:
    found, total = await gateway.runs(Page(per_page=100), search_id=search_id)
    assert len(found) == total
    return found[::-1]


async def seen(gateway: Gateway, run_id: str, fits: Callable[[RunView], bool]) -> RunView:
    """Watch a search until it fits."""
    async with asyncio.timeout(PATIENCE_S):
        async for view in gateway.watch_run(run_id):
            if view is not None and fits(view):
                return view
    raise AssertionError("the search is over")


def test_the_limit_of_the_target_is_found_step_by_step(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, carries=5)
            search_id = await gateway.start_run(search_plan())
            run = await gateway.wait_run(search_id)
            assert (run.status, run.verdict, run.exit_code) == (RunStatus.COMPLETED, "PASSED", 0)
            assert run.reason == "5 calls at a time held, 6 broke it"
            assert run.search is not None
            assert (run.search.held, run.search.breaking_point) == (5, 6)
            assert [(step.load, str(step.verdict)) for step in run.search.steps] == [
                (2, "PASSED"), (4, "PASSED"), (8, "FAILED"), (6, "FAILED"), (5, "PASSED")
            ]  # fmt: skip
            steps = await steps_of(gateway, search_id)
            assert [step.id for step in steps] == [step.run_id for step in run.search.steps]
            assert [step.name for step in steps] == [f"limit, {calls} calls" for calls in (2, 4, 8, 6, 5)]
            assert {step.search_id for step in steps} == {search_id}
            await worker.stop()

    run_async(work())


def test_the_results_of_a_search_are_those_of_the_step_that_stands_for_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server, carries=5)
            search_id = await gateway.start_run(search_plan())
            run = await gateway.wait_run(search_id)
            summary = await gateway.summary(search_id)
            assert run.search is not None
            told = run.search.steps[4].run_id
            assert summary["run"]["id"] == told
            assert summary["search"]["held"] == 5
            assert await gateway.endpoints(search_id) == await gateway.endpoints(told)
            assert len(await gateway.endpoints(search_id)) == 10
            rows = [row async for row in gateway.samples(search_id)]
            assert rows == [row async for row in gateway.samples(told)]
            assert len(rows) == 20
            assert [part.worker_id for part in run.workers] == [view.id]
            assert await gateway.evidence(search_id) == await gateway.evidence(told)
            await worker.stop()

    run_async(work())


def test_a_search_is_listed_without_its_steps(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server)
            search_id = await gateway.start_run(search_plan())
            await gateway.wait_run(search_id)
            found, total = await gateway.runs(Page())
            assert ([run.id for run in found], total) == ([search_id], 1)
            await worker.stop()

    run_async(work())


def test_a_search_that_is_stopped_keeps_what_it_found(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            search_id = await gateway.start_run(search_plan())
            await worker.ordered("start_run")
            first = await seen(gateway, search_id, lambda run: run.step_id is not None)
            worker.finish(str(first.step_id))
            await worker.ordered("start_run", 2)
            second = await seen(gateway, search_id, lambda run: run.step_id != first.step_id)
            assert second.search is not None
            assert [step.run_id for step in second.search.steps] == [first.step_id]
            stopping = await gateway.stop_run(search_id)
            assert stopping.status in (RunStatus.STOPPING, RunStatus.COMPLETED)
            run = await gateway.wait_run(search_id)
            assert run.reason == "the search was stopped before its end: 2 calls at a time held"
            assert run.search is not None
            assert (run.search.held, run.search.breaking_point) == (2, None)
            assert len(await steps_of(gateway, search_id)) == 2
            with pytest.raises(RequestError, match="the run is COMPLETED already"):
                await gateway.stop_run(search_id)
            await worker.stop()

    run_async(work())


def test_a_search_ends_with_a_step_that_is_stopped(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            search_id = await gateway.start_run(search_plan())
            await worker.ordered("start_run")
            step = (await gateway.run(search_id)).step_id
            await gateway.stop_run(str(step))
            run = await gateway.wait_run(search_id)
            assert run.search is not None
            assert (run.search.steps, run.reason) == ([], "the search was stopped before its end")
            await worker.stop()

    run_async(work())


def test_a_search_that_is_stopped_before_its_first_step_starts_has_no_results(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server)
            worker.answers = False
            search_id = await gateway.start_run(search_plan())
            await worker.ordered("prepare_run")
            await gateway.stop_run(search_id)
            run = await gateway.wait_run(search_id)
            assert (run.status, run.reason) == (RunStatus.FAILED, "stopped on request before it had results")
            assert run.exit_code == 75
            await worker.stop()

    run_async(work())


def test_a_step_that_cannot_be_run_ends_the_search_and_says_which(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, capacity=8)
            search_id = await gateway.start_run(search_plan(), placement=Placement(workers=["w1"]), wait_ms=0)
            run = await gateway.wait_run(search_id)
            assert run.status is RunStatus.CANNOT_RUN_FOR_NOW
            assert run.reason.startswith(
                "step 3, 8 calls at a time: the plan needs 16 endpoints, the workers have room"
            )
            assert run.exit_code == 75
            await worker.stop()

    run_async(work())


def test_a_gateway_that_is_started_again_goes_on_with_the_step_that_it_was_at(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server, carries=5, seconds=None)
            port = server.port
            search_id = await gateway.start_run(search_plan(), name="renamed")
            first = await seen(gateway, search_id, lambda run: run.step_id is not None)
            await worker.ordered("start_run")
            worker.finish(str(first.step_id))
            await worker.ordered("start_run", 2)
        async with open_gateway(tmp_path, port=port) as (gateway, server):
            await gateway.wait_worker(view.id, timeout_s=PATIENCE_S)
            going = await seen(gateway, search_id, lambda run: run.search is not None and len(run.search.steps) == 1)
            assert going.step_id != first.step_id
            worker.seconds = 1
            worker.finish(str(going.step_id))
            run = await gateway.wait_run(search_id)
            assert run.reason == "5 calls at a time held, 6 broke it"
            assert [step.name for step in await steps_of(gateway, search_id)] == [
                f"renamed, {calls} calls" for calls in (2, 4, 8, 6, 5)
            ]
            await worker.stop()

    run_async(work())


def test_a_step_waits_until_the_store_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "RETRY_S", 0.01)
    refused: list[str] = []

    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, carries=2)
            add = gateway._store.add

            async def add_the_second_time(run: ActiveRun, *rest: Any, **more: Any) -> None:
                if run.step is not None and run.name not in refused:
                    refused.append(run.name)
                    raise OperationalError("INSERT", {}, Exception("database or disk is full"))
                await add(run, *rest, **more)

            monkeypatch.setattr(gateway._store, "add", add_the_second_time)
            run = await gateway.wait_run(await gateway.start_run(search_plan(last=4)))
            assert run.reason == "2 calls at a time held, 3 broke it"
            await worker.stop()

    run_async(work())
    assert refused == [f"limit, {calls} calls" for calls in (2, 4, 3)]


def test_a_search_is_deleted_with_its_steps_and_no_step_alone(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server)
            search_id = await gateway.start_run(search_plan())
            await gateway.wait_run(search_id)
            step = (await steps_of(gateway, search_id))[0]
            with pytest.raises(RequestError, match=f"a step of the search {search_id}"):
                await gateway.delete_run(step.id)
            await gateway.delete_run(search_id)
            for run_id in (search_id, step.id):
                with pytest.raises(RequestError, match="there is no run"):
                    await gateway.run(run_id)
            await worker.stop()

    run_async(work())


def test_a_kept_test_may_be_a_search(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, carries=2)
            project = await gateway.projects.create("office")
            test = await gateway.tests.create(project["id"], "limit", search_plan().to_document(), Placement())
            search_id = await gateway.run_test(project["id"], test["id"])
            run = await gateway.wait_run(search_id)
            assert (run.project_id, run.test_id) == (project["id"], test["id"])
            assert run.reason == "2 calls at a time held, 3 broke it"
            assert {step.test_id for step in await steps_of(gateway, search_id)} == {test["id"]}
            await worker.stop()

    run_async(work())
