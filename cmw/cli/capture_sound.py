"""The G.711 of a capture as WAV files, one for each stream, written while the capture is read."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

from cmw.capture import Datagram
from cmw.core.address import Address
from cmw.errors import SettingsError
from cmw.rtp import g711
from cmw.rtp.flows import Stream
from cmw.rtp.packet import PacketError, RtpHeader, parse_header
from cmw.rtp.recording import CODECS, RATE_HZ, Placing
from cmw.rtp.wav import HEAD_BYTES, wav_head

MOST_STREAMS: Final = 500
"""Each has a file open."""

MOST_S: Final = 3600
"""Of a file; what comes later is left out."""

_ODD = re.compile(r"[^A-Za-z0-9.-]+")
_Key = tuple[Address, Address, int]


class _File:
    """A WAV file that grows at any place; what nobody writes to is silence."""

    def __init__(self, file: BinaryIO, stream: Stream) -> None:
        self._file = file
        self._codecs = CODECS | {stream.payload_type: stream.codec.name}
        self._placing: Placing | None = None
        self._samples = 0

    def add(self, header: RtpHeader, datagram: Datagram) -> None:
        codec = self._codecs.get(header.payload_type)
        end = header.payload_offset + header.payload_bytes
        if codec not in ("PCMU", "PCMA") or datagram.size > len(datagram.data):
            return
        self._placing = self._placing or Placing(datagram.at_ns)
        position = self._placing.place(header, datagram.at_ns)
        if position < 0 or position + header.payload_bytes > MOST_S * RATE_HZ:
            return
        self._samples = max(self._samples, position + header.payload_bytes)
        said = g711.decode(datagram.data[header.payload_offset : end], codec)
        self._file.seek(HEAD_BYTES + 2 * position)
        self._file.write(struct.pack(f"<{len(said)}h", *said))

    def finish(self) -> None:
        self._file.truncate(HEAD_BYTES + 2 * self._samples)
        self._file.seek(0)
        self._file.write(wav_head(self._samples, 1))


def write_sounds(directory: Path, streams: Iterable[Stream], datagrams: Iterable[Datagram]) -> list[Path]:
    """Write the sound of each stream of G.711; return the files, in the order of the streams.

    Raises:
        SettingsError: there are too many streams.
        OSError: the files cannot be written.
    """
    heard = [stream for stream in streams if stream.codec.name in ("PCMU", "PCMA")]
    if len(heard) > MOST_STREAMS:
        raise SettingsError(f"--wav: found {len(heard)} streams of G.711, expected at most {MOST_STREAMS}")
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / _name(number, stream) for number, stream in enumerate(heard, 1)]
    with ExitStack() as stack:
        files: dict[_Key, _File] = {
            (stream.source, stream.destination, stream.ssrc): _File(stack.enter_context(path.open("wb")), stream)
            for path, stream in zip(paths, heard, strict=True)
        }
        for datagram in datagrams:
            _take(files, datagram)
        for file in files.values():
            file.finish()
    return paths


def _take(files: dict[_Key, _File], datagram: Datagram) -> None:
    try:
        header = parse_header(datagram.data)
    except PacketError:
        return
    file = files.get((datagram.source, datagram.destination, header.ssrc))
    if file is not None:
        file.add(header, datagram)


def _name(number: int, stream: Stream) -> str:
    return _ODD.sub("_", f"{number:03d}-{stream.source}-{stream.destination}-{stream.ssrc:08x}") + ".wav"
