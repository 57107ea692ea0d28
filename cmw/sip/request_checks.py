"""What a user agent server refuses before it looks at a request's meaning. Source: RFC 3261 8.2."""

from __future__ import annotations

from typing import NamedTuple

from cmw.errors import RemoteProtocolError
from cmw.sip.message import Request
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.stack import ALLOW, SDP_TYPE
from cmw.sip.uri import parse_uri

OPTIONS_HEADERS = (("Allow", ALLOW), ("Accept", SDP_TYPE), ("Accept-Encoding", "identity"), ("Supported", ""))
"""What a 200 to OPTIONS tells. Source: RFC 3261 11.2."""

NEEDS_DIALOG = frozenset(("BYE", "INFO", "NOTIFY", "PRACK", "UPDATE"))
"""Methods that mean nothing outside of a dialog."""


class Refusal(NamedTuple):
    """A status to answer, and the headers that go with it."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()


def refuse_uri(request: Request) -> Refusal | None:
    """Refuse a Request-URI of another scheme with 416, a broken one with 400. Source: RFC 3261 8.2.2.1."""
    try:
        parse_uri(request.uri)
    except RemoteProtocolError as error:
        return Refusal(error.hint)
    return None


def refuse_routes(request: Request) -> Refusal | None:
    """Refuse a route that our requests could not be sent along with 400. Source: RFC 3261 12.1.1, 8.1.1.8."""
    try:
        for route in request.headers.get_all("Record-Route"):
            parse_name_addr(route)
    except RemoteProtocolError as error:
        return Refusal(error.hint)
    return None


def refuse_extensions(request: Request) -> Refusal | None:
    """Refuse a required extension with 420, for none is supported. Source: RFC 3261 8.2.2.3."""
    if "Require" not in request.headers:
        return None
    required = request.headers.get_tokens("Require")
    return Refusal(420, (("Unsupported", ", ".join(required)),)) if required else None


def refuse_body(request: Request) -> Refusal | None:
    """Refuse a body that is no plain SDP with 415, unless it says that it may be ignored. Source: RFC 3261 8.2.3."""
    if not request.body:
        return None
    headers = request.headers
    if "handling=optional" in (headers.get("Content-Disposition") or "").lower().replace(" ", ""):
        return None
    if (headers.get("Content-Encoding") or "identity").strip().lower() not in ("identity", ""):
        return Refusal(415, (("Accept-Encoding", "identity"),))
    kind = (headers.get("Content-Type") or SDP_TYPE).partition(";")[0].strip().lower()
    return None if kind == SDP_TYPE else Refusal(415, (("Accept", SDP_TYPE),))


def offer_in(request: Request) -> bytes:
    """Return the SDP of a request that `refuse_body` let pass; empty when its body is of an optional other kind."""
    kind = (request.headers.get("Content-Type") or SDP_TYPE).partition(";")[0].strip().lower()
    return request.body if kind == SDP_TYPE else b""
