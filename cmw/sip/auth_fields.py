"""The syntax that challenges, answers and proofs share: a scheme and its fields. Source: RFC 3261 25.1, RFC 7616 3.

Each value is read once from left to right by one expression that never goes back, so the time is linear in its length.
"""

from __future__ import annotations

import re
from urllib.parse import quote as percent_encode
from urllib.parse import unquote_to_bytes

from cmw.errors import RemoteProtocolError
from cmw.sip.grammar import TOKEN_CHARS, fail, unquote

MAX_FIELDS = 1000
"""Fields of one header value, all its challenges together; more is refused."""

MAX_FIELD_CHARS = 4096
"""A realm, nonce or opaque above this is not answered: each request would carry it back."""

_UNFIT = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_FIELD = re.compile(
    rf"[ \t]*+(?:([{TOKEN_CHARS}]++)[ \t]++(?=[{TOKEN_CHARS}]))?"  # not ?+, which Python before 3.11.5 gets wrong
    rf'([{TOKEN_CHARS}]++)[ \t]*+=[ \t]*+("(?:[^"\\]|\\.)*+"|[^",]*+)[ \t]*+(?:,|\Z)',
    re.DOTALL,
)
_BARE_SCHEME = re.compile(rf"[ \t]*+([{TOKEN_CHARS}]++)[ \t]*+(?:,|\Z)")


def parse_schemes(value: str) -> list[tuple[str, dict[str, str]]]:
    """Return each scheme of a header value, in lower case, with its fields: lower-case name and meaning.

    Of fields with the same name the first counts.

    Raises:
        RemoteProtocolError: hint 400 when the value is malformed.
    """
    found: list[tuple[str, dict[str, str]]] = []
    for scheme, name, text in _scan(value):
        if scheme:
            found.append((scheme, {}))
        if not found:
            fail("a scheme such as Digest", name)
        if name:
            found[-1][1].setdefault(name, text)
    return found


def parse_fields(value: str) -> dict[str, str]:
    """Return the fields of a value that has no scheme, as Authentication-Info; each may be there once.

    Raises:
        RemoteProtocolError: hint 400 when the value is malformed.
    """
    fields: dict[str, str] = {}
    for scheme, name, text in _scan(value):
        if scheme or name in fields:
            fail("fields without a scheme, each once", scheme or name)
        fields[name] = text
    return fields


def parse_authorization(value: str) -> dict[str, str]:
    """Return the fields of an Authorization or Proxy-Authorization value, names in lower case.

    Raises:
        RemoteProtocolError: hint 400 when it is not one set of Digest fields, each there once.
    """
    fields: dict[str, str] = {}
    for at, (scheme, name, text) in enumerate(_scan(value)):
        if scheme != ("" if at else "digest") or not name or name in fields:
            fail("one set of Digest fields, each once", scheme or name)
        fields[name] = text
    return fields


def _scan(value: str) -> list[tuple[str, str, str]]:
    """Return (scheme, name, meaning) of each field; the scheme is empty but before the first of its fields."""
    found: list[tuple[str, str, str]] = []
    at = 0
    while not found or at < len(value) or value[-1] == ",":
        field = _FIELD.match(value, at)
        if field is not None:
            text = field[3]
            meaning = unquote(text) if text[:1] == '"' else text.rstrip(" \t")
            found.append(((field[1] or "").lower(), field[2].lower(), meaning))
        elif (field := _BARE_SCHEME.match(value, at)) is not None:
            found.append((field[1].lower(), "", ""))
        else:
            fail("fields such as realm=", _scheme_of(value))
        if len(found) > MAX_FIELDS:
            fail(f"at most {MAX_FIELDS} fields", _scheme_of(value))
        at = field.end()
    return found


def _scheme_of(value: str) -> str:
    """Return the first word, so that what an error shows is no secret."""
    return value.lstrip(" \t").partition(" ")[0][:32]


def is_quotable(text: str) -> bool:
    """Tell whether text may stand in a quoted string: it has no line ends nor other controls. Source: RFC 3261 25.1."""
    return _UNFIT.search(text) is None


def is_echoable(text: str) -> bool:
    """Tell whether what a server sent may be sent back: short enough, and on one line."""
    return len(text) <= MAX_FIELD_CHARS and is_quotable(text)


def encode_extended(text: str) -> str:
    """Return `text` as the value of a field such as ``username*``. Source: RFC 8187 3.2.1."""
    return "UTF-8''" + percent_encode(text.encode("utf-8", "surrogateescape"), safe="")


def decode_extended(value: str) -> str:
    """Return the meaning of a field such as ``username*``.

    Raises:
        RemoteProtocolError: hint 400 when it is not UTF-8.
    """
    charset, mark, rest = value.partition("'")
    _, second_mark, encoded = rest.partition("'")
    if charset.upper() != "UTF-8" or not mark or not second_mark:
        fail("UTF-8'' before a name", charset)
    try:
        return unquote_to_bytes(encoded.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RemoteProtocolError("expected UTF-8 as a name, found something else", hint=400) from error
