"""Datagrams of 64 KiB that invite a parser to begin anew again and again."""

from __future__ import annotations

# ruff: noqa: E501  (a shape is one line)
import contextlib

from cmw.errors import RemoteProtocolError
from cmw.sip.message import MalformedMessageError, Request, make_response, parse_message, serialize_message
from cmw.sip.request_checks import answer_malformed, offer_in, refuse_request
from tests.fuzz.targets import PEER

HEAD = (
    b"INVITE sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n"
    b"Call-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:a@h>\r\n"
)
ROOM = 64_000
LINE = 8000
MULTIPART = b"Content-Type: multipart/mixed;boundary=%s\r\n\r\n"


def fill(piece: bytes, size: int = ROOM) -> bytes:
    return (piece * (size // len(piece)))[:size]


def rows(row: bytes) -> bytes:
    """Return a message with as many of a row as fit."""
    return HEAD + fill(row + b"\r\n") + b"\r\n"


SLOW_INPUT: dict[str, bytes] = {
    **{f"one row of {piece!r}": HEAD + b"X: " + fill(piece) + b"\r\n\r\n" for piece in (b'"', b"<", b"\\", b"a,", b"\n ", b"\r\n\t", b" ", b":", b"\xff")},
    **{f"lines of {piece!r}": rows(b"Route: " + fill(piece, LINE - 10)) for piece in (b'"', b"<", b"<a>,", b'"\\" ', b",", b'",', b"<sip:a>,", b"\xff,", b"<\"")},
    **{f"a {name} of {piece!r}": HEAD.replace(old, new + fill(piece, LINE - 100)) + b"\r\n" for name, old, new in (
        ("Via", b"192.0.2.1;branch=z9hG4bK1", b"h"), ("From", b"<sip:a@h>;tag=1", b""), ("To", b"<sip:b@h>", b"<sip:b@h>"), ("Contact", b"<sip:a@h>\r\n", b"<sip:a@h>\r\n"), ("CSeq", b"1 INVITE", b"1"), ("Call-ID", b"Call-ID: c", b"Call-ID: "),
    ) for piece in (b";a=b", b";", b"a ", b" ", b"a.", b"1", b'"', b"\\", b"[", b":", b"%00", b"-")},
    **{f"a URI of {piece!r}": b"INVITE sip:" + fill(piece, LINE) + b"@h" + HEAD[14:] + b"\r\n" for piece in (b"a", b"%41", b"a:", b";a", b"a@", b"&", b"1.", b"[", b"?a=b")},
    "many short rows": rows(b"X: 1"),
    "many compact rows": rows(b"m:<a>"),
    "many rows without a colon": rows(b"x"),
    "many line feeds": HEAD + fill(b"\n"),
    "many folds": HEAD + b"To: a\r\n" + fill(b" \r\n"),
    "many rows of many elements": rows(b"m: " + fill(b"<sip:a>,", LINE - 20) + b"<sip:b>"),
    "a body of boundaries": HEAD + MULTIPART % b"b" + fill(b"--b\r\n", 32_000),
    "a body of nearly boundaries": HEAD + MULTIPART % b"-" + fill(b"\n---x", 32_000),
    "a boundary line without end": HEAD + MULTIPART % b"b" + b"--b\r\n" + fill(b"\n--b ", 32_000),
    "a body in base64": HEAD + b"Content-Transfer-Encoding: base64\r\n" + MULTIPART % b"b" + fill(b"=", 32_000),
    "many tokens": HEAD + fill(b"Require: " + fill(b"a,", LINE) + b"\r\n") + b"\r\n",
    "many types": HEAD + fill(b"Accept: " + fill(b"a/b;q=0.1,", LINE) + b"\r\n") + b"\r\n",
    "a number without end": HEAD + b"l: " + fill(b"9", LINE) + b"\r\n\r\n",
    "a host without end": b"INVITE sip:" + fill(b"a-", LINE) + HEAD[13:] + b"\r\n",
}  # fmt: skip


def read_all(data: bytes) -> None:
    """Read a message as a user agent does before it looks at its meaning."""
    try:
        message = parse_message(data)
    except MalformedMessageError as error:
        answer = answer_malformed(error, PEER)
        if answer is not None:
            serialize_message(answer.response)
        return
    assert isinstance(message, Request)
    refuse_request(message)
    offer_in(message)
    with contextlib.suppress(RemoteProtocolError):
        list(message.headers)
        message.headers.get_tokens("Allow")
        message.to.sip_uri()
    serialize_message(make_response(message, 400))
