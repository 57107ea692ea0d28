"""A worker that is there and says that it cannot work."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from cmw.core.words import RunStatus, WorkerState
from cmw.gateway.service import Gateway
from tests.gateway.world import PATIENCE_S, make_plan, open_gateway, run_async
from tests.support.raw_link import RawLink
from tests.support.rfc6455 import TEXT, Frame

pytestmark = pytest.mark.loopback

SESSION = "a" * 32
FAULT = "no endpoint fits: too few ports"


def say(link: RawLink, **message: object) -> None:
    link.send(Frame(TEXT, json.dumps(message).encode()))


def beat(link: RawLink, fault: str) -> None:
    say(link, type="heartbeat", sent_at_unix_ns=1, capacity=100, fault=fault)


async def becomes(gateway: Gateway, worker_id: str, state: WorkerState) -> str:
    """Wait until a worker is in a state; return its fault."""
    async with asyncio.timeout(PATIENCE_S):
        while (found := await gateway.worker(worker_id)).state is not state:  # noqa: ASYNC110 - it comes over a socket
            await asyncio.sleep(0.01)
    return found.fault


def test_it_is_in_error_and_gets_no_run_until_it_says_otherwise(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            view, token = await gateway.create_worker("w1", 100)
            link = await RawLink.upgraded(server.port, token, session=SESSION)
            say(link, type="hello", protocol=1, session=SESSION, capacity=100, fault=FAULT)
            assert await becomes(gateway, view.id, WorkerState.ERROR) == FAULT
            refused = await gateway.wait_run(await gateway.start_run(make_plan()))
            assert refused.status is RunStatus.CANNOT_RUN_FOR_NOW
            assert refused.reason == "no worker is online, 1 in error"
            beat(link, "")
            assert await becomes(gateway, view.id, WorkerState.ONLINE) == ""
            run_id = await gateway.start_run(make_plan())
            await link.until(lambda read: any('"prepare_run"' in text for text in read.texts))
            beat(link, "1 of 1 media threads did not run for 5 s or more")
            assert "media threads" in await becomes(gateway, view.id, WorkerState.ERROR)
            assert (await gateway.run(run_id)).status is RunStatus.QUEUED  # it keeps what it has

    run_async(work())


def test_it_is_drained_like_any_other(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            view, token = await gateway.create_worker("w1", 100)
            link = await RawLink.welcomed(server.port, token, session=SESSION)
            beat(link, FAULT)
            await becomes(gateway, view.id, WorkerState.ERROR)
            drained = await gateway.drain_worker(view.id)
            assert (drained.state, drained.draining) == (WorkerState.ERROR, True)
            beat(link, "")
            await becomes(gateway, view.id, WorkerState.DRAINING)

    run_async(work())
