"""What a `UserAgent` tells of requests that change no call, those that came and those that it sent."""

from __future__ import annotations

from dataclasses import field

from cmw.core.clock import Nanos
from cmw.core.facts import fact
from cmw.sip.hop import Hop
from cmw.sip.message import Request, Response


@fact
class InfoReceived:
    """The peer sent INFO within the call; 200 is queued already. `cmw.sip.dtmf_info` reads digits in it."""

    call: int
    content_type: str
    body: bytes
    at: Nanos
    request: Request = field(compare=False, repr=False)


@fact
class MessageReceived:
    """A MESSAGE came, within a call or outside (0); 200 is queued already. Source: RFC 3428."""

    call: int
    from_uri: str
    content_type: str
    body: bytes
    source: Hop
    at: Nanos
    request: Request = field(compare=False, repr=False)


@fact
class NotifyReceived:
    """A NOTIFY came that nobody asked for, within a call or outside (0); 200 is queued already."""

    call: int
    package: str
    body: bytes
    source: Hop
    at: Nanos
    request: Request = field(compare=False, repr=False)


@fact
class RequestSucceeded:
    """A request of `request` or `request_in_call` had a 2xx; its last event.

    Args:
        call: the call, 0 when it was sent outside of any.
    """

    request: int
    call: int
    method: str
    status: int
    at: Nanos
    response: Response = field(compare=False, repr=False)


@fact
class RequestFailed:
    """A request of `request` or `request_in_call` had another final response, or none; its last event.

    Args:
        status: the response; 408 after silence, 503 after an error of the network, 0 when its call ended first.
        response: None when none came.
    """

    request: int
    call: int
    method: str
    status: int
    reason: str
    at: Nanos
    response: Response | None = field(default=None, compare=False, repr=False)


@fact
class RequestAnswered:
    """A request outside of any call was answered without asking anyone: OPTIONS, an unknown method, a stray BYE."""

    method: str
    status: int
    source: Hop
    at: Nanos
