"""Reports cross the link as JSON, and nonsense in them is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cmw.core.words import Blame, OutcomeKind, Phase
from cmw.load.outcome import CallReport, EndpointReport, MediaReport, RunTotals, lost_endpoint
from tests.load.runs import report, totals


def test_a_report_survives_json_and_ignores_what_a_newer_worker_says() -> None:
    document = report(2, "callers").model_dump(mode="json") | {"news": 1}
    assert EndpointReport.model_validate(document) == report(2, "callers")


def test_totals_survive_json() -> None:
    assert RunTotals.model_validate_json(totals().model_dump_json()) == totals()


def test_a_phase_may_be_given_as_such() -> None:
    assert report(0, "g", phase=Phase.RINGING).phase == "RINGING"
    with pytest.raises(ValidationError, match="INITIALIZING"):
        report(0, "g", phase="SLEEPING")


def test_a_malformed_histogram_is_refused() -> None:
    with pytest.raises(ValidationError, match="histogram"):
        RunTotals(pacing_error_us={"scale": "x"})


def test_figures_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValidationError):
        CallReport(timing={"call_setup_time_ms": -1.0})
    with pytest.raises(ValidationError):
        MediaReport(receive={"mos": float("nan")})
    with pytest.raises(ValidationError):
        report(1 << 32, "g")


def test_integers_of_media_stay_integers() -> None:
    assert MediaReport(send={"packets_sent": 5}).model_dump_json() == '{"send":{"packets_sent":5},"receive":{}}'


def test_an_endpoint_of_a_lost_worker_is_the_workers_fault() -> None:
    lost = lost_endpoint("r", index=3, name="g-0004", group="g", worker="w", reason="worker w did not return")
    assert (lost.outcome, lost.blame, lost.ended_well) == (OutcomeKind.OSERROR, Blame.WORKER, False)


def test_what_came_from_the_network_moves_no_terminal() -> None:
    assert report(0, "g", reason="486 \x1b[2Jgone\n\x9b").reason == "486 ?[2Jgone??"
