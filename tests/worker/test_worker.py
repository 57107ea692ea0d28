"""The gateway's commands to a worker, and what it answers to those that cannot be carried out."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from cmw.core.clock import SECOND
from cmw.errors import CommandError
from cmw.link.events import CommandReceived, LinkLost, LinkOpened, LinkRefused
from cmw.load.plan_parser import parse_plan
from cmw.load.split import whole_run
from cmw.worker.capacity import Capacity
from cmw.worker.generator import Generator
from cmw.worker.logs import configure_logging
from cmw.worker.settings import WorkerSettings
from cmw.worker.standstill import Standstill
from cmw.worker.stations import Stations
from cmw.worker.ways import Ways
from cmw.worker.worker import Worker
from tests.worker.stage import Stage, pass_time, run_async, settle

TOKEN = "cmw_" + "0123456789abcdef" * 4
GROUPS: dict[str, Any] = {
    "callees": {"endpoints": 2},
    "callers": {"endpoints": 2, "call": {"group": "callees"}},
}


class FakeSpool:
    dropped_samples = 0


class FakeMachine:
    """Keeps the answers to commands, and the reports."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, ...]] = []
        self.reports: list[tuple[str, str | None]] = []
        self.spool = FakeSpool()
        self.pending = 0

    def update(self, status: object) -> None: ...

    def accept(self, command_id: str, *, now: int) -> None:
        self.answers.append(("accepted", command_id))

    def done(self, command_id: str, result: object, *, now: int) -> None:
        self.answers.append(("done", command_id))

    def reject(self, command_id: str, code: str, detail: str, *, now: int) -> None:
        self.answers.append(("rejected", command_id, code, detail))

    def report(self, kind: str, run_id: str, data: object, *, now: int) -> None:
        self.reports.append((kind, run_id))

    def send_samples(self, batch: object, *, now: int) -> None: ...


class FakeLink:
    """A `LinkClient` without a connection."""

    def __init__(self) -> None:
        self.link = FakeMachine()
        self.is_closed = False
        self.flushed_s: list[float] = []

    def run(self, command: Callable[[FakeMachine, int], Any]) -> Any:
        return command(self.link, 0)

    async def flush(self, timeout_s: float) -> bool:
        self.flushed_s.append(timeout_s)
        return True

    async def close(self, timeout_s: float = 5) -> None:
        self.is_closed = True


class Scene:
    """A worker on a stage, linked to nobody."""

    def __init__(self, capacity: int = 10) -> None:
        self.stage = Stage()
        self.link = FakeLink()
        settings = WorkerSettings.model_validate({"worker_token": TOKEN, "cloud_url": "ws://127.0.0.1:1"})
        self.worker = Worker(settings)
        self.worker._stations = Stations(self.stage.station, None)
        self.worker._alarm = self.stage.alarm  # type: ignore[assignment]
        self.worker._generator = Generator(self.stage.engine, self.stage.alarm)  # type: ignore[arg-type]
        self.worker._link = self.link  # type: ignore[assignment]
        self.worker._capacity = Capacity(capacity, "the stage is small")
        self.worker.is_connected = True

    async def order(self, name: str, run_id: str = "r1", **data: Any) -> tuple[str, ...]:
        """Give a command and return its last answer."""
        self.worker._receive_link_event(CommandReceived(f"{name}-{run_id}", name, run_id, data))
        for _ in range(50):
            await pass_time(self.stage, SECOND // 10)
            if not self.worker._tasks:
                break
        return self.link.link.answers[-1]

    async def prepare(self, run_id: str = "r1", **groups: Any) -> tuple[str, ...]:
        plan = parse_plan({"version": 1, "name": "x", "duration": "10s", "groups": groups or GROUPS})
        return await self.order("prepare_run", run_id, share=whole_run(plan, run_id).to_wire())


def play(scene: Callable[[Scene], Any], capacity: int = 10) -> None:
    async def main() -> None:
        await scene(Scene(capacity))

    run_async(main)


def test_a_run_from_prepare_to_its_end() -> None:
    async def scene(on: Scene) -> None:
        assert await on.prepare() == ("done", "prepare_run-r1")
        assert on.link.link.answers == [("accepted", "prepare_run-r1"), ("done", "prepare_run-r1")]
        targets = {"callees": {str(k): f"sip:callees-000{k + 1}@10.0.0.1:5060" for k in range(2)}}
        assert await on.order("start_run", targets=targets) == ("done", "start_run-r1")
        assert on.worker._status().endpoints == 4
        await pass_time(on.stage, 2 * SECOND)
        assert on.worker._status().calls == 4
        await pass_time(on.stage, 20 * SECOND)
        assert on.worker._runs == {}
        assert on.link.link.reports[-1] == ("run_done", "r1")
        assert [kind for kind, _ in on.link.link.reports].count("endpoint") == 4

    play(scene)


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("dance", {}, "UNKNOWN_COMMAND"),
        ("start_run", {"targets": {}}, "UNKNOWN_RUN"),
        ("prepare_run", {}, "BAD_COMMAND"),
        ("prepare_run", {"share": 5}, "BAD_COMMAND"),
    ],
)
def test_what_cannot_be_carried_out_is_rejected(name: str, data: dict[str, Any], code: str) -> None:
    async def scene(on: Scene) -> None:
        answer = await on.order(name, **data)
        assert (answer[0], answer[2]) == ("rejected", code)

    play(scene)


def test_a_bad_share_is_rejected_without_its_passwords() -> None:
    async def scene(on: Scene) -> None:
        share = _share()
        share["groups"]["callers"]["endpoints"][0]["account"] = {"username": "u", "password": "treasure", "realm": 7}
        answer = await on.order("prepare_run", share=share)
        assert answer[2] == "BAD_COMMAND"
        assert answer[3].startswith("share.groups.callers.endpoints.0.account.realm: ")
        assert "treasure" not in answer[3]

    play(scene)


@pytest.mark.parametrize("targets", [None, 5, [], "x", {"callees": {"0": 5}}, {"callees": "sip:callee@10.0.0.1"}])
def test_targets_that_are_none(targets: object) -> None:
    async def scene(on: Scene) -> None:
        await on.prepare()
        answer = await on.order("start_run", targets=targets)
        assert answer[2] == "BAD_COMMAND"
        assert answer[3].startswith("targets")

    play(scene)


def test_more_than_there_is_room_for() -> None:
    async def scene(on: Scene) -> None:
        assert (await on.prepare("r1"))[0] == "done"
        answer = await on.prepare("r2")
        assert answer[2:] == ("NO_CAPACITY", "4 endpoints asked for, 2 are free here: the stage is small")
        assert (await on.prepare("r1"))[2] == "RUN_EXISTS"
        on.worker._runs["r1"].abandon("enough")
        assert (await on.prepare("r3"))[0] == "done"

    play(scene, capacity=6)


def test_two_runs_prepared_at_once_share_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(on: Scene) -> None:
        gate = asyncio.Event()

        async def slow(self: Ways) -> None:
            await gate.wait()

        monkeypatch.setattr(Ways, "prepare", slow)
        first = asyncio.create_task(on.prepare("r1"))
        await settle()
        assert on.worker._status().endpoints == 4
        plan = parse_plan({"version": 1, "name": "x", "duration": "10s", "groups": GROUPS})
        share = whole_run(plan, "r2").to_wire()
        with pytest.raises(CommandError, match="NO_CAPACITY"):
            await on.worker._execute(CommandReceived("p2", "prepare_run", "r2", {"share": share}))
        gate.set()
        assert (await first)[0] == "done"

    play(scene, capacity=6)


def test_a_run_that_cannot_be_prepared_leaves_nothing() -> None:
    async def scene(on: Scene) -> None:
        async def broken(*_: object) -> None:
            raise ValueError("no sound today")

        on.stage.station.sounds.prepare = broken  # type: ignore[method-assign]
        answer = await on.prepare()
        assert answer == ("rejected", "prepare_run-r1", "INTERNAL", "ValueError: no sound today")
        assert on.worker._runs == {}
        assert on.worker._status().endpoints == 0
        assert on.worker._generator is not None
        assert on.worker._generator.watches == []
        assert on.link.link.reports == []
        on.worker._generator.close()
        on.stage.quiet()
        assert on.stage.leaves_nothing()

    play(scene)


def test_stopping_what_is_not_here_is_done_already() -> None:
    async def scene(on: Scene) -> None:
        assert await on.order("stop_run") == ("done", "stop_run-r1")
        await on.prepare()
        assert await on.order("stop_run", reason="enough") == ("done", "stop_run-r1")
        assert on.worker._runs == {}

    play(scene)


def test_the_worker_stops_its_runs_then_hands_over_what_is_left_in_bounded_time() -> None:
    async def scene(on: Scene) -> None:
        await on.prepare()
        await on.worker.stop("enough", patience_s=10)
        assert on.link.link.reports[-1] == ("run_done", "r1")
        assert on.link.is_closed
        assert 3 * 2 / 3 <= sum(on.link.flushed_s) <= 10 * 2 / 3  # of what the runs have left
        assert on.stage.alarm.armed == 0
        with pytest.raises(CommandError, match="DRAINING"):
            await on.worker._execute(CommandReceived("p2", "prepare_run", "r2", {"share": _share()}))

    play(scene)


def _share() -> dict[str, Any]:
    return whole_run(parse_plan({"version": 1, "name": "x", "duration": "1s", "groups": GROUPS}), "r2").to_wire()


def test_health_follows_the_link() -> None:
    async def scene(on: Scene) -> None:
        worker = on.worker
        worker.is_connected = False
        assert worker._health_state().connected is False
        worker._receive_link_event(LinkOpened("w1", "one", 0))
        assert (worker._health_state().connected, worker._health_state().healthy) == (True, True)
        worker._receive_link_event(LinkLost("gone", None))
        assert (worker._health_state().connected, worker._health_state().healthy) == (False, True)
        worker._receive_link_event(LinkRefused(401, "authentication failed: invalid token", 0))
        assert (worker._health_state().connected, worker._health_state().healthy) == (False, False)
        worker._receive_link_event(LinkOpened("w1", "one", 0))
        assert worker._health_state().healthy is True

    play(scene)


def test_a_worker_in_which_no_endpoint_fits_says_so() -> None:
    async def scene(on: Scene) -> None:
        assert on.worker._status().fault == "no endpoint fits: the stage is small"

    play(scene, capacity=0)


def test_a_worker_that_was_set_up_for_more_than_fits_says_so_once() -> None:
    out = io.StringIO()
    configure_logging("info", "json", out)

    async def scene(on: Scene) -> None:
        for configured in (None, 10, 11, 11, 10, 12):
            on.worker._receive_link_event(LinkOpened("w1", "one", 0, configured))

    play(scene)
    told = [line for line in map(json.loads, out.getvalue().splitlines()) if line["event"] == "few endpoints fit"]
    assert [(line["level"], line["configured"], line["capacity"], line["bound"]) for line in told] == [
        ("warn", 11, 10, "the stage is small"),
        ("warn", 12, 10, "the stage is small"),
    ]


def test_a_media_thread_that_stands_still_is_a_fault() -> None:
    async def scene(on: Scene) -> None:
        on.worker._standstill = Standstill(lambda: [7])
        on.worker._update_link()
        assert on.worker._status().fault == ""
        await pass_time(on.stage, 10 * SECOND)
        assert (
            on.worker._status().fault
            == on.worker._health_state().reason
            == "1 of 1 media threads did not run for 5 s or more"
        )

    play(scene)


def test_what_the_capture_server_missed_is_told_at_the_end() -> None:
    out = io.StringIO()
    configure_logging("info", "json", out)

    async def scene() -> None:
        worker = Worker(WorkerSettings(worker_token=SecretStr(TOKEN), cloud_url="ws://127.0.0.1:1"))
        worker._exporter = SimpleNamespace(sent=40, lost=3, close=lambda: None)  # type: ignore[assignment]
        await worker.stop(patience_s=0)

    asyncio.run(scene())
    (told,) = [line for line in map(json.loads, out.getvalue().splitlines()) if "capture server" in line["event"]]
    assert (told["level"], told["sent"], told["lost"]) == ("warn", 40, 3)
