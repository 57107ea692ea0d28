"""Header fields of a message: an ordered multi-dict with one spelling for each name. Source: RFC 3261 7.3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cmw.errors import LocalProtocolError
from cmw.sip.grammar import is_token, split_outside

MAX_HEADERS = 256
"""Header rows of one message, list elements counted; more is refused."""

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
    (
        "Contact",
        "Diversion",
        "History-Info",
        "P-Asserted-Identity",
        "Path",
        "Record-Route",
        "Route",
        "Service-Route",
        "Via",
    )
)
"""Headers whose comma-separated elements become rows of their own when a message is parsed."""

SINGLE_HEADERS = frozenset(("Call-ID", "CSeq", "Content-Length", "Content-Type", "From", "Max-Forwards", "To"))
"""Headers that a message may carry only once."""

_SPELLINGS = """
    Accept Accept-Encoding Accept-Language Alert-Info Allow Authentication-Info Authorization Call-Info
    Content-Disposition Content-Language Date Error-Info Expires In-Reply-To MIME-Version Min-Expires Min-SE
    Organization Priority Privacy Proxy-Authenticate Proxy-Authorization Proxy-Require RAck RSeq Reason Reply-To
    Require Retry-After Server Subscription-State Timestamp Unsupported User-Agent WWW-Authenticate Warning
""".split()
_CANONICAL: dict[str, str] = {}
for _name in (*_SPELLINGS, *COMPACT_FORMS.values(), *LIST_HEADERS, *SINGLE_HEADERS):
    _CANONICAL.update({_name: _name, _name.lower(): _name, _name.upper(): _name})
for _letter, _name in COMPACT_FORMS.items():
    _CANONICAL.update({_letter: _name, _letter.upper(): _name})


def canonical_name(name: str) -> str:
    """Return the one spelling of a header name: the RFC's where it is known, Title-Case otherwise.

    Raises:
        LocalProtocolError: `name` is not a token.
    """
    known = _CANONICAL.get(name)
    if known is not None:
        return known
    if not is_token(name):
        raise LocalProtocolError(f"expected a header name, found {name!a}")
    return _CANONICAL.get(name.lower()) or name.title()


class Headers:
    """Header rows in their order; names compare without regard to case and compact forms are folded to long ones.

    Values are raw text as on the wire; parse them on demand with `parse_via`, `parse_name_addr` and the like.
    Of a parsed message each element of Via, Route, Record-Route, Contact and their kind is a row of its own.

    Args:
        rows: pairs of name and value to start with.
    """

    __slots__ = ("_rows",)

    def __init__(self, rows: Iterable[tuple[str, str]] = ()) -> None:
        self._rows = [(canonical_name(name), value) for name, value in rows]

    @classmethod
    def _of(cls, rows: list[tuple[str, str]]) -> Headers:
        """Wrap rows whose names are canonical already; the list is not copied."""
        headers = cls.__new__(cls)
        headers._rows = rows
        return headers

    def add(self, name: str, value: str) -> None:
        """Append a row."""
        self._rows.append((canonical_name(name), value))

    def add_first(self, name: str, value: str) -> None:
        """Put a row before all others, as a proxy does with its Via."""
        self._rows.insert(0, (canonical_name(name), value))

    def set(self, name: str, value: str) -> None:
        """Make `value` the only one of `name`, where the first of them stood or else at the end."""
        name = canonical_name(name)
        at = next((index for index, row in enumerate(self._rows) if row[0] == name), None)
        if at is None:
            self._rows.append((name, value))
            return
        self._rows[at] = (name, value)
        self._rows[at + 1 :] = [row for row in self._rows[at + 1 :] if row[0] != name]

    def replace_first(self, name: str, value: str) -> None:
        """Change the first row of `name` only, as a server does with the top Via; append if there is none."""
        name = canonical_name(name)
        at = next((index for index, row in enumerate(self._rows) if row[0] == name), len(self._rows))
        self._rows[at : at + 1] = [(name, value)]

    def remove(self, name: str) -> None:
        """Drop every row of `name`; nothing happens if there is none."""
        name = canonical_name(name)
        self._rows = [row for row in self._rows if row[0] != name]

    def remove_first(self, name: str) -> str | None:
        """Drop the first row of `name` and return its value, None if there is none."""
        name = canonical_name(name)
        for index, row in enumerate(self._rows):
            if row[0] == name:
                return self._rows.pop(index)[1]
        return None

    def get(self, name: str) -> str | None:
        """Return the first value of `name`, None if there is none."""
        name = _CANONICAL.get(name) or canonical_name(name)
        for key, value in self._rows:
            if key == name:
                return value
        return None

    def get_all(self, name: str) -> list[str]:
        """Return every value of `name` in order, an empty list if there is none."""
        name = canonical_name(name)
        return [value for key, value in self._rows if key == name]

    def get_tokens(self, name: str) -> list[str]:
        """Return the elements of a comma-separated header such as Allow or Supported, over all its rows."""
        return [part for value in self.get_all(name) for part in split_outside(value, ",") if part]

    def copy(self) -> Headers:
        """Return an independent copy."""
        return Headers._of(self._rows.copy())

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._rows == other._rows

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({self._rows!r})"
