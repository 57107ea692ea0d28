"""Types of bodies, and which of them a party takes: Content-Type, Content-Disposition, Accept. Source: RFC 3261 20."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cmw.errors import RemoteProtocolError
from cmw.sip.grammar import Params, fail, get_param, is_token, parse_params, unquote
from cmw.sip.header_names import split_tokens

SDP_TYPE = "application/sdp"
"""The only body that opens a session. Source: RFC 3261 13.2.1."""

MAX_ELEMENTS = 256
"""Elements of Accept that are looked at."""


class MediaType(NamedTuple):
    """A type of content.

    Args:
        kind: such as ``application/sdp``, in lower case.
        params: lower-case names and raw values.
    """

    kind: str
    params: Params = ()

    def param(self, name: str) -> str | None:
        """Return the meaning of a parameter, quotes removed; "" when it has no value, None when it is absent."""
        value = get_param(self.params, name)
        return None if value is None else unquote(value)


class Disposition(NamedTuple):
    """What a body is for.

    Args:
        purpose: such as ``session`` or ``render``, in lower case.
        is_optional: whether it may be passed over; ``handling=optional``.
    """

    purpose: str
    is_optional: bool = False


def parse_media_type(text: str) -> MediaType:
    """Parse a Content-Type, or an element of Accept. Raises `RemoteProtocolError` (400). Source: RFC 3261 20.15."""
    kind, semicolon, params = text.partition(";")
    main, slash, sub = kind.partition("/")
    main, sub = main.strip(" \t"), sub.strip(" \t")
    if not slash or not is_token(main) or not is_token(sub):
        fail("a media type such as application/sdp", text)
    return MediaType(f"{main}/{sub}".lower(), parse_params(semicolon + params))


def parse_disposition(text: str) -> Disposition:
    """Parse a Content-Disposition. Raises `RemoteProtocolError` (400). Source: RFC 3261 20.11."""
    purpose, semicolon, params = text.partition(";")
    purpose = purpose.strip(" \t")
    if not is_token(purpose):
        fail("a disposition such as session;handling=optional", text)
    handling = get_param(parse_params(semicolon + params), "handling") or "required"
    return Disposition(purpose.lower(), handling.lower() == "optional")


def is_acceptable(kind: str, accepted: Iterable[str]) -> bool:
    """Tell whether a type is among those that a party takes.

    Args:
        kind: such as ``application/sdp``.
        accepted: values of its Accept header; elements that cannot be read take nothing.
    """
    ranges = (f"{kind.partition('/')[0]}/*", "*/*")
    best, quality = 0, False
    for element in split_tokens(accepted)[:MAX_ELEMENTS]:
        try:
            accept = parse_media_type(element)
        except RemoteProtocolError:
            continue
        rank = 3 if accept.kind == kind else 2 - ranges.index(accept.kind) if accept.kind in ranges else 0
        if rank > best:  # the most specific range counts. Source: RFC 2616 14.1
            best, quality = rank, (accept.param("q") or "1").strip("0.") != ""
    return quality
