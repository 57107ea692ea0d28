"""Tables of a run for spreadsheets and scripts: endpoints.csv and samples.csv."""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isnan
from typing import Protocol

from cmw.load.outcome import SIGNALLING_COUNTS, EndpointReport
from cmw.metrics.keys import COLUMNS, TIMING_KEYS

ABSENT_COUNT = 0xFFFFFFFF
"""What an integer column of samples holds where there is no value; cmw.link.samples writes it."""

UNTRUSTED = "untrusted"
"""Column of samples beside the metrics: which bounds the worker broke in that second, the sum of 2 to the power of
their numbers in cmw.load.generator_bounds; 0 for a second that counts."""

CALL_TIMING = tuple(key for key in TIMING_KEYS if key != "registration_time_ms")
FORMULA_STARTS = ("=", "+", "-", "@")

ENDPOINT_COLUMNS: tuple[str, ...] = (
    "index", "name", "group", "worker", "phase", "outcome", "blame", "reason",
    "registration_attempted", "registration_succeeded", "registration_status", "registration_time_ms",
    "call_attempted", "call_answered", "direction", "call_id", "target", "status_code", "codec", "due_ms", "placed_ms",
    *CALL_TIMING, "one_way", "one_way_missing", "silent", "early_media", *SIGNALLING_COUNTS, "dtmf_received", *COLUMNS,
)  # fmt: skip


class SampleRows(Protocol):
    """What samples_csv needs of a sample batch."""

    @property
    def second(self) -> int: ...
    @property
    def at_unix_ms(self) -> int: ...
    @property
    def endpoints(self) -> Sequence[int]: ...
    @property
    def columns(self) -> Mapping[str, array[float] | array[int]]: ...


def endpoints_csv(reports: Iterable[EndpointReport]) -> str:
    """Return endpoints.csv: one line for each endpoint, in the order of the index; absent values are empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(ENDPOINT_COLUMNS)
    for report in sorted(reports, key=lambda report: report.index):
        writer.writerow([_cell(value) for value in _endpoint_row(report)])
    return out.getvalue()


def samples_csv(batches: Iterable[SampleRows]) -> Iterator[str]:
    """Yield samples.csv piece by piece, the head line first: one line for each endpoint and second."""
    yield ",".join(("second", "at_unix_ms", "endpoint", *COLUMNS, UNTRUSTED)) + "\n"
    for batch in batches:
        yield _batch_lines(batch)


def _batch_lines(batch: SampleRows) -> str:
    absent = [""] * len(batch.endpoints)
    columns = [_texts(batch.columns[name]) if name in batch.columns else absent for name in (*COLUMNS, UNTRUSTED)]
    head = f"{batch.second},{batch.at_unix_ms},"
    rows = zip(batch.endpoints, *columns, strict=True)
    return "".join(f"{head}{','.join(map(str, row))}\n" for row in rows)


def _texts(values: array[float] | array[int]) -> list[str]:
    if values.typecode == "f":
        return ["" if isnan(value) else f"{value:.7g}" for value in values]
    return ["" if value == ABSENT_COUNT else str(value) for value in values]


def _endpoint_row(report: EndpointReport) -> list[object]:
    registration, call = report.registration, report.call
    sides = {"send": report.media.send, "receive": report.media.receive}
    return [
        report.index, report.name, report.group, report.worker, report.phase, report.outcome, report.blame,
        report.reason,
        registration.attempted, registration.succeeded, registration.status or None, registration.time_ms,
        call.attempted, call.answered, call.direction if call.attempted else None, call.call_id, call.target,
        call.status_code or None, call.codec, call.due_ms, call.placed_ms,
        *(call.timing.get(key) for key in CALL_TIMING), report.one_way, report.one_way_missing,
        report.silent, call.early_media,
        *(getattr(report.signalling, key) for key in SIGNALLING_COUNTS), report.signalling.dtmf_received,
        *(sides[column.side].get(column.metric.key) for column in COLUMNS.values()),
    ]  # fmt: skip


def _cell(value: object) -> object:
    """Return a value for a cell. Text from the network must not be a formula when a spreadsheet opens the file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, str):
        text = "".join(c if c.isprintable() else " " for c in value)
        return f"'{text}" if text.startswith(FORMULA_STARTS) else text
    return value
