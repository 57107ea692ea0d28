"""SIP over a byte stream: bytes of one TCP or TLS connection in, whole messages and keep-alives out.

A message ends where its Content-Length says. Where that cannot be known, nothing behind it can be read either: the
request is answered if it can be, and the connection has to be closed.

Source: RFC 3261 7.5, 18.3, RFC 5626 3.5.1, 4.4.1.
"""

from __future__ import annotations

import re
from collections import deque
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

from cmw.errors import CmwError
from cmw.sip.message import MAX_MESSAGE_BYTES, MalformedMessageError, Request, make_response, parse_message
from cmw.sip.message import serialize_message as _serialize

CRLF: Final = b"\r\n"

PING: Final = b"\r\n\r\n"
"""The keep-alive of whoever opened the connection; a single CRLF answers it. Source: RFC 5626 3.5.1."""

_EMPTY_LINES = re.compile(rb"[\r\n]*")
_HEAD_END = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(rb"\n(?:content-length|l)[ \t]*:([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)", re.IGNORECASE)
_LENGTH_DIGITS: Final = 10
_SHOWN_BYTES: Final = 60


class StreamFault(StrEnum):
    """Why a stream cannot be read on."""

    NOT_SIP = "not SIP"
    HEAD_TOO_LONG = "head too long"
    MESSAGE_TOO_LONG = "message too long"
    NO_CONTENT_LENGTH = "no Content-Length"
    BAD_CONTENT_LENGTH = "bad Content-Length"
    ENDED_INSIDE_MESSAGE = "ended inside a message"
    NOT_WEBSOCKET = "not WebSocket"
    UPGRADE_REFUSED = "WebSocket upgrade refused"


class MessageReceived(NamedTuple):
    """One whole message: what a datagram would have held."""

    data: bytes


class PingReceived(NamedTuple):
    """The peer asked whether we are there; the answer is in `data_to_send` already."""


class PongReceived(NamedTuple):
    """The peer answered our ping."""


class StreamOpened(NamedTuple):
    """Messages may be sent from now on; only streams that begin with a handshake tell it."""


class StreamEnded(NamedTuple):
    """The peer said, between messages, that it sends no more."""

    detail: str = ""


class StreamFailed(NamedTuple):
    """The stream cannot be read on: send `data_to_send`, then close the connection."""

    fault: StreamFault
    detail: str


StreamEvent = MessageReceived | PingReceived | PongReceived | StreamOpened | StreamEnded | StreamFailed


class MessageStream:
    """Cut the bytes of one connection into messages.

    Feed `receive_data`, take every `next_event` until None, send `data_to_send`, and close the connection once
    `close_expected`. What goes out is made by `frame_message` and `frame_ping`.

    Args:
        max_message_bytes: longest message, and longest head of one.
    """

    def __init__(self, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self.is_open = True
        self.close_expected = False
        self._max_bytes = max_message_bytes
        self._buffer = bytearray()
        self._start = 0
        """Where the message that is being read begins."""
        self._scanned = 0
        """Up to where there is no end of its head."""
        self._length = 0
        """Its length in bytes, 0 while that is not known."""
        self._is_line_seen = False
        """Whether its first line was looked at."""
        self._empty_lines = 0
        """Line ends in a row before it."""
        self._is_pong_awaited = False
        self._events: deque[StreamEvent] = deque()
        self._out: list[bytes] = []

    @property
    def is_inside_message(self) -> bool:
        """Tell whether a message has begun whose end is still to come."""
        return len(self._buffer) > 0

    # inputs

    def receive_data(self, data: bytes) -> None:
        """Take bytes of any length; never raises, and costs time in proportion to them, however they are cut."""
        if self.close_expected:
            return
        self._buffer += data
        while self._read_on():
            pass
        if self._start:
            del self._buffer[: self._start]
            self._scanned -= self._start
            self._start = 0

    def receive_eof(self) -> None:
        """Take the peer's word that nothing more comes."""
        if self.close_expected:
            return
        if self._buffer.strip(CRLF):
            self._fail(StreamFault.ENDED_INSIDE_MESSAGE, f"{len(self._buffer)} bytes of a message that ends there")
            return
        self.close_expected = True
        self._events.append(StreamEnded())

    # outputs

    def next_event(self) -> StreamEvent | None:
        """Return the next fact, None when all are drained."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        """Return the answers that the stream gives by itself; drains."""
        if not self._out:
            return b""
        out, self._out = self._out, []
        return b"".join(out)

    def frame_message(self, message: bytes) -> bytes:
        """Return the bytes that carry a message: itself, for it has its Content-Length."""
        return message

    def frame_ping(self) -> bytes:
        """Return the bytes that ask whether the peer is there; `PongReceived` tells of its answer."""
        self._is_pong_awaited = True
        self._empty_lines = 0
        return PING

    # private

    def _read_on(self) -> bool:
        """Take one step; return False when there is nothing to do before more bytes come."""
        if self._length == 0 and not self._read_head():
            return False
        end = self._start + self._length
        if len(self._buffer) < end:
            return False
        self._events.append(MessageReceived(bytes(memoryview(self._buffer)[self._start : end])))
        self._start = self._scanned = end
        self._length = 0
        self._is_line_seen = False
        return True

    def _read_head(self) -> bool:
        """Find out how long the message is; return False when that takes more bytes, or cannot be."""
        self._skip_empty_lines()
        if self._start >= len(self._buffer):
            return False
        found = _HEAD_END.search(self._buffer, max(self._start, self._scanned - 2))
        end = found.end() if found is not None else 0
        del found  # it keeps the buffer from growing
        if not self._is_sip(end):
            return False
        if (end or len(self._buffer)) - self._start > self._max_bytes:
            self._fail(StreamFault.HEAD_TOO_LONG, f"expected a head of at most {self._max_bytes} bytes")
            return False
        if not end:
            self._scanned = len(self._buffer)
            return False
        return self._read_length(bytes(memoryview(self._buffer)[self._start : end]))

    def _skip_empty_lines(self) -> None:
        """Skip line ends between messages; two in a row are a ping. Source: RFC 3261 7.5, RFC 5626 3.5.1."""
        match = _EMPTY_LINES.match(self._buffer, self._start)
        end = match.end() if match is not None else self._start
        del match
        if end > self._start:
            self._take_empty_lines(self._buffer.count(b"\n", self._start, end))
            self._start = self._scanned = end
        if self._start < len(self._buffer):
            self._empty_lines = 0

    def _take_empty_lines(self, count: int) -> None:
        """Tell pings from pongs: a line end alone is a pong if one is awaited, a second one makes it a ping."""
        self._empty_lines += count
        pings, self._empty_lines = divmod(self._empty_lines, 2)
        if pings:
            self._out.append(CRLF * pings)
            self._events.append(PingReceived())
        if self._empty_lines and self._is_pong_awaited:
            self._is_pong_awaited = False
            self._events.append(PongReceived())

    def _is_sip(self, head_end: int) -> bool:
        """Look at the first line once it is whole, at its first character before; fail on what can be no SIP."""
        if self._is_line_seen:
            return True
        line_end = self._buffer.find(
            b"\n", self._scanned, min(head_end or len(self._buffer), self._start + self._max_bytes)
        )
        self._is_line_seen = line_end >= 0
        is_sip = 0x21 <= self._buffer[self._start] <= 0x7E
        if self._is_line_seen and b"SIP/" not in self._buffer[self._start : line_end].upper():
            is_sip = False
        if not is_sip:
            shown = bytes(self._buffer[self._start : self._start + _SHOWN_BYTES])
            self._fail(StreamFault.NOT_SIP, f"expected a SIP message, found {shown!r}")
        return is_sip

    def _read_length(self, head: bytes) -> bool:
        values = {b" ".join(value.split()) for value in _LENGTH.findall(head)}
        if not values:
            return self._refuse(StreamFault.NO_CONTENT_LENGTH, head, 400, "none is there")
        value = values.pop()
        digits = value.lstrip(b"0") or value[-1:]
        if values or not value.isdigit():
            shown = b", ".join([value, *values])[:_SHOWN_BYTES]
            return self._refuse(StreamFault.BAD_CONTENT_LENGTH, head, 400, f"found {shown!r}")
        length = len(head) + int(digits[:_LENGTH_DIGITS])
        if len(digits) > _LENGTH_DIGITS or length > self._max_bytes:
            return self._refuse(StreamFault.MESSAGE_TOO_LONG, head, 413, f"more than {self._max_bytes} bytes")
        self._length = length
        return True

    def _refuse(self, fault: StreamFault, head: bytes, status: int, detail: str) -> bool:
        """Answer a request whose body cannot be found, if it can be answered. Source: RFC 3261 18.3."""
        answer = _refusal(head, status, fault)
        if answer:
            self._out.append(answer)
        self._fail(fault, f"expected one Content-Length that fits, {detail}")
        return False

    def _fail(self, fault: StreamFault, detail: str) -> None:
        self.close_expected = True
        self.is_open = False
        self._buffer.clear()
        self._start = self._scanned = self._length = 0
        self._events.append(StreamFailed(fault, detail))


def _refusal(head: bytes, status: int, reason: str) -> bytes:
    """Return the answer to the request with this head, nothing when there is none to give.

    The tag depends on the request alone, as befits a server without state. Source: RFC 3261 8.2.7.
    """
    try:
        message = parse_message(_LENGTH.sub(b"\nContent-Length: 0", head))
    except MalformedMessageError as error:
        if error.request is None:
            return b""
        message, status, reason = error.request, error.hint or status, ""
    if not isinstance(message, Request) or message.method == "ACK":
        return b""
    try:
        return _serialize(make_response(message, status, reason, to_tag=sha256(head).hexdigest()[:16]))
    except CmwError:
        return b""
