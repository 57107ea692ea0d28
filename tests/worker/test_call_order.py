"""Endpoints that call again: when, by whose registration, and what is told of each call."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.core.words import Blame, OutcomeKind
from tests.worker.stage import HERE, THERE, Stage
from tests.worker.test_execution import (
    Scene,
    answer_byes,
    answer_invites,
    calls_there,
    make_plan,
    play,
    register,
    unregister,
)


def again(endpoints: int = 1, repeats: int = 2, **more: Any) -> dict[str, Any]:
    """Return a group whose endpoints call the party, and call again."""
    groups = calls_there(endpoints)
    groups["callers"] |= {"repeats": repeats, "pause": "3s"} | more
    return groups


def at_a_registrar(repeats: int = 1) -> dict[str, Any]:
    return {
        "registrars": {
            "lab": {
                "domain": THERE.host,
                "port": THERE.port,
                "accounts": [{"username": "u0", "password": "secret"}],
            }
        },
        "groups": again(registrar="lab", repeats=repeats),
    }


async def carry_call(run: Scene, known: int) -> int:
    """Answer the call that is placed now, and see to its end; return how many there were."""
    await run.go_on(0.3)
    known = answer_invites(run.stage, known)
    await run.go_on(10)
    answer_byes(run.stage)
    await run.go_on(0.5)
    return known


def test_an_endpoint_calls_again_after_each_call_and_a_pause() -> None:
    async def scene() -> None:
        run = Scene(make_plan(again()))
        await run.start()
        known = 0
        for calls in (1, 2, 3):
            known = await carry_call(run, known)
            assert known == calls
            assert run.run.endpoints_open == (calls < 3)
            await run.go_on(2.5)
        run.check_the_end()
        reports = run.uplink.endpoints
        assert [report.name for report in reports] == ["callers-0001", "callers-0001.2", "callers-0001.3"]
        assert run.uplink.outcomes == {OutcomeKind.SUCCESS: 3}
        for before, after in pairwise(reports):
            assert after.call.due_ms is not None
            assert before.call.placed_ms is not None
            spans = ("call_setup_time_ms", "call_duration_ms", "session_disconnect_delay_ms")
            over_ms = before.call.placed_ms + sum(before.call.timing[key] or 0 for key in spans)
            assert after.call.due_ms - over_ms == pytest.approx(3000, abs=20)
            assert after.call.placed_ms is not None
            assert after.call.placed_ms >= after.call.due_ms
        invites = run.stage.party.requests("INVITE")
        assert len({invite.headers.get("Call-ID") for invite in invites}) == 3
        assert all(f"callers-0001@{HERE}" in (invite.headers.get("Contact") or "") for invite in invites)

    play(scene)


def test_a_call_that_was_refused_is_followed_by_the_next_one() -> None:
    async def scene() -> None:
        run = Scene(make_plan(again(repeats=1)))
        await run.start()
        await run.go_on(0.5)
        (refused,) = run.stage.party.requests("INVITE")
        run.stage.party.respond(refused, 486, destination=HERE)
        await run.go_on(3)
        await carry_call(run, 1)
        run.check_the_end()
        assert [report.outcome for report in run.uplink.endpoints] == [OutcomeKind.CALL_FAILED, OutcomeKind.SUCCESS]

    play(scene)


@pytest.mark.parametrize("seconds", [0.2, 5, 12], ids=["early", "in a call", "in a pause"])
def test_a_run_that_is_stopped_places_no_further_call(seconds: float) -> None:
    async def scene() -> None:
        run = Scene(make_plan(again()))
        await run.start()
        await run.go_on(0.1)
        answer_invites(run.stage)
        await run.go_on(seconds)
        answer_byes(run.stage)
        await run.go_on(0.2)
        run.run.stop("enough")
        await run.go_on(0.1)
        answer_byes(run.stage)
        await run.go_on(40)
        run.check_the_end()
        assert len(run.stage.party.requests("INVITE")) == 1
        assert [report.call.attempted for report in run.uplink.endpoints] == [True, False, False]

    play(scene)


def test_one_registration_is_for_all_calls_of_an_endpoint() -> None:
    async def scene() -> None:
        run = Scene(make_plan(**at_a_registrar()))
        result = await register(run)
        assert result["failed"] == 0
        await run.run.start(result["targets"])
        known = await carry_call(run, 0)
        assert (known, run.run.endpoints_open) == (1, 1)
        assert [request.headers.get("Expires") == "0" for request in run.stage.party.requests("REGISTER")] == [False]
        await run.go_on(2.5)
        await carry_call(run, known)
        await unregister(run)
        run.check_the_end()
        contacts = {request.headers.get("Contact") for request in run.stage.party.requests("INVITE")}
        assert len(contacts) == 1
        assert run.uplink.outcomes == {OutcomeKind.SUCCESS: 2}
        assert [report.registration.attempted for report in run.uplink.endpoints] == [True, False]
        assert len(run.stage.party.requests("REGISTER")) == 2

    play(scene)


def test_when_an_endpoint_cannot_register_all_its_calls_fail() -> None:
    async def scene() -> None:
        run = Scene(make_plan(**at_a_registrar(repeats=2)))
        result = await register(run, refuse=("u0",))
        assert result == {"targets": {}, "failed": 3}
        await run.run.start({})
        await run.go_on(1)
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.REGISTRATION_FAILED: 3}
        assert [report.blame for report in run.uplink.endpoints] == [Blame.TARGET] * 3
        assert run.uplink.endpoints[2].reason == "callers-0001 never registered"
        assert run.stage.party.requests("INVITE") == []

    play(scene)


def test_a_registration_that_is_stopped_between_two_calls_is_removed() -> None:
    async def scene() -> None:
        run = Scene(make_plan(**at_a_registrar()))
        result = await register(run)
        await run.run.start(result["targets"])
        await carry_call(run, 0)
        run.run.stop("enough")
        await unregister(run)
        run.check_the_end()
        assert [report.outcome for report in run.uplink.endpoints] == [
            OutcomeKind.SUCCESS,
            OutcomeKind.COMPLETED_WITH_WARNINGS,
        ]

    play(scene)


def test_a_registration_that_is_lost_between_two_calls_is_told() -> None:
    async def scene() -> None:
        run = Scene(
            make_plan(**at_a_registrar(repeats=1) | {"groups": again(registrar="lab", repeats=1, pause="400s")})
        )
        result = await register(run)
        await run.run.start(result["targets"])
        known = await carry_call(run, 0)
        ended_at = run.stage.alarm.now()
        seen = len(run.stage.party.requests("REGISTER"))
        for _ in range(300):
            await run.go_on(1)
            refreshes = run.stage.party.requests("REGISTER")[seen:]
            if refreshes:
                run.stage.party.respond(refreshes[0], 403, destination=HERE)
                break
        await run.go_on(400 - (run.stage.alarm.now() - ended_at) / SECOND)
        await carry_call(run, known)
        await run.go_on(40)
        run.check_the_end()
        first, second = run.uplink.endpoints
        assert first.outcome is OutcomeKind.COMPLETED_WITH_WARNINGS
        assert first.reason == "the registration could not be refreshed: 403 Forbidden"
        assert second.outcome is OutcomeKind.SUCCESS

    play(scene)


def test_further_calls_go_to_the_same_endpoint_again() -> None:
    async def scene() -> None:
        groups = {
            "callees": {"endpoints": 2},
            "callers": {"endpoints": 2, "call": {"group": "callees"}, "repeats": 2, "pause": "100ms"},
        }
        run = Scene(make_plan(groups, duration="2s"))
        await run.start()
        await run.go_on(20)
        run.check_the_end()
        assert run.uplink.outcomes == {OutcomeKind.SUCCESS: 12}
        assert len({report.call.target for report in run.uplink.endpoints if report.group == "callers"}) == 2

    play(scene)


def test_the_user_name_stays_taken_until_the_last_call() -> None:
    async def scene() -> None:
        stage = Stage()
        run = Scene(make_plan(again(repeats=1)), stage=stage)
        await run.start()
        known = await carry_call(run, 0)
        taken = stage.station.claim_user("callers-0001")
        assert taken != "callers-0001"
        stage.station.release_user(taken)
        await run.go_on(2.5)
        await carry_call(run, known)
        run.check_the_end()
        assert stage.station.claim_user("callers-0001") == "callers-0001"

    play(scene)


def test_no_further_call_begins_later_than_the_run_allows_for() -> None:
    async def scene() -> None:
        plan = make_plan(again(repeats=2), setup_timeout="5s")
        run = Scene(plan)
        await run.start()
        for _ in range(200):  # whoever is called says nothing at all: the slowest way for a call to end
            await run.go_on(1)
            if run.run.finished.is_set():
                break
        run.check_the_end()
        assert {report.reason for report in run.uplink.endpoints} == {
            "no answer within 5 s (nothing came at all)",
        }
        assert run.share.run_within_ns > 3 * (5 * SECOND + 10 * SECOND) + 100 * MILLISECOND

    play(scene)
