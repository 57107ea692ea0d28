"""How fast the peer's media clock runs, by regression over its sender reports."""

from __future__ import annotations

from typing import Final, NamedTuple

from cmw.core.clock import Nanos
from cmw.rtp.sequence import signed, signed32

SAMPLES: Final = 20
MIN_SAMPLES: Final = 3
"""Two make a line through whatever they are; three can disagree."""
_NTP_SECOND: Final = float(1 << 32)


class _Sample(NamedTuple):
    ntp: int
    rtp: int
    """Extended: as many units as since the first report."""
    arrival_ns: Nanos


class ClockRate:
    """Rate of the RTP clock against the sender's wall clock and against our own, over the last reports.

    A report that lies a second or more beside the one before begins anew: one of the clocks was set.
    """

    def __init__(self) -> None:
        self._samples: list[_Sample] = []
        self.drift_ppm: float | None = None
        """Against the sender's wall clock."""
        self.skew_ppm: float | None = None
        """Against our clock: arrivals of the reports."""

    def forget(self) -> None:
        """Begin anew for another source."""
        self._samples.clear()
        self.drift_ppm = self.skew_ppm = None

    def add(self, ntp: int, rtp_ts: int, arrival_ns: Nanos, clock_hz: int) -> None:
        """Take a sender report; `ntp` 0 means that the sender has no wall clock (RFC 3550 6.4.1)."""
        if ntp == 0:
            return
        rtp = rtp_ts
        if self._samples:
            last = self._samples[-1]
            step = signed32(rtp_ts - last.rtp)
            rtp = last.rtp + step
            if not self._fits(step, ntp, last.ntp, clock_hz):
                self.forget()
        if len(self._samples) == SAMPLES:
            del self._samples[0]
        self._samples.append(_Sample(ntp, rtp, arrival_ns))
        if len(self._samples) >= MIN_SAMPLES:
            self._regress(clock_hz)

    @staticmethod
    def _fits(step: int, ntp: int, ntp_before: int, clock_hz: int) -> bool:
        span_s = signed(ntp - ntp_before, 64) / _NTP_SECOND
        return span_s > 0.0 and abs(step / clock_hz - span_s) < 1.0

    def _regress(self, clock_hz: int) -> None:
        first = self._samples[0]
        media = [(sample.rtp - first.rtp) / clock_hz for sample in self._samples]
        wall = [signed(sample.ntp - first.ntp, 64) / _NTP_SECOND for sample in self._samples]
        ours = [(sample.arrival_ns - first.arrival_ns) / 1e9 for sample in self._samples]
        self.drift_ppm = _rate_error_ppm(wall, media)
        self.skew_ppm = _rate_error_ppm(ours, media)


def _rate_error_ppm(x: list[float], y: list[float]) -> float | None:
    """Return the slope of the line of least squares, less 1, in millionths."""
    mean_x = mean_y = 0.0
    for one, other in zip(x, y, strict=True):
        mean_x += one
        mean_y += other
    mean_x /= len(x)
    mean_y /= len(x)
    products = squares = 0.0
    for one, other in zip(x, y, strict=True):
        products += (one - mean_x) * (other - mean_y)
        squares += (one - mean_x) * (one - mean_x)
    return (products / squares - 1.0) * 1e6 if squares > 0.0 else None
