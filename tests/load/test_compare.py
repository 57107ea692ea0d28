"""Two runs side by side: what is a difference, and what is chance."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from cmw.load.compare import DRAWS, SUCCESS, Change, Difference, Endpoints, Resample, adjust, compare, metric_columns

SETUP = "call_setup_time_ms"


def resample(seed: int = 1) -> Resample:
    source = random.Random(seed)
    return lambda values: source.choices(values, k=len(values))


def normal(mean: float, count: int = 200, seed: int = 1) -> list[float]:
    source = random.Random(seed)
    return [source.gauss(mean, 10) for _ in range(count)]


def only(a: Endpoints, b: Endpoints) -> Difference:
    (found,) = compare(a, b, resample())
    return found


@pytest.mark.parametrize(
    ("metric", "before", "after", "change"),
    [
        (SETUP, 100, 110, Change.WORSE),
        (SETUP, 110, 100, Change.BETTER),
        ("receive.mos", 30, 50, Change.BETTER),
        ("receive.mos", 50, 30, Change.WORSE),
        ("call_duration_ms", 100, 110, Change.DIFFERENT),
    ],
)
def test_a_difference_beyond_chance_is_named(metric: str, before: float, after: float, change: Change) -> None:
    found = only({metric: normal(before)}, {metric: normal(after, seed=2)})
    assert found.change is change
    assert found.low is not None
    assert found.high is not None
    assert found.low < (after - before) < found.high
    assert found.difference == pytest.approx(after - before, abs=3)


def test_draws_of_one_population_differ_by_chance() -> None:
    found = [only({SETUP: normal(100, seed=k)}, {SETUP: normal(100, seed=k + 1000)}).change for k in range(40)]
    assert found.count(Change.NOISE) >= 33  # 38 expected


def test_the_interval_is_that_of_the_normal_distribution() -> None:
    found = only({SETUP: normal(100, 400)}, {SETUP: normal(100, 400, seed=5)})
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * 10 * (2 / 400) ** 0.5, rel=0.15)


def test_of_many_figures_that_differ_by_chance_hardly_one_is_named() -> None:
    names = [name for name in metric_columns() if name != SUCCESS][:40]
    named = 0
    for seed in range(0, 400, 100):
        a = {name: normal(100, 60, seed=seed + k) for k, name in enumerate(names)}
        b = {name: normal(100, 60, seed=seed + k + 5000) for k, name in enumerate(names)}
        found = compare(a, b, resample(seed))
        assert len(found) == 40
        named += sum(difference.change is not Change.NOISE for difference in found)
    assert named <= 2  # 8 of 160 would look different by chance alone


def test_a_true_difference_is_named_among_many_that_are_chance() -> None:
    names = [name for name in metric_columns() if name not in (SUCCESS, SETUP)][:40]
    a = {name: normal(100, 60, seed=k) for k, name in enumerate(names)} | {SETUP: normal(100, 60)}
    b = {name: normal(100, 60, seed=k + 5000) for k, name in enumerate(names)} | {SETUP: normal(120, 60, seed=2)}
    found = {difference.metric: difference for difference in compare(a, b, resample())}
    assert found[SETUP].change is Change.WORSE
    assert found[SETUP].p is not None
    assert found[SETUP].p < 0.001


def test_chances_are_adjusted_for_their_number() -> None:
    assert adjust([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert adjust([]) == []
    assert adjust([1.0, 0.0]) == [1.0, 0.0]


def test_too_few_endpoints_say_nothing() -> None:
    found = only({SETUP: [1.0] * 4}, {SETUP: normal(100)})
    assert (found.change, found.low, found.a_count, found.b_count) == (Change.UNKNOWN, None, 4, 200)


def test_what_one_run_does_not_have_is_absent() -> None:
    found = only({SETUP: normal(100)}, {})
    assert (found.b, found.difference, found.change) == (None, None, Change.UNKNOWN)


def test_values_that_never_vary_need_no_draws() -> None:
    def never(values: Sequence[float]) -> Sequence[float]:
        pytest.fail("there is nothing to draw")

    (same, lower) = compare({SUCCESS: [1.0] * 9, SETUP: [5.0] * 9}, {SUCCESS: [1.0] * 9, SETUP: [4.0] * 9}, never)
    assert (same.change, same.low, same.high) == (Change.NOISE, 0, 0)
    assert (lower.change, lower.low, lower.high) == (Change.BETTER, -1, -1)


def test_success_is_better_when_there_is_more_of_it() -> None:
    found = only({SUCCESS: [1.0] * 50 + [0.0] * 50}, {SUCCESS: [1.0] * 95 + [0.0] * 5})
    assert (found.change, found.unit) == (Change.BETTER, "")


def test_each_figure_is_drawn_as_often_as_it_says() -> None:
    drawn: list[int] = []

    def count(values: Sequence[float]) -> Sequence[float]:
        drawn.append(len(values))
        return values

    compare({SETUP: normal(1, 10)}, {SETUP: normal(2, 20)}, count)
    assert (drawn.count(10), drawn.count(20)) == (DRAWS, DRAWS)


def test_every_column_of_the_table_is_compared_once() -> None:
    columns = metric_columns()
    assert len(columns) == len(set(columns))
    assert {SUCCESS, SETUP, "receive.mos", "send.packets_lost"} <= set(columns)
