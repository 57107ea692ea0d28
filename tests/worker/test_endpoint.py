"""Registration and the end of an endpoint: once, whatever comes when, and with nothing left behind."""

from __future__ import annotations

import pytest

from cmw.core.clock import SECOND
from cmw.core.words import Blame, OutcomeKind, Phase
from cmw.sip import Account, Credentials
from cmw.sip.message import Request
from cmw.worker.callee import Callee
from cmw.worker.endpoint import Endpoint, status_text
from cmw.worker.reporting import endpoint_report
from tests.worker.stage import HERE, THERE, Stage

ACCOUNT = Account(f"sip:bob@{THERE}", f"sip:{THERE}", Credentials("bob", "secret"), "callees-0001", THERE)


def make(stage: Stage) -> Callee:
    endpoint: Callee = stage.make(Callee, user="callees-0001", account=ACCOUNT)
    stage.station.claim_user("callees-0001")
    endpoint.prepare()
    stage.after(SECOND // 100)
    return endpoint


def answer(stage: Stage, status: int, reason: str = "", *, expires: str = "300") -> Request:
    """Answer the last REGISTER that came."""
    request = stage.party.requests("REGISTER")[-1]
    stage.party.respond(request, status, reason, headers=[("Expires", expires)], destination=HERE)
    return request


def expires(request: Request) -> str | None:
    return request.headers.get("Expires")


def finish(stage: Stage, endpoint: Endpoint) -> None:
    """Check that the endpoint ended once and that it left nothing behind."""
    stage.station.release_user("callees-0001")
    stage.quiet()
    assert stage.ready == [endpoint]
    assert stage.closed == [endpoint]
    assert endpoint.lifecycle.is_closed
    assert stage.leaves_nothing()


def test_registers_then_removes_the_registration() -> None:
    stage = Stage()
    endpoint = make(stage)
    assert stage.ready == []
    answer(stage, 200, expires="120")
    assert stage.ready == [endpoint]
    assert endpoint.lifecycle.phase is Phase.REGISTERED
    endpoint.abort()
    endpoint.abort()
    stage.after(SECOND // 100)
    assert stage.closed == []  # the removal is not answered yet
    assert expires(answer(stage, 200)) == "0"
    assert stage.closed == [endpoint]
    report = endpoint_report(endpoint, "r1")
    assert (report.registration.status, report.registration.expires_s) == (200, 120)
    assert report.registration.time_ms is not None
    assert report.registration.time_ms >= 2
    assert report.phase == "REGISTERED"
    finish(stage, endpoint)


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [(403, "Forbidden", "registration failed: 403 Forbidden"), (500, "Oops", "registration failed: 500 Oops")],
)
def test_a_refused_registration(status: int, reason: str, told: str) -> None:
    stage = Stage()
    endpoint = make(stage)
    answer(stage, status, reason)
    assert endpoint.lifecycle.outcome is not None
    assert endpoint.lifecycle.outcome.kind is OutcomeKind.REGISTRATION_FAILED
    report = endpoint_report(endpoint, "r1")
    assert (report.reason, report.blame, report.registration.status) == (told, Blame.TARGET, status)
    assert report.registration.attempted
    assert not report.registration.succeeded
    assert report.registration.time_ms is None
    finish(stage, endpoint)


def test_a_registrar_that_says_nothing() -> None:
    stage = Stage()
    endpoint = make(stage)
    stage.quiet()
    report = endpoint_report(endpoint, "r1")
    assert (report.outcome, report.registration.status) == (OutcomeKind.REGISTRATION_FAILED, 0)
    assert report.reason == "registration failed: timeout"
    finish(stage, endpoint)


def test_aborted_while_it_registers_it_takes_the_registration_back() -> None:
    stage = Stage()
    endpoint = make(stage)
    endpoint.abort()
    assert stage.ready == [endpoint]  # whoever waits for it need not wait longer
    assert stage.closed == []
    answer(stage, 200)
    stage.after(SECOND // 100)
    assert expires(answer(stage, 200)) == "0"
    assert stage.closed == [endpoint]
    assert endpoint.furthest_phase is Phase.INITIALIZING
    finish(stage, endpoint)


def test_aborted_while_it_registers_and_then_refused() -> None:
    stage = Stage()
    endpoint = make(stage)
    endpoint.abort()
    answer(stage, 403)
    assert stage.closed == [endpoint]
    assert endpoint.lifecycle.outcome is not None
    assert endpoint.lifecycle.outcome.kind is OutcomeKind.SUCCESS  # it was ended before it could fail
    finish(stage, endpoint)


def test_ended_before_its_turn_to_register() -> None:
    stage = Stage()
    endpoint = stage.make(Callee, account=ACCOUNT)
    endpoint.abort()
    endpoint.prepare()
    stage.quiet()
    assert stage.party.received == []
    finish(stage, endpoint)


def test_without_an_account_it_is_ready_at_once() -> None:
    stage = Stage()
    endpoint = stage.make(Callee)
    endpoint.prepare()
    assert stage.ready == [endpoint]
    assert not endpoint.registration.attempted
    endpoint.abort()
    finish(stage, endpoint)


def test_a_refresh_that_is_refused_is_a_warning_and_not_the_end() -> None:
    stage = Stage()
    endpoint = make(stage)
    answer(stage, 200, expires="60")
    stage.after(55 * SECOND)
    answer(stage, 403)
    assert not endpoint.lifecycle.is_closed
    endpoint.abort()
    assert endpoint.lifecycle.outcome is not None
    assert endpoint.lifecycle.outcome.kind is OutcomeKind.COMPLETED_WITH_WARNINGS
    assert endpoint.lifecycle.outcome.reason == "the registration could not be refreshed: 403 Forbidden"
    assert endpoint_report(endpoint, "r1").registration.status == 200  # of the first one
    finish(stage, endpoint)


def test_a_registration_that_is_lost_is_a_warning_and_comes_back() -> None:
    stage = Stage()
    endpoint = make(stage)
    answer(stage, 200, expires="60")
    stage.after(50 * SECOND)
    answer(stage, 503, "Overloaded")
    assert endpoint.lifecycle.outcome is None  # it still stands
    stage.after(1 * SECOND)
    stage.after(20 * SECOND)
    outcome = endpoint.lifecycle.outcome
    assert outcome is not None
    assert outcome.kind is OutcomeKind.COMPLETED_WITH_WARNINGS
    assert outcome.reason.startswith("the registration was lost: ")
    stage.after(120 * SECOND)
    answer(stage, 200, expires="60")
    endpoint.abort()
    answer(stage, 200)
    finish(stage, endpoint)


@pytest.mark.parametrize("status", [0, 403])
def test_a_removal_that_fails_ends_the_endpoint_all_the_same(status: int) -> None:
    stage = Stage()
    endpoint = make(stage)
    answer(stage, 200)
    endpoint.abort()
    stage.after(SECOND // 100)
    if status:
        answer(stage, status)
    stage.quiet()
    assert endpoint_report(endpoint, "r1").registration.status == 200
    assert endpoint.lifecycle.outcome is not None
    assert endpoint.lifecycle.outcome.kind is OutcomeKind.SUCCESS
    finish(stage, endpoint)


@pytest.mark.parametrize("registered", [False, True])
def test_closed_now_it_still_tells_the_registrar(*, registered: bool) -> None:
    stage = Stage()
    endpoint = make(stage)
    if registered:
        answer(stage, 200)
    endpoint.close_now()
    endpoint.close_now()
    assert stage.closed == [endpoint]
    stage.after(SECOND // 100)
    if not registered:
        answer(stage, 200)
    stage.after(SECOND // 100)
    assert expires(answer(stage, 200)) == "0"
    finish(stage, endpoint)


def test_what_comes_after_the_end_changes_nothing() -> None:
    stage = Stage()
    endpoint = make(stage)
    endpoint.close_now()
    report = endpoint_report(endpoint, "r1")
    answer(stage, 200)
    endpoint.fail(OutcomeKind.TIMEOUT, Blame.WORKER, "late")
    endpoint.abort()
    endpoint.prepare()
    assert endpoint_report(endpoint, "r1") == report
    answer(stage, 200)
    finish(stage, endpoint)


def test_a_contact_user_that_is_registered_already_is_our_own_fault() -> None:
    stage = Stage()
    first = make(stage)
    second = stage.make(Callee, user="callees-0001", account=ACCOUNT)
    second.prepare()
    assert second.lifecycle.outcome is not None
    assert second.lifecycle.outcome.blame is Blame.WORKER
    assert stage.closed == [second]
    answer(stage, 403)
    assert stage.closed == [second, first]


def test_no_look_at_an_endpoint_shows_its_password() -> None:
    stage = Stage()
    endpoint = make(stage)
    assert "secret" not in f"{endpoint.settings!r} {ACCOUNT!r} {endpoint!r} {endpoint.registration!r}"
    endpoint.close_now()


def test_status_text() -> None:
    assert status_text(486, "Busy Here") == "486 Busy Here"
    assert status_text(486, "") == "486"
    assert status_text(0, "timeout") == "timeout"
    assert status_text(0, "") == "no answer"
