"""The REST API, in the process."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cmw.gateway.rest.app import MAX_BODY_BYTES, create_app
from cmw.gateway.service import Gateway
from tests.gateway.world import PLAN, linked_worker, make_plan, open_gateway, run_async

Client = httpx.AsyncClient


@asynccontextmanager
async def api(path: Path) -> AsyncIterator[Client]:
    """Have a client with a key of a gateway that is not on the network."""
    async with Gateway.open(path) as gateway:
        _, key = await gateway.api_keys.create("test")
        transport = httpx.ASGITransport(create_app(gateway), raise_app_exceptions=False)
        async with Client(transport=transport, base_url="http://gateway", headers=bearer(key)) as client:
            yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def with_api(path: Path, work: Callable[[Client], Awaitable[None]]) -> None:
    async def connected() -> None:
        async with api(path) as client:
            await work(client)

    run_async(connected())


async def create(client: Client, name: str = "w1") -> dict[str, Any]:
    answer = await client.post("/api/v1/workers", json={"name": name})
    assert answer.status_code == 201
    made: dict[str, Any] = answer.json()["data"]
    return made


def test_a_worker_from_its_creation_to_its_end(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        made = await create(client)
        assert re.fullmatch(r"cmw_[0-9a-f]{64}", made["token"])
        assert (made["state"], made["enabled"], made["capacity"]) == ("OFFLINE", True, 100)
        path = f"/api/v1/workers/{made['id']}"
        shown = (await client.get(path)).json()["data"]
        assert "token" not in shown
        assert shown == {key: value for key, value in made.items() if key != "token"}
        again = (await client.post(f"{path}/regenerate")).json()["data"]
        assert again["token"] != made["token"]
        assert (await client.post(f"{path}/disable")).json()["data"]["enabled"] is False
        assert (await client.post(f"{path}/enable")).json()["data"]["enabled"] is True
        assert (await client.delete(path)).json()["data"] == {"id": made["id"], "deleted": True}
        assert (await client.get(path)).status_code == 404
        assert (await client.delete(path)).status_code == 404

    with_api(tmp_path, work)


def test_every_answer_has_an_envelope_with_the_request_id(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        for path in ("/api/v1/workers", "/api/v1/workers/x", "/api/v1/nothing", "/nothing"):
            answer = await client.get(path)
            body = answer.json()
            assert body["meta"]["requestId"] == answer.headers["x-request-id"]
            assert set(body) == ({"data", "meta"} if answer.is_success else {"error", "meta"})
        assert (await client.get("/api/v1/workers/x")).json()["error"] == {
            "code": "NOT_FOUND",
            "message": "there is no worker 'x'",
        }

    with_api(tmp_path, work)


def test_lists_come_in_pages(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        for n in range(5):
            await create(client, f"w{n}")
        answer = (await client.get("/api/v1/workers", params={"page": 2, "perPage": 2})).json()
        assert [worker["name"] for worker in answer["data"]] == ["w2", "w3"]
        assert answer["meta"]["pagination"] == {"page": 2, "perPage": 2, "total": 5, "totalPages": 3}
        named = (await client.get("/api/v1/workers", params={"name": "w4"})).json()
        assert [worker["name"] for worker in named["data"]] == ["w4"]
        assert (await client.get("/api/v1/workers", params={"perPage": 0})).status_code == 422

    with_api(tmp_path, work)


@pytest.mark.parametrize("headers", [{}, bearer("x"), bearer("cmk_" + "0" * 32), {"Authorization": "Basic eDp5"}])
def test_no_key_no_answer(tmp_path: Path, headers: dict[str, str]) -> None:
    async def work(client: Client) -> None:
        client.headers.pop("Authorization")
        answer = await client.get("/api/v1/workers", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")

    with_api(tmp_path, work)


def test_who_guesses_keys_is_slowed_and_the_right_key_works(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        wrong = bearer("cmk_" + "0" * 32)
        statuses = [(await client.get("/api/v1/runs", headers=wrong)).status_code for _ in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        assert (await client.get("/api/v1/runs")).status_code == 200

    with_api(tmp_path, work)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": " x"},
        {"name": "x\n"},
        {"name": "x" * 101},
        {"name": "x", "capacity": 0},
        {"name": "x", "capacity": 2**40},
        {"name": "x", "capacity": 5.5},
        {"name": "x", "capacity": True},
        {"name": "x", "capacity": "5"},
        {"name": "x", "colour": "red"},
        {"name": "x", "labels": {"a space": "y"}},
    ],
)
def test_a_bad_worker_is_refused(tmp_path: Path, body: dict[str, Any]) -> None:
    async def work(client: Client) -> None:
        assert (await client.post("/api/v1/workers", json=body)).status_code == 422

    with_api(tmp_path, work)


def test_a_whole_number_may_have_a_point(tmp_path: Path) -> None:
    """JSON has one kind of number; 5.0 is an integer to JSON Schema."""

    async def work(client: Client) -> None:
        answer = await client.post("/api/v1/workers", json={"name": "w1", "capacity": 5.0})
        assert answer.json()["data"]["configured_capacity"] == 5

    with_api(tmp_path, work)


def test_the_document_leaves_no_room_for_other_labels(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        schemas = (await client.get("/api/v1/openapi.json")).json()["components"]["schemas"]
        assert schemas["NewWorker"]["properties"]["labels"]["additionalProperties"] is False

    with_api(tmp_path, work)


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        await create(client)
        answer = await client.post("/api/v1/workers", json={"name": "w1"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CONFLICT")

    with_api(tmp_path, work)


def test_a_bad_plan_is_refused_with_every_fault(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        plan = PLAN | {"duration": "10 bananas", "version": 7}
        answer = await client.post("/api/v1/runs", json={"plan": plan})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (422, "INVALID_PLAN")
        assert len(error["details"]) == 2
        assert (await client.get("/api/v1/runs")).json()["data"] == []

    with_api(tmp_path, work)


def test_the_body_of_somebody_without_a_key_is_not_read(tmp_path: Path) -> None:
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(True)
        yield b'{"name": "w1"}'

    async def work(client: Client) -> None:
        for headers in ({"Authorization": ""}, bearer("cmk_" + "0" * 32)):
            answer = await client.post(
                "/api/v1/workers", content=body(), headers=headers | {"Content-Type": "application/json"}
            )
            assert answer.status_code == 401
        assert read == []

    with_api(tmp_path, work)


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "\\ud800"}',
        b'{"name": "w1", "name": "w2"}',
        b'{"name": "w1", "capacity": NaN}',
        b'{"name": "w1", "capacity": 1e999}',
        b'{"name": "\xff"}',
        '{"name": "w1"}'.encode("utf-16"),
        b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"",
    ],
)
def test_what_is_no_strict_json_is_refused(tmp_path: Path, body: bytes) -> None:
    async def work(client: Client) -> None:
        answer = await client.post("/api/v1/workers", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == (400 if body else 422)
        assert answer.json()["error"]["message"]

    with_api(tmp_path, work)


def test_a_body_with_two_ends_is_refused(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        headers = {"Content-Length": "2", "Transfer-Encoding": "chunked", "Content-Type": "application/json"}
        answer = await client.post("/api/v1/workers", content=b"{}", headers=headers)
        assert (answer.status_code, answer.headers["connection"]) == (400, "close")
        assert answer.json()["meta"]["requestId"] == answer.headers["x-request-id"]

    with_api(tmp_path, work)


def test_a_body_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // (1 << 20) + 1):
            yield b" " * (1 << 20)

    async def work(client: Client) -> None:
        declared = {"Content-Length": str(MAX_BODY_BYTES + 1), "Content-Type": "application/json"}
        answer = await client.post("/api/v1/runs", content=b"{}", headers=declared)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "TOO_LARGE")
        answer = await client.post("/api/v1/runs", content=pieces(), headers={"Content-Type": "application/json"})
        assert answer.status_code == 413

    with_api(tmp_path, work)


def test_a_run_that_cannot_run_is_told(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        made = await client.post("/api/v1/runs", json={"plan": PLAN, "name": "nightly"})
        assert made.status_code == 201
        run = made.json()["data"]
        assert (run["status"], run["name"], run["endpoints"]) == ("PENDING", "nightly", 8)
        path = f"/api/v1/runs/{run['id']}"
        while (shown := (await client.get(path)).json()["data"])["status"] == "PENDING":
            pass
        assert (shown["status"], shown["exit_code"]) == ("CANNOT_RUN_FOR_NOW", 75)
        assert (await client.get(f"{path}/summary")).status_code == 409
        assert (await client.post(f"{path}/stop")).status_code == 409
        assert (await client.get(f"{path}/plan")).json()["data"]["name"] == "two-groups"
        for what in ("", "/summary", "/stop", "/endpoints", "/samples", "/plan"):
            method = "POST" if what == "/stop" else "GET"
            assert (await client.request(method, f"/api/v1/runs/nothing{what}")).status_code == 404

    with_api(tmp_path, work)


@pytest.mark.loopback
def test_results_come_as_json_and_csv(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, _ = await linked_worker(gateway, server)
            run_id = await gateway.start_run(make_plan())
            await gateway.wait_run(run_id)
            _, key = await gateway.api_keys.create("test")
            async with Client(base_url=f"{server.url}/api/v1/runs/{run_id}", headers=bearer(key)) as client:
                rows = (await client.get("/samples", params={"endpoint": 3})).json()["data"]
                assert [(row["endpoint"], row["second"]) for row in rows] == [(3, 0), (3, 1)]
                assert rows[1]["receive.jitter_ms"] == 1.003
                assert rows[1]["receive.mos"] is None
                lines = (await client.get("/samples", params={"format": "csv"})).text.splitlines()
                assert len(lines) == 1 + 16
                assert lines[0].startswith("second,at_unix_ms,endpoint,")
                ended = (await client.get("/endpoints", params={"perPage": 3, "page": 3})).json()
                assert [report["index"] for report in ended["data"]] == [6, 7]
                assert (await client.get("/endpoints", params={"outcome": "TIMEOUT"})).json()["data"] == []
                assert (await client.get("/summary")).json()["data"]["run"]["id"] == run_id
            await worker.stop()

    run_async(work())


def test_the_openapi_document_names_every_route(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        paths = (await client.get("/api/v1/openapi.json")).json()["paths"]
        assert set(paths["/api/v1/workers/{worker_id}"]) == {"get", "patch", "delete"}
        nouns = {path.split("/")[3] for path in paths}
        assert nouns == {"keys", "projects", "runs", "workers"}

    with_api(tmp_path, work)


def test_health_needs_no_key(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        client.headers.pop("Authorization")
        assert (await client.get("/health")).json()["status"] == "healthy"

    with_api(tmp_path, work)


def test_the_first_key_is_left_in_a_private_file_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with Gateway.open(tmp_path) as gateway:
            path = await gateway.api_keys.create_first(tmp_path)
            assert path is not None
            assert path.stat().st_mode & 0o777 == 0o600
            assert await gateway.api_keys.find(path.read_text().strip())
            assert await gateway.api_keys.create_first(tmp_path) is None

    run_async(work())


def test_a_key_that_cannot_be_handed_over_is_not_the_last_one_made(tmp_path: Path) -> None:
    async def work() -> None:
        async with Gateway.open(tmp_path) as gateway:
            with pytest.raises(OSError, match="No such file"):
                await gateway.api_keys.create_first(tmp_path / "away")
            assert await gateway.api_keys.create_first(tmp_path) is not None

    run_async(work())
