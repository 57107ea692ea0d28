"""The names of header fields, and one row of the wire taken apart: what both twins of the scanner rely on.

Source: RFC 3261 7.3, 20; the IANA registry of SIP header fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.grammar import is_token, split_list, split_outside

MAX_HEADERS = 256
"""Header rows of one message, list elements counted; more is refused."""

MAX_LINE_BYTES = 8192
"""Longest start line or header, folds included; more is refused, for what is parsed of it is remembered for a while."""

COMPACT_FORMS = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
"""One-letter names. Source: the IANA registry of SIP header fields."""

LIST_HEADERS = frozenset(
    "Contact Diversion History-Info P-Asserted-Identity P-Preferred-Identity Path Record-Route Route Service-Route "
    "Via".split()
)
"""Headers whose comma-separated elements become rows of their own when a message is parsed."""

SINGLE_HEADERS = frozenset("Call-ID CSeq Content-Length Content-Type From Max-Forwards To".split())
"""Headers that a message may carry only once."""

_SPELLINGS = """
    Accept Accept-Encoding Accept-Language Alert-Info Allow Authentication-Info Authorization Call-Info
    Content-Disposition Content-ID Content-Language Date Error-Info Expires Feature-Caps Flow-Timer Geolocation
    In-Reply-To Info-Package Join MIME-Version Max-Breadth Min-Expires Min-SE Organization P-Access-Network-Info
    P-Called-Party-ID P-Charging-Vector P-Early-Media Priority Privacy Proxy-Authenticate Proxy-Authorization
    Proxy-Require RAck RSeq Reason Recv-Info Refer-Sub Remote-Party-ID Replaces Reply-To Require Retry-After
    SIP-ETag SIP-If-Match Security-Client Security-Server Security-Verify Server Session-ID Subscription-State
    Supported Target-Dialog Timestamp Unsupported User-Agent WWW-Authenticate Warning
""".split()

KNOWN_NAMES = tuple(sorted({*_SPELLINGS, *COMPACT_FORMS.values(), *LIST_HEADERS, *SINGLE_HEADERS}))
"""Every name with a spelling of its own."""

SPELLINGS: dict[str, str] = {}
"""The canonical name of each spelling that is likely to come; the others are found by `canonical_name`."""

for _name in KNOWN_NAMES:
    SPELLINGS.update({_name: _name, _name.lower(): _name, _name.upper(): _name})
for _letter, _name in COMPACT_FORMS.items():
    SPELLINGS.update({_letter: _name, _letter.upper(): _name})

Fault = tuple[str, str, str]
"""What is wrong with a head: the name of a `DiscardReason`, what was expected, what came."""

_FOLD = re.compile(rb"\r?\n[ \t]+")


def canonical_name(name: str) -> str:
    """Return the one spelling of a header name: the RFC's where it is known, Title-Case otherwise.

    Raises:
        LocalProtocolError: `name` is not a token.
    """
    known = SPELLINGS.get(name)
    if known is not None:
        return known
    if not is_token(name):
        raise LocalProtocolError(f"expected a header name, found {name!a}")
    return SPELLINGS.get(name.lower()) or name.title()


def read_row(line: bytes) -> tuple[str, list[str], Fault | None]:
    """Return name, values and fault of one header, its folds included and its last line break not.

    There are several values when a list of addresses or Vias was split, and none when the header could not be read so
    far that an answer may repeat it.
    """
    if len(line) > MAX_LINE_BYTES:
        return "", [], ("BAD_HEADER", f"a header of at most {MAX_LINE_BYTES} bytes", f"{len(line)}")
    text = unfold(line)
    spelling, colon, value = text.partition(":")
    name = SPELLINGS.get(spelling)
    if name is None or not colon:
        spelling = spelling.rstrip(" \t")
        if not colon or not is_token(spelling):
            return "", [], ("BAD_HEADER", "a header such as Name: value", text)
        name = canonical_name(spelling)
    value = value.strip(" \t")
    if "\r" in value:
        return name, [], ("BAD_HEADER", "CR only before LF", text)
    if "," not in value or name not in LIST_HEADERS:
        return name, [value], None
    try:
        return name, split_list(value), None
    except RemoteProtocolError:
        return name, [value], ("BAD_HEADER", f"a list in {name}", value)


def unfold(line: bytes) -> str:
    """Return a line and those that go on with it as one line of text. Source: RFC 3261 7.3.1."""
    return (_FOLD.sub(b" ", line) if b"\n" in line else line).decode("utf-8", "surrogateescape")


def split_tokens(values: Iterable[str]) -> list[str]:
    """Return the elements of comma-separated values; where quotes or brackets are left open, every comma counts."""
    tokens: list[str] = []
    for value in values:
        try:
            tokens += split_outside(value, ",")
        except RemoteProtocolError:
            tokens += [part.strip(" \t") for part in value.split(",")]
    return [token for token in tokens if token]


def find_repeated(names: list[str]) -> Fault | None:
    """Return the fault of a header that stands several times and may not."""
    for name in SINGLE_HEADERS:
        if names.count(name) > 1:
            return "REPEATED_HEADER", f"one {name}", "several"
    return None
