"""The callee of the lab: whatever comes, up to a number, and nothing once it ends."""

from __future__ import annotations

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.core.words import OutcomeKind
from cmw.load.outcome import EndpointReport
from cmw.net.media import MediaMode
from cmw.worker.answerer import Answerer, AnswererSettings
from cmw.worker.call_media import AudioChoice
from cmw.worker.callee import AnswerChoice
from tests.support.sip_party import SDP
from tests.worker.stage import HERE, Stage

SDP_THERE = SDP.replace(b"127.0.0.1", b"10.0.0.2")


def make(*, after_ms: int = 0, reject: int | None = None, max_calls: int | None = None, echo: bool = False) -> tuple[
    Stage, Answerer, list[EndpointReport]
]:  # fmt: skip
    stage = Stage()
    reports: list[EndpointReport] = []
    settings = AnswererSettings(
        AudioChoice(echo=echo), AnswerChoice(after_ns=after_ms * MILLISECOND, reject=reject), max_calls
    )
    return stage, Answerer(stage.station, stage.alarm, settings, reports.append), reports  # type: ignore[arg-type]


def call(stage: Stage, number: int, user: str = "600") -> None:
    uri = f"sip:{user}@{HERE}" if user else f"sip:{HERE}"
    stage.party.send(stage.party.request("INVITE", uri, call_id=f"c{number}", body=SDP_THERE), HERE)


def in_dialog(stage: Stage, method: str, number: int, cseq: int) -> None:
    answer = next(r for r in stage.party.responses("INVITE") if r.call_id == f"c{number}" and r.status == 200)
    uri = f"sip:600@{HERE}"
    request = stage.party.request(method, uri, call_id=f"c{number}", cseq=cseq, to=f"<{uri}>;tag={answer.to.tag}")
    stage.party.send(request, HERE)


def last(stage: Stage, number: int) -> int:
    return [r.status for r in stage.party.responses("INVITE") if r.call_id == f"c{number}"][-1]


def test_every_user_is_answered_and_reported_once() -> None:
    stage, answerer, reports = make(echo=True)
    assert answerer.quiet.is_set()
    for number, user in enumerate(("600", "", "x%20y")):
        call(stage, number, user)
        in_dialog(stage, "ACK", number, 1)
    assert not answerer.quiet.is_set()
    assert {stream.settings["mode"] for stream in stage.engine.streams.values() if stream.settings} == {MediaMode.ECHO}
    stage.after(5 * SECOND)
    for number in range(3):
        in_dialog(stage, "BYE", number, 2)
    stage.after(SECOND)
    assert answerer.quiet.is_set()
    assert [report.name for report in reports] == ["600", "answer", "x y"]
    assert answerer.outcomes == {OutcomeKind.SUCCESS: 3}
    assert answerer.calls_total == 3
    stage.station.takers.clear()
    stage.quiet()
    assert stage.leaves_nothing()


def test_calls_beyond_the_number_are_busy_until_one_ends() -> None:
    stage, answerer, _ = make(max_calls=1)
    call(stage, 1)
    in_dialog(stage, "ACK", 1, 1)
    call(stage, 2)
    assert (last(stage, 1), last(stage, 2)) == (200, 486)
    in_dialog(stage, "BYE", 1, 2)
    call(stage, 3)
    assert last(stage, 3) == 200
    assert (answerer.calls_total, answerer.refused_busy_total) == (2, 1)


def test_no_calls_at_all() -> None:
    stage, answerer, _ = make(max_calls=0)
    call(stage, 1)
    assert last(stage, 1) == 486
    assert answerer.calls_total == 0


@pytest.mark.parametrize("status", [302, 404, 486, 603])
def test_refused_on_demand(status: int) -> None:
    stage, answerer, reports = make(reject=status)
    call(stage, 1)
    assert last(stage, 1) == status
    assert [report.call.status_code for report in reports] == [status]
    assert answerer.outcomes == {OutcomeKind.SUCCESS: 1}


def test_ending_it_hangs_up_and_takes_no_more() -> None:
    stage, answerer, reports = make(after_ms=1000)
    call(stage, 1)
    stage.after(2 * SECOND)
    in_dialog(stage, "ACK", 1, 1)
    call(stage, 2)
    answerer.hang_up()
    call(stage, 3)
    stage.after(SECOND // 100)
    assert (last(stage, 2), last(stage, 3)) == (480, 503)
    assert [report.call.status_code for report in reports] == [480]
    assert len(stage.party.requests("BYE")) == 1
    answerer.close()  # the BYE is not answered, and nobody waits for it
    assert answerer.quiet.is_set()
    assert [report.call.answered for report in reports] == [False, True]
    stage.station.takers.clear()
    stage.quiet()
    assert stage.leaves_nothing()
