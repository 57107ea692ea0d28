"""Thresholds that end a run: what is known of it so far, and which of them does not hold any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from cmw.core.clock import MILLISECOND
from cmw.core.words import OutcomeKind, Phase
from cmw.load.figures import RunFigures
from cmw.load.outcome import CallReport, EndpointReport, RegistrationReport
from cmw.load.plan import Plan
from cmw.load.thresholds import evaluate
from cmw.metrics.grouped_samples import Columns, GroupedSamples


class EarlyEnd(BaseModel):
    """The threshold that ended a run, its value then, and in which second of the run that was."""

    model_config = ConfigDict(frozen=True)

    metric: str
    expression: str
    value: float
    second: int

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.metric} {self.expression} failed in second {self.second} with {self.value:.6g}"


class EarlyEndJudge:
    """Judges a run while it goes on.

    Args:
        plan: one with a threshold that may end its run: see `may_end_early`.
        group_of: the group of each endpoint, by its number.
        samples: what is known already, by group.
    """

    def __init__(self, plan: Plan, group_of: Mapping[int, str], samples: GroupedSamples | None = None) -> None:
        self._plan = plan
        self._group_of = group_of
        self._rules = [(threshold, rule.delay // MILLISECOND) for threshold, rule in plan.rules if rule.abort_on_fail]
        self._samples = GroupedSamples(group_of)
        if samples is not None:
            self._samples.merge(samples)
        self._ended: dict[int, EndpointReport] = {}
        self._standing: dict[int, EndpointReport] = {}

    def add_samples(self, endpoints: Iterable[int], columns: Columns) -> None:
        """Take what endpoints measured in a second."""
        known = list(endpoints)
        self._samples.add(known, columns)
        for index in known:
            if index not in self._standing and index not in self._ended:
                self._standing[index] = self._stands(index)

    def add_report(self, report: EndpointReport) -> None:
        """Take how an endpoint ended."""
        self._ended[report.index] = report
        self._standing.pop(report.index, None)

    def judge(self, elapsed_ms: int) -> EarlyEnd | None:
        """Return the first threshold that does not hold by now; None when all do, or nothing is known of them yet."""
        due = [threshold for threshold, delay_ms in self._rules if elapsed_ms >= delay_ms]
        if not due:
            return None
        figures = RunFigures(self._plan, [*self._ended.values(), *self._standing.values()], self._samples)
        for judgement in evaluate(due, figures.value):
            if not judgement.passed and judgement.value is not None:
                threshold = judgement.threshold
                return EarlyEnd(
                    metric=threshold.metric,
                    expression=threshold.expression,
                    value=judgement.value,
                    second=elapsed_ms // 1000,
                )
        return None

    def _stands(self, index: int) -> EndpointReport:
        """Return the report of an endpoint whose call is up as if it ended now: what is measured has been answered."""
        name = self._group_of.get(index, "")
        group = self._plan.groups.get(name)
        is_caller = group is not None and group.call is not None
        has_registered = group is not None and group.registrar is not None
        return EndpointReport(
            run_id="",
            index=index,
            name="",
            group=name,
            phase=Phase.INCALL.name,
            outcome=OutcomeKind.SUCCESS,
            registration=RegistrationReport(attempted=has_registered, succeeded=has_registered),
            call=CallReport(
                attempted=True, answered=True, direction="outbound" if is_caller else "inbound", status_code=200
            ),
        )


def may_end_early(plan: Plan) -> bool:
    """Tell whether a plan has a threshold that ends its run."""
    return any(rule.abort_on_fail for _, rule in plan.rules)
