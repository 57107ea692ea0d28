"""The tables: one line each, absent values empty, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from array import array
from dataclasses import dataclass, field
from math import nan

from hypothesis import given
from hypothesis import strategies as st

from cmw.load.report import ENDPOINT_COLUMNS, endpoints_csv, samples_csv
from tests.load.runs import busy, report


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_each_endpoint_has_a_line_in_the_order_of_the_index() -> None:
    rows = _rows(endpoints_csv([busy(3), report(0, "callees")]))
    assert [row["index"] for row in rows] == ["0", "3"]
    assert rows[0].keys() == set(ENDPOINT_COLUMNS)
    good, failed = rows
    assert (good["send.packets_sent"], good["receive.packets_lost"], good["receive.rtt_ms"]) == ("500", "-1", "")
    assert (failed["outcome"], failed["blame"], failed["status_code"]) == ("CALL_FAILED", "TARGET", "486")
    assert (good["phase"], good["blame"], good["one_way"]) == ("INCALL", "", "false")


@given(st.text(max_size=40))
def test_text_from_the_network_stays_in_its_cell_and_is_no_formula(text: str) -> None:
    (row,) = _rows(endpoints_csv([busy(1, reason=text)]))
    assert not row["reason"].startswith(("=", "+", "-", "@"))
    assert row["name"] == "callers-0001"


@dataclass
class _Batch:
    second: int = 3
    at_unix_ms: int = 1_700_000_000_000
    endpoints: array[int] = field(default_factory=lambda: array("I", [7, 8]))
    columns: dict[str, array[float] | array[int]] = field(
        default_factory=lambda: {
            "receive.mos": array("f", [4.5, nan]),
            "send.packets_sent": array("I", [50, 0xFFFFFFFF]),
        }
    )


def test_samples_have_a_line_for_each_endpoint_and_second() -> None:
    rows = _rows("".join(samples_csv([_Batch(), _Batch(second=4)])))
    assert [(row["second"], row["endpoint"]) for row in rows] == [("3", "7"), ("3", "8"), ("4", "7"), ("4", "8")]
    assert (rows[0]["receive.mos"], rows[0]["send.packets_sent"], rows[0]["send.mos"]) == ("4.5", "50", "")
    assert (rows[1]["receive.mos"], rows[1]["send.packets_sent"]) == ("", "")
