"""What a plan says of when calls start: the shape of the load."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from cmw.core.clock import SECOND
from cmw.load.arrivals import Stage, constant
from cmw.load.plan_fields import AlsoWritten, PaceField, PlanModel, RateField, duration, one_of, plan_field
from cmw.load.units import Rate

DEFAULT_RATE = Rate(10, SECOND)
MAX_STAGES = 10_000
"""Steps of a load, or points of a profile: three hours by the second."""

RATE_EXPECTED = "a rate from 0.001/s to 10000/s such as 10/s"
PACE_EXPECTED = "a rate from 0.001/s to 10000/s such as 10/s, or 0/s"

SpanNs = Annotated[int, *duration(SECOND // 10, 24 * 3600 * SECOND)]
InstantNs = Annotated[int, *duration(0, 7 * 24 * 3600 * SECOND)]

PROFILE_FILE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"file": {"type": "string", "description": "CSV file beside the plan: time,rate"}},
    "required": ["file"],
    "additionalProperties": False,
}


class LoadStep(PlanModel):
    """A rate that stays for a while."""

    rate: PaceField = plan_field(PACE_EXPECTED, "new calls per time")
    span: SpanNs = plan_field("a duration from 100ms to 24h", "how long", alias="for")


class ProfilePoint(PlanModel):
    """The rate at an instant; between two points it goes evenly from the one to the other."""

    at: InstantNs = plan_field("a duration from 0s to 168h", "when, from the start of the run")
    rate: PaceField = plan_field(PACE_EXPECTED, "new calls per time at that instant")


class Load(PlanModel):
    """When the calls of a group start."""

    arrivals: Annotated[
        Literal["constant", "all-at-once", "ramp", "poisson", "steps", "profile"],
        one_of("constant", "all-at-once", "ramp", "poisson", "steps", "profile", later=("search",)),
    ] = plan_field("constant, all-at-once, ramp, poisson, steps or profile", "shape of the load", default="constant")
    rate: RateField | None = plan_field(
        RATE_EXPECTED, "new calls per time, of constant and poisson arrivals; 10/s when not given", default=None
    )
    first: PaceField | None = plan_field(PACE_EXPECTED, "rate at the start of a ramp", default=None, alias="from")
    last: RateField | None = plan_field(
        RATE_EXPECTED, "rate at the end of a ramp, and from then on", default=None, alias="to"
    )
    over: SpanNs | None = plan_field("a duration from 100ms to 24h", "how long a ramp takes", default=None)
    steps: list[LoadStep] | None = plan_field(
        "a list of {rate, for}",
        "rates one after the other, the last of which stays",
        default=None,
        min_length=1,
        max_length=MAX_STAGES,
    )
    profile: Annotated[list[ProfilePoint], AlsoWritten(PROFILE_FILE_SCHEMA)] | None = plan_field(
        "a list of {at, rate}, or {file: profile.csv}",
        "rates at instants, the last of which stays",
        default=None,
        min_length=1,
        max_length=MAX_STAGES,
    )

    @property
    def stages(self) -> list[Stage]:
        """Return the shape, as `cmw.load.arrivals.schedule` takes it; the load must be one that the checks let pass."""
        if self.arrivals == "ramp":
            assert self.first is not None
            assert self.last is not None
            assert self.over is not None
            return [Stage(self.over, self.first, self.last), *constant(self.last)]
        if self.arrivals == "steps":
            return _stairs(self.steps or [])
        if self.arrivals == "profile":
            return _polyline(self.profile or [])
        return [] if self.arrivals == "all-at-once" else constant(self.rate or DEFAULT_RATE)

    @property
    def is_random(self) -> bool:
        """Tell whether the gaps between calls are drawn."""
        return self.arrivals == "poisson"


def _stairs(steps: list[LoadStep]) -> list[Stage]:
    return [*(Stage(step.span, step.rate, step.rate) for step in steps), *_rest(steps[-1].rate)]


def _polyline(points: list[ProfilePoint]) -> list[Stage]:
    first = points[0]
    ahead = [Stage(first.at, first.rate, first.rate)] if first.at else []
    between = [Stage(after.at - before.at, before.rate, after.rate) for before, after in pairwise(points)]
    return [*ahead, *between, *_rest(points[-1].rate)]


def _rest(rate: Rate) -> list[Stage]:
    """Return what comes after the last figure: its rate stays, unless that is nothing."""
    return constant(rate) if rate.events else []
