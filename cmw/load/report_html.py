"""report.html: one file that opens offline and says, from top to bottom, what the run found out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from cmw.core.words import OutcomeKind, Verdict
from cmw.load.outcome import EndpointReport
from cmw.load.report_calls import call_tables
from cmw.load.report_charts import CHART_STYLE, charts_html
from cmw.load.report_parts import number, pair, table, tag
from cmw.load.report_search import search_section
from cmw.load.run_timeline import RunTimeline
from cmw.load.summary import NO_STATUS, Q, Summary
from cmw.load.verdict_sentence import verdict_sentence
from cmw.metrics.keys import METRICS, by_key

UNTRUSTED_ROWS = 100

_STYLE = """
:root { color-scheme: light dark; --good: #1a7f37; --bad: #c4262e; --odd: #9a6700; --line: #8884; --soft: #8881; }
@media (prefers-color-scheme: dark) { :root { --good: #56d364; --bad: #ff7b72; --odd: #e3b341; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.verdict { font-size: 1.6rem; font-weight: 700; padding: .6rem 1rem; border-left: .4rem solid;
  background: var(--soft); }
.verdict p { font-size: 1rem; font-weight: 400; margin: .2rem 0 0; }
.good { color: var(--good); } .bad { color: var(--bad); } .odd { color: var(--odd); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; } td.n, th.n { text-align: right; white-space: nowrap; } td.k { white-space: nowrap; }
td.id { font: 12px/1.9 ui-monospace, monospace; overflow-wrap: anywhere; min-width: 12rem; }
.cards { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0; }
.cards div { background: var(--soft); padding: .5rem 1rem; border-radius: .4rem; min-width: 7rem; }
.cards b { display: block; font-size: 1.3rem; } .muted { opacity: .75; }
.pair { display: flex; flex-wrap: wrap; column-gap: 4rem; } details { margin: 2rem 0; }
summary { cursor: pointer; font-weight: 600; } dt { margin-top: .6rem; font-weight: 600; } dd { margin: 0 0 0 1.5rem; }
"""


def report_html(
    summary: Summary,
    reports: Iterable[EndpointReport],
    timeline: RunTimeline | None = None,
    *,
    library: str | None = None,
    evidence: Mapping[int, str] | None = None,
) -> str:
    """Return the page.

    Args:
        timeline: the samples of the run; without it the page has no charts.
        library: source of the plotting library; without it neither.
        evidence: for the endpoints that have it, by index, the path of its directory from that of the page.
    """
    run, every = summary.run, list(reports)
    parts = [
        f"<h1>{escape(run.name)}</h1>",
        f'<p class="muted">run {escape(run.id)} · {escape(run.status)} · '
        f"{escape(run.started_at or 'not started')} · {number(run.duration_s)} s</p>",
        _verdict(summary),
        _limits(summary),
        "" if summary.search is None else search_section(summary.search),
        _cards(summary),
        _thresholds(summary),
        _charts(summary, every, timeline, library),
        _outcomes(summary),
        _failures(summary),
        _timing(summary),
        _media(summary),
        call_tables(every, evidence or {}),
        _generator(summary),
        _untrusted(summary),
        _glossary(summary),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(run.name)}: {escape(run.verdict)}</title><style>{_STYLE}{CHART_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _charts(summary: Summary, reports: list[EndpointReport], timeline: RunTimeline | None, library: str | None) -> str:
    if timeline is None:
        return ""
    if library is None:
        return "<p class=\"muted\">Charts need plotly: pip install 'cmw[report]', then cmw report.</p>"
    return charts_html(summary, reports, timeline, library)


def _verdict(summary: Summary) -> str:
    colour = {Verdict.PASSED: "good", Verdict.FAILED: "bad", Verdict.INVALID: "odd"}[summary.run.verdict]
    return (
        f'<div class="verdict {colour}">{escape(summary.run.verdict)}<p>{escape(verdict_sentence(summary))}</p></div>'
    )


def _cards(summary: Summary) -> str:
    calls, registrations, media = summary.calls, summary.registrations, summary.media
    cards = [
        ("calls", f"{calls.attempted}", ""),
        ("answered", f"{calls.answered}", ""),
        ("failed", f"{calls.failed}", "bad" if calls.failed else ""),
        ("MOS received, median", _figure(media.receive.get("mos")), ""),
        ("one-way calls", f"{media.one_way_calls}", "bad" if media.one_way_calls else ""),
        ("silent calls", f"{media.silent_calls}", "bad" if media.silent_calls else ""),
    ]
    if registrations.attempted:
        colour = "bad" if registrations.failed else ""
        cards.append(("registered", f"{registrations.succeeded} of {registrations.attempted}", colour))
    shown = "".join(f"<div>{escape(name)}{tag('b', value, colour)}</div>" for name, value, colour in cards)
    return f'<div class="cards">{shown}</div>'


def _thresholds(summary: Summary) -> str:
    rows = [
        [
            (threshold.metric, ""),
            (threshold.expression, ""),
            (number(threshold.value), "n"),
            ("passed" if threshold.passed else "failed", "good" if threshold.passed else "bad"),
            (threshold.note, ""),
        ]
        for threshold in summary.thresholds
    ]
    return table("Thresholds", ["metric", "must hold", "value|n", "result", ""], rows)


def _outcomes(summary: Summary) -> str:
    total = summary.endpoints.total
    rows = []
    for kind, count in summary.endpoints.by_outcome.items():
        if count:
            share = f"{100 * count / total:.1f} %" if total else ""
            colour = {0: "good", 1: "odd"}.get(OutcomeKind(kind).severity, "bad")
            rows.append([(kind, colour), (str(count), "n"), (share, "n")])
    codes = [[("no answer" if code == NO_STATUS else code, ""), (str(count), "n")]
             for code, count in summary.calls.by_status_code.items()]  # fmt: skip
    return pair(
        table("Endpoints by outcome", ["outcome", "endpoints|n", "share|n"], rows),
        table("Calls by final status", ["status", "calls|n"], codes),
    )


def _failures(summary: Summary) -> str:
    rows = [
        [
            (str(failure.count), "n"),
            (failure.outcome, "bad"),
            (failure.blame or "", ""),
            (str(failure.status_code or ""), "n"),
            (failure.reason, ""),
            (failure.example, "k"),
        ]
        for failure in summary.failures
    ]
    return table("Why endpoints failed", ["count|n", "outcome", "blame", "status|n", "reason", "for example"], rows)


def _timing(summary: Summary) -> str:
    return _quantiles("Times of signalling", summary.timing)


def _media(summary: Summary) -> str:
    populations, totals = [], []
    for title, side in (("Media received", summary.media.receive), ("Media sent", summary.media.send)):
        populations.append(_quantiles(title, {key: value for key, value in side.items() if isinstance(value, Q)}))
        rows = [[(key, ""), (str(total), "n"), (by_key[key].unit, "")] for key, total in side.items()
                if isinstance(total, int)]  # fmt: skip
        totals.append(table(f"{title}: totals", ["metric", "total|n", "unit"], rows))
    return "".join(populations) + pair(*totals)


def _limits(summary: Summary) -> str:
    rows = [
        [
            (limit.resource, "bad"),
            (limit.metric, ""),
            (limit.worker, ""),
            (number(limit.value), "n"),
            (number(limit.bound), "n"),
            (number(limit.first_second), "n"),
            (limit.reason, ""),
        ]
        for limit in summary.generator.limits
    ]
    head = ["resource", "figure", "worker", "value|n", "bound|n", "first second|n", "why it matters"]
    return table("Generator: broken bounds", head, rows)


def _untrusted(summary: Summary) -> str:
    part = summary.generator
    rows = [
        [
            (str(one.second), "n"),
            (one.worker, ""),
            (one.resource, "odd"),
            (one.metric, ""),
            (number(one.value), "n"),
            (number(one.bound), "n"),
        ]
        for one in part.untrusted[:UNTRUSTED_ROWS]
    ]
    more = len(part.untrusted) - len(rows)
    title = f"Untrusted seconds: {part.untrusted_seconds} of {part.seconds}" + (f", {more} more rows" if more else "")
    return table(title, ["second|n", "worker", "resource", "figure", "value|n", "bound|n"], rows)


def _generator(summary: Summary) -> str:
    part = summary.generator
    facts = [
        ("healthy", "yes" if part.valid else "no"),
        ("pacing error p50 / p99 / max, µs", _three(part.pacing_error_us)),
        ("loop lag p50 / p99 / max, ms", _three(part.loop_lag_ms)),
        ("packets skipped", str(part.packets_skipped)),
        ("send errors", str(part.send_errors)),
        ("dropped by the kernel", number(part.kernel_drops)),
        ("SIP dropped by the kernel", number(part.sip_kernel_drops)),
        ("SIP never sent", str(part.sip_unsent)),
        ("sample batches lost", str(part.samples_dropped)),
        *((f"calls without {resource}", str(count)) for resource, count in part.shortages.items()),
        ("untrusted seconds", f"{part.untrusted_seconds} of {part.seconds}"),
        ("CPU seconds", number(part.cpu_seconds)),
        ("memory, MiB", number(part.rss_bytes / 2**20)),
        ("CPU steal ratio", number(part.cpu_steal_ratio)),
        ("scheduling", ", ".join(part.scheduling) or "not known"),
    ]
    workers = [[(one.name, "k"), (one.id, "id"), (str(one.endpoints), "n")] for one in summary.workers]
    return pair(
        table("Generator", ["figure", "value"], [[(k, ""), (v, "")] for k, v in facts]),
        table("Workers", ["name", "id", "endpoints|n"], workers),
    )


def _glossary(summary: Summary) -> str:
    """Return what each figure on the page means, folded away."""
    sides = (summary.timing, summary.media.receive, summary.media.send)
    shown = {
        key
        for side in sides
        for key, value in side.items()
        if (value.count if isinstance(value, Q) else value is not None)
    }
    items = "\n".join(
        f"<dt>{escape(metric.key)}, {escape(metric.unit)}</dt><dd>{escape(metric.definition)}</dd>"
        for metric in METRICS
        if metric.key in shown
    )
    intro = (
        "Gauges describe all pairs of endpoint and second, times of signalling all calls, totals the whole run. "
        "Received is what we heard, sent what the peer heard of us by its own RTCP reports. "
        "Pacing error is how late our packets left, loop lag how late our signalling was."
    )
    return f"<details><summary>What the figures mean</summary><p>{intro}</p>\n<dl>{items}</dl></details>"


def _quantiles(title: str, populations: dict[str, Q]) -> str:
    rows = [
        [
            (key, ""),
            (by_key[key].unit, ""),
            (str(q.count), "n"),
            *((number(value), "n") for value in (q.mean, q.min, q.p5, q.p50, q.p95, q.p99, q.max)),
        ]
        for key, q in populations.items()
        if q.count
    ]
    head = ["metric", "unit", "count|n", "mean|n", "min|n", "p5|n", "p50|n", "p95|n", "p99|n", "max|n"]
    return table(title, head, rows)


def _figure(value: Q | int | None) -> str:
    return number(value.p50 if isinstance(value, Q) else value)


def _three(q: Q) -> str:
    return " / ".join(number(value) for value in (q.p50, q.p99, q.max)) if q.count else "not measured"
