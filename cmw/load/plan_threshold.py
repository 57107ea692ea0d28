"""What must hold, as a plan writes it: an expression, and perhaps that the run ends when it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializerFunctionWrapHandler, StrictBool, StrictStr, model_serializer

from cmw.load.plan_fields import TEXT_SCHEMA, AlsoWritten, DelayNs, PlanModel, plan_field, unsupported

EXPECTED = 'a mapping of metrics to lists such as ["p(5) >= 4.0"]'


class ThresholdRule(PlanModel):
    """One expression; text by itself says the same as a mapping with `threshold` alone."""

    threshold: StrictStr = plan_field("an expression such as p(5) >= 4.0", "what must hold")
    abort_on_fail: StrictBool = plan_field(
        "true or false", "end the run as soon as it does not hold: it can only fail", default=False
    )
    delay: DelayNs = plan_field(
        "a duration with its unit from 0s to 1h, such as 30s", "from when on the run may be ended by it", default=0
    )

    @model_serializer(mode="wrap")
    def _shorten(self, handler: SerializerFunctionWrapHandler) -> Any:
        """Write text alone where that says it all."""
        return handler(self) if self.abort_on_fail else self.threshold


def _from_text(value: object) -> object:
    if isinstance(value, str):
        return {"threshold": value}
    if not isinstance(value, Mapping | ThresholdRule):
        raise unsupported("an expression such as p(5) >= 4.0, or a mapping with threshold, abort_on_fail and delay")
    return value


Rule = Annotated[ThresholdRule, BeforeValidator(_from_text), AlsoWritten(TEXT_SCHEMA)]


def written_rules(value: object) -> list[object]:
    """Return what is written for one metric as a list: of one rule by itself, that one."""
    return value if isinstance(value, list) else [value]


def expression_of(rule: object) -> str | None:
    """Return the expression of a rule as it is written; None when it has none."""
    found = rule.get("threshold") if isinstance(rule, Mapping) else rule
    return found if isinstance(found, str) else None
