"""Our conformance set for WebSockets: what a peer sends, and what has to come of it. Source: RFC 6455 5, 7, 8.1.

Written from the RFC's text for both roles: `wire` masks what a client sends and leaves a server's frames bare. The text
of each message is JSON, so that the layers above can be there too.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\x37\xfa\x21\x3d"


@dataclass(frozen=True)
class Frame:
    """One frame. Source: RFC 6455 5.2.

    Args:
        masked: None for what the role demands.
        length_bits: 0 for the shortest encoding, else 16 or 64.
        claimed: the length that the header claims, if that is not the payload's.
    """

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    masked: bool | None = None
    length_bits: int = 0
    claimed: int | None = None

    def wire(self, *, from_client: bool) -> bytes:
        """Return the bytes."""
        masked = from_client if self.masked is None else self.masked
        length = len(self.payload) if self.claimed is None else self.claimed
        bits = self.length_bits or (0 if length < 126 else 16 if length < 1 << 16 else 64)
        head = bytes([self.fin << 7 | self.rsv << 4 | self.opcode])
        flag = 0x80 if masked else 0
        if bits == 0:
            head += bytes([flag | length])
        else:
            head += bytes([flag | (126 if bits == 16 else 127)]) + struct.pack("!H" if bits == 16 else "!Q", length)
        if not masked:
            return head + self.payload
        return head + KEY + bytes(byte ^ KEY[at % 4] for at, byte in enumerate(self.payload))


@dataclass(frozen=True)
class Case:
    """What a peer sends, and what has to happen.

    Args:
        texts: the messages that have to arrive.
        pongs: payloads that have to be sent back, in this order; of many pings answered late the last is enough.
        code: our close code, None if the connection stays open; 1005 for a close frame without a code.
    """

    name: str
    frames: tuple[Frame, ...]
    texts: tuple[str, ...] = ()
    pongs: tuple[bytes, ...] = ()
    code: int | None = None

    def wire(self, *, from_client: bool) -> bytes:
        """Return the bytes of all frames."""
        return b"".join(frame.wire(from_client=from_client) for frame in self.frames)


def message(text: str) -> str:
    """Return a message whose type nobody knows."""
    return f'{{"type":"{text}"}}'


def _text(raw: str) -> bytes:
    return message(raw).encode()


def _close(code: int, reason: bytes = b"") -> Frame:
    return Frame(CLOSE, struct.pack("!H", code) + reason)


X, LONG, SNOW = _text("x"), _text("x" * 200), _text("\N{SNOWMAN}")
AT = SNOW.index("\N{SNOWMAN}".encode())
HUGE = 1 << 63


def _broken_text(name: str, raw: bytes) -> Case:
    return Case(name, (Frame(TEXT, b'{"type":"' + raw + b'"}'),), code=1007)


CASES: tuple[Case, ...] = (
    # 5.2, 5.6: one frame.
    Case("text", (Frame(TEXT, X),), (message("x"),)),
    Case("text_of_200", (Frame(TEXT, LONG),), (message("x" * 200),)),
    Case("text_of_70000", (Frame(TEXT, _text("x" * 70_000)),), (message("x" * 70_000),)),
    Case("two_texts", (Frame(TEXT, X), Frame(TEXT, LONG)), (message("x"), message("x" * 200))),
    *(Case(f"rsv_{rsv}", (Frame(TEXT, X, rsv=rsv),), code=1002) for rsv in (1, 2, 4, 7)),
    *(Case(f"opcode_{opcode}", (Frame(opcode, X),), code=1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    Case("length_of_5_in_16_bits", (Frame(TEXT, X, length_bits=16),), code=1002),
    Case("length_of_5_in_64_bits", (Frame(TEXT, X, length_bits=64),), code=1002),
    Case("length_of_300_in_64_bits", (Frame(TEXT, X * 30, length_bits=64),), code=1002),
    Case("length_with_its_highest_bit", (Frame(TEXT, b"", claimed=HUGE),), code=1002),
    # 5.4: fragments.
    Case("two_fragments", (Frame(TEXT, X[:4], fin=False), Frame(CONTINUATION, X[4:])), (message("x"),)),
    Case(
        "empty_fragments",
        (Frame(TEXT, fin=False), Frame(CONTINUATION, fin=False), Frame(CONTINUATION, X), Frame(TEXT, LONG)),
        (message("x"), message("x" * 200)),
    ),
    Case(
        "a_byte_a_fragment",
        (
            Frame(TEXT, fin=False),
            *(Frame(CONTINUATION, LONG[at : at + 1], fin=False) for at in range(len(LONG))),
            Frame(CONTINUATION),
        ),
        (message("x" * 200),),
    ),
    Case(
        "ping_between_fragments",
        (Frame(TEXT, X[:4], fin=False), Frame(PING, b"p"), Frame(CONTINUATION, X[4:])),
        (message("x"),),
        (b"p",),
    ),
    Case("continuation_of_nothing", (Frame(CONTINUATION, X),), code=1002),
    Case("continuation_after_the_end", (Frame(TEXT, X), Frame(CONTINUATION, X)), (message("x"),), code=1002),
    Case("text_within_a_message", (Frame(TEXT, X[:4], fin=False), Frame(TEXT, X)), code=1002),
    Case("binary_within_a_message", (Frame(TEXT, X[:4], fin=False), Frame(BINARY, X)), code=1002),
    # 5.5: control frames.
    Case("ping", (Frame(PING),), pongs=(b"",)),
    Case("ping_of_125", (Frame(PING, b"p" * 125),), pongs=(b"p" * 125,)),
    Case("ping_of_126", (Frame(PING, b"p" * 126),), code=1002),
    Case("ping_in_fragments", (Frame(PING, b"p", fin=False), Frame(CONTINUATION, b"q")), code=1002),
    Case("pong_unasked", (Frame(PONG, b"p"), Frame(TEXT, X)), (message("x"),)),
    Case("pong_of_126", (Frame(PONG, b"p" * 126),), code=1002),
    # 5.5.1, 7.1.5, 7.4: the closing handshake.
    Case("close", (Frame(CLOSE),), code=1005),
    *(
        Case(f"close_{code}", (_close(code, b"bye"),), code=code)
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    ),
    *(
        Case(f"close_{code}_is_none", (_close(code),), code=1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ),
    Case("close_with_half_a_code", (Frame(CLOSE, b"\x03"),), code=1002),
    Case("close_with_a_reason_of_123", (_close(1000, b"r" * 123),), code=1000),
    Case("close_with_a_reason_of_124", (_close(1000, b"r" * 124),), code=1002),
    Case("close_with_a_reason_that_is_no_utf_8", (_close(1000, b"\xce\xba\xff"),), code=1007),
    Case("close_within_a_message", (Frame(TEXT, X[:4], fin=False), _close(1000)), code=1000),
    Case("text_after_close", (_close(1000), Frame(TEXT, X)), code=1000),
    # 8.1: UTF-8.
    Case("utf_8", (Frame(TEXT, SNOW),), (message("\N{SNOWMAN}"),)),
    Case(
        "utf_8_cut_within_a_character",
        (Frame(TEXT, SNOW[: AT + 1], fin=False), Frame(CONTINUATION, SNOW[AT + 1 :])),
        (message("\N{SNOWMAN}"),),
    ),
    _broken_text("a_lone_continuation_byte", b"\x80"),
    _broken_text("overlong", b"\xc0\xaf"),
    _broken_text("a_surrogate", b"\xed\xa0\x80"),
    _broken_text("beyond_unicode", b"\xf4\x90\x80\x80"),
    _broken_text("an_impossible_byte", b"\xfe"),
    Case("half_a_character_at_the_end", (Frame(TEXT, SNOW[: AT + 1]),), code=1007),
)

MASKING = {
    # 5.1: a client masks, a server does not.
    True: Case("unmasked_from_a_client", (Frame(TEXT, X, masked=False),), code=1002),
    False: Case("masked_from_a_server", (Frame(TEXT, X, masked=True),), code=1002),
}
"""What each role may not send, by whether it is the client."""


@dataclass
class Read:
    """Frames that we sent, read back: messages, pongs and the close code."""

    texts: list[str] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    code: int | None = None
    masked: set[bool] = field(default_factory=set)
    rest: bytes = b""


def read_frames(data: bytes, found: Read | None = None) -> Read:
    """Read whole frames as they came, fragments not expected; what is behind the last whole frame is in `rest`."""
    found = found if found is not None else Read()
    while len(data) >= 2:
        opcode, masked, length, at = data[0] & 15, bool(data[1] & 0x80), data[1] & 0x7F, 2
        if length >= 126:
            width = 2 if length == 126 else 8
            length, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        key = data[at : at + 4] if masked else b""
        at += 4 if masked else 0
        if len(data) < at + length:
            break
        payload = data[at : at + length]
        payload = bytes(byte ^ key[n % 4] for n, byte in enumerate(payload)) if masked else payload
        data = data[at + length :]
        found.masked.add(masked)
        if opcode == TEXT:
            found.texts.append(payload.decode())
        elif opcode == PONG:
            found.pongs.append(payload)
        elif opcode == CLOSE:
            found.code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
    found.rest = data
    return found
