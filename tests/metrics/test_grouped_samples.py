"""Samples added up by group: the same figures however they come, and as before those of all."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from cmw.metrics.grouped_samples import GroupedSamples
from cmw.metrics.samples import SampleAggregate

GROUP_OF = {endpoint: "odd" if endpoint % 2 else "even" for endpoint in range(20)}
MOS = "receive.mos"

batches = st.lists(st.dictionaries(st.integers(0, 25), st.floats(1, 4.5, width=32), min_size=1, max_size=10))


@given(batches)
def test_each_group_has_its_own_values_and_the_total_all(found: list[dict[int, float]]) -> None:
    grouped, parts, whole = GroupedSamples(GROUP_OF), GroupedSamples(GROUP_OF), SampleAggregate()
    for batch in found:
        grouped.add(list(batch), {MOS: array("f", batch.values())})
        whole.add({MOS: array("f", batch.values())})
        for endpoint, value in batch.items():
            parts.add([endpoint], {MOS: array("f", [value])})
    for group in ("odd", "even", ""):
        its = [value for batch in found for endpoint, value in batch.items() if GROUP_OF.get(endpoint, "") == group]
        histogram = grouped.of(group).histogram(MOS)
        assert (histogram.count, histogram.min, histogram.max) == (
            len(its),
            min(its, default=None),
            max(its, default=None),
        )
        assert histogram.quantile(0.5) == parts.of(group).histogram(MOS).quantile(0.5)
    assert grouped.total.histogram(MOS).count == whole.histogram(MOS).count
    assert grouped.total.histogram(MOS).quantile(0.95) == whole.histogram(MOS).quantile(0.95)


def test_what_is_written_is_read_back_and_what_older_gateways_wrote_too() -> None:
    grouped = GroupedSamples({1: "a", 2: "b"})
    grouped.add([1, 2], {MOS: array("f", [4.0, 3.0])})
    assert GroupedSamples.from_dict(grouped.to_dict()).to_dict() == grouped.to_dict()
    older = GroupedSamples.from_dict(grouped.total.to_dict())
    assert older.total.histogram(MOS).count == 2
    assert older.of("a").histogram(MOS).count == 0
