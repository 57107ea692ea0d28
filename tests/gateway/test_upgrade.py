"""Stores that earlier versions made, with a run that ended and one that was cut off: nothing of them is lost."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog
from alembic.config import Config
from alembic.script import ScriptDirectory

from cmw.cli.main import run_command
from cmw.core.words import RunStatus
from cmw.gateway.api_keys import API_KEY_FILE
from cmw.gateway.database import DATABASE_FILE, MIGRATIONS
from cmw.gateway.service import Gateway
from cmw.gateway.views import Page
from cmw.load.plan_parser import parse_plan
from tests.gateway.world import PATIENCE_S, FakeWorker, ManualClock, make_plan, open_gateway, run_async, samples_of
from tests.support.background_gateway import BackgroundGateway
from tests.support.store_dump import PASSWORD, STORES, restore

pytestmark = pytest.mark.loopback

API_KEY = "cmk_" + "0123456789abcdef" * 2
DAY_MS = 86_400_000


def revisions() -> list[str]:
    """Return every revision of the schema, the first one first."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]


WITH_PROJECTS = "0004"


class Store:
    """A store as an earlier version left it, looked at before anything else does."""

    def __init__(self, revision: str, data: Path) -> None:
        restore(revision, data)
        self.revision = revision
        self.data = data
        with closing(sqlite3.connect(data / DATABASE_FILE)) as connection:
            connection.execute("UPDATE api_keys SET key_sha256 = ?", [hashlib.sha256(API_KEY.encode()).hexdigest()])
            connection.commit()
            ask = connection.execute
            (self.ended,) = ask("SELECT id FROM runs WHERE name = 'before'").fetchone()
            (self.cut_off,) = ask("SELECT id FROM runs WHERE name = 'cut off'").fetchone()
            (text,) = ask("SELECT summary FROM runs WHERE name = 'before'").fetchone()
            self.summary: dict[str, Any] = json.loads(text)
            tables = {name for (name,) in ask("SELECT name FROM sqlite_master WHERE type = 'table'")}
            sampled = [table for table in ("batches", "sample_blocks") if table in tables]
            count = " UNION ALL ".join(f"SELECT run_id, rows FROM {table}" for table in sampled)
            self.rows = dict(ask(f"SELECT run_id, sum(rows) FROM ({count}) GROUP BY run_id").fetchall())
        (data / API_KEY_FILE).write_text(API_KEY)


Restore = Callable[[str], Store]


@pytest.fixture
def store(tmp_path: Path) -> Restore:
    return lambda revision: Store(revision, tmp_path / "data")


def test_there_is_a_store_of_every_revision() -> None:
    """When this fails: `python -m tests.support.store_dump`, on the commit before the new migration."""
    assert sorted(path.stem for path in STORES.glob("*.sql")) == revisions()


@pytest.mark.parametrize("revision", revisions())
def test_what_was_measured_is_read_as_it_was(store: Restore, revision: str) -> None:
    old = store(revision)

    async def work() -> None:
        async with Gateway.open(old.data) as gateway:
            [last, first], total = await gateway.runs(Page())
            assert (total, last.id, first.id) == (2, old.cut_off, old.ended)
            assert (first.status, first.verdict, first.exit_code) == (RunStatus.COMPLETED, "PASSED", 0)
            assert (first.late_reports, first.search, first.project_id, first.placement) == (0, None, None, {})
            assert await gateway.summary(old.ended) == old.summary
            reports = await gateway.endpoints(old.ended)
            assert [(report["name"], report["outcome"]) for report in reports] == [
                ("answered-0001", "SUCCESS"),
                ("answered-0002", "SUCCESS"),
                ("refused-0001", "CALL_FAILED"),
            ]
            for run_id, name in ((old.ended, "before"), (old.cut_off, "cut off")):
                assert parse_plan(await gateway.plan(run_id)).name == name
                seen = await samples_of(gateway, run_id)
                assert len(set(seen)) == len(seen) == old.rows[run_id] > 0
                assert "receive.mos" in await gateway.sample_keys(run_id)

    run_async(work())


@pytest.mark.parametrize("revision", revisions())
def test_a_run_that_was_cut_off_is_ended_and_new_ones_begin(store: Restore, revision: str) -> None:
    old = store(revision)

    async def work() -> None:
        clock = ManualClock()
        async with open_gateway(old.data, clock) as (gateway, server):
            [worker], _ = await gateway.workers(Page())
            assert (worker.name, worker.enabled, worker.draining, worker.labels) == ("w1", True, False, {})
            assert (await gateway.run(old.cut_off)).status is RunStatus.RUNNING
            clock.now_ms += DAY_MS
            await gateway.tick()
            ended = await gateway.wait_run(old.cut_off)
            assert (ended.status, ended.verdict) == (RunStatus.FAILED, "INVALID")
            outcomes = {report["outcome"] for report in await gateway.endpoints(old.cut_off)}
            assert outcomes == {"OSERROR"}
            assert len(await samples_of(gateway, old.cut_off)) == old.rows[old.cut_off]

            _, token = await gateway.regenerate_token(worker.id)
            linked = FakeWorker(server.port, token).start()
            assert await gateway.wait_worker(worker.id, timeout_s=PATIENCE_S)
            made = await gateway.wait_run(await gateway.start_run(make_plan()))
            assert made.status is RunStatus.COMPLETED
            await linked.stop()

    run_async(work())


@pytest.mark.parametrize("revision", [revision for revision in revisions() if revision >= WITH_PROJECTS])
def test_secrets_are_still_known(store: Restore, revision: str) -> None:
    old = store(revision)

    async def work() -> None:
        async with Gateway.open(old.data) as gateway:
            project = await gateway.projects.get("lab")
            [test], _ = await gateway.tests.page(project["id"], Page())
            plan = (await gateway.tests.ready_plan(project["id"], test["id"])).plan
            [account] = plan.registrars["pbx"].accounts
            assert account.password.get_secret_value() == PASSWORD

    run_async(work())


@pytest.fixture
def upgraded(request: pytest.FixtureRequest, store: Restore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    old = store(request.param)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(io.StringIO()))  # stdout is the command's
    background = BackgroundGateway(old.data).start()
    monkeypatch.setenv("CMW_GATEWAY", background.url)
    monkeypatch.setenv("CMW_API_KEY_FILE", str(old.data / API_KEY_FILE))
    yield old
    background.stop()
    structlog.reset_defaults()


@pytest.mark.parametrize("upgraded", revisions(), indirect=True)
def test_commands_read_it(upgraded: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        capsys.readouterr()
        assert run_command(list(words)) == 0
        return capsys.readouterr().out

    assert [run["name"] for run in json.loads(said("runs", "list", "--json"))] == ["cut off", "before"]
    assert "Every threshold held" in said("runs", "summary", upgraded.ended)
    assert len(said("runs", "samples", upgraded.ended).splitlines()) == 1 + upgraded.rows[upgraded.ended]
    assert [key["role"] for key in json.loads(said("keys", "list", "--json"))] == ["admin"]
    report = tmp_path / "report"
    said("runs", "report", upgraded.ended, "--output", str(report))
    files = {path.name for path in report.iterdir()}
    assert files >= {"summary.json", "junit.xml", "report.html", "endpoints.csv", "samples.csv"}
    compared = json.loads(said("compare", str(report), str(report), "--json"))["differences"]
    assert {each["difference"] for each in compared} == {0.0}
    assert "call_success" in {each["metric"] for each in compared}
    said("report", str(report))


PAGE = Path(__file__).parents[2] / "docs" / "upgrade.md"
NOT_HERE = "systemctl() { :; }; git() { :; }; pip() { :; }; "


def commands_after(words: str) -> str:
    """Return the block of the page that follows a text, as a script for a machine without systemd."""
    block = PAGE.read_text().partition(words)[2].partition("\n\n")[2].partition("\n\n")[0]
    return NOT_HERE + "set -e\n" + block.replace("/opt/cmw/bin/pip", "pip")


def test_the_copy_of_the_page_is_one_and_the_way_back_leads_to_it(store: Restore, tmp_path: Path) -> None:
    old = store("0005")
    link = tmp_path / "lib" / "cmw"  # as systemd makes it for a user of its own
    link.parent.mkdir()
    link.symlink_to(old.data)

    def carry_out(words: str) -> None:
        script = commands_after(words).replace("/var/lib/cmw", str(link))
        subprocess.run(["bash", "-c", script], check=True)

    async def work() -> None:
        carry_out("**Gateway**")
        async with Gateway.open(link) as gateway:
            await gateway.delete_run(old.ended)
        carry_out("**Back**")
        with closing(sqlite3.connect(link / DATABASE_FILE)) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (old.revision,)
        async with Gateway.open(link) as gateway:
            assert await gateway.summary(old.ended) == old.summary

    run_async(work())
    assert link.is_symlink()
    assert (old.data / "secret.key").stat().st_mode & 0o777 == 0o600
