"""The page of a run in a real browser: the charts are drawn, and nothing is fetched."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cmw.cli.plotting import plotting_library
from cmw.load.report_html import report_html
from cmw.load.run_timeline import RunTimeline
from tests.load.runs import summary
from tests.support.synthetic_run import synthetic_reports, synthetic_samples

OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=5000",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom",
)  # fmt: skip


@pytest.mark.peers("chromium")
def test_a_browser_draws_every_chart(tmp_path: Path) -> None:
    endpoints, seconds = 5000, 12
    ended = synthetic_reports(endpoints)
    timeline = RunTimeline(endpoints)
    for row in synthetic_samples(endpoints, seconds):
        timeline.add(row)
    page = tmp_path / "report.html"
    found = summary(endpoints=ended, planned=(1, endpoints - 1))
    page.write_text(report_html(found, ended, timeline, library=plotting_library()), encoding="utf-8")
    shown = subprocess.run(
        ["chromium", *OPTIONS, f"--user-data-dir={tmp_path / 'browser'}", page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    charts = shown.stdout.count("<figure")
    assert charts >= 8
    assert shown.stdout.count('class="main-svg"') >= 2 * charts  # a chart has two layers or more
    assert "xtick" in shown.stdout
    assert "heatmaplayer" in shown.stdout
    assert "CONSOLE" not in shown.stderr
