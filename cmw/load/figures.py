"""The figures of a run that thresholds judge: of all its endpoints, or of those of one group."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from cmw.load.outcome import EndpointReport
from cmw.load.plan import Plan
from cmw.load.ratios import CALL_RATIOS, RATIOS, REGISTRATION_RATIOS
from cmw.load.thresholds import COUNTS, Threshold
from cmw.metrics.grouped_samples import GroupedSamples
from cmw.metrics.histogram import ExponentialHistogram
from cmw.metrics.samples import SampleAggregate


class Figures:
    """What is known of some endpoints; each figure is computed when it is asked for.

    Args:
        calls: those of the reports that count as a call: of two endpoints that call each other only one.
    """

    def __init__(
        self, reports: Sequence[EndpointReport], calls: Sequence[EndpointReport], samples: SampleAggregate
    ) -> None:
        self.reports = reports
        self.calls = calls
        self.samples = samples
        self._timing: dict[str, ExponentialHistogram] = {}

    @cached_property
    def ratios(self) -> dict[str, float | None]:
        """Return every ratio by its name."""
        of_calls = {ratio.name: ratio.of(self.calls) for ratio in CALL_RATIOS}
        return of_calls | {ratio.name: ratio.of(self.reports) for ratio in REGISTRATION_RATIOS}

    def count(self, name: str) -> int:
        """Return how many calls are what a name of `cmw.load.thresholds.COUNTS` says."""
        match name:
            case "calls_failed":
                return sum(not (report.call.answered and report.ended_well) for report in self.calls)
            case "one_way_calls":
                return sum(report.one_way for report in self.calls)
        return sum(report.silent for report in self.calls)

    def timing(self, key: str) -> ExponentialHistogram:
        """Return how long something took."""
        if key not in self._timing:
            histogram = self._timing[key] = ExponentialHistogram()
            if key == "registration_time_ms":
                values = [report.registration.time_ms for report in self.reports]
            else:
                values = [report.call.timing.get(key) for report in self.calls]
            histogram.record_many([value for value in values if value is not None])
        return self._timing[key]

    def media_total(self, key: str, side: str) -> int | None:
        """Return the sum of a counter of streams; None when nobody counted."""
        values = [getattr(report.media, side).get(key) for report in self.reports]
        known = [int(value) for value in values if value is not None]
        return sum(known) if known else None

    def signalling_total(self, key: str) -> int:
        """Return the sum of a count of what happened in calls."""
        if key == "early_media_calls":
            return sum(report.call.early_media for report in self.calls)
        return sum(getattr(report.signalling, key) for report in self.reports)

    def value(self, threshold: Threshold, side: str) -> float | None:
        """Return the value that a threshold judges; None when it was not measured.

        Args:
            side: ``send`` or ``receive``; nothing for what calls and not streams have.
        """
        if threshold.name in RATIOS:
            return self.ratios[threshold.name]
        if threshold.name in COUNTS:
            return float(self.count(threshold.name)) if self.calls else None
        if threshold.function == "total":
            return self.media_total(threshold.key, side) if side else self.signalling_total(threshold.key)
        histogram = self.samples.histogram(f"{side}.{threshold.key}") if side else self.timing(threshold.key)
        match threshold.function:
            case "avg":
                return histogram.mean
            case "min":
                return histogram.min
            case "max":
                return histogram.max
        return histogram.quantile(0.5 if threshold.function == "med" else threshold.percent / 100)


class RunFigures:
    """The figures of a run as a whole, and of each of its groups."""

    def __init__(self, plan: Plan, reports: Sequence[EndpointReport], samples: GroupedSamples) -> None:
        called = {group.call.group for group in plan.groups.values() if group.call is not None}
        attempted = [report for report in reports if report.call.attempted]
        once = [report for report in attempted if report.call.direction == "outbound" or report.group not in called]
        self.whole = Figures(reports, once, samples.total)
        self._attempted = attempted
        self._samples = samples
        self._groups: dict[str, Figures] = {}

    def of(self, group: str) -> Figures:
        """Return the figures of a group; "" is the whole run. A call counts in the group of each of its ends."""
        if not group:
            return self.whole
        if group not in self._groups:
            reports = [report for report in self.whole.reports if report.group == group]
            calls = [report for report in self._attempted if report.group == group]
            self._groups[group] = Figures(reports, calls, self._samples.of(group))
        return self._groups[group]

    def value(self, threshold: Threshold, side: str) -> float | None:
        """Return the value that a threshold judges; None when it was not measured."""
        return self.of(threshold.group).value(threshold, side)
