"""Telephone numbers as URIs, and any URI at all. Source: RFC 3966; RFC 3261 19.1.4, 19.1.6."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from cmw.sip.grammar import CACHE_VALUES, MAX_PARAMS, Params, fail, get_param, serialize_params
from cmw.sip.uri import SipUri, parse_uri, unescape

_GLOBAL = re.compile(r"\+[-.()]*[0-9][0-9\-.()]*")
_LOCAL = re.compile(r"[-.()]*[0-9A-Fa-f*#][0-9A-Fa-f*#\-.()]*")
_SEPARATORS = re.compile(r"[-.()]")
_PARAM = re.compile(r"([A-Za-z0-9\-]+)(?:=((?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]|%[0-9A-Fa-f]{2})+))?")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):([\x21\x23-\x3b\x3d\x3f-\x7e]+)")
_PLAIN_NUMBERS = ("ext", "phone-context")


class TelUri(NamedTuple):
    """A telephone number.

    Args:
        number: as written, with its visual separators; a global one begins with a plus sign.
        params: lower-case names and raw values.
    """

    number: str
    params: Params = ()

    def __str__(self) -> str:
        return f"tel:{self.number}{serialize_params(self.params)}"

    @property
    def is_global(self) -> bool:
        """Tell whether the number means the same everywhere."""
        return self.number.startswith("+")

    @property
    def digits(self) -> str:
        """Return the number without visual separators, letters in lower case."""
        return _SEPARATORS.sub("", self.number).lower()

    def param(self, name: str) -> str | None:
        """Return the raw value of a parameter; "" when it has none, None when it is absent."""
        return get_param(self.params, name)

    def is_equivalent(self, other: TelUri) -> bool:
        """Tell whether two numbers mean the same. Source: RFC 3966 4."""
        return (self.is_global, self.digits, _folded(self.params)) == (
            other.is_global,
            other.digits,
            _folded(other.params),
        )

    def to_sip(self, host: str) -> SipUri:
        """Return the SIP URI that reaches this number at a gateway. Source: RFC 3261 19.1.6."""
        user = "".join([self.digits, *(f";{name}={value}" if value else f";{name}" for name, value in self.params)])
        return SipUri("sip", user, None, host, None, (("user", "phone"),))


class OtherUri(NamedTuple):
    """A URI of a scheme that means nothing here.

    Args:
        scheme: in lower case.
        rest: raw text after the colon.
    """

    scheme: str
    rest: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"

    def is_equivalent(self, other: OtherUri) -> bool:
        """Tell whether both are the same text."""
        return self == other


@lru_cache(maxsize=CACHE_VALUES)
def parse_tel_uri(text: str) -> TelUri:
    """Parse a tel: URI.

    Raises:
        RemoteProtocolError: hint 416 when the scheme is another one, 400 when the URI is malformed.
    """
    scheme, colon, rest = text.partition(":")
    if not colon or scheme.upper() != "TEL" or not scheme.isascii():
        fail("a tel URI", text, hint=416)
    number, *items = rest.split(";")
    if len(items) > MAX_PARAMS:
        fail(f"at most {MAX_PARAMS} parameters", text)
    params = tuple([_parse_param(item) for item in items])
    if len({name for name, _ in params}) < len(params):
        fail("each parameter once", text)  # RFC 3966 3
    if _GLOBAL.fullmatch(number) is None:
        if _LOCAL.fullmatch(number) is None:
            fail("a telephone number", number)
        if not get_param(params, "phone-context"):
            fail("a phone-context for a local number", text)  # RFC 3966 5.1.5
    return TelUri(number, params)


def parse_any_uri(text: str) -> SipUri | TelUri | OtherUri:
    """Parse a URI of any scheme; of those that mean nothing here only the scheme is looked at.

    Raises:
        RemoteProtocolError: hint 400.
    """
    match = _SCHEME.fullmatch(text)
    if match is None:
        fail("a URI", text)
    scheme = match[1].lower()
    if scheme in ("sip", "sips"):
        return parse_uri(text)
    return parse_tel_uri(text) if scheme == "tel" else OtherUri(scheme, match[2])


def parse_called_uri(text: str) -> SipUri | TelUri:
    """Parse a URI that can be called: that of a user or a telephone number.

    Raises:
        RemoteProtocolError: hint 416 when the scheme is another one, 400 when the URI is malformed.
    """
    return parse_tel_uri(text) if text[:4].lower() == "tel:" else parse_uri(text)


def called_user(text: str) -> str:
    """Return who is called by a URI that was parsed already: its user part or its number, "" when it has none."""
    uri = parse_called_uri(text)
    return uri.digits if isinstance(uri, TelUri) else uri.user or ""


def is_same_uri(one: SipUri | TelUri | OtherUri, other: SipUri | TelUri | OtherUri) -> bool:
    """Tell whether two URIs mean the same; those of different schemes never do."""
    if isinstance(one, SipUri):
        return isinstance(other, SipUri) and one.is_equivalent(other)
    if isinstance(one, TelUri):
        return isinstance(other, TelUri) and one.is_equivalent(other)
    return one == other


def _parse_param(item: str) -> tuple[str, str | None]:
    match = _PARAM.fullmatch(item)
    if match is None:
        fail("a parameter of a tel URI", item)
    return match[1].lower(), match[2]


def _folded(params: Params) -> dict[str, str | None]:
    """Return parameters so that only the meaning counts: no order, no letter case, no visual separators."""
    folded: dict[str, str | None] = {}
    for name, value in params:
        meaning = None if value is None else unescape(value).lower()
        is_number = name in _PLAIN_NUMBERS and meaning is not None and not re.search("[a-z]", meaning)
        folded[name] = _SEPARATORS.sub("", meaning) if is_number and meaning is not None else meaning
    return folded
