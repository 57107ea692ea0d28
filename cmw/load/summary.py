"""summary.json: everything that a run found out, in one document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cmw.core.words import Blame, OutcomeKind, Phase, RunStatus, Verdict
from cmw.load.early_end import EarlyEnd
from cmw.load.figures import Figures, RunFigures
from cmw.load.generator_bounds import BOUNDS
from cmw.load.outcome import EndpointReport, RunTotals
from cmw.load.plan import Plan
from cmw.load.search import SearchPart
from cmw.load.thresholds import Judgement, evaluate
from cmw.load.verdict import Limit, generator_limits, run_blame, shown_names, verdict
from cmw.metrics.grouped_samples import GroupedSamples
from cmw.metrics.histogram import ExponentialHistogram
from cmw.metrics.keys import METRICS, TIMING_KEYS, Kind
from cmw.metrics.quantiles import describe

SCHEMA_VERSION: Literal[1] = 1
MAX_FAILURE_KINDS = 50
NO_STATUS = "none"
"""Key of `by_status_code` for calls that got no final status."""


class SummaryModel(BaseModel):
    """Base of the summary's parts."""

    model_config = ConfigDict(frozen=True)


class Q(SummaryModel):
    """A population; all but count are null when it is empty."""

    count: int = 0
    mean: float | None = None
    min: float | None = None
    p5: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None


class RunPart(SummaryModel):
    """The run itself."""

    id: str
    name: str
    status: RunStatus
    verdict: Verdict
    blame: Blame | None = None
    """Whose doing the verdict is: of INVALID the WORKER's, of PASSED nobody's."""
    started_at: str | None
    """ISO 8601, UTC."""
    duration_s: float | None


class EndpointsPart(SummaryModel):
    """Endpoints by how they ended and how far they came."""

    total: int
    by_outcome: dict[str, int]
    by_phase: dict[str, int]


class RegistrationsPart(SummaryModel):
    """First registrations."""

    attempted: int
    succeeded: int
    failed: int


class CallsPart(SummaryModel):
    """Calls, each counted once: at the caller if it is ours, at the receiver if the caller is somebody else's."""

    attempted: int
    answered: int
    failed: int
    """Attempted, but not answered or not ended well."""
    by_status_code: dict[str, int]


class SignallingPart(SummaryModel):
    """What happened in calls beside their beginning and their end, added up over all endpoints."""

    redirects: int = 0
    challenges: int = 0
    retransmissions: int = 0
    session_timer_refreshes: int = 0
    transfers: int = 0
    infos_received: int = 0
    messages_received: int = 0
    scenario_actions_executed: int = 0
    scenario_actions_failed: int = 0
    early_media_calls: int = 0
    """Calls in which audio was agreed on before the answer."""


class MediaPart(SummaryModel):
    """Gauges as populations over (endpoint, second), counters as totals; null when not known."""

    send: dict[str, Q | int | None]
    receive: dict[str, Q | int | None]
    one_way_calls: int
    silent_calls: int
    one_way_missing: dict[str, int] = Field(default_factory=dict)
    """Of the one-way calls, by the direction in which nothing came: ``send``, ``receive``."""
    wrong_payload_type_calls: int = 0
    """Calls in which packets came in a payload type that was not agreed."""
    early_packet_calls: int = 0
    """Calls in which media came before we knew of the answer."""
    packets_after_bye_calls: int = 0
    """Calls in which media came after the BYE."""


class UntrustedPart(SummaryModel):
    """A bound of one second that a worker broke; `second` counts from the start of the run."""

    worker: str
    second: int
    resource: str
    metric: str
    value: float
    bound: float


class GeneratorPart(SummaryModel):
    """Whether the generator was healthy, and what it took."""

    valid: bool
    limits: list[Limit]
    pacing_error_us: Q
    packets_skipped: int
    send_errors: int
    kernel_drops: int | None
    sip_kernel_drops: int | None = None
    """SIP datagrams that our own listener had no room for."""
    sip_unsent: int = 0
    """SIP datagrams that never left, because the network took nothing for too long."""
    samples_dropped: int
    loop_lag_ms: Q
    cpu_seconds: float
    rss_bytes: int
    cpu_steal_ratio: float | None
    """The greatest of any worker."""
    scheduling: list[str]
    shortages: dict[str, int] = Field(default_factory=dict)
    """Calls that could not be carried, by what was used up."""
    seconds: int = 0
    """Seconds that workers judged themselves in, added up over all workers."""
    untrusted_seconds: int = 0
    """Those in which the worker was the limit."""
    untrusted: list[UntrustedPart] = Field(default_factory=list)
    """Why, in the order of time; the first of each worker when there are many."""


class ThresholdPart(SummaryModel):
    """A threshold and its value; null when nothing was measured, which fails it."""

    metric: str
    expression: str
    value: float | None
    passed: bool
    note: str = ""
    ended_run_in_second: int | None = None
    """When it ended the run, which it failed then, whatever its value is now; null for those that ended none."""


class WorkerPart(SummaryModel):
    """A worker of the run."""

    id: str
    name: str
    endpoints: int


class FailurePart(SummaryModel):
    """A kind of failure, with the first endpoint that had it."""

    outcome: OutcomeKind
    blame: Blame | None
    status_code: int
    reason: str
    count: int
    example: str


class Summary(SummaryModel):
    """The document."""

    schema_version: Literal[1] = SCHEMA_VERSION
    run: RunPart
    endpoints: EndpointsPart
    registrations: RegistrationsPart
    calls: CallsPart
    signalling: SignallingPart = Field(default_factory=SignallingPart)
    ratios: dict[str, float | None] = Field(default_factory=dict)
    """Shares of calls and registrations from 0 to 1, by the names of `cmw.load.ratios`; null without any."""
    timing: dict[str, Q]
    media: MediaPart
    generator: GeneratorPart
    thresholds: list[ThresholdPart]
    workers: list[WorkerPart]
    search: SearchPart | None = None
    """What a search found out; everything else is then of the step that stands for it. Null for an ordinary run."""
    failures: list[FailurePart] = Field(default_factory=list)
    """The most frequent kinds of failure first."""

    def to_document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return self.model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is known of a run beside its plan; `started_at` is ISO 8601 UTC."""

    id: str
    status: RunStatus
    started_at: str | None = None
    duration_s: float | None = None
    workers: list[WorkerPart] = field(default_factory=list)
    early_end: EarlyEnd | None = None


def build_summary(
    run: RunInfo,
    plan: Plan,
    reports: Iterable[EndpointReport],
    samples: GroupedSamples,
    totals: Mapping[str, RunTotals],
) -> Summary:
    """Return the summary of a run.

    Args:
        reports: one of each endpoint.
        samples: of the whole run.
        totals: of each worker that reported its end, by worker id.
    """
    every = RunFigures(plan, list(reports), samples)
    figures, parts = every.whole, _Parts(every.whole)
    thresholds = [
        _threshold(judgement, run.early_end)
        for judgement in evaluate([threshold for threshold, _ in plan.rules], every.value)
    ]
    limits = generator_limits(totals, {worker.id: worker.name for worker in run.workers}, figures.reports)
    failed = [report for report in figures.reports if _has_failed(report)]
    decided = verdict(
        limits=limits,
        status=run.status,
        attempted=len(figures.calls),
        failed=len(failed),
        thresholds=[threshold.passed for threshold in thresholds],
    )
    return Summary(
        run=RunPart(
            id=run.id,
            name=plan.name,
            status=run.status,
            verdict=decided,
            blame=run_blame(decided, run.status, failed, measured=any(map(_fell_short, thresholds))),
            started_at=run.started_at,
            duration_s=run.duration_s,
        ),
        endpoints=parts.endpoints(plan.total_endpoints),
        registrations=parts.registrations(),
        calls=parts.calls_part(),
        signalling=parts.signalling(),
        ratios=figures.ratios,
        timing={key: _q(figures.timing(key)) for key in TIMING_KEYS},
        media=parts.media(),
        generator=_generator(limits, totals, {worker.id: worker.name for worker in run.workers}),
        thresholds=thresholds,
        workers=run.workers,
        failures=parts.failures(),
    )


def _fell_short(threshold: ThresholdPart) -> bool:
    return not threshold.passed and (threshold.value is not None or threshold.ended_run_in_second is not None)


def _has_failed(report: EndpointReport) -> bool:
    """Tell whether an endpoint failed; so does a caller that was stopped, with a warning, before it had its answer."""
    unanswered = report.call.attempted and report.call.direction == "outbound" and not report.call.answered
    return unanswered or not report.ended_well


class _Parts:
    """The parts of a summary that describe what was measured."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self.reports = figures.reports
        self.calls = figures.calls

    def endpoints(self, planned: int) -> EndpointsPart:
        """Count endpoints by outcome and by the phase that they reached."""
        outcomes = Counter(report.outcome for report in self.reports)
        phases = Counter(report.phase for report in self.reports)
        return EndpointsPart(
            total=planned,
            by_outcome={kind.value: outcomes[kind] for kind in OutcomeKind},
            by_phase={phase.name: phases[phase.name] for phase in Phase},
        )

    def registrations(self) -> RegistrationsPart:
        """Count first registrations."""
        attempted = sum(report.registration.attempted for report in self.reports)
        succeeded = sum(report.registration.succeeded for report in self.reports)
        return RegistrationsPart(attempted=attempted, succeeded=succeeded, failed=attempted - succeeded)

    def calls_part(self) -> CallsPart:
        """Count calls."""
        codes = Counter(str(report.call.status_code or NO_STATUS) for report in self.calls)
        return CallsPart(
            attempted=len(self.calls),
            answered=sum(report.call.answered for report in self.calls),
            failed=self._figures.count("calls_failed"),
            by_status_code=dict(sorted(codes.items())),
        )

    def signalling(self) -> SignallingPart:
        """Add up what happened in calls."""
        return SignallingPart(**{key: self._figures.signalling_total(key) for key in SignallingPart.model_fields})

    def media(self) -> MediaPart:
        """Describe the media of both sides."""
        return MediaPart(
            send=self._side("send"),
            receive=self._side("receive"),
            one_way_calls=self._figures.count("one_way_calls"),
            silent_calls=self._figures.count("silent_calls"),
            one_way_missing=dict(Counter(report.one_way_missing for report in self.calls if report.one_way_missing)),
            wrong_payload_type_calls=self._calls_with("wrong_payload_type_packets"),
            early_packet_calls=self._calls_with("early_packets"),
            packets_after_bye_calls=self._calls_with("packets_after_bye"),
        )

    def _calls_with(self, key: str) -> int:
        return sum(bool(report.media.receive.get(key)) for report in self.calls)

    def failures(self) -> list[FailurePart]:
        """Group failures by what they say, the most frequent first."""
        kinds: dict[tuple[OutcomeKind, Blame | None, int, str], list[str]] = {}
        for report in self.reports:
            if not report.ended_well:
                key = (report.outcome, report.blame, report.call.status_code, report.reason)
                kinds.setdefault(key, []).append(report.name)
        ranked = sorted(kinds.items(), key=lambda item: -len(item[1]))
        return [
            FailurePart(
                outcome=outcome, blame=blame, status_code=status, reason=reason, count=len(names), example=names[0]
            )
            for (outcome, blame, status, reason), names in ranked[:MAX_FAILURE_KINDS]
        ]

    def _side(self, side: str) -> dict[str, Q | int | None]:
        return {
            m.key: _q(self._figures.samples.histogram(f"{side}.{m.key}"))
            if m.kind is Kind.GAUGE
            else self._figures.media_total(m.key, side)
            for m in METRICS
            if m.measured and side in m.direction.sides
        }


def _generator(limits: list[Limit], totals: Mapping[str, RunTotals], workers: Mapping[str, str]) -> GeneratorPart:
    """Add up the health of all workers."""
    shown = shown_names(workers)
    every = list(totals.values())
    drops = [one.kernel_drops for one in every if one.kernel_drops is not None]
    sip_drops = [one.sip_kernel_drops for one in every if one.sip_kernel_drops is not None]
    steals = [one.cpu_steal_ratio for one in every if one.cpu_steal_ratio is not None]
    return GeneratorPart(
        valid=not limits,
        limits=limits,
        pacing_error_us=_q(_merged(one.pacing_error_us for one in every)),
        packets_skipped=sum(one.packets_skipped for one in every),
        send_errors=sum(one.send_errors for one in every),
        kernel_drops=sum(drops) if drops else None,
        sip_kernel_drops=sum(sip_drops) if sip_drops else None,
        sip_unsent=sum(one.sip_unsent for one in every),
        samples_dropped=sum(one.samples_dropped for one in every),
        loop_lag_ms=_q(_merged(one.loop_lag_ms for one in every)),
        cpu_seconds=round(sum(one.cpu_seconds for one in every), 3),
        rss_bytes=sum(one.rss_bytes for one in every),
        cpu_steal_ratio=max(steals, default=None),
        scheduling=sorted({one.scheduling for one in every if one.scheduling}),
        shortages=dict(sum((Counter(one.shortages) for one in every), Counter())),
        seconds=sum(one.seconds for one in every),
        untrusted_seconds=sum(one.untrusted_seconds for one in every),
        untrusted=sorted(
            (part for worker, one in totals.items() for part in _untrusted(shown.get(worker, worker), one)),
            key=lambda part: (part.second, part.worker),
        ),
    )


def _untrusted(worker: str, totals: RunTotals) -> list[UntrustedPart]:
    return [
        UntrustedPart(
            worker=worker,
            second=row.second,
            resource=BOUNDS[row.bound].resource,
            metric=BOUNDS[row.bound].metric,
            value=row.value,
            bound=BOUNDS[row.bound].window_most,
        )
        for row in totals.untrusted
        if row.bound < len(BOUNDS)
    ]


def _merged(wires: Iterable[dict[str, Any] | None]) -> ExponentialHistogram:
    merged = ExponentialHistogram()
    for wire in wires:
        if wire is not None:
            merged.merge(ExponentialHistogram.from_dict(wire))
    return merged


def _threshold(judgement: Judgement, early_end: EarlyEnd | None) -> ThresholdPart:
    threshold, value = judgement.threshold, judgement.value
    part = ThresholdPart(
        metric=threshold.metric,
        expression=threshold.expression,
        value=None if value is None else float(f"{value:.6g}"),
        passed=judgement.passed,
        note="nothing was measured, which fails the threshold" if value is None else "",
    )
    if early_end is None or (early_end.metric, early_end.expression) != (threshold.metric, threshold.expression):
        return part
    note = f"{early_end.value:.6g} in second {early_end.second}, which ended the run"
    return part.model_copy(update={"passed": False, "note": note, "ended_run_in_second": early_end.second})


def _q(histogram: ExponentialHistogram) -> Q:
    return Q.model_validate(describe(histogram))
