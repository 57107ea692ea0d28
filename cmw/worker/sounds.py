"""The sounds of a process: each (source, codec, ptime) is made, encoded and handed to the media engine once."""

from __future__ import annotations

import asyncio
import threading
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from cmw.errors import SettingsError
from cmw.rtp import g711
from cmw.rtp.source import SOURCES, make_source
from cmw.rtp.wav import parse_wav

MAX_WAV_BYTES = 64 << 20


class FrameStore(Protocol):
    """What takes encoded frames and names them by a number: the media engine."""

    def add_source(self, frames: bytes, frame_bytes: int) -> int: ...


class Sounds:
    """Number of the engine's source for what a plan calls by name, or for a WAV file."""

    def __init__(self, store: FrameStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._numbers: dict[tuple[str, str, int], int] = {}
        self._encoded: dict[tuple[str, str], bytes] = {}
        self._kept: dict[str, array[int]] = {}

    def keep(self, name: str, pcm: array[int]) -> None:
        """Let `name` stand for these samples; one that is known already stays what it is."""
        with self._lock:
            self._kept.setdefault(name, pcm)

    def number(self, source: str, codec: str, ptime_ms: int) -> int:
        """Return the engine's number of `source` in `codec`, made on first use.

        Args:
            source: one of `cmw.rtp.source.SOURCES`, a name that was kept, or the path of a WAV file.
            codec: ``PCMU`` or ``PCMA``.
            ptime_ms: length of a packet, milliseconds.

        Raises:
            SettingsError: a file cannot be read.
        """
        key = (source, codec, ptime_ms)
        with self._lock:  # two runs may prepare at once, off the loop
            if key not in self._numbers:
                self._numbers[key] = self._store.add_source(*self._encode(source, codec, ptime_ms))
            return self._numbers[key]

    async def prepare(self, source: str, codecs: Iterable[str], ptime_ms: int) -> None:
        """Make a source in every codec beforehand, off the loop: speech takes longer than a call may wait.

        Cutting it to another packet time, should a peer ask for one, does not.

        Raises:
            SettingsError: as for `number`.
        """
        loop = asyncio.get_running_loop()
        for codec in codecs:
            await loop.run_in_executor(None, self.number, source, codec, ptime_ms)

    def _encode(self, source: str, codec: str, ptime_ms: int) -> tuple[bytes, int]:
        if source in SOURCES:
            return make_source(source, codec, ptime_ms)
        frame_bytes = g711.CLOCK_HZ * ptime_ms // 1000
        if (source, codec) not in self._encoded:
            pcm = self._kept[source] if source in self._kept else read_wav(Path(source))
            self._encoded[source, codec] = g711.encode(pcm, codec)
        encoded = self._encoded[source, codec]
        silence = g711.encode(array("h", [0]), codec)
        return encoded + silence * (-len(encoded) % frame_bytes), frame_bytes


def read_wav(path: Path) -> array[int]:
    """Return the sound of a WAV file as samples of 8000 Hz, mixed to one channel.

    Raises:
        SettingsError: names the file, what was found and what was expected.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_WAV_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read as WAV: {error.strerror or error}") from None
    if len(data) > MAX_WAV_BYTES:
        raise SettingsError(f"{path}: found more than {MAX_WAV_BYTES} bytes, expected a WAV file of at most so many")
    try:
        return parse_wav(data)
    except ValueError as error:
        raise SettingsError(f"{path}: cannot be read as WAV: {error}") from None
