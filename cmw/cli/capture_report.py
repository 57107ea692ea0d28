"""The page of `cmw analyze --report`: a table of all streams, and what became of each over time. One file, offline."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from html import escape
from itertools import pairwise
from typing import Any

from cmw.cli.capture_analysis import Analysis
from cmw.cli.tables import show
from cmw.core.clock import SECOND
from cmw.rtp.timeline import TimelinePoint

MAX_PLOTS = 50
"""Streams with plots; those with most packets are chosen. All are in the table."""

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin: 2rem 0 0; } .plot { height: 560px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #8884; text-align: right; white-space: nowrap; }
"""
_LAYOUT = {
    "grid": {"rows": 3, "columns": 1, "pattern": "independent"},
    "margin": {"t": 20, "b": 40},
    "yaxis": {"title": {"text": "lost, %"}, "rangemode": "tozero"},
    "yaxis2": {"title": {"text": "jitter, ms"}, "rangemode": "tozero"},
    "yaxis3": {"title": {"text": "spacing, ms"}, "rangemode": "tozero"},
    "xaxis3": {"title": {"text": "seconds of the stream"}},
    "showlegend": False,
}


def capture_report(
    found: Analysis, name: str, columns: Mapping[str, Callable[[dict[str, Any]], Any]], library: str
) -> str:
    """Return the page.

    Args:
        found: an analysis that kept its timelines.
        name: of the capture.
        columns: of the table, by head.
        library: what `plotting_library` returned.
    """
    document = found.document()
    heads = "".join(f"<th>{escape(head)}</th>" for head in columns)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{escape(show(cell(stream)))}</td>" for cell in columns.values()) + "</tr>"
        for stream in document["streams"]
    )
    chosen = sorted(found.streams, key=lambda stream: -stream.snapshot().packets_received)[:MAX_PLOTS]
    titles = [f"{stream.source} to {stream.destination}, SSRC 0x{stream.ssrc:08x}" for stream in chosen]
    plots = "\n".join(
        f'<h2>{escape(title)}</h2><div class="plot" id="plot{number}"></div>' for number, title in enumerate(titles)
    )
    traces = [_traces(stream.timeline.points if stream.timeline is not None else []) for stream in chosen]
    left_out = len(found.streams) - len(chosen)
    more = f"<p>Plots of the {MAX_PLOTS} streams with most packets, of {left_out + MAX_PLOTS}.</p>" if left_out else ""
    problems = "".join(f"<p>{escape(problem)}</p>" for problem in document["problems"])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(name)}: RTP streams</title><style>{_STYLE}</style>\n<script>{library}</script></head>\n"
        f"<body><h1>{escape(name)}: {len(document['streams'])} RTP streams</h1>{problems}\n"
        f"<table><tr>{heads}</tr>\n{rows}\n</table>\n{more}{plots}\n"
        f"<script>const layout = {_script(_LAYOUT)}; const traces = {_script(traces)};\n"
        "traces.forEach((data, n) => Plotly.newPlot('plot' + n, data, layout, {responsive: true}));</script>\n"
        "</body></html>\n"
    )


def _traces(points: list[TimelinePoint]) -> list[dict[str, Any]]:
    """Return loss between neighbouring points, jitter and spacing."""
    if not points:
        return []
    began = points[0].at_ns
    seconds = [round((point.at_ns - began) / SECOND, 3) for point in points]
    losses = [None, *(_percent_lost(one, other) for one, other in pairwise(points))]
    spacings = {"shortest": "spacing_min_ms", "mean": "spacing_mean_ms", "longest": "spacing_max_ms"}
    return [
        {"x": seconds, "y": losses, "type": "bar", "name": "lost"},
        _line(seconds, [point.jitter_ms for point in points], 2, "jitter"),
        *(_line(seconds, [getattr(point, key) for point in points], 3, name) for name, key in spacings.items()),
    ]


def _line(seconds: list[float], values: list[float | None], axis: int, name: str) -> dict[str, Any]:
    shown = [None if value is None else round(value, 3) for value in values]
    return {"x": seconds, "y": shown, "name": name, "mode": "lines", "xaxis": f"x{axis}", "yaxis": f"y{axis}"}


def _percent_lost(before: TimelinePoint, after: TimelinePoint) -> float | None:
    expected = after.packets_expected - before.packets_expected
    if expected <= 0:
        return None
    return round(100 * max(0, expected - (after.packets_received - before.packets_received)) / expected, 3)


def _script(value: Any) -> str:
    """Return JSON that cannot end the script it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
