"""The words for states and outcomes, as users read them. Source: docs/words.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class WorkerState(StrEnum):
    """What the gateway knows of a worker."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    DRAINING = "DRAINING"
    ERROR = "ERROR"


class RunStatus(StrEnum):
    """Where a run stands."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANNOT_RUN_FOR_NOW = "CANNOT_RUN_FOR_NOW"

    @property
    def is_final(self) -> bool:
        """Tell whether the run is over."""
        return self in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANNOT_RUN_FOR_NOW)


class Phase(IntEnum):
    """How far an endpoint has come; only ever moves forward."""

    INITIALIZING = 0
    REGISTERED = 1
    CALLING = 2
    RINGING = 3
    NEGOTIATING = 4
    INCALL = 5
    DISCONNECTING = 6
    CLOSED = 7


class OutcomeKind(StrEnum):
    """How an endpoint ended."""

    SUCCESS = "SUCCESS"
    COMPLETED_WITH_WARNINGS = "COMPLETED_WITH_WARNINGS"
    REGISTRATION_FAILED = "REGISTRATION_FAILED"
    CALL_FAILED = "CALL_FAILED"
    NEGOTIATION_FAILED = "NEGOTIATION_FAILED"
    TIMEOUT = "TIMEOUT"
    OSERROR = "OSERROR"
    TEARDOWN_ERROR = "TEARDOWN_ERROR"

    @property
    def severity(self) -> int:
        """Return 0 for success, 1 for warnings, 10 for every failure; only a higher one overwrites."""
        if self is OutcomeKind.SUCCESS:
            return 0
        return 1 if self is OutcomeKind.COMPLETED_WITH_WARNINGS else 10


class Blame(StrEnum):
    """Whose fault a failure is; never the target's when we were late ourselves."""

    TARGET = "TARGET"
    WORKER = "WORKER"
    UNKNOWN = "UNKNOWN"


class Verdict(StrEnum):
    """What a run decides; INVALID means that the generator was the limit."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an endpoint ended, whose fault it was, and why in one sentence; no blame without a failure."""

    kind: OutcomeKind
    blame: Blame | None = None
    reason: str = ""
