"""SIP and SIPS URIs. Source: RFC 3261 19.1."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from cmw.sip.grammar import (
    CACHE_VALUES,
    HOST_PATTERN,
    MAX_PARAMS,
    Params,
    check_host,
    fail,
    get_param,
    parse_number,
    serialize_host,
)
from cmw.sip.headers import scan

_USER_CHARS = r"A-Za-z0-9\-_.!~*'()%&=+$,;?/#"
_URI = re.compile(
    rf"(?:([{_USER_CHARS}]++)(?::([A-Za-z0-9\-_.!~*'()%&=+$,]*+))?@)?"
    rf"({HOST_PATTERN})(?::([0-9]+))?((?:;[^;?]+)*+)(?:\?(.+))?"
)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PARAM_TEXT = re.compile(r"[A-Za-z0-9\-_.!~*'()%\[\]/:&+$]+")
_HEADER_TEXT = re.compile(r"[A-Za-z0-9\-_.!~*'()%\[\]/?:+$]*")
_TO_ESCAPE = re.compile(rb"[^A-Za-z0-9\-_.!~*'()&=+$,;?/]")
_MUST_MATCH = ("user", "ttl", "method", "maddr", "transport")


class SipUri(NamedTuple):
    """A SIP or SIPS URI, taken apart.

    Args:
        scheme: ``sip`` or ``sips``.
        user: user part without escapes; None when the URI has no user part.
        password: raw password part; never shown by `repr`.
        host: host name or literal address, an IPv6 one without brackets.
        port: 1 .. 65535, None when not given.
        params: URI parameters, lower-case names and raw values.
        headers: raw names and values after the question mark.
    """

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None = None
    params: Params = ()
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        user = ""
        if self.user is not None:
            user = escape(self.user) + ("" if self.password is None else f":{self.password}") + "@"
        params = "".join([f";{name}" if value is None else f";{name}={value}" for name, value in self.params])
        headers = "&".join([f"{name}={value}" for name, value in self.headers])
        return f"{self.scheme}:{user}{serialize_host(self.host, self.port)}{params}" + (headers and "?" + headers)

    def __repr__(self) -> str:
        shown = self if self.password is None else self._replace(password="***")  # noqa: S106
        return f"SipUri({str(shown)!r})"

    def param(self, name: str) -> str | None:
        """Return the raw value of a URI parameter; "" when it has none, None when it is absent."""
        return get_param(self.params, name)

    @property
    def is_loose_router(self) -> bool:
        """Tell whether the URI carries ``lr``. Source: RFC 3261 19.1.1."""
        return get_param(self.params, "lr") is not None

    def is_equivalent(self, other: SipUri) -> bool:
        """Tell whether two URIs mean the same. Source: RFC 3261 19.1.4."""
        if (self.scheme, self.user, self.password, self.port) != (other.scheme, other.user, other.password, other.port):
            return False
        if self.host.lower() != other.host.lower():
            return False
        mine, theirs = _folded(self.params), _folded(other.params)
        if any(mine.get(name) != theirs.get(name) for name in _MUST_MATCH):
            return False
        if any(mine[name] != theirs[name] for name in mine.keys() & theirs.keys()):
            return False
        return sorted(_folded(self.headers).items()) == sorted(_folded(other.headers).items())


@lru_cache(maxsize=CACHE_VALUES)
def parse_uri(text: str) -> SipUri:
    """Parse a SIP or SIPS URI.

    Raises:
        RemoteProtocolError: hint 416 when the scheme is another one, 400 when the URI is malformed.
    """
    plain = scan.plain_uri(text)
    if plain is not None:
        return SipUri(*plain)
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower() if scheme.isascii() else scheme
    if not colon or scheme not in ("sip", "sips"):
        fail("a sip or sips URI", text, hint=416)
    match = _URI.fullmatch(rest)
    if match is None:
        fail("a SIP URI", text)
    user, password, host, port, params, headers = match.groups()
    return SipUri(
        scheme,
        unescape(user) if user is not None else None,
        _checked(password) if password is not None else None,
        check_host(host),
        _parse_port(port) if port is not None else None,
        _parse_uri_params(params) if params else (),
        _parse_uri_headers(headers) if headers is not None else (),
    )


def is_sips(text: str) -> bool:
    """Tell whether the text of a URI is that of a SIPS URI."""
    return text[:5].lower() == "sips:"


def _parse_port(text: str) -> int:
    return parse_number(text, "a port", maximum=65535) or fail("a port of at least 1", text)


def _parse_uri_params(text: str) -> Params:
    params = []
    items = text[1:].split(";")
    if len(items) > MAX_PARAMS:
        fail(f"at most {MAX_PARAMS} URI parameters", text)
    for item in items:
        name, equals, value = item.partition("=")
        if _PARAM_TEXT.fullmatch(name) is None or (equals and _PARAM_TEXT.fullmatch(value) is None):
            fail("a URI parameter", item)
        params.append((_checked(name).lower(), _checked(value) if equals else None))
    return tuple(params)


def _parse_uri_headers(text: str) -> tuple[tuple[str, str], ...]:
    headers = []
    items = text.split("&")
    if len(items) > MAX_PARAMS:
        fail(f"at most {MAX_PARAMS} URI headers", text)
    for item in items:
        name, equals, value = item.partition("=")
        if not (name and equals and _HEADER_TEXT.fullmatch(name) and _HEADER_TEXT.fullmatch(value)):
            fail("a URI header", item)
        headers.append((_checked(name), _checked(value)))
    return tuple(headers)


def _checked(text: str) -> str:
    """Return `text`, refusing a percent sign that starts no escape."""
    if "%" in text and _BAD_ESCAPE.search(text) is not None:
        fail("two hex digits after each %", text)
    return text


def unescape(text: str) -> str:
    """Return `text` with its %-escapes replaced, as UTF-8 where they are that. Source: RFC 3261 19.1.2."""
    if "%" not in text:
        return text
    raw = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), _checked(text).encode("utf-8", "replace"))
    return raw.decode("utf-8", "surrogateescape")


@lru_cache(maxsize=CACHE_VALUES)
def escape(text: str) -> str:
    """Return `text` with every character escaped that may not stand in a user part."""
    raw = text.encode("utf-8", "surrogateescape")
    return _TO_ESCAPE.sub(lambda match: b"%%%02X" % match[0][0], raw).decode("ascii")


def _folded(pairs: Params) -> dict[str, str | None]:
    """Return pairs as a mapping in which only the meaning counts: no escapes, no letter case."""
    return {unescape(name).lower(): None if value is None else unescape(value).lower() for name, value in pairs}
