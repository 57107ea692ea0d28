"""One captured frame, and what can be wrong with a capture."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from cmw.errors import RemoteProtocolError

MAX_FRAME_BYTES = 1 << 24
"""A length above this is no frame but damage."""


class CaptureError(RemoteProtocolError):
    """Raised on bytes that are no capture, or where one breaks off: what was expected, what came, and at which byte."""


class Frame(NamedTuple):
    """A frame as it was captured."""

    at_ns: int
    """Nanoseconds since 1970 UTC."""
    link_type: int
    """LINKTYPE_ number of the interface."""
    data: bytes
    """What was kept of it."""
    original_bytes: int
    """How long it was on the wire."""


class Input:
    """A stream of bytes that knows how far it was read.

    Args:
        stream: opened in binary mode; read to its end, never closed.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.offset = 0

    def read(self, size: int, what: str) -> bytes:
        """Return exactly `size` bytes; raises `CaptureError` when there are fewer."""
        data = self._take(size)
        if len(data) < size:
            raise self.cut(size, len(data), what)
        return data

    def read_or_end(self, size: int, what: str) -> bytes:
        """Return `size` bytes, or none at the end of the stream; raises `CaptureError` in between."""
        data = self._take(size)
        if data and len(data) < size:
            raise self.cut(size, len(data), what)
        return data

    def cut(self, wanted: int, found: int, what: str) -> CaptureError:
        """Return the error for a stream that ends within `what`."""
        start = self.offset - found
        return CaptureError(
            f"the capture is cut short: expected {wanted} bytes of {what} at byte {start}, found {found}"
        )

    def _take(self, size: int) -> bytes:
        data = self._stream.read(size)
        while 0 < len(data) < size:
            more = self._stream.read(size - len(data))
            if not more:
                break
            data += more
        self.offset += len(data)
        return data
