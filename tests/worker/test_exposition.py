"""The figures of a worker: what is counted, in which words, and that the page of them says what is so."""

from __future__ import annotations

from array import array
from math import nan
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from cmw.link.samples import ABSENT_COUNT, SampleBatch
from cmw.metrics.histogram import ExponentialHistogram
from cmw.worker.exposition import LATENESS_BOUNDS_S, MetricsPage, WorkerCounts, cumulative
from cmw.worker.exposition_page import AT_REST, worker_metrics_page


def values(counts: WorkerCounts, **vitals: Any) -> dict[str, float]:
    """Return the samples of the page, by name and labels."""
    text = MetricsPage(counts, lambda: AT_REST._replace(**vitals)).render().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def endpoint(index: int, outcome: str = "SUCCESS", **changes: Any) -> dict[str, Any]:
    return {
        "index": index,
        "outcome": outcome,
        "registration": {"attempted": False, "succeeded": False},
        "call": {"attempted": True, "direction": "outbound"},
        "media": {"send": {"packets_sent": 500}, "receive": {"packets_received": 490, "packets_lost": 10}},
        **changes,
    }


def batch(run_id: str = "r1", **columns: Any) -> SampleBatch:
    made = {key.replace("_", ".", 1): value for key, value in columns.items()}
    return SampleBatch(run_id=run_id, second=1, at_unix_ms=0, endpoints=array("I", [1, 2]), columns=made)


def test_a_worker_at_rest_has_every_series_at_zero() -> None:
    found = values(WorkerCounts())
    assert found["cmw_calls_total{direction=outbound,outcome=success}"] == 0
    assert found["cmw_endpoints{phase=incall}"] == 0
    assert found["cmw_rtp_send_lateness_seconds_count{}"] == 0
    assert "cmw_receive_mos{}" not in found  # not known is absent


def test_calls_and_registrations_are_counted_when_they_end() -> None:
    counts = WorkerCounts()
    counts.take_report("endpoint", "r1", endpoint(1))
    counts.take_report("endpoint", "r1", endpoint(2, "CALL_FAILED", call={"attempted": True, "direction": "inbound"}))
    counts.take_report(
        "endpoint",
        "r1",
        endpoint(
            3,
            "REGISTRATION_FAILED",
            registration={"attempted": True, "succeeded": False},
            call={"attempted": False, "direction": "outbound"},
            media={"send": {}, "receive": {}},
        ),
    )
    counts.take_report("run_done", "r1", {})
    found = values(counts)
    assert found["cmw_calls_total{direction=outbound,outcome=success}"] == 1
    assert found["cmw_calls_total{direction=inbound,outcome=call_failed}"] == 1
    assert sum(value for name, value in found.items() if name.startswith("cmw_calls_total")) == 2
    assert found["cmw_registrations_total{outcome=failure}"] == 1
    assert found["cmw_runs_finished_total{}"] == 1


def test_packets_are_counted_while_calls_last_and_never_twice() -> None:
    counts = WorkerCounts()
    counts.take_samples(batch(send_packets_sent=array("I", [50, ABSENT_COUNT])))
    counts.take_samples(batch(send_packets_sent=array("I", [100, 7]), receive_packets_received=array("I", [90, 5])))
    assert counts.packets == {"sent": 107, "received": 95, "lost": 0}
    counts.take_report("endpoint", "r1", endpoint(1))
    assert counts.packets == {"sent": 507, "received": 495, "lost": 10}
    counts.take_report("endpoint", "r1", endpoint(2))
    assert counts.packets == {"sent": 1000, "received": 980, "lost": 20}


def test_phases_are_those_of_the_present_runs() -> None:
    counts = WorkerCounts()
    counts.take_report("progress", "r1", {"by_phase": {"INCALL": 3, "CLOSED": 1}})
    counts.take_report("progress", "r2", {"by_phase": {"INCALL": 4}})
    assert values(counts)["cmw_endpoints{phase=incall}"] == 7
    counts.take_report("run_done", "r2", {})
    assert values(counts)["cmw_endpoints{phase=incall}"] == 3


def test_quality_is_of_the_last_second_and_goes_with_its_run() -> None:
    counts = WorkerCounts()
    counts.take_samples(batch(receive_mos=array("f", [4.0, nan]), receive_jitter_ms=array("f", [2.0, 4.0])))
    counts.take_samples(batch("r2", receive_mos=array("f", [3.0, 2.0])))
    found = values(counts)
    assert found["cmw_receive_mos{}"] == 3.25
    assert found["cmw_receive_mos_min{}"] == 2
    assert found["cmw_receive_jitter_seconds{}"] == 0.003
    counts.take_report("run_done", "r1", {})
    assert values(counts)["cmw_receive_mos{}"] == 2.5


def test_lateness_has_cumulative_buckets_in_seconds() -> None:
    pacing = ExponentialHistogram()
    pacing.record_many([-5.0, 0.0, 30.0, 300.0, 3_000.0, 300_000.0])
    assert cumulative(pacing, [bound * 1e6 for bound in LATENESS_BOUNDS_S]) == [3, 3, 3, 4, 4, 4, 5, 5, 5, 5, 5]
    found = values(WorkerCounts(), pacing_us=pacing)
    assert found["cmw_rtp_send_lateness_seconds_bucket{le=0.0005}"] == 4
    assert found["cmw_rtp_send_lateness_seconds_bucket{le=+Inf}"] == 6
    assert found["cmw_rtp_send_lateness_seconds_sum{}"] == 0.303325


def test_the_number_of_series_does_not_grow_with_the_load() -> None:
    counts = WorkerCounts()
    before = len(values(counts))
    for index in range(500):
        counts.take_report("endpoint", f"r{index}", endpoint(index))
    assert len(values(counts)) == before


def test_the_document_is_made_from_what_is_shown() -> None:
    page = Path(__file__).parents[2] / "docs" / "worker-metrics.md"
    assert page.read_text() == worker_metrics_page(), (
        "run: python -m cmw.worker.exposition_page > docs/worker-metrics.md"
    )
