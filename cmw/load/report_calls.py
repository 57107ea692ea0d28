"""The calls that are worth a look, as tables of the report: what failed, what was slow, what sounded bad."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from cmw.load.outcome import EndpointReport
from cmw.load.report_parts import Cell, number, table

ROWS = 20
"""Calls in each table."""

Links = Mapping[int, str]


def call_tables(reports: Sequence[EndpointReport], evidence: Links) -> str:
    """Return the tables.

    Args:
        evidence: for the endpoints that have it, by index, the path of its directory from that of the page.
    """
    return _kept(reports, evidence) + _slowest(reports, evidence) + _worst(reports, evidence)


def _kept(reports: Iterable[EndpointReport], evidence: Links) -> str:
    """Return the table of the calls that there is evidence of."""
    rows = [
        [
            _name(report, evidence),
            (report.outcome, "" if report.ended_well else "bad"),
            (report.reason, ""),
            (report.call.call_id, "id"),
        ]
        for report in sorted(reports, key=lambda report: (report.ended_well, report.index))
        if report.index in evidence
    ]
    return table("Calls with evidence", ["endpoint", "outcome", "reason", "Call-ID"], rows)


def _slowest(reports: Iterable[EndpointReport], evidence: Links) -> str:
    """Return the table of the calls that took longest to be answered."""
    found = _ranked(reports, lambda report: report.call.timing.get("call_setup_time_ms"), slowest_first=True)
    rows = [
        [
            _name(report, evidence),
            (number(setup_ms), "n"),
            *((number(report.call.timing.get(key)), "n") for key in ("time_to_trying_ms", "post_dial_delay_ms")),
            (number(report.call.placed_ms and report.call.placed_ms / 1000), "n"),
            (report.call.target, "id"),
            (report.call.call_id, "id"),
        ]
        for setup_ms, report in found
    ]
    head = ["endpoint", "answer ms|n", "trying ms|n", "ringing ms|n", "placed at s|n", "peer", "Call-ID"]
    return table("Slowest calls", head, rows)


def _worst(reports: Iterable[EndpointReport], evidence: Links) -> str:
    """Return the table of the calls that sounded worst, judged by the MOS of what they received."""
    found = _ranked(reports, lambda report: report.media.receive.get("mos"), slowest_first=False)
    rows = [
        [
            _name(report, evidence),
            (number(mos), "n"),
            *((number(report.media.receive.get(key)), "n") for key in ("packets_lost", "jitter_ms", "rtt_ms")),
            (report.call.target, "id"),
            (report.call.call_id, "id"),
        ]
        for mos, report in found
    ]
    head = ["endpoint", "MOS|n", "lost|n", "jitter ms|n", "RTT ms|n", "peer", "Call-ID"]
    return table("Worst calls", head, rows)


def _ranked(
    reports: Iterable[EndpointReport], value_of: Callable[[EndpointReport], float | None], *, slowest_first: bool
) -> list[tuple[float, EndpointReport]]:
    known = [(value, report) for report in reports if (value := value_of(report)) is not None]
    known.sort(key=lambda item: (-item[0] if slowest_first else item[0], item[1].index))
    return known[:ROWS]


def _name(report: EndpointReport, evidence: Links) -> Cell:
    """Return the name of an endpoint, which leads to its evidence where there is any."""
    path = evidence.get(report.index)
    return (report.name, "k") if path is None else (report.name, "k", f"{path}/index.html")
