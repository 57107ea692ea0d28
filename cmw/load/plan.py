"""The plan of a test, version 1: what a person writes, as models. `parse_plan` is in plan_parser.py.

The kinds of values are in plan_fields.py, what is said of SIP itself in plan_sip.py, steps in plan_scenario.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, StrictBool, StrictInt, StrictStr, WithJsonSchema

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.load.lines import Lines
from cmw.load.plan_evidence import Evidence
from cmw.load.plan_fields import (
    TEXT_SCHEMA,
    AlsoWritten,
    DelayNs,
    HeaderRows,
    HoldNs,
    Host,
    Name,
    PlanModel,
    RateField,
    Secret,
    SipUriText,
    Text,
    TimeoutNs,
    Uri,
    as_list,
    duration,
    one_duration_of,
    one_of,
    plan_field,
    unsupported,
)
from cmw.load.plan_hold import HOLD_EXPECTED, HoldField
from cmw.load.plan_jitter_buffer import JitterBuffer, LateNs
from cmw.load.plan_load import Load
from cmw.load.plan_pairing import PAIRING_EXPECTED, PairingField
from cmw.load.plan_scenario import Codec, Scenario, TransferTo
from cmw.load.plan_sip import (
    PROXIES_EXPECTED,
    TRANSPORT_EXPECTED,
    Identity,
    ProxyUris,
    Retry,
    Sip,
    Tls,
    Transport,
)
from cmw.load.plan_sound import SAID_EXPECTED, Said, Sound, SoundName
from cmw.load.plan_threshold import EXPECTED as THRESHOLDS_EXPECTED
from cmw.load.plan_threshold import Rule, ThresholdRule
from cmw.load.thresholds import Threshold, parse_threshold
from cmw.load.units import Rate
from cmw.rtp.statistics import LATE_LIMIT_NS

MAX_ENDPOINTS = 100_000
"""Endpoints of one plan, all groups together; a guard against slips of the finger."""
MAX_GROUPS = 100
MAX_REPEATS = 9999
MAX_ACCOUNTS = 100_000
MAX_HEADERS = 30


def _check_reject(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 400 <= value <= 699:
        raise ValueError("out of range")
    return value


PTIMES_MS = (10, 20, 30, 40, 60)
PtimeNs = Annotated[int, *one_duration_of(*[ptime_ms * MILLISECOND for ptime_ms in PTIMES_MS])]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
Reject = Annotated[
    int, PlainValidator(_check_reject), WithJsonSchema({"type": "integer", "minimum": 400, "maximum": 699})
]

ACCOUNTS_FILE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "description": "CSV file beside the plan: username,password[,realm[,auth_username]]"}
    },
    "required": ["file"],
    "additionalProperties": False,
}


class Account(PlanModel):
    """A SIP account at a registrar."""

    username: Text = plan_field(
        "a text of 1 to 128 printable characters", "user part of the address, and user name of the digest"
    )
    password: Secret = plan_field("a text of at most 256 characters", "password of the digest; never printed")
    realm: Text | None = plan_field(
        "a text of 1 to 128 printable characters", "realm to answer; any when not given", default=None
    )
    auth_username: Text | None = plan_field(
        "a text of 1 to 128 printable characters", "user name of the digest, when it is another one", default=None
    )


class Registration(PlanModel):
    """How accounts are registered."""

    expires: Annotated[int, *duration(60 * SECOND, 24 * 3600 * SECOND)] = plan_field(
        "a duration from 60s to 24h",
        "expiry asked for; refreshed in time for as long as the run needs it",
        default=300 * SECOND,
    )
    rate: RateField = plan_field(
        "a rate from 0.001/s to 10000/s such as 50/s",
        "how many endpoints start to register per time",
        default=Rate(50, SECOND),
    )
    retry: Retry = plan_field(
        "a mapping with tries, base and max", "when one that failed is tried again", default_factory=Retry
    )
    outbound: StrictBool = plan_field(
        "true or false", "ask for flows of an instance (RFC 5626), by which calls come back", default=False
    )
    connection: Literal["shared", "own"] = plan_field(
        "shared or own",
        "whether the endpoints of a worker share connections to the server, or have one each, as telephones do",
        default="shared",
    )


WebPath = Annotated[str, Field(pattern=r"^/[!-~]{0,255}$", strict=True)]


class Registrar(PlanModel):
    """A SIP server to register at, and to send calls through."""

    domain: Host = plan_field("a host name, an IPv4 address, or an IPv6 address in brackets", "host of the server")
    port: Port | None = plan_field(
        "a port from 1 to 65535",
        "port of the server; by the transport, or for a name by what DNS says (RFC 3263), when not given",
        default=None,
    )
    transport: Transport = plan_field(TRANSPORT_EXPECTED, "how to reach it", default="udp")
    path: WebPath | None = plan_field(
        "a path such as /ws", "what a WebSocket server is asked for; / when not given", default=None
    )
    outbound_proxy: ProxyUris | None = plan_field(
        PROXIES_EXPECTED,
        "where everything goes first, as pre-loaded Route; of several the first is next",
        default=None,
        min_length=1,
        max_length=4,
    )
    tls: Tls | None = plan_field(
        "a mapping with verify, ca_file, certificate_file, key_file and server_name", "how TLS is spoken", default=None
    )
    accounts: Annotated[list[Account], AlsoWritten(ACCOUNTS_FILE_SCHEMA)] = plan_field(
        "a list of {username, password, realm, auth_username}, or {file: accounts.csv}",
        "accounts, dealt to the groups that name the registrar in the order of the plan",
        default_factory=list,
        max_length=MAX_ACCOUNTS,
    )
    registration: Registration = plan_field(
        "a mapping with expires, rate, retry, outbound and connection",
        "how accounts are registered",
        default_factory=Registration,
    )


class Call(PlanModel):
    """Whom the endpoints of a group call: another group, or a SIP URI."""

    group: Name | None = plan_field(
        "the name of a group that waits for calls", "endpoint n calls endpoint n of this group", default=None
    )
    pairing: PairingField | None = plan_field(
        PAIRING_EXPECTED, "how many callers share how many endpoints of the group; 1:1 when not given", default=None
    )
    uri: Uri | None = plan_field("a SIP URI such as sip:600@pbx.example", "every endpoint calls this", default=None)
    offer: Literal["early", "late"] = plan_field(
        "early or late", "whether the INVITE carries the offer, or leaves it to the callee", default="early"
    )
    redirects: StrictInt = plan_field(
        "a whole number from 0 to 10", "how many 3xx a call follows; beyond that it fails", default=0, ge=0, le=10
    )


def _no_number(value: object) -> object:
    """Refuse 0 and 1, which a choice that has true and false takes for them."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise unsupported("true, false or forever")
    return value


class Answer(PlanModel):
    """What a group that waits for calls does with them."""

    after: DelayNs = plan_field("a duration from 0s to 1h", "time from the INVITE to the final answer", default=0)
    ring: Annotated[Literal[True, False, "forever"], BeforeValidator(_no_number)] = plan_field(
        "true, false or forever", "whether 180 Ringing is sent at once; forever: and no answer ever", default=True
    )
    reject: Reject | None = plan_field(
        "a SIP status from 400 to 699", "refuse each call with this status instead of answering", default=None
    )
    redirect: Annotated[list[SipUriText], BeforeValidator(as_list), AlsoWritten(TEXT_SCHEMA)] | None = plan_field(
        "a SIP URI such as sip:700@pbx.example, or a list of them",
        "answer each call with 302 and these contacts, the first preferred",
        default=None,
        min_length=1,
        max_length=10,
    )
    early_media: StrictBool = plan_field(
        "true or false", "whether audio is agreed and sent before the answer, with 183", default=False
    )
    progress: Literal[180, 183] | None = plan_field(
        "180 or 183", "status of the provisional response; 183 with early media, else 180", default=None
    )
    options: Annotated[int, Field(ge=200, le=699, strict=True)] | None = plan_field(
        "a SIP status from 200 to 699",
        "what OPTIONS outside of calls is answered; RFC 3261 11.2 has what an INVITE would be, such as 486; else 200",
        default=None,
    )
    headers: HeaderRows = plan_field(
        "a mapping of header names to texts",
        "further headers of the answer; {n} stands for the number in the group",
        default_factory=dict,
        max_length=MAX_HEADERS,
    )
    wait: TimeoutNs | None = plan_field(
        "a duration from 1s to 1h",
        "how long to wait for a call from the start of the run; when a group of the plan calls, until its last call "
        "must have come, otherwise 60s",
        default=None,
    )


class Audio(PlanModel):
    """What is sent, and how."""

    codecs: list[Codec] = plan_field(
        "a list of one or more of PCMU, PCMA",
        "codecs offered or accepted, the preferred one first",
        default_factory=lambda: ["PCMU", "PCMA"],
        min_length=1,
        max_length=2,
    )
    ptime: PtimeNs = plan_field(
        "10ms, 20ms, 30ms, 40ms or 60ms",
        "audio in each packet, unless the peer asks for another of these",
        default=20 * MILLISECOND,
    )
    source: Said = plan_field(SAID_EXPECTED, "what is said; an echo returns what comes", default="speech")
    dscp: StrictInt = plan_field(
        "a whole number from 0 to 63", "DSCP of RTP and RTCP; 46 is Expedited Forwarding", default=46, ge=0, le=63
    )
    rtcp_mux: StrictBool = plan_field(
        "true or false", "offer, and accept, RTP and RTCP on one port (RFC 5761)", default=False
    )
    symmetric: StrictBool = plan_field(
        "true or false",
        "send to where the peer's RTP comes from, once two packets in a row came, whatever its description says",
        default=False,
    )
    jitter_buffer: JitterBuffer = plan_field(
        "a mapping with mode, nominal, min and max",
        "the listener's jitter buffer, a model that says what would have been heard",
        default_factory=JitterBuffer,
    )
    late_after: LateNs = plan_field(
        "a duration from 1ms to 60s",
        "a packet that comes later than the fastest by more than this counts as late",
        default=LATE_LIMIT_NS,
    )


class Group(PlanModel):
    """Endpoints that do the same. With `call` they call, without they wait for calls."""

    endpoints: StrictInt = plan_field(
        f"a whole number from 1 to {MAX_ENDPOINTS}", "how many endpoints", ge=1, le=MAX_ENDPOINTS
    )
    registrar: Name | None = plan_field(
        "the name of a registrar", "where to register; without it endpoints are reached at the worker", default=None
    )
    transport: Transport | None = plan_field(
        TRANSPORT_EXPECTED,
        "how to reach whom is called, without a registrar; what the URI says counts before it, what DNS says after it",
        default=None,
    )
    path: WebPath | None = plan_field(
        "a path such as /ws",
        "what a WebSocket server is asked for, without a registrar; / when not given",
        default=None,
    )
    outbound_proxy: ProxyUris | None = plan_field(
        PROXIES_EXPECTED, "where calls go first, without a registrar", default=None, min_length=1, max_length=4
    )
    tls: Tls | None = plan_field(
        "a mapping with verify, ca_file, certificate_file, key_file and server_name",
        "how TLS is spoken, without a registrar",
        default=None,
    )
    identity: Identity | None = plan_field(
        "a mapping with display_name, user, domain, asserted, preferred and privacy", "who calls", default=None
    )
    headers: HeaderRows = plan_field(
        "a mapping of header names to texts",
        "further headers of the INVITE; {n} stands for the number in the group",
        default_factory=dict,
        max_length=MAX_HEADERS,
    )
    call: Call | None = plan_field("{group: NAME} or {uri: SIP-URI}", "whom to call", default=None)
    hold: HoldField | None = plan_field(
        HOLD_EXPECTED,
        "how long each call is held from its answer on; duration of the plan when not given",
        default=None,
    )
    load: Load | None = plan_field("a mapping with arrivals, rate and others", "when calls start", default=None)
    repeats: StrictInt = plan_field(
        f"a whole number from 0 to {MAX_REPEATS}",
        "how often each endpoint calls again",
        default=0,
        ge=0,
        le=MAX_REPEATS,
    )
    pause: HoldField | None = plan_field(
        HOLD_EXPECTED,
        "from the end of a call to the next one of the same endpoint; 1s when not given",
        default=None,
    )
    answer: Answer | None = plan_field(
        "a mapping with after, ring, reject, redirect and others", "what to do with calls that come in", default=None
    )
    sip: Sip = plan_field(
        "a mapping with reliable_provisional, session_timer and transfers",
        "what calls use beyond the plain call",
        default_factory=Sip,
    )
    audio: Audio = plan_field(
        "a mapping with codecs, ptime, source, dscp, jitter_buffer and late_after", "media", default_factory=Audio
    )
    scenario: Scenario = plan_field(
        "a list of at most 30 steps such as {at: 5s, do: hold}", "what is done during the call", default_factory=list
    )

    @property
    def transfer(self) -> TransferTo | None:
        """Return the transfer in the scenario, None when there is none."""
        return next((step.do.transfer for step in self.scenario if step.do.transfer is not None), None)

    @property
    def transfer_group(self) -> str | None:
        """Return the group that the scenario transfers to."""
        return self.transfer.group if self.transfer is not None else None


class Plan(PlanModel):
    """A test."""

    version: Annotated[Literal[1], one_of("1")] = plan_field("1", "version of the plan's format")
    name: Text = plan_field("a text of 1 to 128 printable characters", "name of the test in reports", default="test")
    duration: HoldNs = plan_field(
        "a duration with its unit from 100ms to 24h, such as 60s", "how long each call is held from its answer on"
    )
    setup_timeout: TimeoutNs = plan_field(
        "a duration from 1s to 1h",
        "how long a call may stay unanswered before the caller cancels it",
        default=60 * SECOND,
    )
    seed: StrictInt = plan_field(
        "a whole number from 0 to 4294967295",
        "what is drawn at random follows from it, whoever carries out the plan",
        default=1,
        ge=0,
        le=(1 << 32) - 1,
    )
    registrars: dict[Name, Registrar] = plan_field(
        "a mapping of names to registrars", "SIP servers", default_factory=dict, max_length=MAX_GROUPS
    )
    sounds: dict[SoundName, Sound] = plan_field(
        "a mapping of names of WAV files to their samples: 8000 Hz, one channel, 16 bit, little-endian, in base64",
        "what the WAV files that groups name hold; a plan that is a file has them read",
        default_factory=dict,
        max_length=MAX_GROUPS,
    )
    groups: dict[Name, Group] = plan_field(
        "a mapping of one or more names to groups", "who takes part", min_length=1, max_length=MAX_GROUPS
    )
    thresholds: dict[StrictStr, Annotated[list[Rule], AlsoWritten({"type": "string"})]] = plan_field(
        THRESHOLDS_EXPECTED,
        "what must hold for the run to pass",
        default_factory=dict,
    )

    evidence: Evidence = plan_field(
        "a mapping such as {calls: 20, rtp: 20}", "whose SIP messages, and packets, are kept", default_factory=Evidence
    )

    @property
    def rules(self) -> list[tuple[Threshold, ThresholdRule]]:
        """Return the thresholds in the order in which they are written, each with what is to become of the run."""
        return [
            (parse_threshold(metric, rule.threshold), rule)
            for metric, rules in self.thresholds.items()
            for rule in rules
        ]

    def longest_hold(self, name: str) -> Nanos:
        """Return the longest that a call of a group may last, whether it calls or is called."""
        group = self.groups[name]
        if group.call is not None:
            return group.hold.longest if group.hold is not None else self.duration
        callers = [other for other, its in self.groups.items() if its.call is not None and its.call.group == name]
        return max(map(self.longest_hold, callers), default=self.duration)

    @property
    def total_endpoints(self) -> int:
        """Return the endpoints of all groups together, counted once for each of their calls: each has its report."""
        lines = Lines(self.groups)
        return sum(map(lines.calls, self.groups))

    @property
    def seats(self) -> int:
        """Return the room that the endpoints of all groups take together: as many ends of calls stand at a time.

        An endpoint that calls takes the room of one, however often; one that waits, of one for each of its callers.
        """
        lines = Lines(self.groups)
        return sum(map(lines.count, self.groups))

    def to_document(self) -> dict[str, Any]:
        """Return the plan as a JSON document that `parse_plan` reads back as the same plan, **secrets included**."""
        return self.model_dump(mode="json", exclude_none=True, context={"reveal": True})


LATER_FIELDS = frozenset(
    {
        "video",
        "srtp",
        "encryption",
        "stages",
        "assignment",
        "workers",
    }
)
"""Fields that later versions bring: the message says so instead of guessing at a slip."""
