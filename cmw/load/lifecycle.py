"""Phase and outcome of one endpoint, two independent words that only move one way."""

from __future__ import annotations

from cmw.core.words import Outcome, OutcomeKind, Phase


class Lifecycle:
    """How far an endpoint has come, and how it ends.

    The phase moves forward only. The outcome is None until something is known, and is overwritten only by one of a
    higher severity: the first of two failures stays.
    """

    __slots__ = ("_outcome", "_phase")

    def __init__(self) -> None:
        self._phase = Phase.INITIALIZING
        self._outcome: Outcome | None = None

    def advance(self, phase: Phase) -> bool:
        """Move forward to `phase`; return False, and change nothing, if the endpoint is there or beyond."""
        if phase <= self._phase:
            return False
        self._phase = phase
        return True

    def settle(self, outcome: Outcome) -> bool:
        """Take `outcome` if none was set or its severity is higher; return whether it was taken."""
        if self._outcome is not None and outcome.kind.severity <= self._outcome.kind.severity:
            return False
        self._outcome = outcome
        return True

    def close(self) -> Outcome:
        """End the endpoint: phase CLOSED, outcome SUCCESS if nothing else was said; return the outcome."""
        self._phase = Phase.CLOSED
        if self._outcome is None:
            self._outcome = Outcome(OutcomeKind.SUCCESS)
        return self._outcome

    @property
    def phase(self) -> Phase:
        """Return the phase."""
        return self._phase

    @property
    def outcome(self) -> Outcome | None:
        """Return the outcome; None as long as nothing was said."""
        return self._outcome

    @property
    def is_closed(self) -> bool:
        """Tell whether the endpoint has ended."""
        return self._phase is Phase.CLOSED
