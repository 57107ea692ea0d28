"""Projects with registrars, SIP accounts and tests over the API, up to a run of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cmw.errors import SettingsError
from cmw.gateway.rest.app import create_app
from cmw.gateway.roles import Role
from cmw.gateway.service import Gateway
from cmw.gateway.vault import KEY_FILE, MASK
from tests.gateway.world import linked_worker, open_gateway, run_async

Client = httpx.AsyncClient

PASSWORD = "hunter2-of-the-lab"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
SETTINGS = {"domain": "pbx.example", "transport": "tcp", "outbound_proxy": "sip:edge.example"}
TEST: dict[str, Any] = {
    "version": 1,
    "name": "nightly",
    "duration": "10s",
    "groups": {
        "callees": {"endpoints": 2, "registrar": "lab"},
        "callers": {"endpoints": 2, "registrar": "lab", "call": {"group": "callees"}},
    },
}


@asynccontextmanager
async def editor_of(gateway: Gateway) -> AsyncIterator[Client]:
    _, key = await gateway.api_keys.create("editor", Role.EDITOR)
    transport = httpx.ASGITransport(create_app(gateway), raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"}
    async with Client(transport=transport, base_url="http://gateway/api/v1/projects/lab", headers=headers) as client:
        yield client


def in_project(path: Path, work: Callable[[Client], Awaitable[None]]) -> None:
    async def connected() -> None:
        async with Gateway.open(path) as gateway:
            await gateway.projects.create("Lab")
            async with editor_of(gateway) as client:
                await work(client)

    run_async(connected())


def accounts(number: int, first: int = 0) -> list[dict[str, str]]:
    return [{"username": f"u{n}", "password": PASSWORD} for n in range(first, first + number)]


async def post(client: Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["data"]
    return made


def test_a_project_is_found_by_slug_and_by_id(tmp_path: Path) -> None:
    async def work() -> None:
        async with Gateway.open(tmp_path) as gateway:
            _, key = await gateway.api_keys.create("admin")
            transport = httpx.ASGITransport(create_app(gateway))
            headers = {"Authorization": f"Bearer {key}"}
            async with Client(transport=transport, base_url="http://gateway/api/v1", headers=headers) as client:
                made = await post(client, "/projects", {"name": "Büro Nord: Lab 7"})
                assert (made["slug"], made["test_count"], made["registrar_count"]) == ("b-ro-nord-lab-7", 0, 0)
                assert (await client.get(f"/projects/{made['id']}")).json()["data"] == made
                assert (await client.get(f"/projects/{made['slug']}")).json()["data"] == made
                assert (await client.post("/projects", json={"name": "büro nord lab-7"})).status_code == 409
                renamed = (await client.patch(f"/projects/{made['id']}", json={"name": "Lab"})).json()["data"]
                assert renamed == made | {"name": "Lab"}
                await post(client, f"/projects/{made['slug']}/registrars", {"name": "lab", "settings": SETTINGS})
                assert (await client.get("/projects")).json()["data"][0]["registrar_count"] == 1
                assert (await client.delete(f"/projects/{made['id']}")).json()["data"]["deleted"] is True
                assert (await client.get(f"/projects/{made['id']}")).status_code == 404
                assert (await client.get(f"/projects/{made['slug']}/registrars")).status_code == 404

    run_async(work())


def test_a_registrar_keeps_its_accounts_in_order_and_their_passwords_to_itself(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        made = await post(client, "/registrars", {"name": "lab", "settings": SETTINGS | {"accounts": accounts(2)}})
        assert made["settings"]["domain"] == "pbx.example"
        assert ("accounts" in made["settings"], made["account_count"]) == (False, 2)
        path = f"/registrars/{made['id']}"
        assert await post(client, f"{path}/accounts", {"accounts": accounts(3, 2)}) == {"accounts": 3}
        listed = (await client.get(f"{path}/accounts")).json()["data"]
        assert listed == [{"username": f"u{n}", "realm": None, "auth_username": None} for n in range(5)]
        twice = await client.post(f"{path}/accounts", json={"accounts": accounts(2, 4)})
        assert (twice.status_code, twice.json()["error"]["code"]) == (409, "CONFLICT")
        gone = await client.delete(f"{path}/accounts", params={"username": "u3"})
        assert gone.json()["data"] == {"accounts": 1}
        assert (await client.delete(f"{path}/accounts", params={"username": "u3"})).status_code == 404
        changed = (await client.patch(path, json={"settings": {"domain": "sbc.example"}})).json()["data"]
        assert (changed["settings"]["domain"], changed["account_count"]) == ("sbc.example", 4)
        assert (await client.get("/registrars")).json()["data"] == [changed]
        assert (await client.delete(f"{path}/accounts")).json()["data"] == {"accounts": 4}
        assert (await client.delete(path)).status_code == 200
        assert (await client.get(path)).status_code == 404

    in_project(tmp_path, work)
    assert not [path for path in tmp_path.iterdir() if PASSWORD.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (
            {"domain": "pbx.example", "port": 0},
            "registrars.lab.port: found 0, expected a port from 1 to 65535",
        ),
        ({"domian": "pbx.example"}, "did you mean 'domain'?"),
        ({"domain": "x", "accounts": [{"username": "u", "password": MASK}]}, "in place of a secret"),
    ],
)
def test_a_registrar_is_checked_as_in_a_plan(tmp_path: Path, settings: dict[str, Any], found: str) -> None:
    async def work(client: Client) -> None:
        answer = await client.post("/registrars", json={"name": "lab", "settings": settings})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID_PLAN")
        assert found in answer.json()["error"]["message"]

    in_project(tmp_path, work)


def test_the_key_of_a_registrar_is_masked_and_kept(tmp_path: Path) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"

    async def work() -> None:
        async with Gateway.open(tmp_path) as gateway:
            project = await gateway.projects.create("Lab")
            settings = {"domain": "pbx.example", "transport": "tls", "tls": {"certificate": PEM, "key": key}}
            made = await gateway.registrars.create(project["id"], "lab", settings)
            assert made["settings"]["tls"]["key"] == MASK
            found = await gateway.registrars.settings_of(project["id"], "lab")
            assert found is not None
            assert found[1]["tls"]["key"] == key

    run_async(work())


def test_a_test_is_checked_by_the_registrars_of_its_project(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        unknown = await client.post("/tests", json={"plan": TEST})
        assert unknown.status_code == 422
        assert "groups.callees.registrar: found 'lab', expected a registrar of the plan" in unknown.text
        registrar = await post(client, "/registrars", {"name": "lab", "settings": SETTINGS})
        made = await post(client, "/tests", {"plan": TEST})  # accounts may come later
        assert (made["name"], made["endpoints"], made["plan"]["registrars"]) == ("nightly", 4, {})
        assert (await client.post("/tests", json={"plan": TEST})).status_code == 409
        path = f"/tests/{made['id']}"
        needed = await client.delete(f"/registrars/{registrar['id']}")
        assert (needed.status_code, "nightly" in needed.text) == (409, True)
        assert (await client.patch(f"/registrars/{registrar['id']}", json={"name": "new"})).status_code == 409
        bad = await client.patch(path, json={"plan": TEST | {"duration": "soon"}})
        assert (bad.status_code, "found 'soon'" in bad.text) == (422, True)
        changed = await client.patch(path, json={"name": "weekly", "placement": {"region": "eu"}})
        assert changed.json()["data"]["placement"] == {"region": "eu"}
        assert [one["name"] for one in (await client.get("/tests", params={"name": "weekly"})).json()["data"]] == [
            "weekly"
        ]
        assert (await client.delete(path)).status_code == 200
        assert (await client.delete(f"/registrars/{registrar['id']}")).status_code == 200

    in_project(tmp_path, work)


def test_a_test_with_secrets_of_its_own_shows_the_mask_and_does_not_take_it_back(tmp_path: Path) -> None:
    plan = TEST | {"registrars": {"lab": SETTINGS | {"accounts": accounts(4)}}}

    async def work(client: Client) -> None:
        made = await post(client, "/tests", {"plan": plan})
        shown = made["plan"]["registrars"]["lab"]["accounts"]
        assert {account["password"] for account in shown} == {MASK}
        back = await client.patch(f"/tests/{made['id']}", json={"plan": made["plan"]})
        assert (back.status_code, "in place of a secret" in back.text) == (422, True)

    in_project(tmp_path, work)
    assert not [path for path in tmp_path.iterdir() if PASSWORD.encode() in path.read_bytes()]


def test_a_test_without_enough_accounts_cannot_run_for_now(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        await post(client, "/registrars", {"name": "lab", "settings": SETTINGS | {"accounts": accounts(3)}})
        made = await post(client, "/tests", {"plan": TEST})
        run = await post(client, f"/tests/{made['id']}/run", {})
        url = httpx.URL("http://gateway/api/v1/runs/").join(run["id"])
        while (shown := (await client.get(url)).json()["data"])["status"] == "PENDING":
            pass
        assert shown["status"] == "CANNOT_RUN_FOR_NOW"
        assert shown["reason"] == "registrar lab has 3 accounts, the test needs 4"

    in_project(tmp_path, work)


@pytest.mark.loopback
def test_a_test_runs_with_the_accounts_of_its_registrar(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            project = await gateway.projects.create("Lab")
            worker, _, _ = await linked_worker(gateway, server)
            async with editor_of(gateway) as client:
                settings = SETTINGS | {"accounts": accounts(5)}
                await post(client, "/registrars", {"name": "lab", "settings": settings})
                made = await post(client, "/tests", {"plan": TEST})
                answer = await client.post(f"/tests/{made['id']}/run")  # without a body
                run = await gateway.wait_run(answer.json()["data"]["id"])
                assert (run.verdict, run.test_id, run.project_id) == ("PASSED", made["id"], project["id"])
                dealt = [e.account for group in worker.shares[run.id].groups.values() for e in group.endpoints]
                assert [account.username for account in dealt if account] == ["u0", "u1", "u2", "u3"]
                assert {account.password.get_secret_value() for account in dealt if account} == {PASSWORD}
                url = "http://gateway/api/v1/runs"
                assert len((await client.get(url, params={"test": made["id"]})).json()["data"]) == 1
                assert (await client.get(url, params={"test": "another"})).json()["data"] == []
            await worker.stop()

    run_async(work())
    assert not [path for path in tmp_path.iterdir() if PASSWORD.encode() in path.read_bytes()]


def test_a_store_is_opened_with_its_own_key_only(tmp_path: Path) -> None:
    other = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

    async def work() -> None:
        async with Gateway.open(tmp_path, secret_key=other):
            assert not (tmp_path / KEY_FILE).exists()
        with pytest.raises(SettingsError, match="expected the key that this store was written with"):
            async with Gateway.open(tmp_path, secret_key=other.replace("M", "N", 1)):
                pass
        with pytest.raises(SettingsError, match=r"secret\.key: expected a readable key .* No such file"):
            async with Gateway.open(tmp_path):
                pass
        assert not (tmp_path / KEY_FILE).exists()
        with pytest.raises(SettingsError, match="CMW_SECRET_KEY: expected 32 bytes"):
            async with Gateway.open(tmp_path, secret_key="short"):
                pass

    run_async(work())
