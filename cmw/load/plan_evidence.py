"""What a plan says of the evidence that a run keeps."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictInt, StrictStr

from cmw.load.plan_fields import PlanModel, plan_field

MAX_CALLS = 1000
MAX_RANKED = 100
DEFAULT_CALLS = 20
DEFAULT_RANKED = 5

EndpointName = Annotated[StrictStr, Field(min_length=1, max_length=200)]


class Evidence(PlanModel):
    """Which calls each worker keeps the SIP messages of, and the packets."""

    calls: StrictInt = plan_field(
        f"a whole number from 0 to {MAX_CALLS}",
        "how many endpoints that did not end well are kept, no more than a quarter of them of the same kind",
        default=DEFAULT_CALLS,
        ge=0,
        le=MAX_CALLS,
    )
    worst: StrictInt = plan_field(
        f"a whole number from 0 to {MAX_RANKED}",
        "how many endpoints are kept of those whose MOS was the lowest, however they end",
        default=DEFAULT_RANKED,
        ge=0,
        le=MAX_RANKED,
    )
    slowest: StrictInt = plan_field(
        f"a whole number from 0 to {MAX_RANKED}",
        "how many endpoints are kept of those whose call took longest to be answered",
        default=DEFAULT_RANKED,
        ge=0,
        le=MAX_RANKED,
    )
    rtp: StrictInt = plan_field(
        f"a whole number from 0 to {MAX_CALLS}",
        "of how many calls at a time RTP and RTCP are kept as well, in 1 MiB of memory each",
        default=0,
        ge=0,
        le=MAX_CALLS,
    )
    endpoints: list[EndpointName] = plan_field(
        "a list of names of endpoints such as callers-0001",
        "endpoints that are kept however they end",
        default_factory=list,
        max_length=MAX_CALLS,
    )

    @property
    def chooses(self) -> bool:
        """Tell whether anybody is kept."""
        return bool(self.calls or self.endpoints or self.worst or self.slowest)
