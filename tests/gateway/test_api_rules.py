"""What holds for every route: roles, limits, requests that arrive twice, and what is told of a run while it goes on."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cmw.gateway.database import DATABASE_FILE
from cmw.gateway.rest.app import ApiLimits, create_app
from cmw.gateway.rest.guard import ROLE
from cmw.gateway.roles import Role
from cmw.gateway.service import Gateway
from tests.gateway.world import PLAN, linked_worker, make_plan, open_gateway, run_async

Client = httpx.AsyncClient


@asynccontextmanager
async def opened(path: Path, limits: ApiLimits | None = None) -> AsyncIterator[tuple[Gateway, Client]]:
    """Have a gateway that is not on the network, and a client without a key."""
    async with Gateway.open(path) as gateway:
        transport = httpx.ASGITransport(create_app(gateway, limits), raise_app_exceptions=False)
        async with Client(transport=transport, base_url="http://gateway") as client:
            yield gateway, client


async def key_of(gateway: Gateway, role: Role = Role.ADMIN) -> dict[str, str]:
    _, key = await gateway.api_keys.create(f"a {role}", role)
    return {"Authorization": f"Bearer {key}"}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, Role]]:
    """Yield method, path and role of every operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path.replace("{", "").replace("}", ""), Role(operation[ROLE])


def test_every_route_takes_its_role_and_not_less(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (gateway, client):
            keys = {role: await key_of(gateway, role) for role in Role}
            document = (await client.get("/api/v1/openapi.json")).json()
            found = list(operations(document))
            assert {role for _, _, role in found} == set(Role)
            for method, path, needed in found:
                for role in Role:
                    answer = await client.request(method, path, headers=keys[role])
                    is_refused = answer.status_code == 403
                    assert is_refused is not role.includes(needed), (method, path, role, answer.text)
                    if is_refused:
                        assert answer.json()["error"]["code"] == "FORBIDDEN"
                        assert needed in answer.json()["error"]["message"]

    run_async(work())


def test_what_reads_is_open_to_viewers_and_what_manages_workers_to_admins_only(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (_, client):
            document = (await client.get("/api/v1/openapi.json")).json()
            for method, path, needed in operations(document):
                if method == "GET" and path != "/api/v1/keys":
                    assert needed is Role.VIEWER, path
                if method != "GET":
                    assert needed is not Role.VIEWER, path
                    if path.startswith("/api/v1/workers"):
                        assert needed is Role.ADMIN, path

    run_async(work())


def test_a_key_gives_what_its_maker_has_and_no_more(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (gateway, client):
            editor, admin = await key_of(gateway, Role.EDITOR), await key_of(gateway)
            made = await client.post("/api/v1/keys", json={"name": "ci", "role": "tester"}, headers=editor)
            assert made.status_code == 201
            key = made.json()["data"]
            assert (key["role"], key["key"][:4], len(key["key"])) == ("tester", "cmk_", 36)
            own = await client.get("/api/v1/keys/own", headers={"Authorization": f"Bearer {key['key']}"})
            assert own.json()["data"] == {name: value for name, value in key.items() if name != "key"}
            refused = await client.post("/api/v1/keys", json={"name": "x", "role": "admin"}, headers=editor)
            assert refused.status_code == 403
            listed = (await client.get("/api/v1/keys", headers=admin)).json()["data"]
            assert [one["role"] for one in listed] == ["editor", "admin", "tester"]
            assert "key" not in listed[0]
            assert (await client.delete(f"/api/v1/keys/{listed[1]['id']}", headers=editor)).status_code == 403
            last = await client.delete(f"/api/v1/keys/{listed[1]['id']}", headers=admin)
            assert (last.status_code, last.json()["error"]["code"]) == (409, "CONFLICT")
            assert (await client.delete(f"/api/v1/keys/{key['id']}", headers=editor)).status_code == 200
            gone = await client.get("/api/v1/runs", headers={"Authorization": f"Bearer {key['key']}"})
            assert gone.status_code == 401

    run_async(work())


def test_a_key_asks_so_often_and_is_told_what_is_left(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path, ApiLimits(requests_per_minute=3)) as (gateway, client):
            busy, other = await key_of(gateway), await key_of(gateway)
            answers = [await client.get("/api/v1/runs", headers=busy) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
            assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
            assert answers[0].headers["ratelimit-limit"] == "3"
            assert answers[3].json()["error"]["code"] == "RATE_LIMITED"
            assert 1 <= int(answers[3].headers["retry-after"]) <= int(answers[3].headers["ratelimit-reset"]) <= 60
            assert (await client.get("/api/v1/runs", headers=other)).status_code == 200

    run_async(work())


def test_a_request_that_arrives_twice_is_carried_out_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (gateway, client):
            admin, other = await key_of(gateway), await key_of(gateway)
            once = admin | {"Idempotency-Key": "nightly-1"}
            first = await client.post("/api/v1/runs", json={"plan": PLAN}, headers=once)
            again = await client.post("/api/v1/runs", json={"plan": PLAN}, headers=once)
            assert (first.status_code, again.status_code) == (201, 201)
            assert again.json() == first.json()
            assert (again.headers["idempotency-replayed"], "idempotency-replayed" in first.headers) == ("true", False)
            changed = await client.post("/api/v1/runs", json={"plan": PLAN, "name": "x"}, headers=once)
            assert (changed.status_code, changed.json()["error"]["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")
            theirs = await client.post("/api/v1/runs", json={"plan": PLAN}, headers=once | other)
            assert theirs.json()["data"]["id"] != first.json()["data"]["id"]
            assert (await client.get("/api/v1/runs", headers=admin)).json()["meta"]["pagination"]["total"] == 2
            bad = await client.post("/api/v1/runs", json={"plan": PLAN}, headers=admin | {"Idempotency-Key": "a b"})
            assert bad.status_code == 422

    run_async(work())


def test_a_request_that_failed_can_be_sent_again_under_its_key(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (gateway, client):
            once = await key_of(gateway) | {"Idempotency-Key": "w"}
            body = {"name": "w1"}
            taken = (await client.post("/api/v1/workers", json=body, headers=await key_of(gateway))).json()["data"]
            assert (await client.post("/api/v1/workers", json=body, headers=once)).status_code == 409
            await gateway.delete_worker(taken["id"])
            assert (await client.post("/api/v1/workers", json=body, headers=once)).status_code == 201

    run_async(work())


def test_a_secret_that_was_shown_is_neither_shown_again_nor_kept(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (gateway, client):
            once = await key_of(gateway) | {"Idempotency-Key": "w"}
            made = (await client.post("/api/v1/workers", json={"name": "w1"}, headers=once)).json()["data"]
            again = await client.post("/api/v1/workers", json={"name": "w1"}, headers=once)
            assert (again.status_code, again.json()["error"]["code"]) == (409, "SHOWN_ONCE")
            assert made["id"] in again.json()["error"]["message"]
            made_ones.append(made)

    made_ones: list[dict[str, Any]] = []
    run_async(work())
    store = b"".join(path.read_bytes() for path in tmp_path.glob("gateway.db*"))
    assert made_ones[0]["id"].encode() in store
    assert made_ones[0]["token"].encode() not in store


def test_what_became_of_a_request_that_a_dead_gateway_had_is_not_guessed(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as (gateway, client):
            once = await key_of(gateway) | {"Idempotency-Key": "w"}
            assert (await client.post("/api/v1/workers", json={"name": "w1"}, headers=once)).status_code == 201
        with sqlite3.connect(tmp_path / DATABASE_FILE) as store:
            store.execute("UPDATE idempotency_keys SET status = NULL, body = NULL")  # as a kill in between leaves it
        async with opened(tmp_path) as (_, client):
            again = await client.post("/api/v1/workers", json={"name": "w1"}, headers=once)
            assert (again.status_code, again.json()["error"]["code"]) == (409, "OUTCOME_UNKNOWN")

    run_async(work())


def test_an_idempotency_key_is_forgotten_after_a_day(tmp_path: Path) -> None:
    now_ms = [1_800_000_000_000]

    async def work() -> None:
        async with Gateway.open(tmp_path, clock=lambda: now_ms[0]) as gateway:
            client = Client(transport=httpx.ASGITransport(create_app(gateway)), base_url="http://gateway")
            once = await key_of(gateway) | {"Idempotency-Key": "r"}
            ids = []
            for _ in range(3):
                answer = await client.post("/api/v1/runs", json={"plan": PLAN}, headers=once)
                ids.append(answer.json()["data"]["id"])
                now_ms[0] += 13 * 3600 * 1000
            assert ids[0] == ids[1] != ids[2]
            await client.aclose()

    run_async(work())


@pytest.mark.loopback
def test_a_run_is_told_of_as_it_goes_on_until_it_is_over(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            seen: list[dict[str, Any]] = []
            async with (
                Client(base_url=server.url, headers=await key_of(gateway, Role.VIEWER)) as client,
                client.stream("GET", f"/api/v1/runs/{run_id}/events") as answer,
            ):
                assert answer.headers["content-type"].startswith("text/event-stream")
                async for line in answer.aiter_lines():
                    if not line.startswith("data: "):
                        continue
                    seen.append(json.loads(line[6:]))
                    if seen[-1]["status"] == "RUNNING" and not seen[-1]["progress"]:
                        worker.report_second(run_id, 0)
                    elif seen[-1]["status"] == "RUNNING":
                        worker.finish(run_id)
            assert [run["status"] for run in seen][-1] == "COMPLETED"
            assert any(run["progress"].get("calls_active") == 8 for run in seen)
            assert seen[-1]["exit_code"] == 0
            await worker.stop()

    run_async(work())


@pytest.mark.loopback
def test_who_watches_a_run_is_let_go_when_the_gateway_stops(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            client = Client(base_url=server.url, headers=await key_of(gateway))
            async with client.stream("GET", f"/api/v1/runs/{run_id}/events") as answer:
                lines = answer.aiter_lines()
                while not (await anext(lines)).startswith("data: "):
                    pass
                stopping = asyncio.create_task(gateway.close_links())
                assert [line async for line in lines if line.startswith("event: end")] == []
                await stopping
            await client.aclose()
            await worker.stop()

    run_async(work())
