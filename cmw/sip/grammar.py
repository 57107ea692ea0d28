"""The lexical rules that all SIP values share: tokens, quoted strings, parameters, lists, numbers.

Every function is linear in its input and raises nothing but `RemoteProtocolError`, with the hint 400.
Source: RFC 3261 25.1.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NoReturn

from cmw.errors import RemoteProtocolError

CACHE_VALUES = 512
"""How many parsed values of each kind are remembered: enough for the messages of a moment, little even if all are long.

A message's Via, addresses and CSeq are looked at by several layers, and its answer carries them again.
"""

MAX_PARAMS = 64
"""Parameters of one value; more is refused. What is parsed is remembered, and a short text can hold very many."""

MAX_DELTA_S = 2**32 - 1
"""Longest span in seconds. Source: RFC 3261 20.19, 25.1 delta-seconds."""

Params = tuple[tuple[str, str | None], ...]
"""Parameters in their order: lower-case name and raw value (quotes included), None without an equals sign."""

TOKEN_CHARS = r"A-Za-z0-9\-.!%*_+`'~"  # noqa: S105
"""The characters of a token, for use inside a character class."""

HOST_PATTERN = r"\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9_.\-]{0,253}[A-Za-z0-9_.])?"
"""A host name (underscores are let pass), an IPv4 address or a bracketed IPv6 address."""

QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)

_TOKEN = re.compile(f"[{TOKEN_CHARS}]+")
_PARAM_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3d\x3f-\x7e]*")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_MARKS = {",": re.compile('[",<]'), ";": re.compile('[";<]')}
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_SHOWN_CHARS = 60


def fail(expected: str, found: str, *, hint: int = 400) -> NoReturn:
    """Raise `RemoteProtocolError` saying what was expected and what came, cut to a readable length."""
    shown = found if len(found) <= _SHOWN_CHARS else found[:_SHOWN_CHARS] + "..."
    raise RemoteProtocolError(f"expected {expected}, found {shown!a}", hint=hint)


def is_token(text: str) -> bool:
    """Tell whether `text` is a token: one or more of a small set of ASCII characters."""
    return _TOKEN.fullmatch(text) is not None


def is_number(text: str) -> bool:
    """Tell whether `text` is one or more ASCII digits."""
    return text.isascii() and text.isdigit()


def is_hex(text: str) -> bool:
    """Tell whether `text` is nothing but hex digits of either case."""
    return _HEX_DIGITS.issuperset(text)


def parse_number(text: str, what: str, *, maximum: int) -> int:
    """Return the value of ASCII digits, 0 .. `maximum`; signs, underscores and other scripts' digits are refused.

    Args:
        text: raw wire text of any length.
        what: name of the field, for the message.
        maximum: greatest value allowed.
    """
    if not is_number(text):
        fail(f"digits as {what}", text)
    digits = text if len(text) < 20 else text.lstrip("0") or "0"
    value = int(digits) if len(digits) < 20 else maximum + 1
    if value > maximum:
        fail(f"{what} of at most {maximum}", text)
    return value


def read_seconds(text: str | None) -> int | None:
    """Return delta-seconds, at most 2^32 - 1; None when there are none or they make no sense."""
    if text is None or not is_number(text) or len(text) > 10:
        return None
    return min(int(text), MAX_DELTA_S)


def read_q(text: str | None) -> float | None:
    """Return a preference, 0 .. 1, by default 1; None when it makes no sense. Source: RFC 3261 25.1 qvalue."""
    if text is None:
        return 1.0
    whole, _, part = text.partition(".")
    if whole not in ("0", "1") or len(part) > 3 or (part and not is_number(part)):
        return None
    return min(1.0, float(text))


def quote(text: str) -> str:
    """Return `text` as a quoted-string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    """Return the meaning of a quoted-string, or `text` itself when it is not one."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    return _QUOTED_PAIR.sub(r"\1", inner) if "\\" in inner else inner


def split_outside(text: str, separator: str) -> list[str]:
    """Split at `separator` (comma or semicolon) outside quoted strings and angle brackets, and strip each part.

    Empty parts are kept: what they mean is for the caller to say.
    """
    if '"' not in text and "<" not in text:
        return [part.strip(" \t") for part in text.split(separator)]
    parts, start, at = [], 0, 0
    marks = _MARKS[separator]
    while (mark := marks.search(text, at)) is not None:
        at = mark.start()
        if text[at] == separator:
            parts.append(text[start:at].strip(" \t"))
            at = start = at + 1
        else:
            at = _skip_enclosed(text, at)
    parts.append(text[start:].strip(" \t"))
    return parts


def _skip_enclosed(text: str, at: int) -> int:
    """Return the index after the quoted string or angle brackets that start at `at`."""
    if text[at] == "<":
        end = text.find(">", at)
        return end + 1 if end >= 0 else fail("a closing >", text[at:])
    quoted = QUOTED.match(text, at)
    return quoted.end() if quoted is not None else fail("a closing quote", text[at:])


def split_list(text: str) -> list[str]:
    """Split a comma-separated list into its elements; an empty element is an error. Source: RFC 3261 7.3.1."""
    if "," not in text:
        return [text]
    parts = split_outside(text, ",")
    if "" in parts:
        fail("a list without empty elements", text)
    return parts


def parse_params(text: str) -> Params:
    """Parse ``;name=value;name`` with optional white space around the marks; empty text gives no parameters.

    Names come back in lower case, values raw. Of parameters with the same name, readers take the first.
    """
    if not text:
        return ()
    first, *rest = text.split(";") if '"' not in text else split_outside(text, ";")
    if first.strip(" \t"):
        fail("parameters after a semicolon", text)
    if len(rest) > MAX_PARAMS:
        fail(f"at most {MAX_PARAMS} parameters", text)
    return tuple([_parse_param(item) for item in rest])


def _parse_param(item: str) -> tuple[str, str | None]:
    name, equals, value = item.partition("=")
    name = name.strip(" \t")
    if _TOKEN.fullmatch(name) is None:
        fail("a parameter name", item)
    if not equals:
        return name.lower(), None
    value = value.strip(" \t")
    if _PARAM_VALUE.fullmatch(value) is None and QUOTED.fullmatch(value) is None:
        fail(f"a value for the parameter {name}", value)
    return name.lower(), value


def get_param(params: Params, name: str) -> str | None:
    """Return the raw value of the first parameter called `name` (lower case); "" when it has none, None when absent."""
    for key, value in params:
        if key == name:
            return value if value is not None else ""
    return None


def set_param(params: Params, name: str, value: str | None) -> Params:
    """Return `params` with `name` set to `value` (None: without an equals sign), in place if it was there."""
    if any(key == name for key, _ in params):
        return tuple([(key, value if key == name else old) for key, old in params])
    return (*params, (name, value))


def serialize_params(params: Params) -> str:
    """Return ``;name=value;name``."""
    return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in params])


def check_host(host: str) -> str:
    """Return a host without brackets, refusing numbers that look like an IPv4 address and are none.

    Args:
        host: text that matched `HOST_PATTERN`.
    """
    if host[0] == "[":
        return _check_ipv6(host[1:-1])
    if host[-1].isdigit() and host.replace(".", "").isdigit():
        parts = host.split(".")
        if len(parts) != 4 or not all(0 < len(part) <= 3 and int(part) <= 255 for part in parts):
            fail("a host", host)
    elif ".." in host:
        fail("a host", host)
    return host


def _check_ipv6(text: str) -> str:
    """Return an IPv6 address, refusing what cannot be one. Source: RFC 4291 2.2.

    Three colons before a part in decimals are taken for two: an old grammar of SIP made them. Source: RFC 5118 4.10.
    """
    if ":::" in text and "." in text:
        text = text.replace(":::", "::", 1)
    head, gap, tail = text.partition("::")
    groups = [group for part in (head, tail) if part for group in part.split(":")]
    count = len(groups)
    if groups and "." in groups[-1]:
        check_host(groups.pop() or "0")
        count += 1
    whole = count < 8 if gap else count == 8
    if not whole or not all(0 < len(group) <= 4 and "." not in group for group in groups):
        fail("an IPv6 address", text)
    return text


@lru_cache(maxsize=CACHE_VALUES)
def is_literal(host: str) -> bool:
    """Tell whether `host` is an IPv4 or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


@lru_cache(maxsize=CACHE_VALUES)
def is_public(host: str) -> bool:
    """Tell whether a literal address can be reached from everywhere: not a private, local or shared one. RFC 6890."""
    return ipaddress.ip_address(host).is_global


def serialize_host(host: str, port: int | None) -> str:
    """Return ``host:port``, with brackets around an IPv6 address; no port when it is None."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def printable(text: str) -> str:
    """Return `text` with bytes that were not UTF-8 replaced, fit for logs and JSON."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def one_line(text: str) -> str:
    """Return `text` fit for a terminal too: what would move it is replaced. Source: RFC 3261 25.1, Reason-Phrase."""
    if text.isascii() and text.isprintable():
        return text
    return "".join([char if char.isprintable() else "\ufffd" for char in printable(text).replace("\t", " ")])
