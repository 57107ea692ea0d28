"""The page: verdict on top, everything escaped, nothing loaded from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from cmw.core.words import OutcomeKind, RunStatus
from cmw.load.outcome import CallReport, EndpointReport, RegistrationReport
from cmw.load.report_html import report_html, verdict_sentence
from cmw.load.summary import RunInfo
from tests.load.runs import busy, report, reports, summary, totals

EVIL = "<script>alert('x')</script>&\"'"


def unregistered(index: int) -> EndpointReport:
    return busy(index, call=CallReport(), registration=RegistrationReport(attempted=True, status=401))


def warned(index: int) -> EndpointReport:
    return report(index, "callers", outcome=OutcomeKind.COMPLETED_WITH_WARNINGS)


class _Balanced(HTMLParser):
    """Checks that tags close in order, and gathers names and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    parsed = _Balanced(report_html(summary(thresholds={"call_success": "rate > 0.5"}), reports()))
    assert parsed.open == []
    assert not parsed.seen & {"script", "link", "img", "iframe"}
    assert not parsed.attributes & {"src", "href", "onload", "onclick"}


def test_text_from_the_network_is_escaped() -> None:
    endpoints = [busy(1, reason=EVIL), report(2, "callers", name=EVIL, worker=EVIL)]
    page = report_html(summary(endpoints=endpoints, info=RunInfo(id=EVIL, status=RunStatus.COMPLETED)), endpoints)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert _Balanced(page).open == []


def test_the_verdict_is_on_top_and_worst_calls_are_worst_first() -> None:
    page = report_html(summary(), reports())
    assert page.index("PASSED") < page.index("Endpoints by outcome")
    worst = page[page.index("Worst calls") :]
    assert worst.index("callees-0000") < worst.index("callers-0003")


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (summary(), "2 of 2 calls ended well."),
        (summary(thresholds={"mos": "avg > 1"}), "1 of 1 thresholds failed."),
        (summary(thresholds={"call_success": "rate > 0"}), "2 of 2 calls ended well. Every threshold held."),
        (summary(endpoints=[warned(3)]), "1 of 1 calls ended well, but 1 of 4 endpoints with warnings."),
        (summary(endpoints=[busy(3)]), "1 of 4 endpoints failed, and the plan has no threshold that allows it."),
        (summary(endpoints=[]), "No call was attempted."),
        (summary(endpoints=[unregistered(0), unregistered(1)]), "No call was attempted: 2 of 2 registrations failed."),
        (summary(health={"w1": totals(cpu_steal_ratio=0.5)}), "The generator was the limit (host CPU)"),
        (summary(info=RunInfo(id="r", status=RunStatus.FAILED)), "The run ended as FAILED."),
    ],
)
def test_one_sentence_says_why(result, sentence: str) -> None:  # type: ignore[no-untyped-def]
    assert verdict_sentence(result).startswith(sentence)


def test_broken_bounds_come_right_after_the_verdict_and_figures_are_explained() -> None:
    page = report_html(summary(health={"w1": totals(cpu_steal_ratio=0.5)}), reports())
    assert page.index("INVALID") < page.index("broken bounds") < page.index("Endpoints by outcome")
    glossary = page[page.index("What the figures mean") :]
    assert "<dt>call_setup_time_ms, ms</dt>" in glossary
    assert "clock_drift_estimate" not in glossary
