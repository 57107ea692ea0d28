"""A store that cannot be written for a while: runs wait for it, callers are told, nothing is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from cmw.core.words import RunStatus
from cmw.gateway import journal, run_store
from cmw.gateway.service import Gateway
from tests.gateway.world import PLAN, linked_worker, make_plan, open_gateway, run_async, samples_of

pytestmark = pytest.mark.loopback


@contextmanager
def full_disk(gateway: Gateway) -> Iterator[list[int]]:
    """Have every transaction that writes fail as on a full disk; the list counts them."""
    engine = gateway._database._engine.sync_engine
    failed: list[int] = []

    def fail(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("cmw_immediate"):
            failed.append(1)
            raise sa.exc.OperationalError("BEGIN", {}, sqlite3.OperationalError("database or disk is full"))

    sa.event.listen(engine, "begin", fail)
    try:
        yield failed
    finally:
        sa.event.remove(engine, "begin", fail)


async def some_failures(failed: list[int]) -> None:
    before = len(failed)
    while len(failed) < before + 3:  # noqa: ASYNC110 - counted by another task
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "RETRY_S", 0.01)
    monkeypatch.setattr(run_store, "RETRY_S", 0.01)


def test_a_run_waits_for_the_disk_and_completes(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server, seconds=None)
            worker.answers = False
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("prepare_run")
            (prepare,) = gateway._hub.outbox(view.id).outstanding()
            with full_disk(gateway) as failed:
                worker.answers = True
                event = next(e for e in worker.events if getattr(e, "id", None) == prepare.id)
                worker._carry_out(event)  # type: ignore[arg-type]
                await some_failures(failed)
                assert (await gateway.run(run_id)).status is RunStatus.QUEUED
            await worker.ordered("start_run")
            with full_disk(gateway) as failed:
                worker.report_second(run_id, 0)
                worker.finish(run_id)
                await some_failures(failed)
                assert worker.client.link.pending
            run = await gateway.wait_run(run_id)
            assert (run.status, run.verdict) == (RunStatus.COMPLETED, "PASSED")
            assert len(await samples_of(gateway, run_id)) == 8
            assert worker.client.link.pending == 0
            await worker.stop()

    run_async(work())


def test_callers_are_told(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            _, key = await gateway.api_keys.create("test")
            headers = {"Authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=headers) as client:
                with full_disk(gateway):
                    answer = await client.post("/runs", json={"plan": PLAN})
                assert (answer.status_code, answer.json()["error"]["code"]) == (503, "STORE_UNAVAILABLE")
                assert "database or disk is full" in answer.json()["error"]["message"]
                assert (await client.get("/runs")).json()["data"] == []

    run_async(work())


def test_a_worker_links_although_it_cannot_be_written_down(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, token = await linked_worker(gateway, server)
            with full_disk(gateway):
                await worker.stop()
                successor = type(worker)(server.port, token).start()
                assert await gateway.wait_worker(view.id, timeout_s=10)
            await successor.stop()

    run_async(work())
