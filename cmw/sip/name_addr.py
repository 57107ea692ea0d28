"""Addresses with a display name and parameters: From, To, Contact, Route and their kind. Source: RFC 3261 20.10."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from cmw.sip.grammar import (
    CACHE_VALUES,
    Params,
    fail,
    get_param,
    is_token,
    parse_params,
    printable,
    quote,
    serialize_params,
    unquote,
)
from cmw.sip.headers import scan
from cmw.sip.uri import SipUri, parse_uri

_NAME_ADDR = re.compile(
    r'(?:("(?:[^"\\]|\\.)*+")|([^"<>,;]*+))[ \t]*<([\x21\x23-\x3b\x3d\x3f-\x7e]+)>[ \t]*(;.*)?', re.DOTALL
)
_ADDR_SPEC = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*:[\x21\x23-\x2b\x2d-\x3a\x3d\x40-\x7e]+)[ \t]*(;.*)?", re.DOTALL)


class NameAddr(NamedTuple):
    """An address as headers carry it.

    Args:
        display: display name without quotes, "" when there is none.
        uri: raw text of the URI; of any scheme.
        params: header parameters such as ``tag``, lower-case names and raw values.
    """

    display: str
    uri: str
    params: Params = ()

    def __str__(self) -> str:
        display = ""
        if self.display:
            plain = self.display.isascii() and all(is_token(word) for word in self.display.split(" "))
            display = (self.display if plain else quote(self.display)) + " "
        return f"{display}<{self.uri}>{serialize_params(self.params)}"

    @property
    def tag(self) -> str | None:
        """Return the tag, None when there is none."""
        return get_param(self.params, "tag") or None

    def param(self, name: str) -> str | None:
        """Return the raw value of a header parameter; "" when it has none, None when it is absent."""
        return get_param(self.params, name)

    def sip_uri(self) -> SipUri:
        """Return the URI taken apart. Raises `RemoteProtocolError` (416 or 400) when it is no SIP URI."""
        return parse_uri(self.uri)


@lru_cache(maxsize=CACHE_VALUES)
def parse_name_addr(text: str) -> NameAddr:
    """Parse ``"Alice" <sip:alice@example>;tag=1`` or ``sip:alice@example;tag=1``.

    Without angle brackets every parameter belongs to the header, and the URI may hold no comma and no question mark.

    Raises:
        RemoteProtocolError: hint 400. ``*`` is no address: test for it before.
    """
    usual = scan.plain_name_addr(text)
    if usual is not None:
        return NameAddr(*usual)
    match = _NAME_ADDR.fullmatch(text)
    if match is not None:
        quoted, plain, uri, params = match.groups()
        display = unquote(quoted) if quoted is not None else plain.strip(" \t")
        return NameAddr(printable(display), uri, parse_params(params) if params else ())
    match = _ADDR_SPEC.fullmatch(text)
    if match is None:
        fail("an address such as <sip:user@host>", text)
    uri, params = match.groups()
    return NameAddr("", uri, parse_params(params) if params else ())
