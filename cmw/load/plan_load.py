"""What a plan says of when calls start: the shape of the load."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt

from cmw.core.clock import SECOND, Nanos
from cmw.load.arrivals import Stage, constant
from cmw.load.plan_fields import AlsoWritten, PaceField, PlanModel, RateField, duration, one_of, plan_field
from cmw.load.units import Rate

DEFAULT_RATE = Rate(10, SECOND)
MAX_STAGES = 10_000
"""Steps of a load, or points of a profile: three hours by the second."""

RATE_EXPECTED = "a rate from 0.001/s to 10000/s such as 10/s"
PACE_EXPECTED = "a rate from 0.001/s to 10000/s such as 10/s, or 0/s"

CALLS_EXPECTED = "a whole number from 1 to 100000"
CallCount = Annotated[StrictInt, Field(ge=1, le=100_000)]
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


class CallRange(PlanModel):
    """How many simultaneous calls a search begins with, and goes up to."""

    first: CallCount = plan_field(CALLS_EXPECTED, "simultaneous calls of the first step", alias="from")
    last: CallCount = plan_field(CALLS_EXPECTED, "simultaneous calls that the search goes up to", alias="to")


class Load(PlanModel):
    """When the calls of a group start."""

    arrivals: Annotated[
        Literal["constant", "all-at-once", "ramp", "poisson", "steps", "profile", "search"],
        one_of("constant", "all-at-once", "ramp", "poisson", "steps", "profile", "search"),
    ] = plan_field(
        "constant, all-at-once, ramp, poisson, steps, profile or search", "shape of the load", default="constant"
    )
    rate: RateField | None = plan_field(
        RATE_EXPECTED,
        "new calls per time, of constant and poisson arrivals and of a search for calls; 10/s when not given",
        default=None,
    )
    first: PaceField | None = plan_field(
        PACE_EXPECTED, "rate at the start of a ramp or a search", default=None, alias="from"
    )
    last: RateField | None = plan_field(
        RATE_EXPECTED,
        "rate at the end of a ramp, and from then on; rate that a search goes up to",
        default=None,
        alias="to",
    )
    calls: CallRange | None = plan_field(
        "a mapping with from and to", "simultaneous calls that are searched, instead of a rate", default=None
    )
    span: SpanNs | None = plan_field(
        "a duration from 100ms to 24h",
        "how long each step of a search for a rate places calls",
        default=None,
        alias="for",
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
        if self.arrivals == "all-at-once":
            return []
        assert self.arrivals != "search", "a search is carried out step by step"
        return constant(self.rate or DEFAULT_RATE)

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


def search_bounds(load: Load) -> tuple[Fraction, Fraction]:
    """Return the least and the greatest load of a search: simultaneous calls, or new calls per second."""
    if load.calls is not None:
        return Fraction(load.calls.first), Fraction(load.calls.last)
    assert load.first is not None
    assert load.last is not None
    return _per_second(load.first), _per_second(load.last)


def calls_of_step(rate: Fraction, span_ns: Nanos | None) -> int:
    """Return how many calls a step of a search for a rate (per second) places in its span."""
    assert span_ns is not None
    return max(1, ceil(rate * span_ns / SECOND))


def _per_second(rate: Rate) -> Fraction:
    return Fraction(rate.events * SECOND, rate.per_ns)
