"""The kinds of values that a plan is made of: durations, rates, names, URIs, header values, secrets.

Each field of the plan's models carries two phrases: its meaning (the schema's description) and what is expected
(`x-expected`), which the messages about faults quote. Durations are integer nanoseconds in Python and text such as
``60s`` in documents.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

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
    SerializationInfo,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError

from cmw.core.clock import SECOND, Nanos
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.load.template import fill
from cmw.load.units import Rate, format_duration, format_rate, parse_duration, parse_rate
from cmw.sip import parse_name_addr, parse_uri
from cmw.sip.header_names import canonical_name
from cmw.sip.tel_uri import parse_any_uri, parse_tel_uri

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}"
"""Names of groups and registrars: they become part of SIP user names and file names."""

NAME_EXPECTED = "letters, digits, '_', '.' and '-', at most 32, the first a letter or digit"

HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
"""A host name, an IPv4 address or an IPv6 address in brackets. Source: RFC 3261 25.1, host (underscores tolerated)."""

MAX_PEM = 1 << 16
"""Characters of a certificate with its chain, or of a list of authorities for a lab."""

MAX_BODY = 16_384
"""Characters of a body that a scenario sends."""

_SIP_URI = re.compile(
    rf"sips?:(?:[A-Za-z0-9_.!~*'()&=+$,;?/%-]{{1,128}}@)?{HOST}(?::[0-9]{{1,5}})?"
    r"(?:;[A-Za-z0-9_.!~*'()%\[\]/:&+$=;-]{1,256})?",
    re.ASCII,
)
_TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")
_OWN_HEADERS = frozenset(
    "Via From To Call-ID CSeq Contact Max-Forwards Route Record-Route Content-Length Content-Type Content-Encoding "
    "Authorization Proxy-Authorization WWW-Authenticate Proxy-Authenticate Allow Supported Require Unsupported "
    "User-Agent Server RSeq RAck Session-Expires Min-SE Replaces Refer-To Event Subscription-State".split()
)
"""Headers that the user agent writes itself."""


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


def duration(least_ns: Nanos, most_ns: Nanos) -> Any:
    """Return what makes an ``int`` field a duration within bounds."""

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


def one_duration_of(*known_ns: Nanos) -> Any:
    """Return what makes an ``int`` field one of these durations."""

    def check(value: object) -> Nanos:
        if not isinstance(value, str) or (span_ns := parse_duration(value)) not in known_ns:
            raise ValueError("none of them")
        return span_ns

    return (
        PlainValidator(check),
        PlainSerializer(format_duration, return_type=str, when_used="json"),
        WithJsonSchema({"type": "string", "enum": [format_duration(span_ns) for span_ns in known_ns]}),
    )


def _check_pace(value: object) -> Rate:
    if not isinstance(value, str):
        raise ValueError("not text")
    rate = parse_rate(value)
    if rate.events and not 0.001 <= rate.per_second <= 10_000:
        raise ValueError("out of range")
    return rate


def _check_rate(value: object) -> Rate:
    rate = _check_pace(value)
    if not rate.events:
        raise ValueError("nothing")
    return rate


def _check_host(host: str) -> str:
    """Refuse numbers that are no address: the resolver would make one of them."""
    try:
        parse_uri(f"sip:{host}")
    except RemoteProtocolError as error:
        raise ValueError(str(error)) from None
    return host


def _check_sip_uri(value: object) -> str:
    if not isinstance(value, str) or _SIP_URI.fullmatch(value) is None:
        raise ValueError("not a SIP URI")
    try:
        transport = (parse_uri(value).param("transport") or "udp").lower()
    except RemoteProtocolError as error:
        raise ValueError(str(error)) from None
    if transport not in _TRANSPORTS:
        raise unsupported(f"a URI with a transport of {', '.join(_TRANSPORTS)}, or none")
    return value


def _check_uri(value: object) -> str:
    if not isinstance(value, str) or not value.lower().startswith("tel:"):
        return _check_sip_uri(value)
    try:
        parse_tel_uri(value)
    except RemoteProtocolError:
        raise unsupported("a SIP URI such as sip:600@pbx.example, or a number such as tel:+493012345") from None
    return value


def _check_proxy(value: object) -> str:
    """Return the URI of a proxy, with ``lr``: strict routers are gone since RFC 3261."""
    uri = parse_uri(_check_sip_uri(value))
    return str(uri if uri.is_loose_router else uri._replace(params=(*uri.params, ("lr", None))))


def as_list(value: object) -> object:
    """Return a value that stands alone as a list of one."""
    return [value] if isinstance(value, str) else value


def _check_header_name(name: str) -> str:
    try:
        canonical = canonical_name(name)
    except LocalProtocolError:
        raise unsupported("the name of a header, such as X-Tenant") from None
    if canonical in _OWN_HEADERS:
        raise unsupported(f"a header that is not written anyway, as {canonical} is")
    return canonical


def check_address(value: object) -> str:
    """Return a name-addr such as ``"Alice" <sip:alice@example.org>``, or a URI alone; ``{n}`` in it is a number."""
    if not isinstance(value, str) or not 1 <= len(value) <= 256 or not value.isprintable():
        raise ValueError("not an address")
    try:
        parse_any_uri(parse_name_addr(fill(value, 1)).uri)
    except RemoteProtocolError as error:
        raise ValueError(str(error)) from None
    return value


def _check_pem(text: str) -> str:
    if "-----BEGIN " not in text or "-----END " not in text:
        raise ValueError("not PEM")
    return text


def _show_secret(value: SecretStr, info: SerializationInfo) -> str:
    """Return a secret for a document that is to have it, and stars for all others."""
    return value.get_secret_value() if isinstance(info.context, dict) and info.context.get("reveal") else str(value)


HoldNs = Annotated[int, *duration(SECOND // 10, 24 * 3600 * SECOND)]
DelayNs = Annotated[int, *duration(0, 3600 * SECOND)]
TimeoutNs = Annotated[int, *duration(SECOND, 3600 * SECOND)]
_RATE_FORM = (
    PlainSerializer(format_rate, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?/(s|m|h)$", "examples": ["10/s", "90/m"]}),
)
RateField = Annotated[Rate, PlainValidator(_check_rate), *_RATE_FORM]
PaceField = Annotated[Rate, PlainValidator(_check_pace), *_RATE_FORM]
"""A rate that may be nothing."""
Name = Annotated[str, StringConstraints(strict=True, pattern=rf"^{NAME}$")]
Host = Annotated[str, StringConstraints(strict=True, pattern=rf"^{HOST}$"), AfterValidator(_check_host)]
Uri = Annotated[str, PlainValidator(_check_uri), WithJsonSchema({"type": "string", "format": "uri"})]
SipUriText = Annotated[str, PlainValidator(_check_sip_uri), WithJsonSchema({"type": "string", "format": "uri"})]
ProxyUri = Annotated[str, PlainValidator(_check_proxy), WithJsonSchema({"type": "string", "format": "uri"})]
Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
Body = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=MAX_BODY)]
HeaderName = Annotated[str, StringConstraints(strict=True, max_length=64), AfterValidator(_check_header_name)]
HeaderValue = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]+$")
]
HeaderRows = dict[HeaderName, HeaderValue]
MediaType = Annotated[
    str, StringConstraints(strict=True, max_length=128, pattern=r"^[A-Za-z0-9.+_-]+/[A-Za-z0-9.+_-]+(;[ -~]+)?$")
]
Secret = Annotated[SecretStr, Field(max_length=256), PlainSerializer(_show_secret, when_used="json")]
Pem = Annotated[str, StringConstraints(strict=True, max_length=MAX_PEM), AfterValidator(_check_pem)]
SecretPem = Annotated[SecretStr, Field(max_length=MAX_PEM), PlainSerializer(_show_secret, when_used="json")]


def plan_field(expected: str, meaning: str, **constraints: Any) -> Any:
    """Return a pydantic field with the two phrases of the module's docstring."""
    return Field(description=meaning, json_schema_extra={"x-expected": expected}, **constraints)


class AlsoWritten:
    """Mark of a type that documents may write in a second way, which a validator or the reader of files resolves."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schema with the second way added."""
        return {"anyOf": [handler(core), self._schema]}


TEXT_SCHEMA: dict[str, Any] = {"type": "string"}


class PlanModel(BaseModel):
    """Base of the plan's models: unknown fields are refused, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    @classmethod
    def written_fields(cls) -> dict[str, FieldInfo]:
        """Return the fields by the names that documents use: some are words of Python, such as ``from``."""
        return {info.alias or name: info for name, info in cls.model_fields.items()}
