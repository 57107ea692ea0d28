"""One plan, one seed, and one, two or four workers: what is done is the same, and so is what the figures mean."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from cmw.metrics.histogram import RELATIVE_ERROR
from tests.faults.lab import Lab

CALLS = 16
PLAN: dict[str, Any] = {
    "version": 1,
    "name": "shared out",
    "seed": 11,
    "duration": "2s",
    "groups": {
        "callees": {"endpoints": CALLS},
        "callers": {"endpoints": CALLS, "call": {"group": "callees"}, "load": {"arrivals": "poisson", "rate": "20/s"}},
    },
}
QUANTILES = {"p5": 0.05, "p50": 0.5, "p95": 0.95, "p99": 0.99}


def check(figure: dict[str, float | None], values: Iterable[float | None]) -> None:
    """Fail unless a figure is what the values themselves say, within what a histogram may be off."""
    known = sorted(value for value in values if value is not None)
    assert figure["count"] == len(known) > 0
    for name, share in QUANTILES.items():
        assert figure[name] == pytest.approx(known[math.ceil(share * len(known)) - 1], rel=1.01 * RELATIVE_ERROR)
    assert (figure["min"], figure["max"]) == pytest.approx((known[0], known[-1]), rel=1e-5)
    assert figure["mean"] == pytest.approx(sum(known) / len(known), rel=1e-4)


@pytest.mark.loopback
def test_the_schedule_is_the_same_and_merged_figures_are_those_of_all_endpoints(tmp_path: Path) -> None:
    schedules, targets = [], []
    with Lab(tmp_path, 15) as lab:
        names = [f"w{number}" for number in range(1, 5)]
        for host, name in enumerate(names, 1):
            _, token = lab.create_worker(name)
            lab.start_worker(token, host).event("link open")
        for count in (1, 2, 4):
            body = {"plan": PLAN, "placement": {"workers": names[:count]}}
            run = lab.until_over(lab.call("POST", "/runs", body)["id"])
            assert len(run["workers"]) == count
            summary = lab.call("GET", f"/runs/{run['id']}/summary")
            ended = lab.call("GET", f"/runs/{run['id']}/endpoints?perPage=100")
            assert [report["outcome"] for report in ended] == 2 * CALLS * ["SUCCESS"]
            callers = [report for report in ended if report["group"] == "callers"]
            schedules.append([report["call"]["due_ms"] for report in callers])
            targets.append([report["name"] for report in callers])
            for name in ("call_setup_time_ms", "post_dial_delay_ms", "call_duration_ms"):
                check(summary["timing"][name], (report["call"]["timing"].get(name) for report in callers))
            rows = lab.call("GET", f"/runs/{run['id']}/samples")
            for name in ("jitter_ms", "max_packet_spacing", "mos"):
                check(summary["media"]["receive"][name], (row[f"receive.{name}"] for row in rows))
    assert schedules[0] == schedules[1] == schedules[2]
    assert schedules[0] == sorted(schedules[0])
    assert len(set(schedules[0])) == CALLS
    assert targets[0] == targets[1] == targets[2]


@pytest.mark.loopback
def test_a_receiver_that_callers_share_is_carried_by_one_worker(tmp_path: Path) -> None:
    groups = {
        "callees": {"endpoints": 3},
        "callers": {"endpoints": 9, "call": {"group": "callees", "pairing": "3:1"}, "repeats": 1, "pause": "200ms"},
    }
    with Lab(tmp_path, 15) as lab:
        for host, name in enumerate(("w1", "w2"), 1):
            _, token = lab.create_worker(name)
            lab.start_worker(token, host).event("link open")
        body = {"plan": {**PLAN, "duration": "1s", "groups": groups}}
        run = lab.until_over(lab.call("POST", "/runs", body)["id"])
        ended = lab.call("GET", f"/runs/{run['id']}/endpoints?perPage=100")
    assert len(run["workers"]) == 2
    assert [report["outcome"] for report in ended] == 36 * ["SUCCESS"]
    carriers: dict[str, set[str]] = {}
    for report in ended:
        carriers.setdefault(report["name"].partition(".")[0], set()).add(report["worker"])
    assert len(carriers) == 12
    assert all(len(workers) == 1 for workers in carriers.values())
    assert len(set.union(*carriers.values())) == 2
    targets = Counter(report["call"]["target"] for report in ended if report["group"] == "callers")
    assert sorted(targets.values()) == [6, 6, 6]
