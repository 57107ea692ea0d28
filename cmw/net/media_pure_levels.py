"""Level of what is heard in G.711, and of speech and pauses in it. Source: ITU-T P.56, G.100.1."""

from __future__ import annotations

from math import log10
from typing import Final

from cmw.rtp.g711 import linear_values

_FULL_SCALE: Final = 1 << 30
_FLOOR_DBOV: Final = -100.0
_SPEECH_MARGIN_DB: Final = 15.9  # ITU-T P.56: speech lies less than this below its own mean level
_SPEECH_FLOOR_DBOV: Final = -60.0
_SQUARES: Final = {name: [value * value for value in linear_values(name)] for name in ("PCMU", "PCMA")}


class HeardLevels:
    """Energy and samples of the packets that were measured."""

    def __init__(self) -> None:
        self.energy = self.samples = 0
        self._by_level: dict[int, list[int]] = {}  # energy and samples of packets by their level below overload

    def add(self, codec: str, payload: bytes) -> None:
        """Measure a packet; nothing happens for codecs other than G.711."""
        squares = _SQUARES.get(codec)
        if squares is None or not payload:
            return
        energy, samples = sum(map(squares.__getitem__, payload)), len(payload)
        self.energy += energy
        self.samples += samples
        level = self._by_level.setdefault(int(-min(0.0, _to_dbov(energy, samples))), [0, 0])
        level[0] += energy
        level[1] += samples

    @property
    def mean_dbov(self) -> float | None:
        """Return the level of everything; None when nothing was measured."""
        return _to_dbov(self.energy, self.samples) if self.samples else None

    def split(self) -> tuple[float | None, float | None]:
        """Return the levels of speech and of pauses, None where there was none.

        From the loudest packets down, speech ends far below the mean of those before.
        """
        heard, rest = [0, 0], [0, 0]
        is_speech = True
        for below, (energy, samples) in sorted(self._by_level.items()):
            if is_speech:
                is_speech = below <= -_SPEECH_FLOOR_DBOV
                is_speech = is_speech and (not heard[1] or _to_dbov(*heard) + below < _SPEECH_MARGIN_DB)
            part = heard if is_speech else rest
            part[0] += energy
            part[1] += samples
        return _to_dbov(*heard) if heard[1] else None, _to_dbov(*rest) if rest[1] else None


def _to_dbov(energy: int, samples: int) -> float:
    return max(_FLOOR_DBOV, 10 * log10(energy / samples / _FULL_SCALE)) if energy else _FLOOR_DBOV
