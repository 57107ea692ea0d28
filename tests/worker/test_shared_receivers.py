"""Receivers that several callers share: one registration and user name, several calls at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from cmw.core.words import Blame, OutcomeKind
from cmw.load.plan_parser import parse_plan
from cmw.load.share import RunShare
from cmw.load.split import whole_run
from tests.worker.stage import HERE, THERE, settle
from tests.worker.test_execution import SDP_THERE, Scene, make_plan, play, register, unregister


def shared(callers: int = 10, callees: int = 2, pairing: str = "5:1", **more: Any) -> dict[str, Any]:
    """Return groups in which callees take several calls each."""
    return {
        "callees": {"endpoints": callees, "answer": {"after": "200ms"}},
        "callers": {
            "endpoints": callers,
            "call": {"group": "callees", "pairing": pairing},
            "load": {"arrivals": "constant", "rate": "20/s"},
        }
        | more,
    }


def receivers(calls: int, *, registered: bool = True) -> RunShare:
    """Return the share of the worker that has the one receiver of so many calls, and none of its callers."""
    accounts = [{"username": f"u{k}", "password": "secret"} for k in range(1 + calls)]
    groups = shared(calls, 1, f"{calls}:1")
    document: dict[str, Any] = {"version": 1, "duration": "10s", "groups": groups}
    if registered:
        document["registrars"] = {"lab": {"domain": THERE.host, "port": THERE.port, "accounts": accounts}}
        for group in groups.values():
            group["registrar"] = "lab"
    whole = whole_run(parse_plan(document), "r1")
    return whole.model_copy(update={"groups": {"callees": whole.groups["callees"]}})


async def call(run: Scene, number: int) -> int:
    """Have the party call the receiver and acknowledge what comes; return the final status."""
    party = run.stage.party
    uri, call_id, branch = f"sip:callees-0001@{HERE}", f"c{number}", f"z9hG4bKinvite{number}"
    party.send(party.request("INVITE", uri, call_id=call_id, branch=branch, body=SDP_THERE), HERE)
    await run.go_on(0.3)
    final = next(r for r in party.responses("INVITE") if r.call_id == call_id and r.status >= 200)
    own = "" if final.status < 300 else branch
    party.send(party.request("ACK", uri, call_id=call_id, branch=own, to=final.headers.get("To") or ""), HERE)
    return final.status


def hang_up(run: Scene, number: int) -> None:
    party = run.stage.party
    answer = next(r for r in party.responses("INVITE") if r.call_id == f"c{number}" and r.status == 200)
    to = answer.headers.get("To") or ""
    party.send(party.request("BYE", f"sip:callees-0001@{HERE}", call_id=f"c{number}", cseq=2, to=to), HERE)


def test_ten_callers_and_two_receivers() -> None:
    async def scene() -> None:
        run = Scene(make_plan(shared()))
        result = await run.start()
        assert result["targets"] == {"callees": {str(k): f"sip:callees-000{k + 1}@{HERE}" for k in range(2)}}
        assert run.run.endpoints_open == 20
        await run.go_on(5)
        assert run.run.calls_active == 20
        await run.go_on(25)
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.SUCCESS: 20}
        targets = Counter(report.call.target for report in run.uplink.endpoints if report.group == "callers")
        assert targets == {f"sip:callees-000{k + 1}@{HERE}": 5 for k in range(2)}
        calls = {report.call.call_id for report in run.uplink.endpoints}
        assert len(calls) == 10  # each has a report at both ends
        seen = Counter((index, batch.second) for _, batch in run.uplink.batches for index in batch.endpoints)
        assert set(seen.values()) == {1}
        assert len({index for index, _ in seen}) == 20

    play(scene)


def test_receivers_take_what_their_callers_repeat() -> None:
    async def scene() -> None:
        run = Scene(make_plan(shared(4, 2, "2:1", repeats=2, pause="500ms"), duration="2s"))
        await run.start()
        await run.go_on(30)
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.SUCCESS: 24}

    play(scene)


def test_one_registration_is_for_all_calls_of_a_receiver_until_the_last_is_over() -> None:
    async def scene() -> None:
        run = Scene(share=receivers(3))
        result = await register(run)
        assert result == {"targets": {"callees": {"0": f"sip:u0@{THERE.host}"}}, "failed": 0}
        await run.run.start(result["targets"])
        assert [await call(run, number) for number in range(4)] == [200, 200, 200, 486]
        assert run.run.calls_active == 3
        for number in range(3):
            assert len(run.stage.party.requests("REGISTER")) == 1
            assert run.run.endpoints_open == 3
            hang_up(run, number)
            await run.go_on(1)
        assert await call(run, 5) == 480
        await unregister(run)
        run.check_the_end()
        assert {request.headers.get("Expires") for request in run.stage.party.requests("REGISTER")[1:]} == {"0"}
        assert [report.registration.attempted for report in run.uplink.endpoints] == [True, False, False]
        assert run.uplink.outcomes == {OutcomeKind.SUCCESS: 3}

    play(scene)


def test_when_a_receiver_cannot_register_all_its_calls_fail() -> None:
    async def scene() -> None:
        run = Scene(share=receivers(3))
        result = await register(run, refuse=("u0",))
        assert result == {"targets": {}, "failed": 3}
        await run.run.start({})
        await run.go_on(1)
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.REGISTRATION_FAILED: 3}
        assert [report.blame for report in run.uplink.endpoints] == [Blame.TARGET] * 3
        assert [report.reason for report in run.uplink.endpoints[1:]] == ["callees-0001 never registered"] * 2

    play(scene)


def test_stopped_while_it_registers_no_call_is_said_to_have_failed_at_that() -> None:
    async def scene() -> None:
        run = Scene(share=receivers(3))
        task = asyncio.create_task(run.run.prepare())
        await run.go_on(0.01)
        run.run.stop("enough")
        await settle()
        assert task.done()
        await unregister(run)
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.COMPLETED_WITH_WARNINGS: 3}

    play(scene)


def test_a_call_that_never_comes_is_told_by_the_line_that_waited() -> None:
    async def scene() -> None:
        run = Scene(share=receivers(2, registered=False))
        await run.start()
        assert await call(run, 0) == 200
        hang_up(run, 0)
        await run.go_on(100)
        run.check_the_end()
        assert [report.reason for report in run.uplink.endpoints] == ["", "receiver wait timeout: no call came"]

    play(scene)


def test_a_caller_whose_registration_fails_fails_thousands_of_repeats() -> None:
    async def scene() -> None:
        registrar = {"domain": THERE.host, "port": THERE.port, "accounts": [{"username": "u0", "password": "secret"}]}
        callers = {"endpoints": 1, "registrar": "lab", "call": {"uri": f"sip:600@{THERE}"}, "repeats": 3000}
        run = Scene(make_plan({"callers": callers}, registrars={"lab": registrar}))
        result = await register(run, refuse=("u0",))
        assert result["failed"] == 3001
        await run.run.start({})
        await run.go_on(1)
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.REGISTRATION_FAILED: 3001}

    play(scene)
