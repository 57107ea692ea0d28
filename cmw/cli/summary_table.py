"""The summary of a run as people read it in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cmw.core.words import Verdict
from cmw.load.search import SearchPart
from cmw.load.summary import NO_STATUS, Q, Summary
from cmw.load.verdict_sentence import verdict_sentence
from cmw.metrics.keys import by_key

STYLES = {Verdict.PASSED: "bold green", Verdict.FAILED: "bold red", Verdict.INVALID: "bold yellow"}

SHOWN_TIMING = (
    "registration_time_ms",
    "time_to_trying_ms",
    "post_dial_delay_ms",
    "call_setup_time_ms",
    "call_duration_ms",
)
SHOWN_RECEIVE = ("mos", "jitter_ms", "fraction_lost", "rtt_ms", "max_packet_spacing")
SHOWN_SEND = ("mos", "jitter_ms", "fraction_lost")


def print_summary(summary: Summary, report: Path | None, console: Console) -> None:
    """Print counts, figures, generator health, thresholds, the verdict, and where the report is."""
    console.print()
    console.print(_counts(summary))
    figures = _figures(summary)
    if figures.row_count:
        console.print()
        console.print(figures)
    console.print()
    whole_lines = not console.is_terminal  # who reads a pipe wants lines, not a width
    for line in _lines(summary):
        console.print(line, highlight=False, soft_wrap=whole_lines)
    verdict = summary.run.verdict
    sentence = f"\n[{STYLES[verdict]}]{verdict}[/]  {escape(verdict_sentence(summary))}"
    console.print(sentence, highlight=False, soft_wrap=whole_lines)
    if report is not None:
        console.print(f"report: {escape(str(report))}", highlight=False, soft_wrap=True)


def _counts(summary: Summary) -> Table:
    calls, registrations, media = summary.calls, summary.registrations, summary.media
    table = Table(title=escape(summary.run.name), title_justify="left", box=None, show_header=False, padding=(0, 2))
    table.add_row("calls", f"{calls.attempted} attempted, {calls.answered} answered, {calls.failed} failed")
    codes = ", ".join(f"{'no answer' if code == NO_STATUS else code}: {count}" for code, count in
                      calls.by_status_code.items())  # fmt: skip
    if codes:
        table.add_row("final status", codes)
    if registrations.attempted:
        table.add_row("registrations", f"{registrations.succeeded} of {registrations.attempted} succeeded")
    outcomes = ", ".join(f"{count} {name}" for name, count in summary.endpoints.by_outcome.items() if count)
    table.add_row("endpoints", f"{summary.endpoints.total}: {outcomes}")
    for title, figures, key in (
        ("RTP sent", media.send, "packets_sent"),
        ("RTP received", media.receive, "packets_received"),
    ):
        if figures.get(key) is not None:
            lost = _count(figures.get("packets_lost"))
            by_whom = " by the peers' reports" if figures is media.send else ""
            table.add_row(title, f"{_count(figures[key])} packets, {lost} lost{by_whom}")
    if media.one_way_calls or media.silent_calls:
        table.add_row("media", f"{media.one_way_calls} one-way, {media.silent_calls} silent")
    return table


def _figures(summary: Summary) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in ("p50", "p95", "p99", "worst"):
        table.add_column(name, justify="right", min_width=8, no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for key in SHOWN_TIMING:
        _add_figure(table, "call", key, summary.timing.get(key))
    for key in SHOWN_RECEIVE:
        _add_figure(table, "receive", key, summary.media.receive.get(key))
    for key in SHOWN_SEND:
        _add_figure(table, "send", key, summary.media.send.get(key))
    return table


def _add_figure(table: Table, side: str, key: str, figure: Q | int | None) -> None:
    if not isinstance(figure, Q) or not figure.count:
        return
    metric = by_key[key]
    values = [_number(value) for value in (figure.p50, figure.p95, figure.p99, figure.max)]
    if metric.worse == "low":  # the low end is the bad one: the 5th percentile stands for the 95th; there is no 1st
        values = [_number(figure.p50), f"p5 {_number(figure.p5)}", "-", _number(figure.min)]
    table.add_row(side, key, *values, metric.unit)


def _lines(summary: Summary) -> Iterator[str]:
    if summary.search is not None:
        yield from _search(summary.search)
    for failure in summary.failures[:5]:
        blame = f", blame {failure.blame}" if failure.blame else ""
        why = escape(f"{failure.reason} (such as {failure.example})")
        yield f"[red]{failure.count} x {failure.outcome}[/]{blame}: {why}"
    if len(summary.failures) > 5:
        yield f"and {len(summary.failures) - 5} more kinds of failure, see the report"
    generator = summary.generator
    pacing = generator.pacing_error_us
    if pacing.count:
        yield (
            f"[dim]generator[/]: pacing error p50 {_number(pacing.p50)} us, p99 {_number(pacing.p99)} us; "
            f"{generator.packets_skipped} packets skipped; {generator.cpu_seconds:.1f} CPU s, "
            f"{generator.rss_bytes / 2**20:.0f} MiB; {', '.join(generator.scheduling)}"
        )
    for limit in generator.limits:
        yield f"[yellow]generator limit[/] {escape(limit.resource)}: {escape(limit.reason)}"
    for threshold in summary.thresholds:
        mark = "[green]pass[/]" if threshold.passed else "[red]FAIL[/]"
        note = f" ({escape(threshold.note)})" if threshold.note else ""
        yield f"{mark} {escape(threshold.metric)} {escape(threshold.expression)}: {_number(threshold.value)}{note}"


def _search(search: SearchPart) -> Iterator[str]:
    for step in search.steps:
        delay = (
            f", post dial delay p95 {_number(step.post_dial_delay_p95_ms)} ms" if step.post_dial_delay_p95_ms else ""
        )
        yield (
            f"[{STYLES[step.verdict]}]{step.verdict}[/] {step.load:g} {search.unit}: {step.calls_answered} of "
            f"{step.calls_attempted} calls answered{delay}"
        )
    if search.knee is not None and search.knee != search.held:
        yield f"the post dial delay bends upwards beyond {search.knee:g} {search.unit}"


def _count(value: Q | int | None) -> str:
    return str(value) if isinstance(value, int) else "unknown"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
