"""The form of `/metrics`, as Prometheus and its linter want it: names, units, types, whole histograms."""

from __future__ import annotations

import re
from array import array
from collections import Counter

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from cmw.core.words import OutcomeKind, Phase
from cmw.metrics.histogram import ExponentialHistogram
from cmw.worker.exposition import MetricsPage, WorkerCounts
from cmw.worker.exposition_page import AT_REST
from tests.worker.test_exposition import batch, endpoint

SCALED = re.compile(r"_(ms|us|ns|msec|millis|milliseconds|minutes|hours|kb|kib|mb|mib|percent|pct)(_|$)")
KNOWN_LABELS = {"direction", "outcome", "phase", "version", "scheduling", "quantile", "le"}


def page() -> str:
    """Return the page of a worker that has done something of everything."""
    counts, lateness = WorkerCounts(), ExponentialHistogram()
    lateness.record_many([3.0, 120.0, 4000.0, 900_000.0])
    for index, kind in enumerate(OutcomeKind):
        counts.take_report("endpoint", "r1", endpoint(index, kind.value))
    counts.take_report("progress", "r1", {"by_phase": {phase.name: 2 for phase in Phase}})
    counts.take_samples(batch(receive_mos=array("f", [4.4, 3.0]), receive_jitter_ms=array("f", [1.0, 2.0])))
    return MetricsPage(counts, lambda: AT_REST._replace(pacing_us=lateness)).render().decode()


PAGE = page()
FAMILIES = list(text_string_to_metric_families(PAGE))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_each_family_is_named_typed_and_explained(family: Metric) -> None:
    assert re.fullmatch(r"cmw_[a-z][a-z0-9_]*", family.name)
    assert family.type in ("counter", "gauge", "histogram")
    assert family.documentation.strip()
    assert not SCALED.search(family.name), "expected a base unit: seconds, bytes, a ratio"
    for sample in family.samples:
        assert sample.labels.keys() <= KNOWN_LABELS
        counts = sample.name.endswith("_total")
        assert counts is (family.type == "counter"), sample.name
        if family.type in ("counter", "histogram"):
            assert sample.value >= 0


def test_no_series_is_there_twice_and_every_family_once() -> None:
    series = Counter((s.name, tuple(sorted(s.labels.items()))) for family in FAMILIES for s in family.samples)
    assert {name for name, count in series.items() if count > 1} == set()
    types = Counter(line.split()[2] for line in PAGE.splitlines() if line.startswith("# TYPE"))
    assert set(types.values()) == {1}
    assert types.keys() == {line.split()[2] for line in PAGE.splitlines() if line.startswith("# HELP")}


def test_histograms_are_whole() -> None:
    [lateness] = [family for family in FAMILIES if family.type == "histogram"]
    buckets = {s.labels["le"]: s.value for s in lateness.samples if s.name.endswith("_bucket")}
    [count] = [s.value for s in lateness.samples if s.name.endswith("_count")]
    bounds = [float(bound) for bound in buckets]
    assert bounds == sorted(bounds)
    assert list(buckets.values()) == sorted(buckets.values())
    assert buckets["+Inf"] == count == 4
    [total] = [s.value for s in lateness.samples if s.name.endswith("_sum")]
    assert total == pytest.approx(0.904123)


def test_there_is_no_series_for_an_endpoint() -> None:
    assert len(PAGE.splitlines()) < 250
    assert "callers" not in PAGE
