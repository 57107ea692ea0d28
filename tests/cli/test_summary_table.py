"""The summary as people read it: every figure in its column, whatever text a peer put into a reason."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cmw.cli.summary_table import print_summary
from cmw.core.words import Blame, OutcomeKind, RunStatus, Verdict
from cmw.load.summary import (
    CallsPart,
    EndpointsPart,
    FailurePart,
    GeneratorPart,
    MediaPart,
    Q,
    RegistrationsPart,
    RunPart,
    Summary,
    ThresholdPart,
)
from cmw.load.verdict import Limit


def q(*values: float) -> Q:
    """Return the population with this mean, min, p5, p50, p95, p99 and max."""
    names = ("mean", "min", "p5", "p50", "p95", "p99", "max")
    return Q(count=100, **dict(zip(names, values, strict=True)))


def make(**changes: Any) -> Summary:
    outcomes = {kind.value: 0 for kind in OutcomeKind} | {"SUCCESS": 9, "CALL_FAILED": 1}
    parts: dict[str, Any] = {
        "run": RunPart(
            id="r1",
            name="my run",
            status=RunStatus.COMPLETED,
            verdict=Verdict.PASSED,
            started_at=None,
            duration_s=1,
        ),
        "endpoints": EndpointsPart(total=10, by_outcome=outcomes, by_phase={}),
        "registrations": RegistrationsPart(attempted=0, succeeded=0, failed=0),
        "calls": CallsPart(attempted=10, answered=9, failed=1, by_status_code={"200": 9, "486": 1}),
        "timing": {"call_setup_time_ms": q(11, 1, 2, 3, 4, 5, 6)},
        "media": MediaPart(
            send={"packets_sent": 4500},
            receive={"packets_received": 4400, "packets_lost": 100, "mos": q(4.1, 1.5, 2.5, 4.3, 4.4, 4.4, 4.4)},
            one_way_calls=0,
            silent_calls=0,
        ),
        "generator": GeneratorPart(
            valid=True,
            limits=[],
            pacing_error_us=q(31, 1, 2, 30, 60, 90, 95),
            packets_skipped=0,
            send_errors=0,
            kernel_drops=0,
            samples_dropped=0,
            loop_lag_ms=Q(),
            cpu_seconds=1.25,
            rss_bytes=100 << 20,
            cpu_steal_ratio=None,
            scheduling=["SCHED_FIFO"],
        ),
        "thresholds": [],
        "workers": [],
    }
    return Summary(**(parts | changes))


def printed(summary: Summary, report: Path | None = None) -> str:
    out = io.StringIO()
    print_summary(summary, report, Console(file=out, width=80, no_color=True))
    return out.getvalue()


def row(text: str, *words: str) -> list[str]:
    """Return the cells of the one line that begins with `words`."""
    (line,) = [line.split() for line in text.splitlines() if line.split()[: len(words)] == list(words)]
    return line[len(words) :]


def test_counts() -> None:
    text = printed(make(), Path("here/report"))
    assert row(text, "calls") == "10 attempted, 9 answered, 1 failed".split()
    assert row(text, "final", "status") == "200: 9, 486: 1".split()
    assert row(text, "endpoints") == "10: 9 SUCCESS, 1 CALL_FAILED".split()
    assert row(text, "RTP", "sent")[:2] == "4500 packets,".split()
    assert row(text, "RTP", "received") == "4400 packets, 100 lost".split()
    assert "registrations" not in text  # there were none
    assert "one-way" not in text
    assert "report: here/report" in text
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith("generator"))


def test_each_figure_is_in_its_column() -> None:
    text = printed(make())
    assert row(text, "p50") == ["p95", "p99", "worst", "unit"]
    assert row(text, "call", "call_setup_time_ms") == ["3", "4", "5", "6", "ms"]


def test_the_bad_end_of_a_mos_is_the_low_one_and_a_percentile_that_nobody_knows_is_not_made_up() -> None:
    cells = row(printed(make()), "receive", "mos")
    assert cells[0] == "4.3"
    assert cells[1:3] == ["p5", "2.5"]
    assert cells[3] == "-"
    assert cells[4] == "1.5"


@pytest.mark.parametrize(("verdict", "word"), [(v, v.value) for v in Verdict])
def test_the_verdict_is_said(verdict: Verdict, word: str) -> None:
    summary = make()
    run = summary.run.model_copy(update={"verdict": verdict})
    assert f"\n{word}  " in printed(summary.model_copy(update={"run": run}))


def test_failures_with_blame_and_an_example() -> None:
    failure = FailurePart(
        outcome=OutcomeKind.CALL_FAILED,
        blame=Blame.TARGET,
        status_code=486,
        reason="the call was answered 486 [red]Busy[/]",
        count=1,
        example="callers-0003",
    )
    text = printed(make(failures=[failure] * 7))
    told = "1 x CALL_FAILED, blame TARGET: the call was answered 486 [red]Busy[/]"
    assert text.replace("\n", " ").count(told) == 5  # brackets of a peer are text
    assert "and 2 more kinds of failure" in text


def test_thresholds_limits_and_silence() -> None:
    thresholds = [
        ThresholdPart(metric="mos", expression="p(5) >= 4.0", value=2.5, passed=False),
        ThresholdPart(metric="rtt_ms", expression="p(95) < 100", value=None, passed=False, note="nothing was measured"),
        ThresholdPart(metric="call_success", expression="rate >= 0.9", value=0.9, passed=True),
    ]
    limit = Limit(resource="media thread", metric="x", worker="w1", value=1, bound=0, reason="too late")
    summary = make(thresholds=thresholds)
    generator = summary.generator.model_copy(update={"limits": [limit]})
    media = summary.media.model_copy(update={"one_way_calls": 2, "silent_calls": 1})
    text = printed(summary.model_copy(update={"generator": generator, "media": media}))
    assert "FAIL mos p(5) >= 4.0: 2.5" in text
    assert "FAIL rtt_ms p(95) < 100: - (nothing was measured)" in text
    assert "pass call_success rate >= 0.9: 0.9" in text
    assert "generator limit media thread: too late" in text
    assert "2 one-way, 1 silent" in text


def test_a_run_without_any_figure() -> None:
    empty = MediaPart(send={}, receive={}, one_way_calls=0, silent_calls=0)
    text = printed(make(timing={"call_setup_time_ms": Q()}, media=empty))
    assert "call_setup_time_ms" not in text
    assert "RTP" not in text
