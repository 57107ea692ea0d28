"""Reading endpoints.csv back: what cmw.load.report wrote, as the reports it was made of."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from typing import Any

from cmw.load.outcome import SIGNALLING_COUNTS, EndpointReport
from cmw.load.report import CALL_TIMING, FORMULA_STARTS
from cmw.metrics.keys import COLUMNS

_PLAIN = (
    "index",
    "name",
    "group",
    "worker",
    "phase",
    "outcome",
    "blame",
    "reason",
    "one_way",
    "one_way_missing",
    "silent",
)
_CALL = {
    "call_attempted": "attempted",
    "call_answered": "answered",
    **{name: name for name in ("direction", "call_id", "target", "status_code", "codec", "early_media")},
    **{name: name for name in ("due_ms", "placed_ms")},
}


def read_endpoints(lines: Iterable[str]) -> list[EndpointReport]:
    """Return the reports that a file was made of; what it does not say has its default.

    Args:
        lines: the head line first.

    Raises:
        ValueError: it is not such a file.
    """
    return [EndpointReport.model_validate(_report(row)) for row in csv.DictReader(lines)]


def _report(row: Mapping[str, str]) -> dict[str, Any]:
    media: dict[str, dict[str, Any]] = {"send": {}, "receive": {}}
    for name, column in COLUMNS.items():
        if row.get(name):
            media[column.side][column.metric.key] = row[name]
    return {
        "run_id": "",
        **_known(row, {name: name for name in _PLAIN}),
        "registration": _known(row, {f"registration_{n}": n for n in ("attempted", "succeeded", "status", "time_ms")}),
        "call": _known(row, _CALL) | {"timing": _known(row, {name: name for name in CALL_TIMING})},
        "signalling": _known(row, {name: name for name in (*SIGNALLING_COUNTS, "dtmf_received")}),
        "media": media,
    }


def _known(row: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """Return the cells that are not empty, by their names in the report."""
    return {name: _text(row[column]) for column, name in names.items() if row.get(column)}


def _text(cell: str) -> str:
    """Return what a cell was made of: text that looked like a formula has an apostrophe before it."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS) else cell
