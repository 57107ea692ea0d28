"""What the quick ways of the scanner find in a message, held against the thorough ones."""

from __future__ import annotations

from typing import Any

from cmw.sip import _scan_pure
from cmw.sip.headers import scan
from cmw.sip.hop import Hop, Transport
from cmw.sip.message import (
    MAX_MESSAGE_BYTES,
    MalformedMessageError,
    Request,
    Response,
    _parse_thoroughly,
    make_response,
)
from cmw.sip.transaction import server_key
from cmw.sip.transaction_layer import response_key, stamp

STRANGERS = (Hop("203.0.113.9", 40000), Hop("2001:db8::1", 5060), Hop("203.0.113.9", 5060, Transport.TCP, "", 7))


def compare_quick_look(data: bytes) -> bool:
    """Assert that a message reads the same both ways; return whether there was a quick one."""
    look = scan.plain_message(data) if len(data) <= MAX_MESSAGE_BYTES else None
    if look is None:
        return False
    try:
        whole = _parse_thoroughly(data)
    except MalformedMessageError as error:
        raise AssertionError(f"read {data!r} in spite of {error}") from error
    quick, slow = type(whole)(*look), type(whole)(*look)  # type: ignore[arg-type]
    slow.headers = _scan_pure.Headers(whole.headers)
    assert (*look[:2], list(look[2]), look[3]) == (*_start_of(whole), list(whole.headers), whole.body)
    assert _what_is_found(quick) == _what_is_found(slow)
    return True


def _start_of(message: Request | Response) -> tuple[object, object]:
    if isinstance(message, Request):
        return message.method, message.uri
    return message.status, message.reason


def _what_is_found(message: Request | Response) -> list[Any]:
    found: list[Any] = [message.seq, message.from_tag, message.to_tag, message.call_id, message.headers.count("Via")]
    if isinstance(message, Response):
        key, sent_by = response_key(message)
        assert sent_by in ("", (message.headers.get("Via") or "").partition(" ")[2].partition(";")[0])
        return [*found, key]
    found += [server_key(message), server_key(message, "CANCEL")]
    via = message.top_via
    sources = (Hop(via.host, via.port or 5060), Hop(via.host, 1), *STRANGERS)
    came = message.headers
    for source in sources:
        message.headers = came.copy()
        found += [stamp(message, source), message.headers.get("Via"), server_key(message)]
        for tag in ("t", None):
            response = make_response(message, 180, to_tag=tag, headers=[("Server", "x")])
            found += [list(response.headers), response.to_tag]
    message.headers = came
    return found
