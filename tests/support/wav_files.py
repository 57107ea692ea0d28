"""WAV files for tests, written by the standard library."""

from __future__ import annotations

import wave
from array import array
from collections.abc import Sequence
from pathlib import Path


def write_wav(path: Path, samples: Sequence[int], *, rate: int = 8000, channels: int = 1, width: int = 2) -> Path:
    """Write samples, interleaved; those of another width than 16 bit are all silent."""
    with wave.open(str(path), "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(array("h", samples).tobytes() if width == 2 else bytes(len(samples)))
    return path
