"""Workers that take no new runs: told over real links, remembered by either side's successor."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from cmw.core.words import RunStatus, WorkerState
from cmw.gateway.service import Gateway
from cmw.link import events
from cmw.worker.settings import WorkerSettings
from cmw.worker.worker import Worker
from tests.gateway.world import PATIENCE_S, FakeWorker, linked_worker, make_plan, open_gateway, run_async

pytestmark = pytest.mark.loopback


async def settled(gateway: Gateway, worker_id: str) -> None:
    """Wait until the worker has answered every command."""
    async with asyncio.timeout(PATIENCE_S):
        while gateway._hub.outbox(worker_id).outstanding():  # noqa: ASYNC110 - the answer comes over a socket
            await asyncio.sleep(0.01)


def test_a_draining_worker_finishes_its_run_and_gets_no_other(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            drained = await gateway.drain_worker(view.id)
            assert (drained.state, drained.draining, drained.enabled) == (WorkerState.DRAINING, True, True)
            await worker.ordered("drain")
            refused = await gateway.wait_run(await gateway.start_run(make_plan()))
            assert refused.status is RunStatus.CANNOT_RUN_FOR_NOW
            assert refused.reason == "no worker is online, 1 draining"
            worker.finish(run_id)
            assert (await gateway.wait_run(run_id)).status is RunStatus.COMPLETED
            await worker.stop()

    run_async(work())


def test_enabling_gives_it_runs_again_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server)
            await gateway.drain_worker(view.id)
            await worker.ordered("drain")
            assert worker.is_draining
            assert (await gateway.enable_worker(view.id)).state is WorkerState.ONLINE
            run = await gateway.wait_run(await gateway.start_run(make_plan()))
            assert run.status is RunStatus.COMPLETED
            assert worker.commands == ["drain", "drain", "prepare_run", "start_run"]
            assert not worker.is_draining
            await worker.stop()

    run_async(work())


def test_runs_go_to_the_others(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            one, view, _ = await linked_worker(gateway, server, "one")
            two, _, _ = await linked_worker(gateway, server, "two")
            await gateway.drain_worker(view.id)
            run = await gateway.wait_run(await gateway.start_run(make_plan()))
            assert [(part.worker_name, part.endpoints) for part in run.workers] == [("two", 8)]
            await one.stop()
            await two.stop()

    run_async(work())


def test_a_worker_that_was_away_is_told_when_it_comes_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            view, token = await gateway.create_worker("w1")
            assert (await gateway.drain_worker(view.id)).state is WorkerState.OFFLINE
            worker = FakeWorker(server.port, token).start()
            await worker.ordered("drain")
            assert (await gateway.worker(view.id)).state is WorkerState.DRAINING
            await worker.stop()
            successor = FakeWorker(server.port, token).start()  # a new process knows nothing of it
            await successor.ordered("drain")
            await successor.stop()

    run_async(work())


def test_a_worker_is_not_told_what_it_knows(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server)
            await gateway.drain_worker(view.id)
            await worker.ordered("drain")
            await settled(gateway, view.id)
            port = server.port
        await worker.seen(events.LinkLost)
        async with open_gateway(tmp_path, port=port) as (gateway, _):
            assert await gateway.wait_worker(view.id, timeout_s=PATIENCE_S)
            assert (await gateway.worker(view.id)).state is WorkerState.DRAINING  # it survives a restart of the gateway
            await gateway.enable_worker(view.id)
            await worker.ordered("drain", 2)
            assert worker.commands == ["drain", "drain"]
            assert not worker.is_draining
            await worker.stop()

    run_async(work())


def test_an_order_that_was_taken_back_before_it_arrived_is_not_sent(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, token = await linked_worker(gateway, server)
            worker.answers = False
            await gateway.drain_worker(view.id)
            await worker.ordered("drain")
            await worker.stop()
            await gateway.enable_worker(view.id)
            successor = FakeWorker(server.port, token).start()
            assert await gateway.wait_worker(view.id, timeout_s=PATIENCE_S)
            run = await gateway.wait_run(await gateway.start_run(make_plan()))
            assert run.status is RunStatus.COMPLETED
            assert successor.commands == ["prepare_run", "start_run"]
            await successor.stop()

    run_async(work())


def test_the_worker_itself_takes_no_run_while_it_drains_and_takes_one_afterwards(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            view, token = await gateway.create_worker("w1")
            settings = WorkerSettings.model_validate(
                {
                    "worker_token": SecretStr(token),
                    "cloud_url": server.link_url,
                    "sip_ip": "127.0.0.1",
                    "sip_port_start": 45060,
                    "sip_port_end": 45080,
                    "rtp_port_min": 45100,
                    "rtp_port_max": 45200,
                }
            )
            worker = Worker(settings, embedded=True)
            plan = make_plan(
                duration="1s", groups={"b": {"endpoints": 1}, "a": {"endpoints": 1, "call": {"group": "b"}}}
            )
            await worker.start()
            try:
                assert await gateway.wait_worker(view.id, timeout_s=PATIENCE_S)
                await gateway.drain_worker(view.id)
                await settled(gateway, view.id)
                gateway._hub._draining.clear()  # a run that was given to it at the same moment
                run = await gateway.wait_run(await gateway.start_run(plan))
                assert run.reason == "worker w1: DRAINING: this worker takes no new runs"
                await gateway.enable_worker(view.id)
                run = await gateway.wait_run(await gateway.start_run(plan))
                assert run.status is RunStatus.COMPLETED
            finally:
                await worker.stop(patience_s=1.0)

    run_async(work())
