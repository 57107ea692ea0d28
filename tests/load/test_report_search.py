"""What the report says and draws of a search."""

from __future__ import annotations

import re

from cmw.load.chart import BAD, GOOD, ODD
from cmw.load.report_charts import charts_html
from cmw.load.report_html import report_html
from cmw.load.report_search import search_charts
from cmw.load.run_timeline import RunTimeline
from tests.load.runs import reports, summary
from tests.load.searches import search_summary


def test_each_step_is_shown_with_the_way_to_its_own_report() -> None:
    page = report_html(search_summary(5), reports())
    section = page.partition("What was tried")[2].partition("</section>")[0]
    assert re.findall(r'<a href="(step-\d\d/report.html)">(\d)</a></td><td class="n">(\d)</td>', section) == [
        (f"step-0{at}/report.html", f"{at}", load) for at, load in enumerate("24865", 1)
    ]
    assert "What follows is of the step with 5 calls at a time." in page
    assert re.findall(r'"k (\w+)">(\w+)</td>', section) == [
        ("good", "PASSED"), ("good", "PASSED"), ("bad", "FAILED"), ("bad", "FAILED"), ("good", "PASSED"),
    ]  # fmt: skip


def test_the_charts_go_by_load_and_mark_where_it_broke() -> None:
    part = search_summary(5).search
    assert part is not None
    answered, _ = search_charts(part)
    assert answered is not None
    [points] = answered.data
    assert points["x"] == [2, 4, 5, 6, 8]
    assert points["marker"]["color"] == [GOOD, GOOD, GOOD, BAD, BAD]
    assert {note["text"]: note["x"] for note in answered.layout["annotations"]} == {"broke": 6}
    assert [shape["x0"] for shape in answered.layout["shapes"]] == [6]
    bent, _ = search_charts(part.model_copy(update={"knee": 4.0}))
    assert bent is not None
    assert {note["text"]: note["x"] for note in bent.layout["annotations"]} == {"knee": 4, "broke": 6}


def test_a_search_whose_generator_was_the_limit_has_that_step_in_another_colour() -> None:
    part = search_summary(9, invalid_at=8).search
    assert part is not None
    answered, _ = search_charts(part)
    assert answered is not None
    assert answered.data[0]["marker"]["color"] == [GOOD, GOOD, ODD]


def test_delays_that_nobody_knows_are_not_drawn() -> None:
    part = search_summary(5).search
    assert part is not None
    unknown = [step.model_copy(update={"post_dial_delay_p95_ms": None}) for step in part.steps]
    assert list(search_charts(part.model_copy(update={"steps": unknown})))[1] is None


def test_charts_of_a_search_are_on_its_page_and_on_no_other() -> None:
    def page(of: object) -> str:
        return charts_html(of, reports(), RunTimeline(2), "const Plotly = {};")  # type: ignore[arg-type]

    assert "Calls answered by load" in page(search_summary(5))
    assert "by load" not in page(summary())
