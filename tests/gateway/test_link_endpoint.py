"""Who may link, and how links end: real WebSockets on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from cmw.core.words import WorkerState
from cmw.gateway import hub
from cmw.gateway.link_endpoint import TOO_MANY
from cmw.gateway.server import RunningServer
from cmw.link import events
from cmw.link.refusal import Refusal
from tests.gateway.world import PATIENCE_S, FakeWorker, linked_worker, open_gateway, run_async
from tests.support.raw_link import RawLink

pytestmark = pytest.mark.loopback

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "cmw.link.v1",
}
WRONG = "cmw_" + "0" * 64


async def dial(server: RunningServer, token: str, **headers: str) -> httpx.Response:
    """Ask for an upgrade that is going to be refused."""
    async with httpx.AsyncClient(base_url=server.url) as client:
        return await client.get("/link/v1", headers=UPGRADE | {"Authorization": f"Bearer {token}"} | headers)


@pytest.mark.parametrize("token", ["x", WRONG, WRONG[:-1], "cmk_" + "0" * 32])
def test_a_wrong_token_is_refused_with_the_exact_text(tmp_path: Path, token: str) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (_, server):
            answer = await dial(server, token)
            assert (answer.status_code, answer.text) == (401, "authentication failed: invalid token")

    run_async(work())


def test_a_disabled_worker_is_refused_until_it_is_enabled(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            view, token = await gateway.create_worker("w1")
            await gateway.disable_worker(view.id)
            answer = await dial(server, token)
            assert (answer.status_code, answer.text) == (403, "authentication failed: worker disabled")
            await gateway.enable_worker(view.id)
            worker = FakeWorker(server.port, token).start()
            assert await gateway.wait_worker(view.id, timeout_s=PATIENCE_S)
            await worker.stop()

    run_async(work())


def test_a_second_connection_with_a_live_token_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, token = await linked_worker(gateway, server)
            answer = await dial(server, token, **{"Cmw-Session": "f" * 32})
            assert (answer.status_code, answer.text) == (409, "authentication failed: duplicate connection")
            second = FakeWorker(server.port, token).start()
            refused = await second.seen(events.LinkRefused)
            assert (refused.status, refused.message) == (409, Refusal.DUPLICATE_CONNECTION.message)
            assert gateway.state(view.id) is WorkerState.ONLINE
            await second.stop()
            await worker.stop()

    run_async(work())


def test_a_worker_is_shown_by_the_name_that_it_says(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            named, view, _ = await linked_worker(gateway, server, "one", shown_as="dc-frankfurt-01")
            silent, other, _ = await linked_worker(gateway, server, "two")
            shown = [await gateway.worker(each.id) for each in (view, other)]
            assert [(each.name, each.configured_name) for each in shown] == [
                ("dc-frankfurt-01", "one"),
                ("two", "two"),
            ]
            await named.stop()
            await silent.stop()

    run_async(work())


def test_a_worker_takes_its_own_stale_link_over(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server)
            await worker.seen(events.LinkOpened)
            connection = worker.client._connection
            assert connection is not None
            worker.client._connection = None  # a path that went dead: no FIN reaches the gateway
            worker.client.link.receive_eof(now=0)
            worker.client._drain_soon()
            await worker.seen(events.LinkOpened, 2)
            assert gateway.state(view.id) is WorkerState.ONLINE
            assert not [event for event in worker.events if isinstance(event, events.LinkRefused)]
            connection.abort()
            await worker.stop()

    run_async(work())


def test_a_link_that_timed_out_gives_way_to_whoever_has_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            silent, view, token = await linked_worker(gateway, server)
            assert (await dial(server, token, **{"Cmw-Session": "f" * 32})).status_code == 409
            monkeypatch.setattr(hub, "STALE", -1)  # no silence is too short
            other = FakeWorker(server.port, token).start()
            await other.seen(events.LinkOpened)
            await silent.seen(events.LinkLost)
            assert gateway.state(view.id) is WorkerState.ONLINE
            await other.stop()
            await silent.stop()

    run_async(work())


@pytest.mark.parametrize("action", ["regenerate_token", "delete_worker"])
def test_a_token_that_ends_takes_its_live_link_along(tmp_path: Path, action: str) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, token = await linked_worker(gateway, server)
            await getattr(gateway, action)(view.id)
            refused = await worker.seen(events.LinkRefused)
            assert (refused.status, refused.message) == (4401, "authentication failed: invalid token")
            assert (await dial(server, token)).status_code == 401
            assert gateway.state(view.id) is WorkerState.OFFLINE
            await worker.stop()

    run_async(work())


def test_disabling_ends_the_live_link_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, view, _ = await linked_worker(gateway, server)
            await gateway.disable_worker(view.id)
            refused = await worker.seen(events.LinkRefused)
            assert (refused.status, refused.message) == (4403, "authentication failed: worker disabled")
            await worker.stop()

    run_async(work())


def test_guessing_is_slowed_but_the_right_token_connects(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            answers = [await dial(server, WRONG) for _ in range(12)]
            assert [a.status_code for a in answers] == [401] * 10 + [429] * 2
            assert answers[-1].text == TOO_MANY
            assert int(answers[-1].headers["Retry-After"]) >= 1
            worker, _, _ = await linked_worker(gateway, server)
            await worker.stop()

    run_async(work())


def test_three_hundred_wrong_tokens_keep_nobody_out(tmp_path: Path) -> None:
    async def guess(port: int, number: int) -> str:
        link = await RawLink.connect(port)
        head = await link.ask(f"cmw_{number:064x}")
        link.close()
        return head.split()[1]

    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            answers = [await guess(server.port, number) for number in range(150)]
            worker, _, _ = await linked_worker(gateway, server)
            answers += [await guess(server.port, number) for number in range(150, 300)]
            assert answers[:10] == ["401"] * 10
            assert answers.count("401") <= 20  # ten at once, and one every six seconds
            assert set(answers) == {"401", "429"}
            assert not [event for event in worker.events if isinstance(event, events.LinkLost | events.LinkRefused)]
            await worker.stop()

    run_async(work())


def test_another_subprotocol_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            _, token = await gateway.create_worker("w1")
            answer = await dial(server, token, **{"Sec-WebSocket-Protocol": "chat"})
            assert answer.status_code == 400

    run_async(work())


def test_workers_come_back_after_a_restart(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            made = [await linked_worker(gateway, server, f"w{n}") for n in range(20)]
            port = server.port
        async with open_gateway(tmp_path, port=port) as (gateway, _):
            assert all(
                await asyncio.gather(*(gateway.wait_worker(view.id, timeout_s=PATIENCE_S) for _, view, _ in made))
            )
            await asyncio.gather(*(worker.stop() for worker, _, _ in made))

    run_async(work())
