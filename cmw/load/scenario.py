"""How a scenario unfolds in one call: which steps are due, at a time or because something happened, each once."""

from __future__ import annotations

from collections.abc import Sequence

from cmw.core.clock import Nanos
from cmw.load.share_sip import StepShare
from cmw.load.units import format_duration


class Scenario:
    """The steps of one call that are still to come.

    Args:
        steps: in the order of the plan; of those due at the same instant the first comes first.
    """

    __slots__ = ("_answered_at", "_events", "_times")

    def __init__(self, steps: Sequence[StepShare]) -> None:
        timed = [step for step in steps if step.at_ns is not None]
        self._times = sorted(timed, key=lambda step: step.at_ns or 0)
        self._events = [step for step in steps if step.at_ns is None]
        self._answered_at: Nanos | None = None

    def begin(self, answered_at: Nanos) -> None:
        """Let time count from the answer of the call."""
        self._answered_at = answered_at

    def next_at(self) -> Nanos | None:
        """Return when the next step is due, None when none is."""
        if self._answered_at is None or not self._times:
            return None
        return self._answered_at + (self._times[0].at_ns or 0)

    def take_due(self, now: Nanos) -> list[StepShare]:
        """Return the steps whose time has come, each once."""
        due: list[StepShare] = []
        while (at := self.next_at()) is not None and at <= now:
            due.append(self._times.pop(0))
        return due

    def take_event(self, event: str, digit: str = "") -> list[StepShare]:
        """Return the steps that waited for this, each once in a call unless it says otherwise.

        Args:
            event: ``dtmf``, ``hold`` and so on.
            digit: of ``dtmf``.
        """
        due = [step for step in self._events if step.on == event and step.digit in (None, digit)]
        self._events = [step for step in self._events if step.again or not any(step is taken for taken in due)]
        return due


def describe_step(step: StepShare) -> str:
    """Return ``hold at 10s`` or ``send_info on dtmf 1``."""
    if step.at_ns is not None:
        return f"{step.action} at {format_duration(step.at_ns)}"
    return f"{step.action} on {step.on}{f' {step.digit}' if step.digit else ''}"
