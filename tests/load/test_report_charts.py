"""What the charts of the page are given to draw."""

from __future__ import annotations

import json
from typing import Any

from cmw.load.outcome import CallReport
from cmw.load.report_charts import charts_html
from cmw.load.report_html import report_html
from cmw.load.run_timeline import MOS, RunTimeline
from tests.load.runs import busy, report, reports, summary
from tests.support.synthetic_run import synthetic_reports, synthetic_samples

LIBRARY = "const Plotly = {};"


def timeline_of(endpoints: int, seconds: int) -> RunTimeline:
    timeline = RunTimeline(endpoints)
    for row in synthetic_samples(endpoints, seconds):
        timeline.add(row)
    return timeline


def drawn(page: str) -> list[dict[str, Any]]:
    found, _ = json.JSONDecoder().raw_decode(page.partition("const charts = ")[2])
    return found  # type: ignore[no-any-return]


def titles(page: str) -> list[str]:
    return [part.partition("</figcaption>")[0] for part in page.split("<figcaption>")[1:]]


def test_each_chart_has_its_place_and_its_data() -> None:
    ended = synthetic_reports(20)
    page = charts_html(summary(), ended, timeline_of(20, 30), LIBRARY)
    by_title = dict(zip(titles(page), drawn(page), strict=True))
    assert by_title["Calls held at a time"]["data"][0]["y"][-1] == 20
    wanted, placed = by_title["New calls per second"]["data"]
    assert wanted["y"] == [4.0] * 5
    assert sum(placed["y"]) == 20
    assert [line["name"] for line in by_title["MOS received"]["data"]] == ["p95", "p50", "p5"]
    assert min(by_title["MOS received"]["data"][2]["y"]) < 3 < by_title["MOS received"]["data"][2]["y"][0]
    heat = by_title["MOS received by endpoint and second"]["data"][0]
    assert (len(heat["z"]), len(heat["z"][0])) == (20, 30)
    assert by_title["MOS received"]["layout"]["shapes"][0]["x0"] == 26
    assert "Shaded: seconds in which the generator was the limit" in page


def test_many_endpoints_and_seconds_make_the_page_no_larger() -> None:
    many = RunTimeline(5000)
    for second in range(0, 3000, 10):
        for endpoint in range(0, 5000, 40):
            many.add({"endpoint": endpoint, "second": second, MOS: 4.21})
    page = charts_html(summary(), synthetic_reports(5000), many, LIBRARY)
    assert len(page) < 300_000
    assert any("the worst of 42 neighbours, the worst of 16 seconds" in title for title in titles(page))


def test_a_second_without_neighbours_is_drawn_as_a_point() -> None:
    for seconds, mode in (([1], "lines+markers"), ([1, 2], "lines"), ([1, 2, 5], "lines+markers")):
        timeline = RunTimeline(4)
        for second in seconds:
            timeline.add({"endpoint": 0, "second": second, MOS: 4.2})
        page = charts_html(summary(), reports(), timeline, LIBRARY)
        by_title = dict(zip(titles(page), drawn(page), strict=True))
        assert [line["mode"] for line in by_title["MOS received"]["data"]] == [mode] * 3


def test_what_was_not_measured_is_not_drawn() -> None:
    nobody = [busy(0, call=CallReport())]
    page = charts_html(summary(endpoints=nobody, health={}), nobody, RunTimeline(1), LIBRARY)
    assert titles(page) == ["Time of registration"]
    unregistered = [report.model_copy(update={"registration": type(report.registration)()}) for report in nobody]
    assert charts_html(summary(endpoints=nobody, health={}), unregistered, RunTimeline(1), LIBRARY) == ""


def test_the_library_is_in_the_page_once_and_data_cannot_end_their_script() -> None:
    page = report_html(summary(), reports(), timeline_of(4, 9), library=LIBRARY)
    assert page.count(LIBRARY) == 1
    assert page.count("</script>") == 2
    assert page.index("Thresholds") < page.index("Charts") if "Thresholds" in page else "Charts" in page


def test_without_the_library_the_page_says_what_is_missing() -> None:
    page = report_html(summary(), reports(), timeline_of(4, 9))
    assert "Charts need plotly" in page
    assert "<script" not in page


def test_calls_lead_to_their_evidence() -> None:
    ended = [report(1, "callees"), busy(2, name='a"b')]
    page = report_html(summary(endpoints=ended), ended, evidence={2: "evidence/a&b"})
    assert page.index("Calls with evidence") < page.index("Slowest calls") if "Slowest calls" in page else True
    assert '<a href="evidence/a&amp;b/index.html">a&quot;b</a>' in page
