"""The scanner in plain Python: what `_scan.pyx` does fast, said to be read. Standard library only.

`scan_head` cuts the head of a message into rows, `Headers` keeps them. The compiled twin keeps offsets into the
datagram and makes an object of a value when somebody reads it; nobody can tell the difference.

The `plain_` functions take apart values of the shape that nearly every message has, and return None for any other,
which the parsers then read thoroughly, as they do here with all of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from cmw.errors import LocalProtocolError
from cmw.sip.grammar import Params
from cmw.sip.header_names import (
    LIST_HEADERS,
    MAX_HEADERS,
    MAX_LINE_BYTES,
    SPELLINGS,
    Fault,
    canonical_name,
    find_repeated,
    read_row,
    split_tokens,
    unfold,
)

_LINE_BREAK = re.compile(r"\r?\n(?![ \t])")

IMPLEMENTATION = "pure"
"""Which twin this is."""


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

    def add(self, name: str, value: str) -> None:
        """Append a row."""
        self._rows.append((canonical_name(name), value))

    def add_first(self, name: str, value: str) -> None:
        """Put a row before all others, as a proxy does with its Via."""
        self._rows.insert(0, (canonical_name(name), value))

    def extend(self, rows: Iterable[tuple[str, str]]) -> None:
        """Append rows."""
        self._rows += [(canonical_name(name), value) for name, value in rows]

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
        name = SPELLINGS.get(name) or canonical_name(name)
        for key, value in self._rows:
            if key == name:
                return value
        return None

    def get_all(self, name: str) -> list[str]:
        """Return every value of `name` in order, an empty list if there is none."""
        name = canonical_name(name)
        return [value for key, value in self._rows if key == name]

    def count(self, name: str) -> int:
        """Return how many rows of `name` there are."""
        return len(self.get_all(name))

    def get_tokens(self, name: str) -> list[str]:
        """Return the elements of a comma-separated header such as Allow or Supported, over all its rows."""
        return split_tokens(self.get_all(name))

    def select(self, names: Collection[str]) -> Headers:
        """Return a copy that has only the rows of `names`, which are canonical."""
        chosen = Headers()
        chosen._rows = [row for row in self._rows if row[0] in names]
        return chosen

    def copy(self) -> Headers:
        """Return an independent copy."""
        other = Headers()
        other._rows = self._rows.copy()
        return other

    def plain_tag(self, name: str) -> str | None:
        """Return the tag of the first value of `name`, "" when it has none; None when it has to be read thoroughly."""
        return None

    def plain_seq(self) -> int | None:
        """Return the number of the CSeq; None when it has to be read thoroughly."""
        return None

    def plain_client_key(self) -> tuple[str, str] | None:
        """Return the key of a response and its sent-by as it is written; None when they have to be read thoroughly."""
        return None

    def plain_server_key(self, method: str) -> str | None:
        """Return the key of a request: branch and sent-by in lower case, the method; None to read it thoroughly."""
        return None

    def stamp_plain_via(self, host: str, port: int) -> bool:
        """Write into an ordinary top Via where it came from, as `Via.stamped` does.

        Returns:
            Whether it is done and the answer goes back there; if not, it has to be read thoroughly.
        """
        return False

    def plain_reply(self, tag: str | None, rows: Iterable[tuple[str, str]]) -> Headers | None:
        """Return the rows of a response: Via, From, To, Call-ID, CSeq and Timestamp as they stand, `rows` after them.

        Args:
            tag: for To when it has none; None leaves it as it is.
            rows: pairs of name and value.

        Returns:
            None when To has to be read thoroughly.
        """
        return None

    def serialize(self, start_line: str, body: bytes) -> bytes:
        """Return a message: start line, rows, the Content-Length that `body` asks for, and `body`.

        Raises:
            LocalProtocolError: a line break inside a header or the start line, or text that is none.
        """
        lines = [start_line]
        lines += [f"{name}: {value}" for name, value in self._rows if name != "Content-Length"]
        lines.append(f"Content-Length: {len(body)}\r\n\r\n")
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1:
            raise LocalProtocolError("expected no line break inside a header, found one")
        try:
            return text.encode("utf-8", "surrogateescape") + body
        except UnicodeEncodeError as error:
            found = error.object[error.start]
            raise LocalProtocolError(f"expected text that UTF-8 can carry, found {found!a}") from None

    @property
    def size_bytes(self) -> int:
        """Return about how many bytes names and values have."""
        return sum([len(name) + len(value) for name, value in self._rows])

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


def scan_head(data: bytes, start: int) -> tuple[str, Headers, int, Fault | None]:
    """Cut the head of a message into its start line and its rows.

    Lines end in CRLF or LF, and begin with white space where they go on with the line before. Source: RFC 3261 7.3.1.

    Args:
        data: the datagram.
        start: where the start line begins.

    Returns:
        The start line, the rows that could be read, where the body begins (-1 when no empty line ends the head), and
        the first fault.
    """
    head, body_at = _split_head(data, start)
    lines = _split_lines(head)
    headers, fault = Headers(), None
    rows = headers._rows
    are_short = len(head) <= MAX_LINE_BYTES
    lines_left = MAX_HEADERS
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        known = SPELLINGS.get(name)
        if (
            known
            and colon
            and are_short
            and not ("\r" in line or "\n" in line or ("," in line and known in LIST_HEADERS))
        ):
            rows.append((known, value.strip(" \t")))
        else:
            name, values, found = read_row(line.encode("utf-8", "surrogateescape"))
            rows += [(name, value) for value in values]
            fault = fault or found
        lines_left -= 1
        if len(rows) > MAX_HEADERS or lines_left < 0:
            del rows[MAX_HEADERS:]
            fault = "BAD_HEADER", f"at most {MAX_HEADERS} header rows", "more"
            break
    fault = fault or find_repeated([name for name, _ in rows])
    start_line = lines[0].encode("utf-8", "surrogateescape")[: MAX_LINE_BYTES + 1]
    return unfold(start_line), headers, body_at, fault


def _split_lines(head: bytes) -> list[str]:
    """Return the lines of a head, each with those that go on with it."""
    text = head.decode("utf-8", "surrogateescape")
    if "\n " in text or "\n\t" in text:
        return _LINE_BREAK.split(text)
    return text.replace("\r\n", "\n").split("\n")


def _split_head(data: bytes, start: int) -> tuple[bytes, int]:
    """Return the lines before the first empty one, and where the body begins."""
    end = data.find(b"\n\r\n", start)
    bare = data.find(b"\n\n", start, end + 1 if end >= 0 else len(data))
    if bare >= 0:
        end, body_at = bare, bare + 2
    elif end >= 0:
        body_at = end + 3
    else:
        end, body_at = len(data) - data.endswith(b"\n"), -1
    return data[start:end].removesuffix(b"\r"), body_at


def plain_message(data: bytes) -> tuple[str, str, Headers, bytes] | tuple[int, str, Headers, bytes] | None:
    """Take an ordinary message apart by one look.

    Returns:
        Method, Request-URI, rows and body of a request; status, reason phrase, rows and body of a response. None when
        it has to be read thoroughly, be it because something is wrong with it.
    """
    return None


def plain_request_line(line: str) -> tuple[str, str] | None:
    """Return method and Request-URI of an ordinary request line; None when it has to be read thoroughly."""
    return None


def plain_via(value: str) -> tuple[str, str, int | None, Params] | None:
    """Return transport, host, port and parameters of an ordinary Via; None when it has to be read thoroughly."""
    return None


def plain_name_addr(value: str) -> tuple[str, str, Params] | None:
    """Return display name, URI and parameters of an ordinary address; None when it has to be read thoroughly."""
    return None


def plain_cseq(value: str) -> tuple[int, str] | None:
    """Return number and method of an ordinary CSeq; None when it has to be read thoroughly."""
    return None


def plain_uri(value: str) -> tuple[str, str | None, None, str, int | None, Params, tuple[()]] | None:
    """Return the parts of an ordinary SIP URI, as `SipUri` has them; None when it has to be read thoroughly."""
    return None
