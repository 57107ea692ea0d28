"""SIP requests and responses: bytes to values and back. Source: RFC 3261 7, 25.

`parse_message` cuts the head into rows and leaves their values as they came. What every later step relies on is
checked here, so that on a parsed message `top_via`, `cseq`, `from_`, `to` and `call_id` never raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, NoReturn

from cmw.errors import RemoteProtocolError
from cmw.sip.discard_reason import DiscardReason
from cmw.sip.grammar import CACHE_VALUES, TOKEN_CHARS, fail, is_token, one_line, parse_number
from cmw.sip.header_names import MAX_LINE_BYTES, Fault
from cmw.sip.headers import Headers, scan
from cmw.sip.name_addr import NameAddr, parse_name_addr
from cmw.sip.status import reason_phrase
from cmw.sip.via import Via, parse_via

MAX_MESSAGE_BYTES = 65535
"""Longest message that is read: what fits into a UDP datagram. Source: RFC 3261 18.1.1."""

MAX_CSEQ = 2**31 - 1
"""Source: RFC 3261 8.1.1.5."""

_URI = re.compile(r"[\x21\x23-\x3b\x3d\x3f-\x7e]+")
_VERSION = re.compile(r"[Ss][Ii][Pp]/[0-9]+\.[0-9]+")
_CSEQ = re.compile(rf"([0-9]+)[ \t]+([{TOKEN_CHARS}]+)")
_CALL_ID = re.compile(r"[\x21-\x7e]+")
_NEEDED = ("Via", "From", "To", "Call-ID", "CSeq")
_COPIED = frozenset((*_NEEDED, "Timestamp"))


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
        kind: what is wrong, for counting.
        hint: the status to answer; 0 when nothing may be answered (a response, an ACK, or no message at all).
        request: what could be read of a request, None when too little came through to answer it; its properties
            `top_via`, `from_`, `to`, `cseq` may raise, but its header rows can be copied into an answer.
    """

    def __init__(self, message: str, kind: DiscardReason, *, hint: int = 0, request: Request | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.request = request


class _Message:
    """What requests and responses share."""

    __slots__ = ()

    headers: Headers

    @property
    def top_via(self) -> Via:
        """Return the first Via, parsed. Raises `RemoteProtocolError` (400) when there is none."""
        return parse_via(self.headers.get("Via") or "")

    @property
    def cseq(self) -> CSeq:
        """Return the CSeq, parsed."""
        return parse_cseq(self.headers.get("CSeq") or "")

    @property
    def from_(self) -> NameAddr:
        """Return the From address, parsed."""
        return parse_name_addr(self.headers.get("From") or "")

    @property
    def to(self) -> NameAddr:
        """Return the To address, parsed."""
        return parse_name_addr(self.headers.get("To") or "")

    @property
    def seq(self) -> int:
        """Return the number of the CSeq."""
        seq = self.headers.plain_seq()
        return self.cseq.number if seq is None else seq

    @property
    def from_tag(self) -> str:
        """Return the tag of From, "" when it has none."""
        tag = self.headers.plain_tag("From")
        return self.from_.tag or "" if tag is None else tag

    @property
    def to_tag(self) -> str:
        """Return the tag of To, "" when it has none."""
        tag = self.headers.plain_tag("To")
        return self.to.tag or "" if tag is None else tag

    @property
    def call_id(self) -> str:
        """Return the Call-ID, "" when there is none."""
        return self.headers.get("Call-ID") or ""


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


@lru_cache(maxsize=CACHE_VALUES)
def parse_cseq(text: str) -> CSeq:
    """Parse a CSeq value. Raises `RemoteProtocolError` with the hint 400. Source: RFC 3261 20.16."""
    plain = scan.plain_cseq(text)
    if plain is not None:
        return CSeq(*plain)
    match = _CSEQ.fullmatch(text)
    if match is None:
        fail("a CSeq such as 1 INVITE", text)
    return CSeq(parse_number(match[1], "the CSeq number", maximum=MAX_CSEQ), match[2])


def parse_message(data: bytes) -> Request | Response:
    """Parse one datagram.

    Lines end in CRLF or LF, folded lines are joined, compact names become long ones, list elements become rows.
    A missing Content-Length means that the body fills the rest; bytes beyond it are dropped. Source: RFC 3261 18.3.

    Raises:
        MalformedMessageError: a `RemoteProtocolError` whose hint is the status to answer, 0 for none.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        found = f"expected at most {MAX_MESSAGE_BYTES} bytes, found {len(data)}"
        raise MalformedMessageError(found, DiscardReason.TOO_LONG)
    plain = scan.plain_message(data)
    if plain is None:
        return _parse_thoroughly(data)
    first, second, headers, body = plain
    return Request(first, second, headers, body) if isinstance(first, str) else Response(first, second, headers, body)


def _parse_thoroughly(data: bytes) -> Request | Response:
    start = 0 if data[:1] not in (b"\r", b"\n") else len(data) - len(data.lstrip(b"\r\n"))
    line, headers, body_at, fault = scan.scan_head(data, start)
    plain = scan.plain_request_line(line)
    if plain is None and line[:4].upper() == "SIP/":
        response = Response(0, "", headers)
        _fill_response(response, line, data, body_at, fault)
        return response
    request = Request("", "", headers)
    try:
        request.method, request.uri = plain or _parse_request_line(line)
        _fill(request, data, body_at, fault)
        if parse_cseq(headers.get("CSeq") or "").method != request.method:
            _refuse(DiscardReason.METHOD_MISMATCH, f"{request.method} in the CSeq", headers.get("CSeq") or "")
    except MalformedMessageError as error:
        _raise_with_request(error, request, line)
    return request


def _fill_response(response: Response, line: str, data: bytes, body_at: int, fault: Fault | None) -> None:
    try:
        response.status, response.reason = _parse_status_line(line)
        _fill(response, data, body_at, fault)
    except MalformedMessageError as error:
        raise MalformedMessageError(str(error), error.kind) from None


@lru_cache(maxsize=CACHE_VALUES)
def _parse_status_line(line: str) -> tuple[int, str]:
    if len(line) > MAX_LINE_BYTES:
        _refuse(DiscardReason.MALFORMED, f"a status line of at most {MAX_LINE_BYTES} bytes", line)
    version, _, rest = line.partition(" ")
    code, _, reason = rest.partition(" ")
    if version.upper() != "SIP/2.0" or len(code) != 3 or "\r" in reason:
        _refuse(DiscardReason.MALFORMED, "a status line such as SIP/2.0 200 OK", line)
    if not (code.isascii() and code.isdigit() and 100 <= int(code) <= 699):
        _refuse(DiscardReason.MALFORMED, "a status of 100 to 699", line)
    return int(code), one_line(reason)


def _parse_request_line(line: str) -> tuple[str, str]:
    """Return method and Request-URI. Source: RFC 3261 7.1."""
    if len(line) > MAX_LINE_BYTES:
        _refuse(DiscardReason.MALFORMED, f"a request line of at most {MAX_LINE_BYTES} bytes", line)
    method, _, rest = line.partition(" ")
    uri, _, version = rest.partition(" ")
    if version.upper() != "SIP/2.0" and is_token(method) and _VERSION.fullmatch(version) is not None:
        _refuse(DiscardReason.BAD_VERSION, "SIP/2.0", version, hint=505)
    if version.upper() != "SIP/2.0" or not is_token(method) or _URI.fullmatch(uri) is None:
        _refuse(DiscardReason.MALFORMED, "a request line such as OPTIONS sip:host SIP/2.0", line)
    return method, uri


def _fill(message: Request | Response, data: bytes, body_at: int, fault: Fault | None) -> None:
    """Check the headers that every message needs, once for all, and cut out the body. Source: RFC 3261 8.1.1."""
    if fault is not None:
        _refuse(DiscardReason[fault[0]], fault[1], fault[2])
    get = message.headers.get
    via, from_, to, call_id, cseq = get("Via"), get("From"), get("To"), get("Call-ID"), get("CSeq")
    if via is None or from_ is None or to is None or call_id is None or cseq is None:
        missing = [name for name in _NEEDED if name not in message.headers]
        _refuse(DiscardReason.MISSING_HEADER, f"a {missing[0]} header", "none")
    try:
        parse_via(via)
        parse_cseq(cseq)
        parse_name_addr(from_)
        parse_name_addr(to)
    except RemoteProtocolError as error:
        raise MalformedMessageError(str(error), DiscardReason.BAD_HEADER, hint=400) from None
    if _CALL_ID.fullmatch(call_id) is None:
        _refuse(DiscardReason.BAD_HEADER, "a Call-ID without spaces", call_id)
    message.body = _cut_body(get("Content-Length"), data, body_at)


def _cut_body(length: str | None, data: bytes, body_at: int) -> bytes:
    if body_at < 0:
        _refuse(DiscardReason.BAD_LENGTH, "an empty line after the headers", "none")
    if length is None:
        return data[body_at:]
    if length == "0":
        return b""
    try:
        count = parse_number(length, "the Content-Length", maximum=2**31 - 1)
    except RemoteProtocolError as error:
        raise MalformedMessageError(str(error), DiscardReason.BAD_LENGTH, hint=400) from None
    if count > len(data) - body_at:
        _refuse(DiscardReason.BAD_LENGTH, f"a body of {count} bytes", f"{len(data) - body_at} bytes")
    return data[body_at : body_at + count]


def _refuse(kind: DiscardReason, expected: str, found: str, *, hint: int = 400) -> NoReturn:
    try:
        fail(expected, found)
    except RemoteProtocolError as error:
        raise MalformedMessageError(str(error), kind, hint=hint) from None


def _raise_with_request(error: MalformedMessageError, request: Request, line: str) -> NoReturn:
    """Raise `error` again, with an answer in mind only if there is a request that could get one.

    An ACK is never answered. Source: RFC 3261 17.1.1.3.
    """
    request.method = request.method or line.partition(" ")[0]
    if request.method == "ACK" or not is_token(request.method) or "Via" not in request.headers:
        raise MalformedMessageError(str(error), error.kind) from None
    raise MalformedMessageError(str(error), error.kind, hint=error.hint, request=request) from None


def serialize_message(message: Request | Response) -> bytes:
    """Return the bytes of a message, with the Content-Length that its body asks for as the last header.

    Raises:
        LocalProtocolError: a line break inside a header or the start line, or text that is none.
    """
    if isinstance(message, Request):
        return message.headers.serialize(f"{message.method} {message.uri} SIP/2.0", message.body)
    return message.headers.serialize(f"SIP/2.0 {message.status} {message.reason}", message.body)


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
    plain = request.headers.plain_reply(to_tag, headers)
    if plain is not None:
        return Response(status, reason or reason_phrase(status), plain, body)
    rows = request.headers.select(_COPIED)
    if to_tag is not None and (to := rows.get("To")) is not None:
        rows.set("To", _tagged(to, to_tag))
    rows.extend(headers)
    return Response(status, reason or reason_phrase(status), rows, body)


def _tagged(value: str, tag: str) -> str:
    try:
        return value if parse_name_addr(value).tag is not None else f"{value};tag={tag}"
    except RemoteProtocolError:
        return value
