"""The listener's jitter buffer as a plan describes it. It is a model: no audio waits in it."""

from __future__ import annotations

from typing import Annotated, Literal

from cmw.core.clock import MILLISECOND
from cmw.load.plan_fields import PlanModel, duration, plan_field
from cmw.rtp.jitter_buffer import MAX_BUFFER_NS, USUAL_BUFFER, BufferSettings

WaitNs = Annotated[int, *duration(0, MAX_BUFFER_NS)]
LateNs = Annotated[int, *duration(MILLISECOND, 60_000 * MILLISECOND)]
_EXPECTED = "a duration from 0s to 10s"


class JitterBuffer(PlanModel):
    """How long the buffer waits after the fastest packet, and whether it changes that."""

    mode: Literal["adaptive", "fixed"] = plan_field(
        "adaptive or fixed", "whether its delay follows", default="adaptive"
    )
    nominal: WaitNs = plan_field(_EXPECTED, "how long it waits, to begin with", default=USUAL_BUFFER.start_ns)
    min: WaitNs | None = plan_field(
        _EXPECTED, "least of an adaptive one; 20ms, or nominal if that is less", default=None
    )
    max: WaitNs | None = plan_field(
        _EXPECTED, "most of an adaptive one; 200ms, or nominal if that is more", default=None
    )

    def settings(self) -> BufferSettings:
        """Return the three bounds; `fault` tells whether they fit."""
        if self.mode == "fixed":
            return BufferSettings(self.nominal, self.nominal, self.nominal)
        least = min(USUAL_BUFFER.min_ns, self.nominal) if self.min is None else self.min
        most = max(USUAL_BUFFER.max_ns, self.nominal) if self.max is None else self.max
        return BufferSettings(self.nominal, least, most)

    def fault(self) -> tuple[str, str] | None:
        """Return the field that does not fit the others, and what is wrong with it."""
        if self.mode == "fixed":
            for name in ("min", "max"):
                if getattr(self, name) is not None:
                    return name, "found beside mode fixed, expected only beside adaptive: a fixed buffer waits nominal"
        settings = self.settings()
        if settings.min_ns > settings.start_ns:
            return "min", "found more than nominal, expected at most as much"
        if settings.max_ns < settings.start_ns:
            return "max", "found less than nominal, expected at least as much"
        return None
