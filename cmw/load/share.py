"""The part of a run that one worker carries out, as it travels over the link."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from cmw.core.clock import Nanos
from cmw.load.share_model import SecretText, ShareModel
from cmw.load.share_sip import IdentityShare, SipShare, Source, StepShare, Transport, WayShare
from cmw.rtp.jitter_buffer import MAX_BUFFER_NS, USUAL_BUFFER
from cmw.rtp.statistics import LATE_LIMIT_NS

UINT32_MAX = (1 << 32) - 1


class AccountShare(ShareModel):
    """Credentials of one endpoint. The password shows neither in repr nor in `model_dump`."""

    username: str
    password: SecretText
    realm: str | None = None
    auth_username: str | None = None
    """User name of the digest when it is not `username`."""


class RetryShare(ShareModel):
    """When a registration that failed is tried again."""

    tries: int = Field(ge=1)
    base_ns: Nanos = Field(gt=0)
    max_ns: Nanos = Field(gt=0)


class RegistrarShare(ShareModel):
    """Where endpoints register and send their calls."""

    name: str
    domain: str
    """Host name or literal address, IPv6 in brackets; to be resolved by the worker."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """None for the one of the transport, or for what DNS says of a name."""
    transport: Transport = "udp"
    expires_s: int = Field(ge=1)
    way: WayShare = WayShare()
    retry: RetryShare | None = None
    outbound: bool = False
    """Whether flows of an instance are asked for. Source: RFC 5626."""
    own_connections: bool = False
    """Whether each endpoint has a connection of its own."""

    @property
    def uri(self) -> str:
        """Return the URI that REGISTER goes to."""
        return f"sip:{self.domain}" if self.port is None else f"sip:{self.domain}:{self.port}"


class AnswerShare(ShareModel):
    """What an endpoint that waits does with its call."""

    after_ns: Nanos = Field(ge=0)
    """From the INVITE to the final answer."""
    ring: bool = True
    """Whether 180 is sent at once."""
    rings_on: bool = False
    """No final answer is ever sent: the call rings until its caller gives up."""
    reject: int | None = Field(default=None, ge=400, le=699)
    """Status of the refusal; None to answer."""
    redirect: list[str] = Field(default_factory=list)
    """Where to call instead, with 302; the first is preferred."""
    early_media: bool = False
    progress: int = Field(default=180, ge=101, le=199)
    """Status of the provisional response."""
    options_status: int = Field(default=200, ge=200, le=699)
    """What OPTIONS outside of calls is answered."""
    headers: dict[str, str] = Field(default_factory=dict)
    wait_ns: Nanos = Field(ge=0)
    """From `start_run`: when an endpoint that got no call ends as TIMEOUT, "receiver wait timeout"."""


class BufferShare(ShareModel):
    """How long the model of the listener's jitter buffer waits; it is fixed when least and most are equal."""

    start_ns: Nanos = Field(default=USUAL_BUFFER.start_ns, ge=0, le=MAX_BUFFER_NS)
    min_ns: Nanos = Field(default=USUAL_BUFFER.min_ns, ge=0, le=MAX_BUFFER_NS)
    max_ns: Nanos = Field(default=USUAL_BUFFER.max_ns, ge=0, le=MAX_BUFFER_NS)


class AudioShare(ShareModel):
    """What is sent, and how."""

    codecs: list[Literal["PCMU", "PCMA"]] = Field(min_length=1)
    ptime_ms: int = Field(ge=1)
    source: Source
    """``sound:`` and a number for one of `RunShare.sounds`."""
    dscp: int = Field(ge=0, le=63)
    rtcp_mux: bool = False
    symmetric: bool = False
    buffer: BufferShare = BufferShare()
    late_limit_ns: Nanos = Field(default=LATE_LIMIT_NS, ge=0, le=60_000_000_000)
    """A packet that comes later than the fastest by more than this counts as late."""


class Callee(ShareModel):
    """Whom an endpoint calls: a URI, or the endpoint at a position of a group, whose URI comes with `start_run`."""

    uri: str | None = None
    group: str | None = None
    position: int | None = Field(default=None, ge=0)


class EndpointShare(ShareModel):
    """One endpoint, or a further call of one: group and position are those of the endpoint, which registers once."""

    index: int = Field(ge=0, le=UINT32_MAX)
    """Unique in the run; counts through the groups in the order of the plan."""
    position: int = Field(ge=0)
    """Place in the group, from 0, the same whatever the number of workers."""
    name: str
    """``callers-0001``; the user part of the address of an endpoint without an account."""
    account: AccountShare | None = None
    target: str | None = None
    """URI under which an endpoint with a registrar is reached; None when it is reached at the worker."""
    register_at_ns: Nanos | None = Field(default=None, ge=0)
    """When to send REGISTER, from `prepare_run`; None without a registrar."""
    starts_at_ns: Nanos | None = Field(default=None, ge=0)
    """When to call, from `start_run`; None for an endpoint that waits."""
    hold_ns: Nanos | None = Field(default=None, gt=0)
    """How long its call is held; None for the time of the group."""
    line: int = Field(default=0, ge=0)
    """Which of the calls that the endpoint has at a time; above 0 only where several wait at once."""
    follows: int | None = Field(default=None, ge=0)
    """Index of the call before this one on the same line; None for its first. `starts_at_ns` is then what the plan
    comes to when each call is answered at once: it begins `pause_ns` after that call is over."""
    pause_ns: Nanos = Field(default=0, ge=0)
    callee: Callee | None = None
    expects_call: bool = False
    """Whether a call must come; an endpoint that waits beyond the number of callers may stay alone and succeed."""
    transfers_to: Callee | None = None
    """Whom a transfer of the scenario leads to, when that is an endpoint of a group."""
    hangs_up: bool = False
    """Whether an endpoint that waits ends its call by itself, for whoever is transferred to it may not."""

    @property
    def user(self) -> str:
        """Return the user part of the endpoint's address."""
        return self.account.username if self.account is not None else self.name


class GroupShare(ShareModel):
    """The settings of a group, and those of its endpoints that this worker carries."""

    name: str
    registrar: str | None
    answer: AnswerShare | None
    """For a group that waits; None for one that calls."""
    audio: AudioShare
    way: WayShare = WayShare()
    """How whom it calls is reached, without a registrar."""
    late_offer: bool = False
    """Whether the INVITE leaves the offer to the callee."""
    redirects: int = Field(default=0, ge=0)
    """How many 3xx a call follows."""
    identity: IdentityShare | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    """Of the INVITE; ``{n}`` in a value is filled in by the worker."""
    sip: SipShare = SipShare()
    scenario: list[StepShare] = Field(default_factory=list, max_length=30)
    hold_ns: Nanos = Field(gt=0)
    """How long a call is held from its answer; the caller hangs up."""
    setup_timeout_ns: Nanos = Field(gt=0)
    """How long an INVITE may stay without a final answer before CANCEL."""
    hold_limit_ns: Nanos = Field(gt=0)
    """When an endpoint that waited hangs up by itself, because its caller did not."""
    endpoints: list[EndpointShare]

    @property
    def calls(self) -> bool:
        """Tell whether the endpoints call; the others wait."""
        return self.answer is None


class EvidenceShare(ShareModel):
    """Whose SIP messages, and packets, a worker keeps."""

    calls: int = Field(default=0, ge=0)
    """So many endpoints that did not end well."""
    endpoints: list[str] = Field(default_factory=list)
    """And these, by name."""
    worst: int = Field(default=0, ge=0)
    """And so many whose MOS was the lowest."""
    slowest: int = Field(default=0, ge=0)
    """And so many whose call took longest to be answered."""
    rtp: int = Field(default=0, ge=0)
    """Of so many calls at a time RTP and RTCP are kept as well, in case they are wanted."""

    @property
    def is_wanted(self) -> bool:
        """Tell whether anything is to be kept."""
        return bool(self.calls or self.endpoints or self.worst or self.slowest)


class RunShare(ShareModel):
    """What one worker does in a run."""

    run_id: str
    name: str
    groups: dict[str, GroupShare]
    registrars: dict[str, RegistrarShare]
    register_within_ns: Nanos
    """From `prepare_run`: when every registration of the run has succeeded or failed."""
    run_within_ns: Nanos
    """From `start_run`: when every endpoint of the run has ended, whatever happens."""
    evidence: EvidenceShare = EvidenceShare()
    sounds: dict[str, str] = Field(default_factory=dict)
    """Samples of 8000 Hz, 16 bit, little-endian, in base64, by the names that sources have."""

    @model_validator(mode="after")
    def _follow_their_own(self) -> RunShare:
        """Refuse a call that follows none of its endpoint in this share: it would never begin, or register."""
        for group in self.groups.values():
            known: dict[int, tuple[int, int]] = {}
            firsts: set[int] = set()
            for endpoint in group.endpoints:
                place = endpoint.position, endpoint.line
                if endpoint.follows is not None and known.get(endpoint.follows) != place:
                    raise ValueError(
                        f"found {endpoint.name} after {endpoint.follows}, expected a call of its line before it"
                    )
                if endpoint.line and endpoint.position not in firsts:
                    raise ValueError(f"found {endpoint.name} on line {endpoint.line}, expected one on line 0 before it")
                known[endpoint.index] = place
                firsts.add(endpoint.position)
        return self

    @property
    def total_endpoints(self) -> int:
        """Return the endpoints of this share, counted once for each of their calls."""
        return sum(len(group.endpoints) for group in self.groups.values())

    @property
    def seats(self) -> int:
        """Return the room that the endpoints of this share take: one for each call that they have at a time."""
        return sum(endpoint.follows is None for group in self.groups.values() for endpoint in group.endpoints)

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON document for the link, **passwords included**; `RunShare.model_validate` reads it back."""
        document = self.model_dump(mode="json", exclude_none=True, context={"reveal": True})
        for group in document["groups"].values():
            group.setdefault("registrar", None)
            group.setdefault("answer", None)
        return document
