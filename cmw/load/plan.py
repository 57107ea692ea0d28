"""The plan of a test, version 1: what a person writes, as models. `parse_plan` is in plan_parser.py.

Each field carries two phrases: its meaning (the schema's description) and what is expected (`x-expected`), which the
messages about faults quote. Durations are integer nanoseconds in Python and text such as ``60s`` in documents.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.errors import RemoteProtocolError
from cmw.load.units import Rate, format_duration, format_rate, parse_duration, parse_rate
from cmw.sip import SipUri, parse_uri

MAX_ENDPOINTS = 100_000
"""Endpoints of one plan, all groups together; a guard against slips of the finger."""
MAX_GROUPS = 100
MAX_ACCOUNTS = 100_000
MAX_HOLD_NS = 24 * 3600 * SECOND

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}"
"""Names of groups and registrars: they become part of SIP user names and file names."""

NAME_EXPECTED = "letters, digits, '_', '.' and '-', at most 32, the first a letter or digit"

HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
"""A host name, an IPv4 address or an IPv6 address in brackets. Source: RFC 3261 25.1, host (underscores tolerated)."""

_SIP_URI = re.compile(
    rf"sip:(?:[A-Za-z0-9_.!~*'()&=+$,;?/%-]{{1,128}}@)?{HOST}(?::[0-9]{{1,5}})?"
    r"(?:;[A-Za-z0-9_.!~*'()%\[\]/:&+$=;-]{1,256})?",
    re.ASCII,
)
_TRANSPORT = re.compile(r";transport=([a-z0-9]+)", re.ASCII | re.IGNORECASE)


def unsupported(expected: str) -> PydanticCustomError:
    """Return the error for a value that a later version may accept; `expected` is quoted as it is."""
    return PydanticCustomError("expected", "{expected}", {"expected": expected})


def one_of(*supported: str, later: tuple[str, ...] = ()) -> BeforeValidator:
    """Return a validator for a word out of `supported` that names those that only later versions know."""

    def check(value: object) -> object:
        if value in later:
            raise unsupported(f"{' or '.join(supported)} ({value} is not supported by this version)")
        return value

    return BeforeValidator(check)


def _duration(least_ns: Nanos, most_ns: Nanos) -> Any:
    def check(value: object) -> Nanos:
        if not isinstance(value, str):
            raise ValueError("not text")
        span_ns = parse_duration(value)
        if not least_ns <= span_ns <= most_ns:
            raise ValueError("out of range")
        return span_ns

    pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
    return (
        PlainValidator(check),
        PlainSerializer(format_duration, return_type=str, when_used="json"),
        WithJsonSchema({"type": "string", "pattern": pattern, "examples": ["60s", "500ms", "1m30s"]}),
    )


def _check_rate(value: object) -> Rate:
    if not isinstance(value, str):
        raise ValueError("not text")
    rate = parse_rate(value)
    if not 0.001 <= rate.per_second <= 10_000:
        raise ValueError("out of range")
    return rate


def _parsed(uri: str) -> SipUri:
    try:
        return parse_uri(uri)
    except RemoteProtocolError as error:
        raise ValueError(str(error)) from None


def _check_host(host: str) -> str:
    """Refuse numbers that are no address: the resolver would make one of them."""
    _parsed(f"sip:{host}")
    return host


def _check_uri(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not text")
    if value.startswith("sips:"):
        raise unsupported("a sip: URI such as sip:600@pbx.example (sips is not supported by this version)")
    if _SIP_URI.fullmatch(value) is None:
        raise ValueError("not a SIP URI")
    _parsed(value)
    transport = _TRANSPORT.search(value)
    if transport is not None and transport[1].lower() != "udp":
        raise unsupported("a URI with transport=udp or none (others are not supported by this version)")
    return value


def _check_reject(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 400 <= value <= 699:
        raise ValueError("out of range")
    return value


HoldNs = Annotated[int, *_duration(SECOND // 10, MAX_HOLD_NS)]
DelayNs = Annotated[int, *_duration(0, 3600 * SECOND)]
TimeoutNs = Annotated[int, *_duration(SECOND, 3600 * SECOND)]
PtimeNs = Annotated[int, *_duration(20 * MILLISECOND, 20 * MILLISECOND)]
RateField = Annotated[
    Rate,
    PlainValidator(_check_rate),
    PlainSerializer(format_rate, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?/(s|m|h)$", "examples": ["10/s", "90/m"]}),
]
Name = Annotated[str, StringConstraints(strict=True, pattern=rf"^{NAME}$")]
Host = Annotated[str, StringConstraints(strict=True, pattern=rf"^{HOST}$"), AfterValidator(_check_host)]
Uri = Annotated[str, PlainValidator(_check_uri), WithJsonSchema({"type": "string", "format": "uri"})]
Reject = Annotated[
    int, PlainValidator(_check_reject), WithJsonSchema({"type": "integer", "minimum": 400, "maximum": 699})
]
Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
Secret = Annotated[SecretStr, Field(max_length=256)]


def plan_field(expected: str, meaning: str, **constraints: Any) -> Any:
    """Return a pydantic field with the two phrases of the module's docstring."""
    return Field(description=meaning, json_schema_extra={"x-expected": expected}, **constraints)


class AlsoWritten:
    """Mark of a type that documents may write in a second way, which `parse_plan` or the reader of files resolves."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schema with the second way added."""
        return {"anyOf": [handler(core), self._schema]}


ACCOUNTS_FILE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"file": {"type": "string", "description": "CSV file beside the plan: username,password[,realm]"}},
    "required": ["file"],
    "additionalProperties": False,
}


class PlanModel(BaseModel):
    """Base of the plan's models: unknown fields are refused, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Account(PlanModel):
    """A SIP account at a registrar."""

    username: Text = plan_field("a text of 1 to 128 characters", "user part of the address, and of the digest")
    password: Secret = plan_field("a text of at most 256 characters", "password of the digest; never printed")
    realm: Text | None = plan_field(
        "a text of 1 to 128 characters", "realm to answer; any when not given", default=None
    )


class Registration(PlanModel):
    """How accounts are registered."""

    expires: Annotated[int, *_duration(60 * SECOND, 24 * 3600 * SECOND)] = plan_field(
        "a duration from 60s to 24h",
        "expiry asked for; refreshed in time for as long as the run needs it",
        default=300 * SECOND,
    )
    rate: RateField = plan_field(
        "a rate from 0.001/s to 10000/s such as 50/s",
        "how many endpoints start to register per time",
        default=Rate(50, SECOND),
    )


class Registrar(PlanModel):
    """A SIP server to register at, and to send calls through."""

    domain: Host = plan_field("a host name, an IPv4 address, or an IPv6 address in brackets", "host of the server")
    port: StrictInt = plan_field("a port from 1 to 65535", "port of the server", default=5060, ge=1, le=65535)
    transport: Annotated[Literal["udp"], one_of("udp", later=("tcp", "tls", "ws", "wss", "auto"))] = plan_field(
        "udp", "how to reach it", default="udp"
    )
    accounts: Annotated[list[Account], AlsoWritten(ACCOUNTS_FILE_SCHEMA)] = plan_field(
        "a list of {username, password, realm}, or {file: accounts.csv}",
        "accounts, dealt to the groups that name the registrar in the order of the plan",
        default_factory=list,
        max_length=MAX_ACCOUNTS,
    )
    registration: Registration = plan_field(
        "a mapping with expires and rate", "how accounts are registered", default_factory=Registration
    )


class Call(PlanModel):
    """Whom the endpoints of a group call: another group, or a SIP URI."""

    group: Name | None = plan_field(
        "the name of a group that waits for calls", "endpoint n calls endpoint n of this group", default=None
    )
    uri: Uri | None = plan_field("a SIP URI such as sip:600@pbx.example", "every endpoint calls this", default=None)


class Load(PlanModel):
    """When the calls of a group start."""

    arrivals: Annotated[
        Literal["constant", "all-at-once"],
        one_of("constant", "all-at-once", later=("ramp", "poisson", "steps", "profile", "search")),
    ] = plan_field("constant or all-at-once", "shape of the load", default="constant")
    rate: RateField | None = plan_field(
        "a rate from 0.001/s to 10000/s such as 10/s", "new calls per time; 10/s for constant arrivals", default=None
    )

    @property
    def effective_rate(self) -> Rate | None:
        """Return calls per time; None for all at once."""
        if self.arrivals == "all-at-once":
            return None
        return self.rate or DEFAULT_RATE


DEFAULT_RATE = Rate(10, SECOND)


class Answer(PlanModel):
    """What a group that waits for calls does with them."""

    after: DelayNs = plan_field("a duration from 0s to 1h", "time from the INVITE to the final answer", default=0)
    ring: StrictBool = plan_field("true or false", "whether 180 Ringing is sent at once", default=True)
    reject: Reject | None = plan_field(
        "a SIP status from 400 to 699", "refuse each call with this status instead of answering", default=None
    )
    wait: TimeoutNs | None = plan_field(
        "a duration from 1s to 1h",
        "how long to wait for a call from the start of the run; when a group of the plan calls, until its last call "
        "must have come, otherwise 60s",
        default=None,
    )


Codec = Annotated[
    Literal["PCMU", "PCMA"],
    one_of("PCMU", "PCMA", later=("G722", "opus", "OPUS", "Opus", "G729", "iLBC", "GSM", "speex")),
]


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
        "20ms (other packet times are not supported by this version)",
        "audio in each packet",
        default=20 * MILLISECOND,
    )
    source: Annotated[Literal["speech", "tone", "silence"], one_of("speech", "tone", "silence", later=("file",))] = (
        plan_field("speech, tone or silence", "what is said", default="speech")
    )
    dscp: StrictInt = plan_field(
        "a whole number from 0 to 63", "DSCP of RTP and RTCP; 46 is Expedited Forwarding", default=46, ge=0, le=63
    )


class Group(PlanModel):
    """Endpoints that do the same. With `call` they call, without they wait for calls; one call each."""

    endpoints: StrictInt = plan_field(
        f"a whole number from 1 to {MAX_ENDPOINTS}", "how many endpoints", ge=1, le=MAX_ENDPOINTS
    )
    registrar: Name | None = plan_field(
        "the name of a registrar", "where to register; without it endpoints are reached at the worker", default=None
    )
    call: Call | None = plan_field("{group: NAME} or {uri: SIP-URI}", "whom to call", default=None)
    load: Load | None = plan_field("a mapping with arrivals and rate", "when calls start", default=None)
    answer: Answer | None = plan_field(
        "a mapping with after, ring, reject and wait", "what to do with calls that come in", default=None
    )
    audio: Audio = plan_field("a mapping with codecs, ptime, source and dscp", "media", default_factory=Audio)


class Plan(PlanModel):
    """A test."""

    version: Annotated[Literal[1], one_of("1")] = plan_field("1", "version of the plan's format")
    name: Text = plan_field("a text of 1 to 128 characters", "name of the test in reports", default="test")
    duration: HoldNs = plan_field(
        "a duration with its unit from 100ms to 24h, such as 60s", "how long each call is held from its answer on"
    )
    setup_timeout: TimeoutNs = plan_field(
        "a duration from 1s to 1h",
        "how long a call may stay unanswered before the caller cancels it",
        default=60 * SECOND,
    )
    registrars: dict[Name, Registrar] = plan_field(
        "a mapping of names to registrars", "SIP servers", default_factory=dict, max_length=MAX_GROUPS
    )
    groups: dict[Name, Group] = plan_field(
        "a mapping of one or more names to groups", "who takes part", min_length=1, max_length=MAX_GROUPS
    )
    thresholds: dict[StrictStr, Annotated[list[StrictStr], AlsoWritten({"type": "string"})]] = plan_field(
        'a mapping of metrics to lists such as ["p(5) >= 4.0"]',
        "what must hold for the run to pass",
        default_factory=dict,
    )

    @property
    def total_endpoints(self) -> int:
        """Return the endpoints of all groups together."""
        return sum(group.endpoints for group in self.groups.values())

    def to_document(self) -> dict[str, Any]:
        """Return the plan as a JSON document that `parse_plan` reads back as the same plan, **passwords included**."""
        document: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        for name, registrar in self.registrars.items():
            for account, shown in zip(registrar.accounts, document["registrars"][name]["accounts"], strict=True):
                shown["password"] = account.password.get_secret_value()
        return document


LATER_FIELDS = frozenset(
    {
        "scenario",
        "video",
        "srtp",
        "encryption",
        "session_timer",
        "outbound_proxy",
        "tls",
        "from",
        "to",
        "steps",
        "stages",
        "profile",
        "search",
        "assignment",
        "workers",
        "evidence",
    }
)
"""Fields that later versions bring: the message says so instead of guessing at a slip."""
