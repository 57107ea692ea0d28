"""A share of a run from the first REGISTER to the last report, in virtual time."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cmw.core.address import PortRange
from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.words import Blame, OutcomeKind, Phase
from cmw.errors import CommandError, LocalProtocolError
from cmw.link.samples import ABSENT_COUNT, SampleBatch, decode_samples, encode_samples
from cmw.load.generator_bounds import BOUNDS
from cmw.load.outcome import EndpointReport, RunTotals
from cmw.load.packets import EvidencePackets
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from cmw.load.report import UNTRUSTED
from cmw.load.share import RunShare
from cmw.load.split import split_run, whole_run
from cmw.net.packet_log import LoggedPacket
from cmw.sip.hop import Hop
from cmw.sip.lookup import Lookup
from cmw.worker import run_seconds
from cmw.worker.alarm import Alarm
from cmw.worker.execution import RunExecution
from cmw.worker.generator import Generator
from cmw.worker.sites import Sites
from cmw.worker.station import Station
from cmw.worker.stations import Placement
from tests.support.sip_party import SDP
from tests.worker.stage import HERE, THERE, Stage, pass_time, run_async, settle

GROUPS: dict[str, Any] = {
    "callees": {"endpoints": 3, "answer": {"after": "200ms"}},
    "callers": {"endpoints": 3, "call": {"group": "callees"}, "load": {"arrivals": "constant", "rate": "2/s"}},
}
SDP_THERE = SDP.replace(b"127.0.0.1", b"10.0.0.2")


def make_plan(groups: dict[str, Any] | None = None, **changes: Any) -> Plan:
    document = {"version": 1, "name": "test", "duration": "10s", "groups": groups or GROUPS}
    return parse_plan(document | changes)


def calls_there(endpoints: int = 2, **more: Any) -> dict[str, Any]:
    """Return groups of callers alone, who call the party."""
    load = {"arrivals": "all-at-once"}
    return {"callers": {"endpoints": endpoints, "call": {"uri": f"sip:600@{THERE}"}, "load": load} | more}


def registered(endpoints: int = 2) -> dict[str, Any]:
    """Return a plan's parts in which callees register at the party, and callers call them there."""
    accounts = [{"username": f"u{k}", "password": f"secret-{k}"} for k in range(2 * endpoints)]
    return {
        "registrars": {"lab": {"domain": THERE.host, "port": THERE.port, "accounts": accounts}},
        "groups": {
            "callees": {"endpoints": endpoints, "registrar": "lab"},
            "callers": {"endpoints": endpoints, "registrar": "lab", "call": {"group": "callees"}},
        },
    }


ELSEWHERE = Hop("10.0.0.3", 5060)


class Uplink:
    """Keeps what a run hands over."""

    def __init__(self, stage: Stage) -> None:
        self.samples_dropped = 5  # of runs before
        self.batches: list[tuple[Nanos, SampleBatch]] = []
        self.reported: list[tuple[str, dict[str, Any]]] = []
        self._stage = stage

    def report(self, kind: str, run_id: str, data: dict[str, Any]) -> None:
        assert run_id
        self.reported.append((kind, data))

    def send_samples(self, batch: SampleBatch) -> None:
        _, read = decode_samples(encode_samples(batch, 1))
        assert read.second == batch.second
        self.batches.append((self._stage.link.now, batch))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for each, data in self.reported if each == kind]

    @property
    def endpoints(self) -> list[EndpointReport]:
        return sorted((EndpointReport.model_validate(data) for data in self.of("endpoint")), key=lambda r: r.index)

    @property
    def outcomes(self) -> Counter[OutcomeKind]:
        return Counter(report.outcome for report in self.endpoints)

    @property
    def done(self) -> RunTotals:
        (data,) = self.of("run_done")
        return RunTotals.model_validate(data["generator"])

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.reported]


class Scene:
    """A run on a stage."""

    def __init__(
        self,
        plan: Plan | None = None,
        share: RunShare | None = None,
        stage: Stage | None = None,
        station: Station | None = None,
    ) -> None:
        self.stage = stage or Stage()
        self.uplink = Uplink(self.stage)
        self.generator = Generator(self.stage.engine, self.stage.alarm)  # type: ignore[arg-type]
        self.share = share or whole_run(plan or make_plan(), "r1")
        watch = self.generator.watch()
        self.run = RunExecution(self.share, station or self.stage.station, self.stage.alarm, self.uplink, watch)  # type: ignore[arg-type]
        self.finished: list[RunExecution] = []
        self.run.when_finished(self.finished.append)

    async def prepare(self) -> dict[str, Any]:
        """Prepare while time passes."""
        task = asyncio.create_task(self.run.prepare())
        for _ in range(1000):
            await pass_time(self.stage, 100 * MILLISECOND)
            if task.done():
                return task.result()
        raise AssertionError("it was never prepared")

    async def start(self, targets: dict[str, dict[str, str]] | None = None) -> dict[str, Any]:
        """Prepare and start."""
        result = await self.prepare()
        await self.run.start(result["targets"] if targets is None else targets)
        return result

    async def go_on(self, seconds: float) -> None:
        await pass_time(self.stage, int(seconds * SECOND))

    def check_the_end(self, endpoints: int | None = None) -> None:
        """Check that the run ended once, in the right order, and left nothing behind."""
        expected = self.share.total_endpoints if endpoints is None else endpoints
        assert self.run.finished.is_set()
        assert self.finished == [self.run]
        assert [report.index for report in self.uplink.endpoints] == sorted(
            endpoint.index for group in self.share.groups.values() for endpoint in group.endpoints
        )[:expected]
        assert self.uplink.kinds.count("run_done") == 1
        assert self.uplink.kinds[-1] == "run_done"
        assert self.run.endpoints_open == 0
        assert self.generator.watches == []
        self.generator.close()
        self.stage.quiet()
        assert self.uplink.kinds[-1] == "run_done"
        assert self.stage.leaves_nothing()


def answer_invites(stage: Stage, known: int = 0) -> int:
    """Answer the INVITEs that the party got since `known` with 200; return how many it has had."""
    invites = stage.party.requests("INVITE")
    for invite in invites[known:]:
        stage.party.respond(invite, 200, body=SDP_THERE, destination=HERE)
    return len(invites)


def answer_byes(stage: Stage) -> None:
    for bye in stage.party.requests("BYE"):
        stage.party.respond(bye, 200, destination=HERE)


def play(scene: Callable[[], Awaitable[None]]) -> None:
    run_async(scene)


def test_two_groups_call_each_other() -> None:
    async def scene() -> None:
        run = Scene()
        result = await run.start()
        assert result == {
            "targets": {"callees": {str(k): f"sip:callees-000{k + 1}@{HERE}" for k in range(3)}},
            "failed": 0,
        }
        await run.go_on(30)
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.SUCCESS: 6}
        assert [report.name for report in run.uplink.endpoints] == [
            "callees-0001",
            "callees-0002",
            "callees-0003",
            "callers-0001",
            "callers-0002",
            "callers-0003",
        ]
        totals = run.uplink.done
        assert totals.endpoints == 6
        assert totals.packets_sent > 6 * 490
        assert totals.packets_received > 6 * 490
        assert totals.kernel_drops == 0
        assert totals.samples_dropped == 0  # those before the run are not its own

    play(scene)


def test_options_are_answered_as_the_plan_says() -> None:
    async def scene() -> None:
        plan = make_plan(groups={"callees": {"endpoints": 1, "answer": {"options": 486, "reject": 486}}})
        run = Scene(plan)
        await run.start()
        party = run.stage.party
        for user in ("callees-0001", "somebody"):
            party.send(party.request("OPTIONS", f"sip:{user}@{HERE}", call_id=user), HERE)
        assert party.statuses("OPTIONS") == [486, 200]

    play(scene)


def test_a_run_begins_when_it_is_told_to() -> None:
    async def scene() -> None:
        run = Scene()
        result = await run.prepare()
        begin = run.stage.alarm.now() + 3 * SECOND
        assert await run.run.start(result["targets"], begin) == 0
        await run.go_on(2)
        assert run.run.calls_active == 0
        await run.go_on(30)
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.SUCCESS: 6}

    play(scene)


def test_a_run_whose_start_is_over_begins_at_once_and_says_how_late() -> None:
    async def scene() -> None:
        run = Scene()
        result = await run.prepare()
        assert await run.run.start(result["targets"], run.stage.alarm.now() - SECOND) == SECOND
        await run.go_on(30)
        run.check_the_end()

    play(scene)


def test_what_our_own_sip_socket_lost_during_the_run_is_told() -> None:
    async def scene() -> None:
        run = Scene()
        listener: Any = run.stage.station._listener
        listener.kernel_drops, listener.counts.unsent_datagrams = 7, 5
        listener.counts.datagrams_received, listener.counts.datagrams_sent = 100, 100
        await run.start()
        listener.kernel_drops += 3
        listener.counts.unsent_datagrams += 2
        listener.counts.datagrams_received += 40
        listener.counts.datagrams_sent += 30
        await run.go_on(30)
        totals = run.uplink.done
        assert (totals.sip_kernel_drops, totals.sip_unsent) == (3, 2)
        assert (totals.sip_datagrams_received, totals.sip_datagrams_sent) == (40, 30)
        assert totals.untrusted_seconds == 1
        assert {BOUNDS[row.bound].metric for row in totals.untrusted} == {"sip_kernel_drops ratio", "sip_unsent ratio"}

    play(scene)


@pytest.mark.parametrize(("portion", "size"), [(run_seconds.PORTION, run_seconds.BATCH), (2, 3), (1, 1)])
def test_every_endpoint_and_second_of_a_call_has_one_sample(
    monkeypatch: pytest.MonkeyPatch, portion: int, size: int
) -> None:
    monkeypatch.setattr(run_seconds, "PORTION", portion)
    monkeypatch.setattr(run_seconds, "BATCH", size)

    async def scene() -> None:
        run = Scene()
        await run.start()
        start = run.run._started_at
        assert start is not None
        await run.go_on(30)
        seen = Counter((index, batch.second) for _, batch in run.uplink.batches for index in batch.endpoints)
        assert set(seen.values()) == {1}
        for report in run.uplink.endpoints:
            seconds = sorted(second for index, second in seen if index == report.index)
            assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))
            assert 9 <= len(seconds) <= 10  # of a call of 10 s, whose first and last second may be parts
        for at, batch in run.uplink.batches:
            assert at == start + (batch.second + 1) * SECOND
            assert len(batch.endpoints) <= size
            rates = dict(batch.columns)["send.packets_sent_rate_ps"]
            assert all(rate == pytest.approx(50, abs=1) for rate in rates)

    play(scene)


def test_a_late_tick_never_uses_a_number_twice_and_later_ones_are_on_time_again() -> None:
    async def scene() -> None:
        run = Scene(make_plan(calls_there(1)))
        await run.start()
        start = run.run._started_at
        assert start is not None
        await run.go_on(0.1)
        answer_invites(run.stage)
        await run.go_on(2.5)
        run.stage.link.now = start + int(5.4 * SECOND)  # the process stood still
        await run.go_on(2)
        assert [batch.second for _, batch in run.uplink.batches] == [1, 2, 5, 6]
        assert [(at - start) / SECOND for at, _ in run.uplink.batches] == [2, 5.4, 6, 7]
        run.run.abandon("enough")

    play(scene)


def test_seconds_in_which_the_worker_was_the_limit_are_marked() -> None:
    async def scene() -> None:
        run = Scene(make_plan(calls_there(1)))
        await run.start()
        start = run.run._started_at
        assert start is not None
        await run.go_on(0.1)
        answer_invites(run.stage)
        await run.go_on(2.5)
        run.stage.link.now = start + int(5.4 * SECOND)  # the process stood still
        await run.go_on(9)
        answer_byes(run.stage)
        await run.go_on(1)
        seen = {batch.second: list(batch.columns[UNTRUSTED]) for _, batch in run.uplink.batches}
        assert seen == {second: [32 * (second == 2)] for second in (1, 2, 5, 6, 7, 8, 9)}
        totals = run.uplink.done
        assert [(row.second, row.bound) for row in totals.untrusted] == [(2, 5), (3, 5), (4, 5)]
        assert (totals.seconds, totals.untrusted_seconds) == (15, 3)

    play(scene)


def test_a_call_without_a_port_is_a_limit_of_ours_and_named() -> None:
    async def scene() -> None:
        stage = Stage(ports=PortRange(20000, 20001))
        run = Scene(make_plan(calls_there(2)), stage=stage)
        await run.start()
        await run.go_on(5.5)
        run.run.stop("enough")
        await run.go_on(60)
        totals = run.uplink.done
        assert totals.shortages == {"RTP ports": 1}
        assert [(row.second, row.bound) for row in totals.untrusted] == [(0, 7)]

    play(scene)


def test_absent_values_are_absent_in_the_batch() -> None:
    async def scene() -> None:
        run = Scene(make_plan(calls_there(2)))
        await run.start()
        await run.go_on(0.1)
        answer_invites(run.stage)
        await run.go_on(3)
        _, batch = run.uplink.batches[-1]
        assert "send.mos" not in batch.columns  # nobody knows it
        assert ABSENT_COUNT not in batch.columns["send.packets_sent"]
        assert list(batch.endpoints) == [0, 1]
        run.run.abandon("enough")

    play(scene)


def test_calls_are_placed_at_their_time_and_in_order() -> None:
    async def scene() -> None:
        groups = calls_there(4, load={"arrivals": "constant", "rate": "2/s"})
        run = Scene(make_plan(groups))
        await run.start()
        began = run.stage.link.now
        await run.go_on(5)
        invites = [sent for sent in run.stage.link.log if sent.source == HERE and sent.what == "INVITE"]
        first = {sent.message.call_id: sent for sent in reversed(invites)}
        placed = sorted((sent.at - began, sent.message.from_.uri) for sent in first.values())
        assert placed == [(k * SECOND // 2, f"sip:callers-000{k + 1}@{HERE}") for k in range(4)]
        run.run.abandon("enough")

    play(scene)


def test_a_share_of_callees_alone() -> None:
    async def scene() -> None:
        plan = make_plan({"callees": {"endpoints": 2, "answer": {"wait": "5s"}}})
        run = Scene(plan)
        await run.start()
        await run.go_on(6)
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.TIMEOUT: 2}

    play(scene)


def test_a_share_of_nobody_at_all() -> None:
    async def scene() -> None:
        whole = whole_run(make_plan(), "r1")
        run = Scene(share=whole.model_copy(update={"groups": {}}))
        assert await run.start() == {"targets": {}, "failed": 0}
        run.check_the_end()

    play(scene)


def test_two_workers_carry_one_run() -> None:
    async def scene() -> None:
        stage = Stage()
        other = stage.add_station(THERE._replace(port=5070), PortRange(20000, 29999))
        shares = split_run(make_plan(), "r1", [("w1", 10), ("w2", 10)], 0)
        one, two = Scene(share=shares["w1"], stage=stage), Scene(share=shares["w2"], stage=stage, station=other)
        targets: dict[str, dict[str, str]] = {}
        for each in (one, two):
            for group, uris in (await each.prepare())["targets"].items():
                targets.setdefault(group, {}).update(uris)
        for each in (one, two):
            await each.run.start(targets)
        await one.go_on(30)
        assert one.uplink.outcomes + two.uplink.outcomes == {OutcomeKind.SUCCESS: 6}
        assert two.run.finished.is_set()
        two.generator.close()
        one.check_the_end()

    play(scene)


def test_two_runs_of_the_same_names_at_once() -> None:
    async def scene() -> None:
        stage = Stage()
        one, two = Scene(stage=stage), Scene(share=whole_run(make_plan(), "r2"), stage=stage)
        first, second = await one.prepare(), await two.prepare()
        assert first["targets"]["callees"]["0"] == f"sip:callees-0001@{HERE}"
        assert second["targets"]["callees"]["0"] == f"sip:callees-0001.2@{HERE}"
        await one.run.start(first["targets"])
        await two.run.start(second["targets"])
        await one.go_on(30)
        for each in (one, two):
            assert each.uplink.outcomes == {OutcomeKind.SUCCESS: 6}
            assert each.uplink.endpoints[0].name == "callees-0001"
        two.generator.close()
        one.check_the_end()
        assert two.finished == [two.run]

    play(scene)


def test_strangers_are_taken_by_those_whom_nobody_of_the_plan_calls() -> None:
    async def scene() -> None:
        run = Scene(make_plan({"callees": {"endpoints": 1, "answer": {"after": "0s"}}}))
        await run.start()
        for number in (1, 2):
            invite = run.stage.party.request("INVITE", f"sip:anybody@{HERE}", call_id=f"c{number}", body=SDP_THERE)
            run.stage.party.send(invite, HERE)
        assert sorted(run.stage.party.statuses("INVITE")) == [100, 100, 180, 200, 404]
        run.run.abandon("enough")
        run.stage.quiet()
        assert run.uplink.outcomes == {OutcomeKind.COMPLETED_WITH_WARNINGS: 1}

    play(scene)


def test_endpoints_of_one_run_are_called_where_they_sit() -> None:
    async def scene() -> None:
        stage = Stage()
        other = stage.add_station(ELSEWHERE, PortRange(20000, 29999))
        groups = {name: {"endpoints": 1, "answer": {"after": "0s"}} for name in ("one", "two")}
        run = Scene(make_plan(groups), stage=stage)
        one, two = ({name: run.share.groups[name]} for name in groups)
        placements = [
            Placement(station, run.share.model_copy(update={"groups": part}))
            for station, part in ((stage.station, one), (other, two))
        ]
        run.run._sites = Sites(placements)
        assert (await run.start())["targets"] == {
            "one": {"0": f"sip:one-0001@{HERE}"},
            "two": {"0": f"sip:two-0001@{ELSEWHERE}"},
        }
        assert run.run.sip_ips == f"{HERE.host}, {ELSEWHERE.host}"
        for number, (user, host) in enumerate([("two-0001", HERE), ("two-0001", ELSEWHERE), ("any", ELSEWHERE)]):
            invite = stage.party.request("INVITE", f"sip:{user}@{host}", call_id=f"c{number}", body=SDP_THERE)
            stage.party.send(invite, host)
        finals = [status for status in stage.party.statuses("INVITE") if status >= 200]
        assert sorted(finals) == [200, 200, 404]  # whoever is not there: a stranger at one, nobody left at the other
        run.run.abandon("enough")
        stage.quiet()
        assert run.uplink.outcomes == {OutcomeKind.COMPLETED_WITH_WARNINGS: 2}
        assert not other.takers
        run.generator.close()
        assert stage.leaves_nothing()

    play(scene)


def test_a_call_that_comes_before_the_start_is_answered_as_the_plan_says() -> None:
    async def scene() -> None:
        groups = {
            "callees": {"endpoints": 2, "answer": {"reject": 486}},
            "callers": {"endpoints": 1, "call": {"group": "callees"}},
        }
        run = Scene(make_plan(groups))
        await run.prepare()
        run.stage.party.send(run.stage.party.request("INVITE", f"sip:callees-0002@{HERE}", body=SDP_THERE), HERE)
        assert run.stage.party.statuses("INVITE")[-1] == 486
        run.run.abandon("enough")

    play(scene)


def test_callees_beyond_the_number_of_callers_end_well_at_once() -> None:
    async def scene() -> None:
        groups = GROUPS | {"callees": {"endpoints": 5}}
        run = Scene(make_plan(groups))
        await run.start()
        await run.go_on(0.1)
        assert [report.name for report in run.uplink.endpoints] == ["callees-0004", "callees-0005"]
        run.stage.party.send(run.stage.party.request("INVITE", f"sip:callees-0005@{HERE}", body=SDP_THERE), HERE)
        assert run.stage.party.statuses("INVITE")[-1] == 480
        await run.go_on(30)
        assert run.uplink.outcomes == {OutcomeKind.SUCCESS: 8}

    play(scene)


def test_progress_counts_and_is_told_every_second() -> None:
    async def scene() -> None:
        run = Scene(make_plan(calls_there(3)))
        await run.start()
        await run.go_on(0.1)
        answer_invites(run.stage)
        await run.go_on(4)
        progress = run.uplink.of("progress")
        assert [each["second"] for each in progress] == [0, 1, 2, 3]
        assert progress[-1]["by_phase"] == {Phase.INCALL.name: 3}
        assert (progress[-1]["calls_attempted"], progress[-1]["calls_answered"], progress[-1]["calls_active"]) == (
            3,
            3,
            3,
        )
        assert (progress[-1]["calls_due"], progress[-1]["untrusted_seconds"]) == (3, 0)
        assert progress[0]["quality"] == {}
        before = run.uplink.batches[-2][1]  # progress tells of the second before its own
        jitter = [value for value in before.columns["receive.jitter_ms"] if value == value]  # noqa: PLR0124 - no NaN
        assert progress[-1]["quality"]["jitter_ms"] == {"count": len(jitter), "sum": pytest.approx(sum(jitter))}
        assert run.run.calls_active == 3
        await run.go_on(6)
        answer_byes(run.stage)
        await run.go_on(0.1)
        last = run.uplink.of("progress")[-1]
        assert last["by_phase"] == {Phase.CLOSED.name: 3}
        assert last["by_outcome"] == {"SUCCESS": 3}
        run.check_the_end()

    play(scene)


# Registrations.


def answer_registers(stage: Stage, status: int = 200, known: int = 0) -> int:
    requests = stage.party.requests("REGISTER")
    for request in requests[known:]:
        stage.party.respond(request, status, headers=[("Expires", "300")], destination=HERE)
    return len(requests)


async def register(run: Scene, refuse: tuple[str, ...] = ()) -> dict[str, Any]:
    """Prepare; the party accepts every registration but those of the users in `refuse`."""
    task = asyncio.create_task(run.run.prepare())
    known = 0
    for _ in range(200):
        await pass_time(run.stage, 20 * MILLISECOND)
        requests = run.stage.party.requests("REGISTER")
        for request in requests[known:]:
            status = 403 if any(f"sip:{user}@" in request.to.uri for user in refuse) else 200
            run.stage.party.respond(request, status, headers=[("Expires", "300")], destination=HERE)
        known = len(requests)
        if task.done():
            return task.result()
    raise AssertionError("it was never prepared")


async def unregister(run: Scene) -> None:
    """Answer everything that comes until the run is over."""
    known = 0
    for _ in range(100):
        known = answer_registers(run.stage, known=known)
        answer_byes(run.stage)
        await run.go_on(0.1)
        if run.run.finished.is_set():
            return


def test_registrations_come_first_and_go_last() -> None:
    async def scene() -> None:
        run = Scene(make_plan(**registered()))
        result = await register(run)
        assert result == {
            "targets": {"callees": {"0": f"sip:u0@{THERE.host}", "1": f"sip:u1@{THERE.host}"}},
            "failed": 0,
        }
        contacts = {request.headers.get("Contact") for request in run.stage.party.requests("REGISTER")}
        assert any(f"sip:callees-0001@{HERE}" in (contact or "") for contact in contacts)
        await run.run.start(result["targets"])
        await run.go_on(1)
        invites = run.stage.party.requests("INVITE")
        assert {invite.uri for invite in invites} == {f"sip:u0@{THERE.host}", f"sip:u1@{THERE.host}"}
        run.run.stop("enough")
        for invite in invites:
            run.stage.party.respond(invite, 487, destination=HERE)
        await unregister(run)
        run.check_the_end()
        assert [report.registration.succeeded for report in run.uplink.endpoints] == [True] * 4
        assert "secret" not in str(run.uplink.reported)
        assert "secret" not in f"{run.share!r} {run.run!r} {run.run.__dict__!r}"

    play(scene)


def test_who_cannot_register_is_no_target_and_its_caller_says_so() -> None:
    async def scene() -> None:
        run = Scene(make_plan(**registered()))
        result = await register(run, refuse=("u1",))
        assert result == {"targets": {"callees": {"0": f"sip:u0@{THERE.host}"}}, "failed": 1}
        await run.run.start(result["targets"])
        await run.go_on(1)
        run.run.stop("enough")
        for invite in run.stage.party.requests("INVITE"):
            run.stage.party.respond(invite, 487, destination=HERE)
        await unregister(run)
        by_name = {report.name: report for report in run.uplink.endpoints}
        assert by_name["callees-0002"].outcome is OutcomeKind.REGISTRATION_FAILED
        lonely = by_name["callers-0002"]
        assert (lonely.outcome, lonely.call.attempted) == (OutcomeKind.CALL_FAILED, True)
        assert lonely.reason == "endpoint 1 of group callees never became ready"

    play(scene)


def test_a_registrar_that_is_silent_fails_every_endpoint_in_bounded_time() -> None:
    async def scene() -> None:
        run = Scene(make_plan(**registered()))
        task = asyncio.create_task(run.run.prepare())
        await pass_time(run.stage, run.share.register_within_ns + SECOND)
        assert task.done()
        assert task.result() == {"targets": {}, "failed": 4}
        await run.run.start({})
        await run.go_on(1)
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.REGISTRATION_FAILED: 4}
        assert run.uplink.of("progress")[0]["by_phase"] == {Phase.INITIALIZING.name: 4}  # told while it registers

    play(scene)


# Hosts.


def test_a_host_that_cannot_be_resolved_is_told_by_every_endpoint() -> None:
    async def unknown(lookup: Lookup) -> tuple[tuple[Hop, ...], str]:
        return (), f"host {lookup.uri.host!r} does not exist"

    stage = Stage()
    stage.station.locate = unknown
    reason = "host 'pbx.example' cannot be resolved: host 'pbx.example' does not exist"

    async def scene() -> None:
        run = Scene(make_plan(calls_there(2, call={"uri": "sip:600@pbx.example"})), stage=stage)
        await run.start()
        await run.go_on(0.1)
        run.check_the_end()
        for report in run.uplink.endpoints:
            assert (report.outcome, report.reason) == (OutcomeKind.CALL_FAILED, reason)
            assert (report.call.attempted, report.call.target) == (True, "sip:600@pbx.example")
        plan = registered()
        plan["registrars"]["lab"]["domain"] = "pbx.example"
        other = Scene(make_plan(**plan), stage=stage)
        assert await other.start() == {"targets": {}, "failed": 4}
        assert {(report.outcome, report.reason) for report in other.uplink.endpoints} == {
            (OutcomeKind.REGISTRATION_FAILED, reason)
        }
        assert other.stage.party.received == []
        other.check_the_end()

    play(scene)


def test_callees_of_another_worker_are_looked_up_when_their_uri_is_known() -> None:
    asked: list[str] = []

    async def known(lookup: Lookup) -> tuple[tuple[Hop, ...], str]:
        asked.append(lookup.uri.host)
        return (THERE,), ""

    async def scene() -> None:
        whole = whole_run(
            make_plan({"callees": {"endpoints": 1}, "callers": {"endpoints": 1, "call": {"group": "callees"}}}), "r1"
        )
        callers = {name: group for name, group in whole.groups.items() if name == "callers"}
        run = Scene(share=whole.model_copy(update={"groups": callers}))
        run.stage.station.locate = known
        run.stage.link.names["pbx.example"] = [THERE]
        await run.start({"callees": {"0": "sip:u7@pbx.example"}})
        await run.go_on(0.1)
        assert asked == ["pbx.example"]
        assert [invite.uri for invite in run.stage.party.requests("INVITE")] == ["sip:u7@pbx.example"]
        run.run.abandon("enough")

    play(scene)


# Orders out of order.


def test_start_before_prepared_and_twice() -> None:
    async def scene() -> None:
        run = Scene()
        with pytest.raises(CommandError, match="RUN_NOT_PREPARED"):
            await run.run.start({})
        await run.start()
        with pytest.raises(CommandError, match="RUN_STARTED"):
            await run.run.start({})
        run.run.abandon("enough")

    play(scene)


def test_stopped_before_it_was_prepared() -> None:
    gate = asyncio.Event()

    async def slow(lookup: Lookup) -> tuple[tuple[Hop, ...], str]:
        await gate.wait()
        return (THERE,), ""

    async def scene() -> None:
        run = Scene(make_plan(calls_there(3)))
        run.stage.station.locate = slow
        task = asyncio.create_task(run.run.prepare())
        await settle()
        assert run.run.endpoints_open == 3  # room that nobody else may have
        run.run.stop("enough")
        assert run.run.finished.is_set()
        gate.set()
        await settle()
        with pytest.raises(CommandError, match="RUN_STOPPED"):
            task.result()
        run.run.discard()
        run.check_the_end(endpoints=0)
        assert run.stage.party.received == []

    play(scene)


def test_stopped_while_it_registers() -> None:
    async def scene() -> None:
        run = Scene(make_plan(**registered()))
        task = asyncio.create_task(run.run.prepare())
        await run.go_on(0.01)
        run.run.stop("enough")
        await settle()
        assert task.done()
        await unregister(run)
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.COMPLETED_WITH_WARNINGS: 4}
        registers = run.stage.party.requests("REGISTER")
        added = [request for request in registers if request.headers.get("Expires") != "0"]
        assert len(registers) == 2 * len(added)  # whatever was registered was removed, and the others never came

    play(scene)


def test_stopped_when_prepared_but_never_started() -> None:
    async def scene() -> None:
        run = Scene()
        await run.prepare()
        run.run.stop("enough")
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.COMPLETED_WITH_WARNINGS: 6}
        assert {report.reason for report in run.uplink.endpoints} == {"stopped before its end: enough"}

    play(scene)


def test_stopped_in_every_phase_of_a_call() -> None:
    async def scene() -> None:
        run = Scene()
        await run.start()
        await run.go_on(0.6)  # one call is up, one rings, one is not placed yet
        run.run.stop("enough")
        run.run.stop("again")
        await run.go_on(1)
        run.check_the_end()
        phases = Counter(report.phase for report in run.uplink.endpoints)
        assert phases == {"INCALL": 2, "RINGING": 2, "INITIALIZING": 2}
        assert set(run.uplink.outcomes) == {OutcomeKind.COMPLETED_WITH_WARNINGS}
        assert {report.reason for report in run.uplink.endpoints} == {"stopped before its end: enough"}

    play(scene)


def test_who_had_its_end_before_the_stop_keeps_it() -> None:
    async def scene() -> None:
        run = Scene(make_plan(calls_there(1)))
        await run.start()
        await run.go_on(0.1)
        answer_invites(run.stage)
        await run.go_on(10)  # hung up, and the BYE is on its way
        run.run.stop("enough")
        answer_byes(run.stage)
        await run.go_on(0.1)
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.SUCCESS: 1}

    play(scene)


def test_a_call_offered_while_the_run_stops_is_refused() -> None:
    async def scene() -> None:
        run = Scene(make_plan({"callees": {"endpoints": 1}, "callers": {"endpoints": 1, "call": {"group": "callees"}}}))
        await run.prepare()
        run.run.stop("enough")
        run.stage.party.send(run.stage.party.request("INVITE", f"sip:callees-0001@{HERE}", body=SDP_THERE), HERE)
        assert run.stage.party.statuses("INVITE")[-1] == 404
        run.check_the_end()

    play(scene)


def test_stopped_while_the_peer_is_silent_it_waits_and_abandoned_it_does_not() -> None:
    async def scene() -> None:
        run = Scene(make_plan(calls_there(2)))
        await run.start()
        await run.go_on(0.1)
        answer_invites(run.stage)
        await run.go_on(3)
        run.run.stop("enough")
        await run.go_on(5)
        assert not run.run.finished.is_set()
        run.run.abandon("no more patience")
        run.check_the_end()
        assert {report.reason for report in run.uplink.endpoints} == {"stopped before its end: enough"}
        assert len({bye.call_id for bye in run.stage.party.requests("BYE")}) == 2

    play(scene)


def test_abandoned_at_once_peers_and_registrar_are_told_all_the_same() -> None:
    async def scene() -> None:
        run = Scene(make_plan(**registered(1)))
        result = await register(run)
        await run.run.start(result["targets"])
        await run.go_on(0.1)
        answer_invites(run.stage)
        await run.go_on(1)
        run.run.abandon("out")
        assert run.run.finished.is_set()
        await run.go_on(1)
        removed = {r.to.uri for r in run.stage.party.requests("REGISTER") if r.headers.get("Expires") == "0"}
        assert len(removed) == 2
        assert run.stage.party.requests("BYE")
        run.generator.close()
        run.stage.quiet()
        assert run.stage.leaves_nothing()

    play(scene)


def test_nothing_keeps_a_run_open_for_ever() -> None:
    async def scene() -> None:
        run = Scene(make_plan(calls_there(1)))
        await run.start()
        await run.go_on(0.1)
        answer_invites(run.stage)
        (endpoint,) = run.run._endpoints
        endpoint._stop_timer()  # a fault: it will never hang up
        await pass_time(run.stage, run.share.run_within_ns, SECOND)
        run.check_the_end()
        (report,) = run.uplink.endpoints
        assert report.outcome is OutcomeKind.TIMEOUT
        assert report.reason == "the endpoint did not end in the time of the run"

    play(scene)


def test_a_fault_of_ours_in_the_middle_ends_the_run_and_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        run = Scene(make_plan())
        await run.start()
        await run.go_on(2.5)
        assert run.run.calls_active

        def refuse(batch: SampleBatch) -> None:
            raise OverflowError("no such sample")

        monkeypatch.setattr(run.uplink, "send_samples", refuse)
        await run.go_on(1)
        run.check_the_end()
        assert set(run.uplink.outcomes) == {OutcomeKind.OSERROR}
        assert {(report.blame, report.reason) for report in run.uplink.endpoints} == {
            (Blame.WORKER, "the worker failed: OverflowError: no such sample")
        }

    play(scene)


def test_after_the_end_the_run_takes_no_calls_and_reports_nothing_more() -> None:
    async def scene() -> None:
        run = Scene(make_plan(calls_there(1)))
        await run.start()
        run.run.abandon("enough")
        before = list(run.uplink.reported)
        run.run.stop("late")
        run.run.abandon("later")
        await run.go_on(5)
        assert run.uplink.reported == before
        assert run.stage.station.takers == []

    play(scene)


def test_a_finished_run_and_its_endpoints_are_freed_without_the_collector() -> None:
    async def scene() -> None:
        run = Scene()
        await run.start()
        endpoints = [weakref.ref(endpoint) for endpoint in run.run._endpoints]
        await run.go_on(70)  # beyond what transactions keep of a call
        assert run.run.finished.is_set()
        assert len(endpoints) == 6
        assert [endpoint() for endpoint in endpoints] == [None] * 6
        execution, share = weakref.ref(run.run), weakref.ref(run.share)
        del run
        assert (execution(), share()) == (None, None)

    gc.disable()
    try:
        play(scene)
    finally:
        gc.enable()


def test_a_timer_that_has_fired_does_not_keep_its_run() -> None:
    async def scene() -> None:
        run = Scene()
        run.run._alarm = Alarm(asyncio.get_running_loop())  # type: ignore[assignment]
        fired = asyncio.Event()
        run.run.at(run.run._alarm.now(), fired.set)
        await fired.wait()
        run.run._alarm = run.stage.alarm  # type: ignore[assignment]
        run.run.discard()
        execution = weakref.ref(run.run)
        del run
        assert execution() is None

    gc.disable()
    try:
        play(scene)
    finally:
        gc.enable()


def kept(run: Scene) -> list[str]:
    return [data["name"] for data in run.uplink.of("event") if data["kind"] == "evidence"]


def record_sip(run: Scene) -> None:
    """Have a message of each call in the recorder: the stage's listener shows none to anybody."""
    for endpoint in run.run._endpoints:
        invite = f"INVITE sip:x SIP/2.0\r\nFrom: <sip:a@b>\r\nCall-ID: {endpoint.call.call_id}\r\n\r\n"
        run.stage.station.recorder.note("out", invite.encode(), HERE)


def test_evidence_is_told_before_the_run_is_done_and_a_part_at_a_time() -> None:
    async def scene() -> None:
        wanted = {"calls": 0, "endpoints": ["callees-0002", "callers-0001"], "rtp": 2, "worst": 1, "slowest": 0}
        run = Scene(make_plan(evidence=wanted))
        await run.start()
        logs = [stream.log for stream in run.stage.engine.streams.values() if stream.log is not None]
        assert logs == []
        await run.go_on(5)
        record_sip(run)
        logs = [stream.log for stream in run.stage.engine.streams.values() if stream.log is not None]
        assert len(logs) == 2
        for number in range(1000):
            logs[0].add(LoggedPacket(number, 0, True, False, 10000, THERE.host, 4000, 172, bytes(172)))
        await run.go_on(30)
        run.check_the_end()
        assert len(kept(run)) == 3
        assert {"callees-0002", "callers-0001"} < set(kept(run))
        parts = [data for data in run.uplink.of("event") if data["kind"] == "evidence_packets"]
        assert len(parts) > 1
        assert sum(1 for data in parts for _ in EvidencePackets.model_validate(data).packets()) == 1000

    play(scene)


def test_a_run_that_is_abandoned_tells_its_evidence_all_the_same() -> None:
    async def scene() -> None:
        run = Scene(make_plan(groups=calls_there(), evidence={"calls": 0, "worst": 0, "endpoints": ["callers-0001"]}))
        await run.start()
        await run.go_on(1)
        record_sip(run)
        run.run.abandon("enough")
        assert kept(run) == ["callers-0001"]
        run.check_the_end()

    play(scene)


def test_evidence_that_cannot_be_told_keeps_no_run_from_its_end() -> None:
    async def scene() -> None:
        run = Scene(make_plan(evidence={"endpoints": ["callers-0001", "callers-0002"]}))
        await run.start()
        report = run.uplink.report

        def refuse(kind: str, run_id: str, data: dict[str, Any]) -> None:
            if data.get("name") == "callers-0001" and kind == "event":
                raise LocalProtocolError("more than a frame holds")
            report(kind, run_id, data)

        run.uplink.report = refuse  # type: ignore[method-assign]
        await run.go_on(5)
        record_sip(run)
        await run.go_on(40)
        assert run.run.finished.is_set()
        assert "callers-0002" in kept(run)

    play(scene)
