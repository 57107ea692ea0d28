"""What a `UserAgent` tells of a registration.

Every one ends with exactly one of `RegistrationFailed` and `RegistrationEnded`.
"""

from __future__ import annotations

from cmw.core.clock import Nanos
from cmw.core.facts import fact


@fact
class RegistrationSucceeded:
    """A binding stands, for the first time or again.

    Args:
        expires_s: lifetime that the registrar granted, seconds.
        flow_timer_s: how long the connection may be silent from now on, None when the registrar does not say.
            Source: RFC 5626 4.4.1.
    """

    registration: int
    expires_s: int
    at: Nanos
    flow_timer_s: int | None = None


@fact
class RegistrationDelayed:
    """A REGISTER failed and will be tried again; a binding that stands still does.

    Args:
        status: the response that came, 0 when none did.
        again_at: when the next one goes at the earliest.
    """

    registration: int
    status: int
    reason: str
    again_at: Nanos
    at: Nanos


@fact
class RegistrationLost:
    """A binding stands no more: its time ran out before a refresh succeeded, or its connection is gone.

    It is tried again; `RegistrationSucceeded` tells that it stands again, `RegistrationFailed` that it never will.

    Args:
        status: the last response to a refresh, 0 when none came.
    """

    registration: int
    status: int
    reason: str
    at: Nanos


@fact
class RegistrationFailed:
    """A registration is given up; its last event.

    Args:
        status: the response that ended it, 0 when none came.
    """

    registration: int
    status: int
    reason: str
    at: Nanos


@fact
class RegistrationEnded:
    """A binding was removed as asked; its last event."""

    registration: int
    at: Nanos


RegistrationEvent = (
    RegistrationSucceeded | RegistrationDelayed | RegistrationLost | RegistrationFailed | RegistrationEnded
)
