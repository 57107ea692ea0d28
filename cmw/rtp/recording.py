"""What was said in a stream of G.711 as sound: each packet at its place in time, whatever order they came in.

The first packet lies where it arrived, each further one where its timestamp says, as a jitter buffer would play it:
what is lost is silence, what comes late has its place, what comes twice is there once. A source that changes, or whose
timestamps jump, is placed by its arrival again.
"""

from __future__ import annotations

from array import array
from typing import Final

from cmw.core.clock import SECOND, Nanos
from cmw.rtp import g711
from cmw.rtp.packet import RtpHeader
from cmw.rtp.sequence import signed32

RATE_HZ: Final = g711.CLOCK_HZ
ASTRAY_SAMPLES: Final = RATE_HZ
"""Timestamps that are a second from the time of arrival are not believed."""

CODECS: Final = {0: "PCMU", 8: "PCMA"}
"""Static payload types of G.711. Source: RFC 3551 6."""


class Placing:
    """Tell where the samples of each packet of a stream belong.

    Args:
        began_at: the instant of sample 0.
    """

    def __init__(self, began_at: Nanos) -> None:
        self._began_at = began_at
        self._ssrc: int | None = None
        self._timestamp = 0
        self._position = 0

    def place(self, header: RtpHeader, at: Nanos) -> int:
        """Return the number of the first sample of a packet that came at an instant; below 0 before the beginning."""
        arrived = (at - self._began_at) * RATE_HZ // SECOND
        position = self._position + signed32(header.timestamp - self._timestamp)
        if header.ssrc != self._ssrc or abs(position - arrived) > ASTRAY_SAMPLES:
            position = arrived
        self._ssrc, self._timestamp, self._position = header.ssrc, header.timestamp, position
        return position


class Track:
    """One channel of sound, as long as it has to be.

    Args:
        began_at: the instant of sample 0.
        most: samples at most; what lies beyond is left out.
    """

    def __init__(self, began_at: Nanos, most: int) -> None:
        self.samples = array("h")
        self._placing = Placing(began_at)
        self._most = most

    def add(self, header: RtpHeader, payload: bytes, codec: str, at: Nanos) -> None:
        """Take a packet.

        Args:
            payload: in `codec`, ``PCMU`` or ``PCMA``.
            at: when it passed.
        """
        position = self._placing.place(header, at)
        said = g711.decode(payload, codec)
        end = position + len(said)
        if position < 0 or end > self._most:
            return
        if end > len(self.samples):
            self.samples.extend(array("h", bytes(2 * (end - len(self.samples)))))
        self.samples[position:end] = said
