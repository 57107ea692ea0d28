"""Bodies of several parts: which of them opens the session, and whether the others may be passed over.

Source: RFC 5621, RFC 2046 5.1, RFC 3261 7.4.1, 20.11.
"""

from __future__ import annotations

import binascii
from collections.abc import Collection, Iterator
from typing import NamedTuple

from cmw.sip.grammar import fail
from cmw.sip.headers import Headers, scan
from cmw.sip.media_type import SDP_TYPE, Disposition, MediaType, parse_disposition, parse_media_type

MAX_PARTS = 32
"""Parts of one body, those inside of parts included; more is refused."""

MAX_DEPTH = 4
"""How deep bodies of several parts may stand inside of each other."""

_MAX_BOUNDARY = 70  # RFC 2046 5.1.1
_TEXT = MediaType("text/plain")  # what a part without a type is. Source: RFC 2046 5.1


class BodyPart(NamedTuple):
    """A body, or a part of one.

    Args:
        type: its type.
        disposition: what it is for.
        content: its bytes, without the boundaries around and with its transfer encoding undone.
        parts: the parts of a multipart body.
        content_id: what other parts call it by, without angle brackets; "" for none.
        encoding: its Content-Encoding in lower case; "" for none.
    """

    type: MediaType
    disposition: Disposition
    content: bytes
    parts: tuple[BodyPart, ...] = ()
    content_id: str = ""
    encoding: str = ""

    @property
    def is_multipart(self) -> bool:
        """Tell whether it consists of parts."""
        return self.type.kind.startswith("multipart/")

    def find(self, kind: str) -> BodyPart | None:
        """Return the part of a type that counts, None when there is none: what stands first, or last of alternatives.

        Of a multipart/related body only the root counts. Source: RFC 2046 5.1.4, RFC 2387 3.2.
        """
        if not self.is_multipart:
            return self if self._is_understood((kind,)) else None
        return next((found for part in self._candidates() if (found := part.find(kind)) is not None), None)

    def not_understood(self, kinds: Collection[str]) -> Iterator[BodyPart]:
        """Yield what has to be understood and is of none of these types. Source: RFC 3261 8.2.3, RFC 5621 8."""
        if self.disposition.is_optional:
            return
        if not self.is_multipart:
            if not self._is_understood(kinds):
                yield self
            return
        needed = [list(part.not_understood(kinds)) for part in self._candidates()]
        if self.type.kind == "multipart/alternative" and any(not missing for missing in needed):
            return
        yield from (part for missing in needed for part in missing)

    def _is_understood(self, kinds: Collection[str]) -> bool:
        """Tell whether it is of one of these types; SDP that is not for the session is none. Source: RFC 3959 4."""
        is_elsewhere = self.type.kind == SDP_TYPE and self.disposition.purpose != "session"
        return self.type.kind in kinds and self.encoding in ("", "identity") and not is_elsewhere

    def _candidates(self) -> tuple[BodyPart, ...]:
        if self.type.kind == "multipart/alternative":
            return self.parts[::-1]
        if self.type.kind == "multipart/related":
            start = (self.type.param("start") or "").strip("<> \t")
            return tuple([part for part in self.parts if start and part.content_id == start][:1]) or self.parts[:1]
        return self.parts


def parse_body(headers: Headers, body: bytes) -> BodyPart:
    """Take the body of a message apart.

    Args:
        headers: those of the message; without Content-Type the body is SDP, as it always was.
        body: its body.

    Raises:
        RemoteProtocolError: hint 400 when type or boundaries cannot be read, or there are too many parts.
    """
    return _Reader().read(headers, body, parse_media_type(headers.get("Content-Type") or SDP_TYPE), 0)


class _Reader:
    """Counts the parts of one body."""

    def __init__(self) -> None:
        self._parts = 0

    def read(self, headers: Headers, body: bytes, kind: MediaType, depth: int) -> BodyPart:
        self._parts += 1
        if self._parts > MAX_PARTS + 1:
            fail(f"at most {MAX_PARTS} parts in a body", "more")
        if depth > MAX_DEPTH:
            fail(f"bodies at most {MAX_DEPTH} deep in each other", "deeper ones")
        purpose = headers.get("Content-Disposition")
        disposition = parse_disposition(purpose) if purpose else Disposition(_usual_purpose(kind))
        content = _decode(headers.get("Content-Transfer-Encoding") or "", body)
        parts: tuple[BodyPart, ...] = ()
        if kind.kind.startswith("multipart/"):
            parts = tuple([self._read_part(data, depth + 1) for data in split_parts(content, _boundary(kind))])
        content_id = (headers.get("Content-ID") or "").strip("<> \t")
        encoding = (headers.get("Content-Encoding") or "").strip(" \t").lower()
        return BodyPart(kind, disposition, content, parts, content_id, encoding)

    def _read_part(self, data: bytes, depth: int) -> BodyPart:
        whole = b"-\r\n" + data  # the scanner wants a line before the headers
        _, headers, body_at, fault = scan.scan_head(whole, 0)
        if fault is not None:
            fail(fault[1], fault[2])
        kind = headers.get("Content-Type")
        content = whole[body_at:] if body_at >= 0 else b""
        return self.read(headers, content, parse_media_type(kind) if kind else _TEXT, depth)


def _usual_purpose(kind: MediaType) -> str:
    """Return what a body is for that does not say it. Source: RFC 3261 20.11."""
    return "session" if kind.kind == SDP_TYPE else "render"


def _boundary(kind: MediaType) -> bytes:
    boundary = kind.param("boundary") or ""
    if not 1 <= len(boundary) <= _MAX_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
        fail("a boundary of 1 to 70 characters", boundary)
    return boundary.encode()


def split_parts(body: bytes, boundary: bytes) -> list[bytes]:
    """Return what stands between the boundaries; what is before the first and after the last is passed over.

    The line break before a boundary belongs to it. A body that ends without the last boundary ends its last part.
    Source: RFC 2046 5.1.1.
    """
    mark = b"\n--" + boundary
    data = b"\n" + body
    parts: list[bytes] = []
    start = -1
    at = data.find(mark)
    while at >= 0 and len(parts) <= MAX_PARTS:
        after = at + len(mark)
        end = data.find(b"\n", after)
        end = len(data) if end < 0 else end
        rest = data[after : min(end, after + 1000)].rstrip(b" \t\r")
        if rest in (b"", b"--") and end - after < 1000:
            if start >= 0:
                parts.append(data[start:at].removesuffix(b"\r"))
            if rest == b"--":
                return parts
            start = end + 1
            at = data.find(mark, end)
        else:
            at = data.find(mark, after)  # a longer boundary, of a body inside
    if start < 0:
        fail(f"the boundary --{boundary.decode()} in the body", "none")
    parts.append(data[start:])
    return parts


def _decode(encoding: str, body: bytes) -> bytes:
    """Undo a transfer encoding; those of a transparent path are none. Source: RFC 2045 6, RFC 3261 27.5."""
    encoding = encoding.strip(" \t").lower()
    if encoding == "base64":
        try:
            return binascii.a2b_base64(body)
        except binascii.Error:
            fail("a body in base64", "other bytes")
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    if encoding not in ("", "7bit", "8bit", "binary"):
        fail("a transfer encoding such as binary", encoding)
    return body
