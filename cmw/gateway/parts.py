"""A run while it is not over, as the coordinator holds it; the store has the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from cmw.core.words import RunStatus
from cmw.gateway.instants import UnixMillis
from cmw.gateway.placement import ANYWHERE, Placement
from cmw.load.early_end import EarlyEnd


class PartState(StrEnum):
    """How far one worker's part of a run has come."""

    ASSIGNED = "ASSIGNED"
    """The share is made; `prepare_run` is on its way."""
    PREPARED = "PREPARED"
    """The worker is ready: receivers are registered, targets known."""
    STARTED = "STARTED"
    """`start_run` has arrived."""
    DONE = "DONE"
    """Every endpoint has reported."""
    LOST = "LOST"
    """The worker is given up; endpoints it did not report count as OSERROR."""

    @property
    def is_final(self) -> bool:
        """Tell whether nothing more is expected of the worker."""
        return self in (PartState.DONE, PartState.LOST)


class PartEndpoint(NamedTuple):
    """One endpoint of a part, or a further call of one: its number in the run, and its place in its group."""

    number: int
    name: str
    group: str
    position: int
    line: int = 0
    """Which of the calls that the endpoint has at a time."""


Targets = dict[str, dict[str, str]]
"""group -> position, in decimal digits -> URI; positions are texts because JSON has no other keys."""


@dataclass(slots=True)
class Part:
    """What one worker has of a run.

    Args:
        session: the link session, that is the worker process, that prepared the part.
        endpoints: the endpoints of the share, in its order.
        targets: URI of each endpoint here that can be called, by group and position.
        progress: the data of the last progress report.
    """

    worker_id: str
    worker_name: str
    endpoints: list[PartEndpoint]
    state: PartState = PartState.ASSIGNED
    session: str | None = None
    targets: Targets | None = None
    prepared: dict[str, Any] | None = None
    progress: dict[str, Any] | None = None
    done: dict[str, Any] | None = None
    reason: str = ""
    numbers: frozenset[int] = field(init=False, repr=False)
    """Numbers in the run of `endpoints`."""
    seats: int = field(init=False)
    """How many calls they have at a time: what of the worker's room they take."""

    def __post_init__(self) -> None:
        self.numbers = frozenset([endpoint.number for endpoint in self.endpoints])
        self.seats = len({(endpoint.group, endpoint.position, endpoint.line) for endpoint in self.endpoints})


class StepOf(NamedTuple):
    """Of which search a run is a step, and which: numbers begin with 1."""

    search_id: str
    number: int


@dataclass(slots=True)
class ActiveRun:
    """A run that is not over.

    Args:
        total_endpoints: those of its plan, counted once for each of their calls.
        seats: the same, each counted once: the room that it needs, which nobody asks for once it has workers.
        deadline_at_ms: when every endpoint must have ended by itself; set when the run starts or is stopped.
        ended_at_ms: when the last worker was done or given up: reports that come later are late.
        placement: which workers it may have.
        wait_until_ms: until when it may wait for room.
        is_finishing: its results are being summed up.
        early_end: the threshold that ended it.
        step: of which search it is a step, and its number.
        start_at_unix_ns: when all workers begin; None for one worker, and for those that a restarted gateway starts.
    """

    id: str
    name: str
    status: RunStatus
    total_endpoints: int
    created_at_ms: UnixMillis
    queued_at_ms: UnixMillis | None = None
    started_at_ms: UnixMillis | None = None
    deadline_at_ms: UnixMillis | None = None
    ended_at_ms: UnixMillis | None = None
    reason: str = ""
    placement: Placement = ANYWHERE
    wait_until_ms: UnixMillis | None = None
    is_finishing: bool = False
    step: StepOf | None = None
    early_end: EarlyEnd | None = None
    seats: int = 0
    start_at_unix_ns: int | None = None
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def is_waiting(self) -> bool:
        """Tell whether it waits for room: it has no workers yet."""
        return self.status is RunStatus.QUEUED and not self.parts

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more is expected of any worker."""
        return bool(self.parts) and all(part.state.is_final for part in self.parts.values())

    def open_parts(self) -> list[Part]:
        """Return the parts that something is still expected of."""
        return [part for part in self.parts.values() if not part.state.is_final]

    def final_status(self) -> RunStatus:
        """Return how a run whose parts are all final ends: FAILED when every worker was lost."""
        is_lost = all(part.state is PartState.LOST for part in self.parts.values())
        return RunStatus.FAILED if is_lost else RunStatus.COMPLETED

    def progress(self) -> dict[str, Any]:
        """Return the sum of what the workers last said."""
        return add_progress(part.progress for part in self.parts.values() if part.progress)


def add_progress(reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Add progress reports up: numbers are added, mappings of numbers by key; `second` is the latest."""
    total: dict[str, Any] = {}
    for report in reports:
        for key, value in report.items():
            before = total.get(key)
            if isinstance(value, dict):
                total[key] = add_progress([before if isinstance(before, dict) else {}, value])
            elif isinstance(value, int | float) and not isinstance(value, bool) and not isinstance(before, dict):
                total[key] = max(before or 0, value) if key == "second" else (before or 0) + value
    return total
