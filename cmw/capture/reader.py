"""Which of the two formats a capture has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from cmw.capture.frame import CaptureError, Frame, Input
from cmw.capture.pcap import MAGICS, read_pcap
from cmw.capture.pcapng import SECTION_HEADER, read_pcapng


def read_frames(stream: BinaryIO) -> Iterator[Frame]:
    """Yield the frames of a pcap or pcapng file in its order.

    A file that breaks off raises after its last whole frame was given.

    Raises:
        CaptureError: the bytes are no capture, or damaged, or cut short.
    """
    source = Input(stream)
    magic = source.read_or_end(4, "the file header")
    if not magic:
        raise CaptureError("the capture is empty: expected a pcap or pcapng file")
    if magic == SECTION_HEADER:
        return read_pcapng(source)
    if magic in MAGICS:
        return read_pcap(source, magic)
    raise CaptureError(f"expected the first bytes of a pcap or pcapng file, found {magic.hex(' ')}")
