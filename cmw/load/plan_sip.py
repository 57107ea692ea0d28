"""What a plan says of SIP itself: TLS, identities, reliable responses, session timers, retries of registrations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainValidator, StrictBool, StrictInt, WithJsonSchema

from cmw.core.clock import SECOND
from cmw.load.plan_fields import (
    TEXT_SCHEMA,
    AlsoWritten,
    Host,
    Pem,
    PlanModel,
    ProxyUri,
    SecretPem,
    Text,
    as_list,
    check_address,
    duration,
    one_of,
    plan_field,
)

TRANSPORT_EXPECTED = "udp, tcp, tls, ws, wss, or auto for what DNS says"

Transport = Literal["udp", "tcp", "tls", "ws", "wss", "auto"]

TLS_FILES = {"ca_file": "ca", "certificate_file": "certificate", "key_file": "key"}
"""Fields that name a file beside the plan, and those that its text becomes."""

TLS_FILES_SCHEMA: dict[str, Any] = {
    name: {"type": "string", "description": f"PEM file beside the plan whose text becomes {field}",
           "x-expected": "the name of a PEM file"}
    for name, field in TLS_FILES.items()
}  # fmt: skip

PROXIES_EXPECTED = "a SIP URI such as sip:10.0.0.1:5060;lr, or a list of them"

ProxyUris = Annotated[list[ProxyUri], BeforeValidator(as_list), AlsoWritten(TEXT_SCHEMA)]


class Tls(PlanModel):
    """How TLS is spoken with a server. Files are read with the plan; the key's text is secret and never shown."""

    model_config = PlanModel.model_config | {
        "json_schema_extra": lambda schema: schema["properties"].update(TLS_FILES_SCHEMA)
    }

    verify: Literal["system", "custom", "skip"] | None = plan_field(
        "system, custom or skip",
        "whether the server's certificate is checked by the authorities of the system, by those of `ca_file`, or not "
        "at all; custom with `ca_file`, else system",
        default=None,
    )
    ca: Pem | None = plan_field(
        "text in PEM", "certificates of the authorities to trust; a plan that is a file names a `ca_file`", default=None
    )
    certificate: Pem | None = plan_field(
        "text in PEM", "our certificate with its chain, for a server that asks for one", default=None
    )
    key: SecretPem | None = plan_field(
        "text in PEM", "key of our certificate, unless it stands with the certificate; never printed", default=None
    )
    server_name: Host | None = plan_field(
        "a host name", "name that the certificate has to show; the server's host when not given", default=None
    )
    hosts: list[Host] = plan_field(
        "a list of host names and addresses",
        "further hosts that this holds for: those that redirects, transfers or Contact headers lead to",
        default_factory=list,
        max_length=20,
    )


class Retry(PlanModel):
    """When a registration that failed is tried again."""

    tries: StrictInt = plan_field(
        "a whole number from 1 to 100",
        "REGISTERs until the first success before it is given up",
        default=1,
        ge=1,
        le=100,
    )
    base: Annotated[int, *duration(SECOND, 3600 * SECOND)] = plan_field(
        "a duration from 1s to 1h",
        "half to all of twice this is waited after the first failure, twice as long after each further one",
        default=30 * SECOND,
    )
    max: Annotated[int, *duration(SECOND, 24 * 3600 * SECOND)] = plan_field(
        "a duration from 1s to 24h", "longest wait", default=1800 * SECOND
    )


def _check_party(value: object) -> Literal[True] | list[str]:
    if value is True:
        return True
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not 1 <= len(values) <= 2:
        raise ValueError("not a party")
    return [check_address(each) for each in values]


Party = Annotated[
    Literal[True] | list[str],
    PlainValidator(_check_party),
    WithJsonSchema({"anyOf": [{"const": True}, TEXT_SCHEMA, {"type": "array", "items": TEXT_SCHEMA}]}),
]


class Identity(PlanModel):
    """Who calls, in From and by the word of a trusted network. ``{n}`` stands for the number in the group, from 1."""

    display_name: Text | None = plan_field("a text of 1 to 128 printable characters", "name in From", default=None)
    user: Text | None = plan_field(
        "a text of 1 to 128 printable characters",
        "user part of From, such as +493012345; the endpoint's own when not given",
        default=None,
    )  # fmt: skip
    domain: Host | None = plan_field(
        "a host name or an address", "host of From; the registrar's domain or our address when not given", default=None
    )
    asserted: Party | None = plan_field(
        "true for the address in From, an address such as sip:alice@example.org, or a list of two",
        "P-Asserted-Identity (RFC 3325)",
        default=None,
    )
    preferred: Party | None = plan_field(
        "true for the address in From, or an address such as sip:alice@example.org",
        "P-Preferred-Identity (RFC 3325)",
        default=None,
    )
    privacy: list[Literal["id", "user", "header", "session", "critical", "none", "history"]] = plan_field(
        "a list of id, user, header, session, critical, none, history",
        "Privacy (RFC 3323, RFC 3325)",
        default_factory=list,
        max_length=7,
    )


class SessionTimer(PlanModel):
    """Refreshes of calls, and the end of those that nobody refreshes (RFC 4028)."""

    mode: Literal["disabled", "supported", "required"] = plan_field(
        "disabled, supported or required",
        "supported: used if the peer can; required: a peer without is refused, or refuses",
        default="supported",
    )
    expires: Annotated[int, *duration(90 * SECOND, 24 * 3600 * SECOND)] = plan_field(
        "a duration from 90s to 24h in whole seconds", "interval asked for", default=1800 * SECOND
    )
    min: Annotated[int, *duration(90 * SECOND, 24 * 3600 * SECOND)] = plan_field(
        "a duration from 90s to 24h, at most expires",
        "shortest interval that we agree to (Min-SE)",
        default=90 * SECOND,
    )
    refresher: Literal["uac", "uas", "none"] = plan_field(
        "uac, uas or none", "who refreshes: the caller, the callee, or whom the callee chooses", default="none"
    )
    soft: StrictBool = plan_field(
        "true or false", "a call that nobody refreshed goes on, with a warning", default=False
    )


class Sip(PlanModel):
    """What the calls of a group use beyond the plain call, as far as the peer does."""

    reliable_provisional: Annotated[
        Literal["off", "supported", "required"],
        one_of("off", "supported", "required"),
    ] = plan_field(
        "off, supported or required", "provisional responses acknowledged with PRACK (RFC 3262)", default="supported"
    )
    session_timer: SessionTimer | None = plan_field(
        "a mapping with mode, expires, min, refresher and soft",
        "session timers; without it the peer's wish is followed",
        default=None,
    )
    transfers: Literal["accept", "reject"] = plan_field(
        "accept or reject", "what is done when the peer asks us to call somebody else (REFER)", default="accept"
    )
