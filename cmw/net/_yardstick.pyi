"""Types of the yardsticks; see `_yardstick.pyx`."""

from typing import Self, final

from cmw.rtp.lateness import HistogramDict

__test__: dict[str, str]  # Cython makes it

def exchange(
    descriptors: list[int], peers: list[tuple[str, int]], seconds: float, tick_us: int = 1000
) -> tuple[int, int, int]: ...

@final
class ClockReader:
    def __new__(cls, *, tick_us: int = 1000) -> Self: ...
    def read_clock(self) -> None: ...
    def stop(self) -> None: ...
    def result(self) -> tuple[HistogramDict, float]: ...
