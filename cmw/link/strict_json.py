"""JSON as RFC 8259 has it, and no more: ujson reads, and what it lets pass is refused here.

ujson takes ``NaN``, ``Infinity``, ``1e999``, ``01``, ``1.``, a lone ``-``, raw control characters, lone surrogates and
repeated names. Each of them ends as a `RemoteProtocolError`: nothing comes in that could not be stored or sent on.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Final

import ujson

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.link.limits import MAX_DEPTH
from cmw.link.refusal import CloseCode

_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*+"')
# What is left when every well-formed string has become an "s"; a quote that is left belongs to a broken one.
_SKELETON: Final = re.compile(
    r"(?:[ \t\n\r\[\]{}:,s]|true|false|null|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?(?![0-9.eE+-]))*+"
)
_BRACKETS: Final = re.compile(r"[\[\]{}]")


def parse_json(text: str) -> object:
    """Return the value of one strict JSON text.

    Raises:
        RemoteProtocolError: anything outside RFC 8259, nested deeper than `MAX_DEPTH`, a repeated name, a number beyond
            a double, a lone surrogate. The hint is the close code 1007.
    """
    skeleton = _STRING.sub("s", text)
    if not _SKELETON.fullmatch(skeleton):
        raise _refuse("text outside RFC 8259")
    if _depth(skeleton) > MAX_DEPTH:
        raise _refuse(f"nesting deeper than {MAX_DEPTH}")
    try:
        value: object = ujson.loads(text)
    except ValueError as error:
        raise _refuse(str(error)) from None
    if _count_members(value) != skeleton.count(":"):
        raise _refuse("a repeated name in an object")
    if "\\u" in text and _has_surrogates(value):
        raise _refuse("a lone surrogate in a string")
    return value


def serialize_json(value: object) -> str:
    """Return `value` as compact JSON that `parse_json` accepts; lone surrogates become U+FFFD.

    Raises:
        LocalProtocolError: a value that is no JSON, not finite, or nested deeper than `MAX_DEPTH`.
    """
    try:
        text = ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False, allow_nan=False)
    except (OverflowError, TypeError, ValueError, RecursionError) as error:
        raise LocalProtocolError(f"expected a finite JSON value, found {type(error).__name__} on the way") from None
    if not text.isascii():
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(_STRING.sub('"', text)) > MAX_DEPTH:
        raise LocalProtocolError(f"expected nesting of at most {MAX_DEPTH}")
    return text


def _refuse(found: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"expected strict JSON, found {found}", hint=CloseCode.INVALID_DATA)


def _depth(skeleton: str) -> int:
    depth = deepest = 0
    if skeleton.count("{") + skeleton.count("[") <= MAX_DEPTH:
        return 0
    for bracket in _BRACKETS.findall(skeleton):
        depth += 1 if bracket in "{[" else -1
        deepest = max(deepest, depth)
    return deepest


def _count_members(value: object) -> int:
    """Count the members of all objects inside, refusing numbers that are not finite on the way."""
    members = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            members += len(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, float) and not isfinite(item):
            raise _refuse("a number beyond the range of a double")
    return members


def _has_surrogates(value: object) -> bool:
    try:
        ujson.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
