"""How long the callers of a group hold their calls: all the same, or drawn anew for each call."""

from __future__ import annotations

from math import exp, log
from statistics import NormalDist
from typing import Annotated, Any

from pydantic import BeforeValidator

from cmw.core.clock import SECOND, Nanos
from cmw.load.draws import Draws
from cmw.load.plan_fields import TEXT_SCHEMA, AlsoWritten, HoldNs, PlanModel, plan_field

HIGHEST = 0.999
"""The share of draws that have their own value; a greater one gets that of this point, so that a run has an end."""

LEAST_NS: Nanos = SECOND // 10
_Z95, _Z_HIGHEST = NormalDist().inv_cdf(0.95), NormalDist().inv_cdf(HIGHEST)
_EXPECTED = "a duration with its unit from 100ms to 24h, such as 60s"
HOLD_EXPECTED = (
    "a duration such as 60s, or one of {uniform: {min, max}}, {exponential: 60s}, {lognormal: {median, p95}}"
)


class Uniform(PlanModel):
    """Evenly spread."""

    min: HoldNs = plan_field(_EXPECTED, "the shortest")
    max: HoldNs = plan_field(_EXPECTED, "the longest")


class LogNormal(PlanModel):
    """Many short ones and a few long ones, as people talk."""

    median: HoldNs = plan_field(_EXPECTED, "half of the calls are shorter")
    p95: HoldNs = plan_field(_EXPECTED, "19 of 20 are shorter")

    @property
    def sigma(self) -> float:
        """Return the standard deviation of the logarithm."""
        return log(self.p95 / self.median) / _Z95


class Hold(PlanModel):
    """One of four ways."""

    fixed: HoldNs | None = plan_field(_EXPECTED, "every call; a duration by itself says the same", default=None)
    uniform: Uniform | None = plan_field("a mapping with min and max", "evenly spread between two", default=None)
    exponential: HoldNs | None = plan_field(
        _EXPECTED, "the mean of an exponential distribution, as in Erlang's formulas", default=None
    )
    lognormal: LogNormal | None = plan_field(
        "a mapping with median and p95", "log-normal, by its median and its 95 % point", default=None
    )

    @property
    def is_random(self) -> bool:
        """Tell whether calls differ."""
        return self.fixed is None

    @property
    def longest(self) -> Nanos:
        """Return the longest that a call may be held."""
        if self.fixed is not None:
            return self.fixed
        if self.uniform is not None:
            return self.uniform.max
        if self.exponential is not None:
            return max(LEAST_NS, round(-log(1 - HIGHEST) * self.exponential))
        assert self.lognormal is not None
        return max(LEAST_NS, round(self.lognormal.median * exp(self.lognormal.sigma * _Z_HIGHEST)))

    def draw(self, draws: Draws, k: int) -> Nanos:
        """Return how long call `k` is held."""
        if self.fixed is not None:
            return self.fixed
        if self.uniform is not None:
            return self.uniform.min + round((self.uniform.max - self.uniform.min) * draws.uniform(k))
        if self.exponential is not None:
            drawn = self.exponential * draws.exponential(k)
        else:
            assert self.lognormal is not None
            drawn = self.lognormal.median * exp(self.lognormal.sigma * NormalDist().inv_cdf(draws.uniform(k)))
        return min(self.longest, max(LEAST_NS, round(drawn)))

    def fault(self) -> tuple[tuple[str, ...], str] | None:
        """Return the field that does not fit, and what is wrong with it."""
        given = [name for name in ("fixed", "uniform", "exponential", "lognormal") if getattr(self, name) is not None]
        if len(given) != 1:
            return (), f"found {' and '.join(given) or 'nothing'}, expected {HOLD_EXPECTED}"
        if self.uniform is not None and self.uniform.max < self.uniform.min:
            return ("uniform", "max"), "found less than min, expected at least as much"
        if self.lognormal is not None and self.lognormal.p95 <= self.lognormal.median:
            return ("lognormal", "p95"), "found no more than median, expected more"
        return None


USUAL_PAUSE = Hold.model_validate({"fixed": "1s"})
"""Between two calls of an endpoint, where the plan does not say."""


def _by_itself(value: Any) -> Any:
    return {"fixed": value} if isinstance(value, str | int | float) and not isinstance(value, bool) else value


HoldField = Annotated[Hold, BeforeValidator(_by_itself), AlsoWritten(TEXT_SCHEMA)]
