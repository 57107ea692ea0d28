"""What the commands and reports of a run carry over the link, as models and as one JSON schema."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from cmw.load.evidence import Evidence
from cmw.load.generator_bounds import BOUNDS
from cmw.load.outcome import EndpointReport, RunTotals
from cmw.load.packets import EvidencePackets
from cmw.load.report import UNTRUSTED
from cmw.load.share import RunShare
from cmw.metrics.keys import COLUMNS

Targets = dict[str, dict[str, str]]
"""Group, position in it as text, and the URI under which the endpoint there is called."""


class RunMessage(BaseModel):
    """Base of what is defined here. Unknown fields are ignored: either side may be newer."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class PrepareOrder(RunMessage):
    """What `prepare_run` carries. It holds passwords: keep it out of logs."""

    share: RunShare
    """What this worker does in the run."""


class Prepared(RunMessage):
    """The result of `prepare_run`, given when each endpoint is ready or has failed."""

    targets: Targets = Field(default_factory=dict)
    """Of the groups that wait: where each endpoint that is ready is reached."""
    failed: int = Field(default=0, ge=0)
    """Endpoints that are not ready; each has been reported already."""


class StartOrder(RunMessage):
    """What `start_run` carries."""

    targets: Targets
    """Of every group of the run that waits, on whatever worker."""
    start_at_unix_ns: int | None = None
    """When all workers begin, by the gateway's clock; absent for a run of one worker."""


class Started(RunMessage):
    """The result of `start_run`; empty when the order named no instant."""

    start_late_ms: float | None = Field(default=None, ge=0)
    """How long after that instant the worker began."""


class StopOrder(RunMessage):
    """What `stop_run` carries; the result is empty."""

    reason: str = "stopped by the gateway"
    """Shown as the reason of the endpoints that it ends."""


class DrainOrder(RunMessage):
    """What `drain` carries; the result is empty."""

    on: bool = True
    """Whether new runs are to be rejected from now on."""


class Total(RunMessage):
    """What a figure of some endpoints adds up to; the mean is one by the other."""

    count: int = Field(default=0, ge=0)
    """Endpoints that had one."""
    sum: float = 0.0


class ProgressReport(RunMessage):
    """The `data` of a report `progress`: where the endpoints of one worker stand; a gateway shows the sum of all."""

    second: int = Field(ge=0)
    """Of the run, from 0."""
    endpoints: int = Field(ge=0)
    by_phase: dict[str, int] = Field(default_factory=dict)
    """Endpoints in each phase that has any."""
    by_outcome: dict[str, int] = Field(default_factory=dict)
    """Likewise, of those that are closed."""
    calls_active: int = Field(ge=0)
    calls_due: int = Field(default=0, ge=0)
    """Outbound calls whose time had come."""
    calls_attempted: int = Field(ge=0)
    """Outbound calls so far."""
    calls_answered: int = Field(ge=0)
    """Outbound calls so far that were answered."""
    quality: dict[str, Total] = Field(default_factory=dict)
    """Of the second before: ``mos``, ``fraction_lost`` (%) and ``jitter_ms`` of what was received."""
    untrusted_seconds: int = Field(default=0, ge=0)
    """Seconds so far in which the worker broke a bound of its own."""


class RunDone(RunMessage):
    """The `data` of a report `run_done`, which comes after those of all endpoints."""

    generator: RunTotals
    """How the worker itself fared, which decides whether the run is valid."""


COMMANDS: dict[str, tuple[type[BaseModel], type[BaseModel] | None]] = {
    "prepare_run": (PrepareOrder, Prepared),
    "start_run": (StartOrder, Started),
    "stop_run": (StopOrder, None),
    "drain": (DrainOrder, None),
}
"""What each command carries, and its result; None for an empty one."""

REPORTS: dict[str, type[BaseModel]] = {
    "endpoint": EndpointReport,
    "progress": ProgressReport,
    "run_done": RunDone,
    "event": Evidence,
}
"""What each kind of report carries; of events, the one that a run brings by itself."""

EVENTS: dict[str, type[BaseModel]] = {"evidence": Evidence, "evidence_packets": EvidencePackets}
"""What the events of a run carry, by their `kind`."""


def run_schema() -> dict[str, Any]:
    """Return one JSON Schema (2020-12) document; what `cmw schema run` prints.

    `x-commands`, `x-reports` and `x-events` say which definition is carried where, `x-columns` the keys of a sample
    batch and the types of their columns, `x-bounds` which bit of its column `untrusted` is which bound.
    """
    carried = [model for pair in COMMANDS.values() for model in pair if model is not None]
    carried += [*REPORTS.values(), EvidencePackets]
    references, definitions = models_json_schema([(model, "validation") for model in carried])
    of = {model: reference for (model, _), reference in references.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "what commands and reports of a run carry",
        **definitions,
        "x-commands": {
            name: {"data": of[data], "result": of[result] if result is not None else {"maxProperties": 0}}
            for name, (data, result) in COMMANDS.items()
        },
        "x-reports": {kind: of[model] for kind, model in REPORTS.items()},
        "x-events": {kind: of[model] for kind, model in EVENTS.items()},
        "x-columns": {**_columns(), UNTRUSTED: "I"},
        "x-bounds": [bound.metric for bound in BOUNDS],
    }


def _columns() -> dict[str, str]:
    return {name: column.metric.column for name, column in COLUMNS.items() if column.metric.column is not None}
