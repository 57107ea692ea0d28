"""What became of one endpoint: the report that its worker makes once, at the end, and the totals of the worker."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, field_validator

from cmw.core.words import Blame, OutcomeKind, Phase
from cmw.metrics.histogram import MAX_BUCKETS, MAX_SCALE, MIN_SCALE, ExponentialHistogram


def _one_line(text: str) -> str:
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


Line = Annotated[str, AfterValidator(_one_line)]
"""Text that may come from anywhere and is shown to people: what would move a terminal becomes a question mark."""

Span = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""Milliseconds, 0 or more."""

Figure = int | Annotated[float, Field(allow_inf_nan=False)]


class ReportModel(BaseModel):
    """Base of the reports. Unknown fields are ignored: a newer worker may say more than an older gateway knows."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class RegistrationReport(ReportModel):
    """The first registration of an endpoint; `time_ms` from the first REGISTER to its 200, challenges included."""

    attempted: bool = False
    succeeded: bool = False
    status: int = 0
    """Final status, 0 when none came."""
    time_ms: Span | None = None
    expires_s: int | None = None
    """Expiry that the server granted."""


class CallReport(ReportModel):
    """The call of an endpoint, inbound or outbound."""

    attempted: bool = False
    """Outbound: its time had come, even if no INVITE could be sent. Inbound: an INVITE came."""
    answered: bool = False
    """200 was received or sent."""
    direction: Literal["outbound", "inbound"] = "outbound"
    call_id: Line = ""
    target: Line = ""
    """Outbound: the URI called. Inbound: the URI of the caller."""
    status_code: int = 0
    """Final status of the INVITE, 0 when none came."""
    codec: Line = ""
    early_media: bool = False
    """Audio was agreed on before the answer."""
    due_ms: Span | None = None
    """Outbound: when the plan wanted it, from the start of the run."""
    placed_ms: Span | None = None
    """When the INVITE left, or came, likewise."""
    timing: dict[str, Span | None] = Field(default_factory=dict)
    """Keys of cmw.metrics.keys.TIMING_KEYS; absent or None when the instant did not come."""


class MediaReport(ReportModel):
    """The figures of the streams, by metric key; None or absent when not known.

    Counters: their last value. Gauges: their value over the whole call, loss and MOS of all its packets.
    """

    send: dict[str, Figure | None] = Field(default_factory=dict)
    receive: dict[str, Figure | None] = Field(default_factory=dict)


class SignallingReport(ReportModel):
    """What happened to a call beside its beginning and its end."""

    redirects: int = Field(default=0, ge=0)
    """3xx followed."""
    challenges: int = Field(default=0, ge=0)
    """401 and 407 answered within the call."""
    retransmissions: int = Field(default=0, ge=0)
    """How often our INVITE, or our responses to it, had to be sent again."""
    session_timer_refreshes: int = Field(default=0, ge=0)
    """Refreshes by either side."""
    transfers: int = Field(default=0, ge=0)
    """REFER sent or received."""
    infos_received: int = Field(default=0, ge=0)
    messages_received: int = Field(default=0, ge=0)
    dtmf_received: Line = ""
    """Digits that came, by RFC 4733 or INFO."""
    scenario_actions_executed: int = Field(default=0, ge=0)
    """Steps of the scenario that were carried out."""
    scenario_actions_failed: int = Field(default=0, ge=0)
    """Steps that were refused or not answered, or that were under way when the call ended."""


SIGNALLING_COUNTS: tuple[str, ...] = tuple(
    name for name, field in SignallingReport.model_fields.items() if field.annotation is int
)
"""Those that add up."""


class EndpointReport(ReportModel):
    """The final report of one endpoint, sent once."""

    run_id: str
    index: int = Field(ge=0, le=0xFFFFFFFF)
    name: Line
    group: Line
    worker: Line = ""
    """Name of its worker."""
    worker_id: str = ""
    """Filled in by the gateway, as two workers may have the same name."""
    phase: str = Phase.CLOSED.name
    """How far the endpoint came before it closed: the furthest phase but CLOSED, by name."""
    outcome: OutcomeKind
    blame: Blame | None = None
    reason: Line = ""
    registration: RegistrationReport = Field(default_factory=RegistrationReport)
    call: CallReport = Field(default_factory=CallReport)
    signalling: SignallingReport = Field(default_factory=SignallingReport)
    media: MediaReport = Field(default_factory=MediaReport)
    one_way: bool = False
    """Answered, and heard in exactly one direction."""
    one_way_missing: Literal["", "send", "receive"] = ""
    """The other one: ``receive`` when nothing came, ``send`` when nothing of ours left, or none of it arrived."""
    silent: bool = False
    """Answered, and packets in neither direction, or nothing but silence in those that came while we spoke."""
    late: bool = False
    """Came after the run was over; its summary counts this endpoint as lost."""

    @field_validator("phase", mode="before")
    @classmethod
    def _name_of_phase(cls, value: object) -> object:
        if isinstance(value, Phase):
            return value.name
        if value not in Phase.__members__:
            raise ValueError(f"expected one of {', '.join(Phase.__members__)}")
        return value

    @property
    def ended_well(self) -> bool:
        """Tell whether the endpoint did what it should, with warnings at most."""
        return self.outcome.severity < 10


def lost_endpoint(
    run_id: str, *, index: int, name: str, group: str, worker: str, reason: str, worker_id: str = ""
) -> EndpointReport:
    """Return the report of an endpoint whose worker went away without making one."""
    return EndpointReport(
        run_id=run_id,
        index=index,
        name=name,
        group=group,
        worker=worker,
        worker_id=worker_id,
        phase=Phase.INITIALIZING.name,
        outcome=OutcomeKind.OSERROR,
        blame=Blame.WORKER,
        reason=reason,
    )


class UntrustedSecond(ReportModel):
    """A bound that a worker broke in one second: what was measured in it may be our own doing."""

    second: int = Field(ge=0)
    """From the start of the run."""
    bound: int = Field(ge=0)
    """Its number in cmw.load.generator_bounds."""
    value: float


MAX_UNTRUSTED = 500
"""Rows of `RunTotals.untrusted`: the first ones; the counts beside them are of all."""


def _check_histogram(wire: dict[str, Any]) -> dict[str, Any]:
    ExponentialHistogram.from_dict(wire)
    return wire


_HISTOGRAM_SCHEMA = {
    "type": "object",
    "description": "bucket i holds values above base^i, up to base^(i+1), where base is 2^(2^-scale)",
    "properties": {
        "scale": {"type": "integer", "minimum": MIN_SCALE, "maximum": MAX_SCALE},
        "zero_count": {"type": "integer", "minimum": 0},
        "offset": {"type": "integer", "description": "the bucket of the first count"},
        "counts": {"type": "array", "maxItems": MAX_BUCKETS, "items": {"type": "integer", "minimum": 0}},
        "negative_offset": {"type": "integer", "description": "as offset, of values below zero by their size"},
        "negative_counts": {"type": "array", "maxItems": MAX_BUCKETS, "items": {"type": "integer", "minimum": 0}},
        "sum": {"type": ["number", "null"]},
        "min": {"type": ["number", "null"]},
        "max": {"type": ["number", "null"]},
    },
    "required": ["scale", "zero_count", "offset", "counts"],
}
HistogramWire = Annotated[dict[str, Any], AfterValidator(_check_histogram), WithJsonSchema(_HISTOGRAM_SCHEMA)]


class RunTotals(ReportModel):
    """The health of one worker during a run, sent with `run_done`. What could not be measured is None.

    Histograms are the wire form of cmw.metrics.histogram.
    """

    endpoints: int = 0
    pacing_error_us: HistogramWire | None = None
    """Lateness of each packet sent against its schedule, microseconds."""
    packets_sent: int = 0
    packets_received: int = 0
    packets_skipped: int = 0
    """Packets that were not sent because their time had passed."""
    send_errors: int = 0
    """Packets that the kernel refused to send."""
    kernel_drops: int | None = None
    """Datagrams that the kernel dropped because our receive buffers were full."""
    sip_datagrams_received: int = 0
    sip_datagrams_sent: int = 0
    sip_kernel_drops: int | None = None
    """SIP datagrams that the kernel dropped because the receive buffer of our listener was full."""
    sip_unsent: int = 0
    """SIP datagrams that never left, because the network took nothing for so long that too many waited."""
    samples_dropped: int = 0
    """Sample batches that the spool of the link had to give up."""
    loop_lag_ms: HistogramWire | None = None
    """Lateness of a periodic timer of the signalling loop, milliseconds."""
    cpu_seconds: float = 0.0
    """User and system time of the process during the run."""
    rss_bytes: int = 0
    """Largest resident set during the run."""
    cpu_steal_ratio: float | None = None
    """Share of CPU time that the hypervisor took, 0 to 1."""
    shortages: dict[str, int] = Field(default_factory=dict)
    """Calls that could not be placed or answered, by the resource that was used up."""
    seconds: int = Field(default=0, ge=0)
    """How many seconds of the run the worker judged itself in."""
    untrusted_seconds: int = Field(default=0, ge=0)
    """Those of them in which it broke a bound."""
    untrusted: list[UntrustedSecond] = Field(default_factory=list, max_length=MAX_UNTRUSTED)
    first_seconds: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """By metric of cmw.load.generator_bounds: the first second whose figure was above what a whole run may have."""
    scheduling: str = ""
    """SCHED_FIFO or SCHED_OTHER of the media thread."""
