"""What an endpoint's life comes to: the one report that is sent when it has closed."""

from __future__ import annotations

from dataclasses import asdict

from cmw.core.clock import MILLISECOND, Nanos
from cmw.core.words import OutcomeKind
from cmw.load.outcome import CallReport, EndpointReport, MediaReport, RegistrationReport, SignallingReport
from cmw.worker.endpoint import Endpoint
from cmw.worker.endpoint_records import CallRecord, CallTimes, RegistrationRecord
from cmw.worker.measurement import CallFigures

MAX_TEXT = 500
"""Characters of a text in a report."""


def endpoint_report(endpoint: Endpoint, run_id: str, began_at: Nanos | None = None) -> EndpointReport:
    """Return the report of a closed endpoint.

    Args:
        began_at: when the run began; None when it never did.
    """
    outcome = endpoint.lifecycle.outcome
    assert outcome is not None, "only closed endpoints report"
    figures = endpoint.figures
    is_judged = figures is not None and endpoint.call.answered
    missing = figures.missing if figures is not None and is_judged else ""
    expects_speech = endpoint.settings.audio.source != "silence"
    heard_nobody = figures is not None and not figures.packets_received
    return EndpointReport(
        run_id=run_id,
        index=endpoint.settings.index,
        name=_bounded(endpoint.settings.name),
        group=endpoint.settings.group,
        phase=endpoint.furthest_phase.name,
        outcome=outcome.kind,
        blame=outcome.blame if outcome.kind is not OutcomeKind.SUCCESS else None,
        reason=_bounded(outcome.reason),
        registration=_registration(endpoint.registration),
        call=_call(endpoint.call, figures, began_at),
        signalling=_signalling(endpoint),
        media=MediaReport(send=figures.totals("send"), receive=figures.totals("receive")) if figures else MediaReport(),
        one_way=bool(missing),
        one_way_missing=missing,
        silent=is_judged and figures is not None and figures.is_silent and (expects_speech or heard_nobody),
    )


def _registration(record: RegistrationRecord) -> RegistrationReport:
    return RegistrationReport(
        attempted=record.attempted,
        succeeded=record.succeeded,
        status=record.status,
        time_ms=_span_ms(record.began_at, record.ended_at) if record.succeeded else None,
        expires_s=record.expires_s,
    )


def _call(record: CallRecord, figures: CallFigures | None, began_at: Nanos | None) -> CallReport:
    timing = _timing(record.times, is_outbound=record.direction == "outbound")
    if figures is not None and figures.first_packet_delay_ms is not None:
        timing["first_packet_delay_ms"] = figures.first_packet_delay_ms
    if figures is not None and figures.first_packet_sent_delay_ms is not None:
        timing["first_packet_sent_delay_ms"] = figures.first_packet_sent_delay_ms
    return CallReport(
        attempted=record.attempted,
        answered=record.answered,
        direction="outbound" if record.direction == "outbound" else "inbound",
        call_id=_bounded(record.call_id),
        target=_bounded(record.target),
        status_code=record.status,
        codec=figures.codec if figures is not None else "",
        early_media=record.early_media,
        due_ms=_span_ms(began_at, record.due_at),
        placed_ms=_span_ms(began_at, record.times.invite_at),
        timing=timing,
    )


def _signalling(endpoint: Endpoint) -> SignallingReport:
    executed, failed = endpoint.scenario_actions
    return SignallingReport(
        **asdict(endpoint.signalling), scenario_actions_executed=executed, scenario_actions_failed=failed
    )


def _timing(times: CallTimes, *, is_outbound: bool) -> dict[str, float | None]:
    """Return what is known; the times of setup are the caller's alone."""
    timing = {
        "call_duration_ms": _span_ms(times.answered_at, times.ended_at),
        "session_disconnect_delay_ms": _span_ms(times.ended_at, times.released_at),
    }
    if is_outbound:
        timing |= {
            "time_to_trying_ms": _span_ms(times.invite_at, times.trying_at),
            "time_to_ringing_ms": _span_ms(times.invite_at, times.ringing_at),
            "post_dial_delay_ms": _span_ms(times.invite_at, times.ringback_at),
            "session_request_delay_ms": _span_ms(times.invite_at, times.status_at or times.answered_at),
            "call_setup_time_ms": _span_ms(times.invite_at, times.answered_at),
        }
    return {key: value for key, value in timing.items() if value is not None}


def _span_ms(since: Nanos | None, until: Nanos | None) -> float | None:
    """Return a span in milliseconds; not below 0: a timer may be served up to 2 ms early, and dates its facts then."""
    return None if since is None or until is None else max(0, until - since) / MILLISECOND


def _bounded(text: str) -> str:
    """Return the beginning of what may come from the network; the whole report has to fit into a frame."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."
