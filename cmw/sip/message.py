"""SIP requests and responses: bytes to values and back. Source: RFC 3261 7, 25.

`parse_message` splits the head once and keeps header values as raw text. What every later step relies on is checked
here, so that on a parsed message `top_via`, `cseq`, `from_`, `to` and `call_id` never raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, NoReturn

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.grammar import CACHE_VALUES, TOKEN_CHARS, fail, is_token, one_line, parse_number, split_list
from cmw.sip.headers import _CANONICAL, LIST_HEADERS, MAX_HEADERS, SINGLE_HEADERS, Headers, canonical_name
from cmw.sip.name_addr import NameAddr, parse_name_addr
from cmw.sip.status import reason_phrase
from cmw.sip.via import Via, parse_via

MAX_MESSAGE_BYTES = 65535
"""Longest message that is read: what fits into a UDP datagram. Source: RFC 3261 18.1.1."""

MAX_LINE_CHARS = 8192
"""Longest start line or header, unfolded; more is refused, for what is parsed out of it is remembered for a while."""

_FOLD = re.compile(r"\n[ \t]+")
_URI = re.compile(r"[\x21\x23-\x3b\x3d\x3f-\x7e]+")
_VERSION = re.compile(r"[Ss][Ii][Pp]/[0-9]+\.[0-9]+")
_CSEQ = re.compile(rf"([0-9]+)[ \t]+([{TOKEN_CHARS}]+)")
_CALL_ID = re.compile(r"[\x21-\x7e]+")


class CSeq(NamedTuple):
    """A sequence number 0 .. 2^31 - 1 and a method."""

    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


class MalformedMessageError(RemoteProtocolError):
    """What `parse_message` raises.

    Args:
        message: what was expected, what came, and where.
        hint: the status to answer; 0 when nothing may be answered (a response, or no message at all).
        request: what could be read of a request, None when too little came through to answer it; its properties
            `top_via`, `from_`, `to`, `cseq` may raise, but its header rows can be copied into an answer.
    """

    def __init__(self, message: str, *, hint: int = 0, request: Request | None = None) -> None:
        super().__init__(message, hint=hint)
        self.request = request


@dataclass(slots=True)
class _Message:
    """What requests and responses share."""

    @property
    def _headers(self) -> Headers:
        raise NotImplementedError

    @property
    def top_via(self) -> Via:
        """Return the first Via, parsed. Raises `RemoteProtocolError` (400) when there is none."""
        return parse_via(self._headers.get("Via") or "")

    @property
    def cseq(self) -> CSeq:
        """Return the CSeq, parsed."""
        return parse_cseq(self._headers.get("CSeq") or "")

    @property
    def from_(self) -> NameAddr:
        """Return the From address, parsed."""
        return parse_name_addr(self._headers.get("From") or "")

    @property
    def to(self) -> NameAddr:
        """Return the To address, parsed."""
        return parse_name_addr(self._headers.get("To") or "")

    @property
    def call_id(self) -> str:
        """Return the Call-ID, "" when there is none."""
        return self._headers.get("Call-ID") or ""


@dataclass(slots=True)
class Request(_Message):
    """A SIP request.

    Args:
        method: a token; letter case counts.
        uri: raw text of the Request-URI; of any scheme, `parse_uri` takes it apart.
        headers: the header rows.
        body: the body; its length is written by `serialize_message`.
    """

    method: str
    uri: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def _headers(self) -> Headers:
        return self.headers


@dataclass(slots=True)
class Response(_Message):
    """A SIP response.

    Args:
        status: 100 .. 699.
        reason: reason phrase, fit for logs.
        headers: the header rows.
        body: the body; its length is written by `serialize_message`.
    """

    status: int
    reason: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def _headers(self) -> Headers:
        return self.headers


@lru_cache(maxsize=CACHE_VALUES)
def parse_cseq(text: str) -> CSeq:
    """Parse a CSeq value. Raises `RemoteProtocolError` with the hint 400. Source: RFC 3261 20.16."""
    match = _CSEQ.fullmatch(text)
    if match is None:
        fail("a CSeq such as 1 INVITE", text)
    return CSeq(parse_number(match[1], "the CSeq number", maximum=2**31 - 1), match[2])


def parse_message(data: bytes) -> Request | Response:
    """Parse one datagram.

    Lines end in CRLF or LF, folded lines are joined, compact names become long ones, list elements become rows.
    A missing Content-Length means that the body fills the rest; bytes beyond it are dropped. Source: RFC 3261 18.3.

    Raises:
        MalformedMessageError: a `RemoteProtocolError` whose hint is the status to answer, 0 for none.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise MalformedMessageError(f"expected at most {MAX_MESSAGE_BYTES} bytes, found {len(data)}", hint=0)
    head_bytes, body = _split_head(data)
    head = head_bytes.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    if "\n " in head or "\n\t" in head:
        head = _FOLD.sub(" ", head)
    start_line, *lines = head.split("\n")
    if start_line[:4].upper() == "SIP/":
        return _parse_response(start_line, lines, body)
    return _parse_request(start_line, lines, body)


def _split_head(data: bytes) -> tuple[bytes, bytes | None]:
    """Split at the first empty line, after leading ones; the body is None when there is no empty line."""
    if data[:1] in (b"\r", b"\n"):
        data = data.lstrip(b"\r\n")
    end = data.find(b"\n\r\n")
    bare = data.find(b"\n\n", 0, end if end >= 0 else len(data))
    if bare >= 0:
        return data[:bare].removesuffix(b"\r"), data[bare + 2 :]
    if end < 0:
        return data, None
    return data[:end].removesuffix(b"\r"), data[end + 3 :]


def _parse_response(start_line: str, lines: list[str], body: bytes | None) -> Response:
    try:
        status, reason = _parse_status_line(start_line)
        rows, error = _parse_rows(lines)
        if error is not None:
            raise error
        response = Response(status, reason, Headers._of(rows))
        response.body = _cut_body(response.headers, body)
        _check(response)
    except RemoteProtocolError as error:
        raise MalformedMessageError(str(error), hint=0) from None
    return response


def _parse_status_line(line: str) -> tuple[int, str]:
    if len(line) > MAX_LINE_CHARS:
        fail(f"a status line of at most {MAX_LINE_CHARS} characters", line)
    version, _, rest = line.partition(" ")
    code, _, reason = rest.partition(" ")
    if version.upper() != "SIP/2.0" or len(code) != 3 or "\r" in reason:
        fail("a status line such as SIP/2.0 200 OK", line)
    status = parse_number(code, "a status", maximum=699)
    return (status, one_line(reason)) if status >= 100 else fail("a status of 100 to 699", line)


def _parse_request(start_line: str, lines: list[str], body: bytes | None) -> Request:
    """Parse a request, reading on after a fault so that the answer can carry its header rows."""
    rows, row_error = _parse_rows(lines)
    request = Request("", "", Headers._of(rows))
    try:
        request.method, request.uri = _parse_request_line(start_line)
        if row_error is not None:
            raise row_error
        request.body = _cut_body(request.headers, body)
        _check(request)
        if request.cseq.method != request.method:
            fail(f"{request.method} in the CSeq", request.headers.get("CSeq") or "")
    except RemoteProtocolError as error:
        _refuse(error, request, start_line)
    return request


def _parse_request_line(line: str) -> tuple[str, str]:
    """Return method and Request-URI. Source: RFC 3261 7.1."""
    if len(line) > MAX_LINE_CHARS:
        fail(f"a request line of at most {MAX_LINE_CHARS} characters", line)
    method, _, rest = line.partition(" ")
    uri, _, version = rest.partition(" ")
    if version.upper() != "SIP/2.0" and is_token(method) and _VERSION.fullmatch(version) is not None:
        fail("SIP/2.0", version, hint=505)
    if version.upper() != "SIP/2.0" or not is_token(method) or _URI.fullmatch(uri) is None:
        fail("a request line such as OPTIONS sip:host SIP/2.0", line)
    return method, uri


def _refuse(error: RemoteProtocolError, request: Request, start_line: str) -> NoReturn:
    """Raise `MalformedMessageError`, with an answer in mind only if there is a request that could get one.

    An ACK is never answered. Source: RFC 3261 17.1.1.3.
    """
    request.method = request.method or start_line.partition(" ")[0]
    needed = ("Via", "From", "To", "Call-ID", "CSeq")
    if request.method == "ACK" or not is_token(request.method) or any(name not in request.headers for name in needed):
        raise MalformedMessageError(str(error), hint=0) from None
    raise MalformedMessageError(str(error), hint=error.hint, request=request) from None


def _parse_rows(lines: list[str]) -> tuple[list[tuple[str, str]], RemoteProtocolError | None]:
    """Return the rows that could be read, and the first fault."""
    rows: list[tuple[str, str]] = []
    fault = None
    for line in lines:
        if len(line) > MAX_LINE_CHARS:
            fault = fault or RemoteProtocolError(f"expected a header of at most {MAX_LINE_CHARS} characters", hint=400)
            continue
        name, _, value = line.partition(":")
        try:
            name = _CANONICAL.get(name) or _read_name(line)
            value = value.strip(" \t")
            if "\r" in value:
                fail("CR only before LF", line)
            if "," in value and name in LIST_HEADERS:
                rows.extend([(name, element) for element in split_list(value)])
            else:
                rows.append((name, value))
        except RemoteProtocolError as error:
            fault = fault or error
            if name in LIST_HEADERS and "\r" not in value:
                rows.append((name, value))
        if len(rows) > MAX_HEADERS:
            return rows[:MAX_HEADERS], RemoteProtocolError(f"expected at most {MAX_HEADERS} header rows", hint=400)
    return rows, fault


def _read_name(line: str) -> str:
    """Return the canonical name at the start of a header line that is not one of the usual spellings."""
    name, colon, _ = line.partition(":")
    name = name.rstrip(" \t")
    if not colon or not is_token(name):
        fail("a header such as Name: value", line)
    return canonical_name(name)


def _cut_body(headers: Headers, body: bytes | None) -> bytes:
    if body is None:
        fail("an empty line after the headers", "none")
    length = headers.get("Content-Length")
    if length is None:
        return body
    count = parse_number(length, "the Content-Length", maximum=2**31 - 1)
    if count > len(body):
        fail(f"a body of {count} bytes", f"{len(body)} bytes")
    return body[:count]


def _check(message: Request | Response) -> None:
    """Check the headers that every message needs, once for all. Source: RFC 3261 8.1.1."""
    rows = message.headers._rows
    first = dict(reversed(rows))
    if len(first) != len(rows):
        _check_single([name for name, _ in rows])
    parse_via(first.get("Via", ""))
    parse_cseq(first.get("CSeq", ""))
    parse_name_addr(first.get("From", ""))
    parse_name_addr(first.get("To", ""))
    if _CALL_ID.fullmatch(first.get("Call-ID", "")) is None:
        fail("a Call-ID without spaces", message.call_id)


def _check_single(names: list[str]) -> None:
    for name in SINGLE_HEADERS:
        if names.count(name) > 1:
            fail(f"one {name}", "several")


def serialize_message(message: Request | Response) -> bytes:
    """Return the bytes of a message, with the Content-Length that its body asks for as the last header.

    Raises:
        LocalProtocolError: a line break inside a header or the start line, or text that is none.
    """
    if isinstance(message, Request):
        lines = [f"{message.method} {message.uri} SIP/2.0"]
    else:
        lines = [f"SIP/2.0 {message.status} {message.reason}"]
    lines += [f"{name}: {value}" for name, value in message.headers if name != "Content-Length"]
    lines.append(f"Content-Length: {len(message.body)}\r\n\r\n")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1:
        raise LocalProtocolError("expected no line break inside a header, found one")
    try:
        return text.encode("utf-8", "surrogateescape") + message.body
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"expected text that UTF-8 can carry, found {error.object[error.start]!a}") from None


def make_response(
    request: Request,
    status: int,
    reason: str = "",
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """Build the response to a request: Via, From, To, Call-ID and CSeq copied as they stand. Source: RFC 3261 8.2.6.

    Args:
        request: with its top Via stamped already.
        status: 100 .. 699.
        reason: "" for the usual phrase.
        to_tag: tag to add when To has none yet.
        headers: rows to add, Content-Type among them if there is a body. Record-Route is for the caller to copy.
        body: the body.
    """
    rows = [row for row in request.headers if row[0] in _COPIED]
    if to_tag is not None:
        rows = [(name, _tagged(value, to_tag) if name == "To" else value) for name, value in rows]
    response = Response(status, reason or reason_phrase(status), Headers._of(rows), body)
    for name, value in headers:
        response.headers.add(name, value)
    return response


_COPIED = frozenset(("Via", "From", "To", "Call-ID", "CSeq", "Timestamp"))


def _tagged(value: str, tag: str) -> str:
    try:
        return value if parse_name_addr(value).tag is not None else f"{value};tag={tag}"
    except RemoteProtocolError:
        return value
