"""Searches that are over, without any run."""

from __future__ import annotations

from cmw.core.words import Verdict
from cmw.load.plan_parser import parse_plan
from cmw.load.search import Search
from cmw.load.search_step import search_step
from cmw.load.summary import Summary
from tests.load.documents import two_groups
from tests.load.runs import summary


def search_summary(limit: int, *, invalid_at: int | None = None) -> Summary:
    """Return the summary of a search for a target that carries so many calls."""
    document = two_groups(8, 8)
    document["groups"]["callers"]["load"] = {"arrivals": "search", "calls": {"from": 2, "to": 8}}
    found, runs = Search(parse_plan(document)), {}
    while (load := found.next_load()) is not None:
        run = summary()
        verdict = Verdict.PASSED if load <= limit else Verdict.FAILED
        told = {"id": f"r{load}", "verdict": Verdict.INVALID if load == invalid_at else verdict}
        run = runs[f"r{load}"] = run.model_copy(update={"run": run.run.model_copy(update=told)})
        found.record(search_step(len(found.steps) + 1, load, run))
    part = found.result()
    assert part.told is not None
    return runs[part.told.run_id].model_copy(update={"search": part})
