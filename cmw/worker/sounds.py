"""The sounds of a process: each (source, codec, ptime) is made, encoded and handed to the media engine once."""

from __future__ import annotations

import asyncio
import threading
import wave
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from cmw.errors import SettingsError
from cmw.rtp import g711
from cmw.rtp.source import SOURCES, make_source


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

    def number(self, source: str, codec: str, ptime_ms: int) -> int:
        """Return the engine's number of `source` in `codec`, made on first use.

        Args:
            source: one of `cmw.rtp.source.SOURCES`, or the path of a WAV file.
            codec: ``PCMU`` or ``PCMA``.
            ptime_ms: length of a packet, milliseconds.

        Raises:
            SettingsError: a file cannot be read, or holds something else than 8 kHz, one channel, 16 bit.
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
            self._encoded[source, codec] = g711.encode(read_wav(Path(source)), codec)
        encoded = self._encoded[source, codec]
        silence = g711.encode(array("h", [0]), codec)
        return encoded + silence * (-len(encoded) % frame_bytes), frame_bytes


def read_wav(path: Path) -> array[int]:
    """Return the samples of a WAV file: 8 kHz, one channel, 16 bit.

    Raises:
        SettingsError: names the file, what it holds and what was expected.
    """
    try:
        with wave.open(str(path), "rb") as file:
            shape = (file.getframerate(), file.getnchannels(), 8 * file.getsampwidth())
            frames = file.readframes(file.getnframes()) if shape == (8000, 1, 16) else None
    except (OSError, EOFError, wave.Error) as error:
        raise SettingsError(f"{path}: cannot be read as WAV: {error}") from None
    if frames is None:
        rate, channels, bits = shape
        raise SettingsError(
            f"{path}: found {rate} Hz, {channels} channel(s), {bits} bit; expected 8000 Hz, 1 channel, 16 bit"
        )
    pcm = array("h", frames[: len(frames) // 2 * 2])  # a file that was cut short may end in half a sample
    if not pcm:
        raise SettingsError(f"{path}: holds no samples")
    return pcm
