"""What a worker is told of SIP itself: ways to servers, identities, options of calls, steps of scenarios."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cmw.core.clock import Nanos
from cmw.load.share_model import SecretText, ShareModel

Source = Annotated[str, Field(pattern=r"^(speech|tone|silence|echo|sound:[0-9a-f]{1,64})$")]
"""What is said, by name."""

Transport = Literal["udp", "tcp", "tls", "ws", "wss", "auto"]


class TlsShare(ShareModel):
    """How TLS is spoken with the servers of a way. Texts are in PEM."""

    verified: bool = True
    ca: str | None = None
    """The only authorities to trust; those of the system when None."""
    certificate: str | None = None
    key: SecretText | None = None
    """In `certificate` when None."""
    server_name: str = ""
    """Name that the certificate has to show; the server's host when empty."""


class WayShare(ShareModel):
    """How servers are reached."""

    transport: Transport | None = None
    """None leaves it to the URI, and to what DNS says."""
    routes: list[str] = Field(default_factory=list)
    """URIs of outbound proxies, the first one first."""
    tls: TlsShare | None = None
    path: str = ""
    """What a WebSocket server is asked for; ``/`` when empty."""
    hosts: list[str] = Field(default_factory=list)
    """Names and addresses of the servers that `tls` and `path` are meant for, in lower case."""


class IdentityShare(ShareModel):
    """Who calls; ``{n}`` in any text is filled in by the worker."""

    display_name: str = ""
    user: str | None = None
    domain: str | None = None
    asserted: list[str] | None = None
    """Addresses; empty for the one in From, None for no header."""
    preferred: list[str] | None = None
    privacy: list[str] = Field(default_factory=list)


class TimerShare(ShareModel):
    """Session timers."""

    mode: Literal["disabled", "supported", "required"] = "supported"
    expires_s: int = Field(ge=0)
    min_s: int = Field(default=90, ge=90)
    refresher: Literal["uac", "uas", "none"] = "none"
    soft: bool = False


class SipShare(ShareModel):
    """What the calls of a group use."""

    reliable: Literal["off", "supported", "required"] = "supported"
    timer: TimerShare | None = None
    """None agrees to what the peer wants."""
    takes_transfers: bool = True


class StepShare(ShareModel):
    """One step of a scenario: a trigger, and an action with what belongs to it."""

    at_ns: Nanos | None = Field(default=None, ge=0)
    """From the answer of the call; None for a step that waits for an event."""
    on: str | None = None
    digit: str | None = None
    """Which digit `on` dtmf waits for; None for any."""
    action: Literal[
        "hold", "resume", "update", "transfer", "send_info", "send_message", "send_options", "send_dtmf", "play",
        "hang_up",
    ]  # fmt: skip
    via: Literal["invite", "update", "info", "rfc4733", "negotiated"] = "invite"
    """`negotiated`: digits by RFC 4733 where the peer takes them, else in INFO."""
    codecs: list[str] = Field(default_factory=list)
    """Of an update; empty to leave them."""
    new_ports: bool = False
    """Of an update: move to another pair of RTP ports."""
    uri: str | None = None
    """Of a transfer; None when it leads to an endpoint of a group, `EndpointShare.transfers_to`."""
    attended: bool = False
    type: str = ""
    """Media type of `body`."""
    body: str = ""
    """Of INFO and MESSAGE; the digits of send_dtmf."""
    digit_ms: int | None = Field(default=None, ge=1, le=60_000)
    """How long each digit of send_dtmf is; None for the usual time."""
    source: Source | None = None
    """Of play."""
    again: bool = False
    """Whether it waits for its event again after it was begun; else it is begun once in a call."""
