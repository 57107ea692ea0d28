"""The search for what a target carries: the load is doubled until a step breaks, then halved in between.

Each step is a run of its own, with its own outcomes and thresholds; the target is at rest between two steps.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from cmw.core.clock import SECOND
from cmw.core.words import Verdict
from cmw.load.plan import Group, Plan
from cmw.load.plan_load import DEFAULT_RATE, Load, calls_of_step, search_bounds
from cmw.load.plan_pairing import ONE_TO_ONE
from cmw.load.units import Rate

RATE_GRAIN: Final = Fraction(1, 1000)
"""Rates are searched in whole multiples of this many calls per second."""

RATE_CLOSENESS: Final = 20
"""A rate has been found once what held and what broke lie within this part of what held."""

KNEE: Final = 2.0
"""The target bends where its post dial delay (p95) is more than this many times that of the first step,"""

KNEE_FREE_MS: Final = 20.0
"""and by more than this: a delay of a few milliseconds doubles by itself."""


class SearchModel(BaseModel):
    """Base of the parts of a search."""

    model_config = ConfigDict(frozen=True)


class SearchStep(SearchModel):
    """A load that was tried, and what became of it; counts and delays are those of its own run."""

    load: float
    verdict: Verdict
    run_id: str
    report: str
    """Directory of its report, inside that of the search."""
    calls_attempted: int
    calls_answered: int
    calls_failed: int
    post_dial_delay_p95_ms: float | None
    reason: str
    """Why the verdict is what it is."""


class SearchPart(SearchModel):
    """What a search found out; a load is a number of simultaneous calls, or of new calls per second."""

    of: Literal["calls", "rate"]
    unit: str
    """What a load counts, in words."""
    held: float | None
    """The greatest load that held; null when the first one broke already."""
    breaking_point: float | None
    """The least load that broke; null when none did."""
    knee: float | None
    """The greatest load that held with a post dial delay near that of the first step; null without delays."""
    found: str
    """The same in a sentence."""
    steps: list[SearchStep]

    @property
    def told(self) -> SearchStep | None:
        """Return the step whose figures stand for the search.

        The one in which the generator was the limit; else the greatest that held; else the first.
        """
        invalid = [step for step in self.steps if step.verdict is Verdict.INVALID]
        held = [step for step in self.steps if step.verdict is Verdict.PASSED]
        return next(iter(invalid), None) or max(held, key=lambda step: step.load, default=None) or next(
            iter(self.steps), None
        )  # fmt: skip


class Search:
    """Says what to try next, given what became of what was tried; ends by itself.

    Run what `next_load` says, hand its end to `record`, until there is no next.

    Args:
        plan: one for which `searched_group` has a name.
    """

    def __init__(self, plan: Plan) -> None:
        name = searched_group(plan)
        assert name is not None
        self._load = _load_of(plan.groups[name])
        self._grain = Fraction(1) if self._load.calls is not None else RATE_GRAIN
        first, last = search_bounds(self._load)
        self._first, self._last = int(first / self._grain), int(last / self._grain)
        self._held: int | None = None
        self._broke: int | None = None
        self._is_over = False
        self._was_stopped = False
        self.steps: list[SearchStep] = []

    @property
    def unit(self) -> str:
        """Return what a load counts, in words."""
        return "calls at a time" if self.of == "calls" else "calls per second"

    @property
    def of(self) -> Literal["calls", "rate"]:
        """Return what is searched."""
        return "rate" if self._load.calls is None else "calls"

    def next_load(self) -> Fraction | None:
        """Return the load to try next: calls, or calls per second; None when the search is over."""
        grains = self._next()
        return None if grains is None else grains * self._grain

    def record(self, step: SearchStep) -> None:
        """Take what became of `next_load`; when the generator was the limit, there is nothing more to find out."""
        tried = self._next()
        assert tried is not None
        self.steps.append(step)
        if step.verdict is Verdict.INVALID:
            self._is_over = True
        elif step.verdict is Verdict.PASSED:
            self._held = tried
        else:
            self._broke = tried

    def stop(self) -> None:
        """End the search before its end: what was being tried counts for nothing."""
        self._is_over = self._was_stopped = True

    def result(self) -> SearchPart:
        """Return what was found out so far."""
        held, broke = self._shown(self._held), self._shown(self._broke)
        return SearchPart(
            of=self.of,
            unit=self.unit,
            held=held,
            breaking_point=broke,
            knee=self._knee(),
            found=self._sentence(),
            steps=self.steps,
        )

    def _next(self) -> int | None:
        if self._is_over:
            return None
        if self._held is None:
            return self._first if self._broke is None else None
        if self._broke is None:
            return min(2 * self._held, self._last) if self._held < self._last else None
        return (self._held + self._broke) // 2 if self._broke - self._held > self._closeness(self._held) else None

    def _closeness(self, held: int) -> int:
        return max(1, held // RATE_CLOSENESS) if self.of == "rate" else 1

    def _knee(self) -> float | None:
        delays = {
            step.load: step.post_dial_delay_p95_ms
            for step in self.steps
            if step.verdict is Verdict.PASSED and step.post_dial_delay_p95_ms is not None
        }
        if not delays:
            return None
        rest = delays[min(delays)]
        bound = max(KNEE * rest, rest + KNEE_FREE_MS)
        return max(load for load, delay in delays.items() if delay <= bound)

    def _sentence(self) -> str:
        if self._was_stopped:
            held = self._shown(self._held)
            return "the search was stopped before its end" + ("" if held is None else f": {held:g} {self.unit} held")
        unit = self.unit
        if self._is_over:
            return f"the generator was the limit at {self.steps[-1].load:g} {unit}; the target's limit is not known"
        held, broke = self._shown(self._held), self._shown(self._broke)
        if held is None and broke is None:
            return "nothing was tried"
        if broke is None:
            return f"{held:g} {unit} held, and nothing broke it"
        if held is None:
            return f"{broke:g} {unit}, the least that was asked for, broke it already"
        return f"{held:g} {unit} held, {broke:g} broke it"

    def _shown(self, grains: int | None) -> float | None:
        return None if grains is None else float(grains * self._grain)


def searched_group(plan: Plan) -> str | None:
    """Return the name of the group whose load is searched; None when the plan is an ordinary one."""
    return next((n for n, g in plan.groups.items() if g.load is not None and g.load.arrivals == "search"), None)


def greatest_step(plan: Plan) -> Plan:
    """Return the plan of the greatest step of a search; an ordinary plan as it is."""
    name = searched_group(plan)
    return plan if name is None else step_plan(plan, search_bounds(_load_of(plan.groups[name]))[1])


def step_plan(plan: Plan, load: Fraction) -> Plan:
    """Return the ordinary plan that tries one load of a search.

    It has the first endpoints of the group that is searched, as many as the load takes, and as many fewer of those
    that it calls: nobody waits for a call that does not come.
    """
    name = searched_group(plan)
    assert name is not None
    group = plan.groups[name]
    wanted = _load_of(group)
    if wanted.calls is not None:
        endpoints, rate, unit = int(load), wanted.rate or DEFAULT_RATE, "calls"
    else:
        endpoints, rate, unit = calls_of_step(load, wanted.span), _rate(load), "calls/s"
    groups: dict[str, Group] = {
        **plan.groups,
        name: group.model_copy(
            update={"endpoints": endpoints, "load": Load.model_validate({"arrivals": "constant", "rate": str(rate)})}
        ),
    }
    if group.call is not None and (called := group.call.group) is not None:
        pairing = group.call.pairing or ONE_TO_ONE
        unused = pairing.receivers_of(group.endpoints) - pairing.receivers_of(endpoints)
        fewer = plan.groups[called].endpoints - unused
        groups[called] = plan.groups[called].model_copy(update={"endpoints": fewer})
    return plan.model_copy(update={"groups": groups, "name": f"{plan.name[:100]}, {float(load):g} {unit}"})


def search_words(plan: Plan) -> str | None:
    """Return what a plan searches, in words; None when it searches nothing."""
    name = searched_group(plan)
    if name is None:
        return None
    load = _load_of(plan.groups[name])
    first, last = (f"{float(bound):g}" for bound in search_bounds(load))
    what = "calls at a time" if load.calls is not None else "calls per second"
    return f"{first} to {last} {what} of {name}, doubled until a step breaks, then halved in between"


def _load_of(group: Group) -> Load:
    assert group.load is not None
    return group.load


def _rate(load: Fraction) -> Rate:
    return Rate(load.numerator, load.denominator * SECOND)
