"""The values of a transfer: Refer-To, Referred-By, Refer-Sub, Subscription-State and message/sipfrag bodies.

Source: RFC 3515, 3892, 4488, 5589, 6665, 3420.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from cmw.errors import RemoteProtocolError
from cmw.sip.grammar import fail, get_param, is_number, is_token, parse_params
from cmw.sip.headers import Headers
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.replaces import Replaces, parse_replaces
from cmw.sip.status import reason_phrase
from cmw.sip.uri import parse_uri, unescape

NO_SUBSCRIPTION = "norefersub"
"""The option tag of a REFER without a subscription. Source: RFC 4488 4."""

SIPFRAG_TYPE = "message/sipfrag"
REFER_EVENT = "refer"

SUBSCRIPTION_S = 180
"""How long a subscription of a REFER lives: timer C, for an INVITE is not tried for longer; renewed at each NOTIFY."""

MAX_URI_HEADERS = 16
"""Headers of one Refer-To; more is refused."""

_SIPFRAG = re.compile(rb"\s*SIP/2\.0 ([1-6][0-9][0-9])(?: ([^\r\n]*))?(?:\r?\n|$)", re.IGNORECASE)
_TO_ESCAPE = re.compile(rb"[^A-Za-z0-9\-_.!~*'()\[\]/?:+$]")


class ReferTo(NamedTuple):
    """Whom a REFER asks to contact.

    Args:
        uri: the URI without its headers and its method: the target of a call.
        method: the method to use.
        replaces: the call that the new one takes the place of.
        headers: further rows that the URI asks for, Replaces apart.
    """

    uri: str
    method: str = "INVITE"
    replaces: Replaces | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        method = "" if self.method == "INVITE" else f";method={self.method}"
        rows = [*([("Replaces", str(self.replaces))] if self.replaces is not None else []), *self.headers]
        headers = "&".join([f"{name}={_escape(value)}" for name, value in rows])
        return f"<{self.uri}{method}{'?' if headers else ''}{headers}>"


_UNSAFE_HEADERS = frozenset(
    "from to call-id cseq via record-route route contact max-forwards content-length content-type body".split()
)
"""What a URI may not put into our requests. Source: RFC 3261 19.1.5."""

_URI_PARAMS = frozenset(("transport", "user", "maddr", "method"))
"""Parameters that mean nothing outside of a URI. Source: RFC 3261 19.1.1."""


def parse_refer_to(headers: Headers) -> ReferTo:
    """Parse the Refer-To of a REFER. Raises `RemoteProtocolError`: 400, or 416 for another scheme. RFC 3515 2.4.2."""
    values = headers.get_all("Refer-To")
    if len(values) != 1:
        fail("one Refer-To", f"{len(values)}")
    name_addr = parse_name_addr(values[0])
    address, _, asked = name_addr.uri.partition("?")
    uri = parse_uri(address)
    if "<" not in values[0]:
        # Parameters are the header's then (RFC 3261 20); some write it so, and mean those that only a URI can have.
        uri = uri._replace(params=(*uri.params, *[pair for pair in name_addr.params if pair[0] in _URI_PARAMS]))
    replaces = None
    rows = []
    for name, value in _split_headers(asked):
        if name.lower() == "replaces":
            replaces = parse_replaces(value)
        elif name.lower() not in _UNSAFE_HEADERS:
            rows.append((name, value))
    params = tuple([pair for pair in uri.params if pair[0] != "method"])
    method = uri.param("method") or "INVITE"
    return ReferTo(str(uri._replace(params=params)), method, replaces, tuple(rows))


def wants_subscription(headers: Headers) -> bool:
    """Tell whether a REFER, or the 2xx to one, speaks of a subscription: all but ``Refer-Sub: false``. RFC 4488 4."""
    return (headers.get("Refer-Sub") or "true").partition(";")[0].strip(" \t").lower() != "false"


class SubscriptionStatus(StrEnum):
    """Where a subscription stands. Source: RFC 6665 4.1.3."""

    ACTIVE = "active"
    PENDING = "pending"
    TERMINATED = "terminated"


class SubscriptionState(NamedTuple):
    """A Subscription-State value; what is unknown of it counts as active."""

    status: SubscriptionStatus
    expires_s: int | None = None
    reason: str = ""

    def __str__(self) -> str:
        expires = "" if self.expires_s is None else f";expires={self.expires_s}"
        return f"{self.status}{expires}{f';reason={self.reason}' if self.reason else ''}"


def parse_subscription_state(headers: Headers) -> SubscriptionState:
    """Return the Subscription-State of a NOTIFY; a missing or broken one is that of an active subscription."""
    word, semicolon, rest = (headers.get("Subscription-State") or "").partition(";")
    try:
        params = parse_params(f"{semicolon}{rest}")
        status = SubscriptionStatus(word.strip(" \t").lower())
    except (RemoteProtocolError, ValueError):
        return SubscriptionState(SubscriptionStatus.ACTIVE)
    expires = get_param(params, "expires") or ""
    expires_s = int(expires) if is_number(expires) and len(expires) <= 10 else None
    return SubscriptionState(status, expires_s, get_param(params, "reason") or "")


def make_sipfrag(status: int, reason: str = "") -> bytes:
    """Return the body of a NOTIFY about a transfer: a status line. Source: RFC 3515 2.4.5."""
    return f"SIP/2.0 {status} {reason or reason_phrase(status)}\r\n".encode("utf-8", "replace")


def parse_sipfrag(body: bytes) -> tuple[int, str]:
    """Return status and phrase of the status line that a body starts with; (0, "") when it does not."""
    match = _SIPFRAG.match(body)
    if match is None:
        return 0, ""
    return int(match[1]), (match[2] or b"").decode("utf-8", "replace").strip()


def event_package(headers: Headers) -> tuple[str, str]:
    """Return the package and the id of an Event header, lower case and raw; "" for what is not there."""
    package, semicolon, rest = (headers.get("Event") or "").partition(";")
    try:
        number = get_param(parse_params(f"{semicolon}{rest}"), "id") or ""
    except RemoteProtocolError:
        number = ""
    return package.strip(" \t").lower(), number


def _escape(text: str) -> str:
    raw = text.encode("utf-8", "surrogateescape")
    return _TO_ESCAPE.sub(lambda match: b"%%%02X" % match[0][0], raw).decode("ascii")


def _split_headers(text: str) -> Iterator[tuple[str, str]]:
    """Yield the headers of a URI; characters that should have been escaped are let pass, as many peers send them."""
    items = text.split("&") if text else []
    if len(items) > MAX_URI_HEADERS:
        fail(f"at most {MAX_URI_HEADERS} headers in a URI", text)
    for item in items:
        name, _, value = item.partition("=")
        name, value = unescape(name), unescape(value)
        if not is_token(name):
            fail("a header name in a URI", item)
        if "\r" in value or "\n" in value or "\0" in value:
            fail("a header value of one line in a URI", item)
        yield name, value
