"""The charts of report.html: what plotly is asked to draw, as JSON, and the script that has it drawn."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from cmw.load.chart import BAD, GOOD, ODD, PLAIN, SOFT, Chart, chart_layout
from cmw.load.outcome import EndpointReport
from cmw.load.report_parts import number
from cmw.load.report_search import search_charts
from cmw.load.run_timeline import JITTER, LOSS, MOS, RunTimeline
from cmw.load.summary import Summary
from cmw.metrics.histogram import ExponentialHistogram

BARS = 30
"""Most bars of a distribution."""

MAX_POINTS = 240
"""Points of the rates over time; beyond it a point is the mean of several seconds."""

CHART_STYLE = """
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 500px), 1fr)); gap: 1rem; }
.charts figure { margin: 0; break-inside: avoid; } .charts figcaption { font-weight: 600; }
.plot { height: 260px; } .wide { grid-column: 1 / -1; } .wide .plot { height: 420px; }
@media print { body { max-width: none; margin: 0; } .charts { grid-template-columns: 1fr 1fr; }
  section { break-inside: avoid-page; } }
"""

_SCRIPT = """
const dark = matchMedia('(prefers-color-scheme: dark)');
function draw(is_dark) {
  const line = is_dark ? '#3d444d' : '#d8dee4', text = is_dark ? '#e6edf3' : '#1f2328';
  charts.forEach((chart, n) => {
    const layout = structuredClone(chart.layout);
    Object.assign(layout, {paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', font: {color: text}});
    for (const axis of ['xaxis', 'yaxis']) Object.assign(layout[axis], {gridcolor: line, zerolinecolor: line});
    Plotly.react('chart' + n, chart.data, layout, {responsive: true, displayModeBar: false});
  });
}
draw(dark.matches);
dark.addEventListener('change', () => draw(dark.matches));
addEventListener('beforeprint', () => draw(false));
addEventListener('afterprint', () => draw(dark.matches));
"""


def charts_html(summary: Summary, reports: Sequence[EndpointReport], timeline: RunTimeline, library: str) -> str:
    """Return the section of charts; nothing without anything to draw.

    Args:
        timeline: the samples of the run.
        library: source of the plotting library, which becomes a part of the page.
    """
    charts = [chart for chart in _charts(summary, reports, timeline) if chart is not None]
    if not charts:
        return ""
    figures = "\n".join(
        f"<figure{' class=wide' if chart.is_wide else ''}><figcaption>{escape(chart.title)}</figcaption>"
        f'<div class="plot" id="chart{at}"></div></figure>'
        for at, chart in enumerate(charts)
    )
    drawn = json.dumps([{"data": c.data, "layout": c.layout} for c in charts], separators=(",", ":"))
    note = (
        '<p class="muted">Shaded: seconds in which the generator was the limit; they say nothing of the target.</p>'
        if timeline.untrusted()
        else ""
    )
    return (
        f'<section><h2>Charts</h2>{note}<div class="charts">\n{figures}\n</div>\n<script>{library}</script>\n'
        f"<script>const charts = {drawn.replace('<', chr(92) + 'u003c')};{_SCRIPT}</script></section>\n"
    )


def _charts(summary: Summary, reports: Sequence[EndpointReport], timeline: RunTimeline) -> Iterable[Chart | None]:
    if summary.search is not None:
        yield from search_charts(summary.search)
    shade = timeline.untrusted()
    x = timeline.starts()
    yield _over_time("Calls held at a time", x, {"calls": (timeline.calls(), PLAIN)}, shade)
    yield _rates(reports, shade)
    mos = {
        f"p{percent}": (timeline.percentile(MOS, percent / 100), colour)
        for percent, colour in ((95, GOOD), (50, PLAIN), (5, BAD))
    }
    yield _over_time("MOS received", x, mos, shade, unit="MOS", span=[1, 4.6])
    loss = {"mean": (timeline.mean(LOSS), PLAIN), "p95": (timeline.percentile(LOSS, 0.95), BAD)}
    yield _over_time("Packets lost on the way to us", x, loss, shade, unit="%")
    jitter = {"p50": (timeline.percentile(JITTER, 0.5), PLAIN), "p95": (timeline.percentile(JITTER, 0.95), BAD)}
    yield _over_time("Jitter received", x, jitter, shade, unit="ms")
    yield _pacing(summary)
    yield _distribution("MOS received, all endpoints and seconds", timeline.whole(MOS), "MOS")
    yield _distribution("Jitter received, all endpoints and seconds", timeline.whole(JITTER), "ms")
    yield _times("Time from INVITE to answer", reports, "call_setup_time_ms")
    yield _times("Time of registration", reports, None)
    yield _heat_map(timeline, shade)


def _over_time(
    title: str,
    x: Sequence[float],
    lines: Mapping[str, tuple[Sequence[float | None], str]],
    shade: list[tuple[int, int]],
    *,
    unit: str = "",
    span: list[float] | None = None,
) -> Chart | None:
    data = [
        {"x": x, "y": y, "name": name, "mode": "lines+markers" if _has_lone(y) else "lines", "line": {"color": colour}}
        for name, (y, colour) in lines.items()
        if any(value is not None for value in y)
    ]
    if not data:
        return None
    axis: dict[str, Any] = {"title": {"text": unit}, "rangemode": "tozero"}
    if span is not None:
        axis["range"] = span
    return Chart(title, data, chart_layout("seconds of the run", axis, shade))


def _has_lone(values: Sequence[float | None]) -> bool:
    """Tell whether a value has no neighbour on either side: no line leads to it, and none would be seen of it."""
    around = [None, *values, None]
    return any(
        value is not None and before is None and after is None
        for before, value, after in zip(around, around[1:], around[2:], strict=False)
    )


def _rates(reports: Sequence[EndpointReport], shade: list[tuple[int, int]]) -> Chart | None:
    """Return calls begun per second, as the plan wanted them and as they were placed."""
    wanted = Counter(int(r.call.due_ms // 1000) for r in reports if r.call.due_ms is not None)
    ours = [report for report in reports if report.call.direction == "outbound"] or reports
    placed = Counter(int(r.call.placed_ms // 1000) for r in ours if r.call.placed_ms is not None)
    if not wanted and not placed:
        return None
    last = max((*wanted, *placed))
    width = -(-(last + 1) // MAX_POINTS)
    x = list(range(0, last + 1, width))

    def rate(counts: Counter[int]) -> list[float | None]:
        return [round(sum(counts[second] for second in range(at, at + width)) / width, 3) for at in x]

    lines = {"wanted": (rate(wanted), SOFT), "placed": (rate(placed), PLAIN)}
    chart = _over_time("New calls per second", x, lines, shade, unit="calls/s")
    if chart is not None:
        chart.data[0]["line"]["width"] = 6  # it shows behind the other
    return chart


def _pacing(summary: Summary) -> Chart | None:
    """Return how late our own packets left, for its few figures."""
    q = summary.generator.pacing_error_us
    if not q.count:
        return None
    shown = {"p5": q.p5, "p50": q.p50, "p95": q.p95, "p99": q.p99, "max": q.max}
    bars = {
        "type": "bar",
        "x": list(shown),
        "y": list(shown.values()),
        "text": [number(value) for value in shown.values()],
        "marker": {"color": [PLAIN] * 4 + [ODD]},
    }
    layout = chart_layout("", {"title": {"text": "µs"}, "rangemode": "tozero"})
    return Chart("Generator: how late packets left", [bars], layout)


def _distribution(title: str, histogram: ExponentialHistogram, unit: str) -> Chart | None:
    """Return a bar for each of up to BARS equal parts of the values."""
    if not histogram.count:
        return None
    low, high = histogram.min or 0.0, histogram.max or 0.0
    width = (high - low) / BARS or 1.0
    bars: Counter[int] = Counter()
    for value, count in histogram.ascending():
        bars[min(int((min(max(value, low), high) - low) / width), BARS - 1)] += count
    total = histogram.count
    data = [
        {
            "type": "bar",
            "x": [round(low + (bar + 0.5) * width, 4) for bar in sorted(bars)],
            "y": [round(100 * bars[bar] / total, 3) for bar in sorted(bars)],
            "width": width,
            "marker": {"color": PLAIN},
        }
    ]
    return Chart(title, data, chart_layout(unit, {"title": {"text": "%"}}))


def _times(title: str, reports: Sequence[EndpointReport], key: str | None) -> Chart | None:
    """Return the distribution of a time of calls, or without a key of registrations."""
    histogram = ExponentialHistogram(6)
    values = [report.registration.time_ms if key is None else report.call.timing.get(key) for report in reports]
    histogram.record_many([value for value in values if value is not None])
    return _distribution(title, histogram, "ms")


def _heat_map(timeline: RunTimeline, shade: list[tuple[int, int]]) -> Chart | None:
    z = timeline.worst_mos()
    if not any(value is not None for row in z for value in row):
        return None
    per_band = timeline.endpoints_per_band
    data = [
        {
            "type": "heatmap",
            "x": [start + timeline.seconds_per_span / 2 for start in timeline.starts()],
            "y": [band * per_band + (per_band - 1) / 2 for band in range(timeline.bands)],
            "z": z,
            "zmin": 1,
            "zmax": 4.5,
            "colorscale": [[0, BAD], [0.43, "#e16f24"], [0.71, "#eac54f"], [0.86, "#7fc96b"], [1, GOOD]],
            "colorbar": {"title": {"text": "MOS"}},
            "hovertemplate": "second %{x}, endpoint %{y}: MOS %{z}<extra></extra>",
        }
    ]
    shared = f", the worst of {per_band} neighbours" if per_band > 1 else ""
    wide = f", the worst of {timeline.seconds_per_span} seconds" if timeline.seconds_per_span > 1 else ""
    layout = chart_layout("seconds of the run", {"title": {"text": "endpoint"}}, shade)
    return Chart(f"MOS received by endpoint and second{shared}{wide}", data, layout, is_wide=True)
