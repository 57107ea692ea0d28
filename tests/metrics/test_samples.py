"""Samples of a run, added up."""

from __future__ import annotations

import json
from array import array
from math import nan

from cmw.metrics.samples import SampleAggregate


def _batch(*mos: float) -> dict[str, array[float] | array[int]]:
    return {"receive.mos": array("f", mos), "receive.packets_lost": array("I", [7] * len(mos)), "x.y": array("f", mos)}


def test_gauges_are_added_and_counters_and_strangers_passed_over() -> None:
    aggregate = SampleAggregate()
    aggregate.add(_batch(4.0, 4.5, nan))
    assert aggregate.columns() == ["receive.mos"]
    assert (aggregate.histogram("receive.mos").count, aggregate.batches) == (2, 1)
    assert aggregate.histogram("send.mos").count == 0


def test_merging_is_addition() -> None:
    left, right, both = SampleAggregate(), SampleAggregate(), SampleAggregate()
    left.add(_batch(4.0, 3.0))
    right.add(_batch(2.0))
    both.add(_batch(4.0, 3.0))
    both.add(_batch(2.0))
    left.merge(right)
    assert left.to_dict() == both.to_dict()


def test_an_impossible_value_costs_its_column_only() -> None:
    aggregate = SampleAggregate()
    aggregate.add({"receive.mos": array("f", [-1.0]), "receive.rtt_ms": array("f", [3.0])})
    assert (aggregate.rejected_columns, aggregate.columns()) == (1, ["receive.rtt_ms"])


def test_it_survives_json() -> None:
    aggregate = SampleAggregate()
    aggregate.add(_batch(4.0, 3.0))
    assert SampleAggregate.from_dict(json.loads(json.dumps(aggregate.to_dict()))).to_dict() == aggregate.to_dict()


def test_levels_and_rate_errors_may_be_below_zero() -> None:
    aggregate = SampleAggregate()
    aggregate.add({"receive.clock_drift_estimate": array("f", [-20.0, 5.0])})
    assert (aggregate.rejected_columns, aggregate.histogram("receive.clock_drift_estimate").min) == (0, -20.0)
