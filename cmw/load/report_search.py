"""What a search tried, as a table and charts of the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from cmw.core.words import Verdict
from cmw.load.chart import BAD, GOOD, ODD, PLAIN, Chart, chart_layout
from cmw.load.report_parts import Cell, number, table
from cmw.load.search import SearchPart, SearchStep

_COLOURS = {Verdict.PASSED: GOOD, Verdict.FAILED: BAD, Verdict.INVALID: ODD}
_CLASSES = {Verdict.PASSED: "good", Verdict.FAILED: "bad", Verdict.INVALID: "odd"}


def search_section(search: SearchPart) -> str:
    """Return the steps in the order in which they were tried, each with the way to its own report."""
    head = [
        "step|n", f"{search.unit}|n", "verdict", "calls|n", "answered|n", "failed|n", "post dial delay p95, ms|n", "why"
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            (f"{at}", "n", f"{step.report}/report.html"),
            (number(step.load), "n"),
            (step.verdict.value, f"k {_CLASSES[step.verdict]}"),
            (f"{step.calls_attempted}", "n"),
            (f"{step.calls_answered}", "n"),
            (f"{step.calls_failed}", "n"),
            (number(step.post_dial_delay_p95_ms), "n"),
            (step.reason, ""),
        ]
        for at, step in enumerate(search.steps, 1)
    ]
    told = search.told
    note = f"What follows is of the step with {told.load:g} {search.unit}." if told is not None else ""
    return table("What was tried", head, rows) + f'<p class="muted">{escape(note)}</p>\n'


def search_charts(search: SearchPart) -> Iterator[Chart | None]:
    """Yield how calls fared and how long they took, over the load."""
    steps = sorted(search.steps, key=lambda step: step.load)
    answered = [100 * step.calls_answered / step.calls_attempted if step.calls_attempted else None for step in steps]
    yield _by_load("Calls answered by load", search, steps, answered, "%")
    delays = [step.post_dial_delay_p95_ms for step in steps]
    yield _by_load("Post dial delay (p95) by load", search, steps, delays, "ms")


def _by_load(
    title: str, search: SearchPart, steps: Sequence[SearchStep], values: Sequence[float | None], unit: str
) -> Chart | None:
    if not any(value is not None for value in values):
        return None
    data = [
        {
            "x": [step.load for step in steps],
            "y": [None if value is None else round(value, 3) for value in values],
            "text": [step.verdict.value for step in steps],
            "mode": "lines+markers",
            "line": {"color": PLAIN},
            "marker": {"size": 10, "color": [_COLOURS[step.verdict] for step in steps]},
            "hovertemplate": f"%{{x}} {search.unit}: %{{y}} {unit}, %{{text}}<extra></extra>",
        }
    ]
    layout = chart_layout(search.unit, {"title": {"text": unit}, "rangemode": "tozero"})
    if search.knee is not None and search.knee != search.held:
        _mark(layout, "knee", search.knee, ODD, "right")
    if search.breaking_point is not None:
        _mark(layout, "broke", search.breaking_point, BAD, "left")
    return Chart(title, data, layout)


def _mark(layout: dict[str, Any], name: str, load: float, colour: str, anchor: str) -> None:
    layout["shapes"].append(
        {"type": "line", "yref": "paper", "x0": load, "x1": load, "y0": 0, "y1": 1,
         "line": {"color": colour, "dash": "dot", "width": 2}}
    )  # fmt: skip
    layout.setdefault("annotations", []).append(
        {"x": load, "yref": "paper", "y": 0.05, "text": name, "showarrow": False, "xanchor": anchor}
    )
