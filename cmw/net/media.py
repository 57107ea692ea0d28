"""What surrounds the media engine in Python: its values, and the binding of a port pair from a pool."""

from __future__ import annotations

import errno
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cmw.rtp.ports import PortPool

if TYPE_CHECKING:
    from cmw.net._media import MediaEngine
    from cmw.net.media_engines import MediaEngines

Made = TypeVar("Made")


class MediaMode(IntEnum):
    """What a stream does beside measuring what it hears."""

    SEND_RECEIVE = 0
    """Send the source at the pace of the schedule."""
    RECEIVE_ONLY = 1
    """Send nothing but RTCP."""
    ECHO = 2
    """Send each payload back when it comes, as our own stream; duplicates once."""


class ReceivedFormat(NamedTuple):
    """A payload type that the peer may send."""

    payload_type: int
    """0 .. 127, as we described it."""
    codec: str
    """Encoding name; the level of ``PCMU`` and ``PCMA`` is measured."""
    clock_hz: int
    echo_as: int
    """Payload type that an echo returns it with: the peer's own for this codec."""


MAX_FORMATS = 8
"""Received formats of one stream."""


class PacingSnapshot(NamedTuple):
    """How far our own sending was from its schedule."""

    histogram: dict[str, object]
    """Actual send time minus due time in microseconds, one for each scheduled packet; for `cmw.metrics.histogram`."""
    packets: int
    """Scheduled packets sent, as many as the histogram has values."""
    min_us: float | None
    max_us: float | None
    skipped: int
    """Packets never sent: too late, or no room in the kernel."""
    ticks: int
    """Wake-ups of the media thread."""
    ticks_missed: int
    """Points of its grid that it was too busy, or not let, to serve."""
    stall_ms: float
    """Longest time by which it was served late, since this was last told when an interval was closed."""


class DigitFate(IntEnum):
    """What became of a digit."""

    RECEIVED = 0
    """The peer sent it, and it is over."""
    SENT = 1
    """Its end was said; two packets that repeat it follow."""
    DROPPED = 2
    """It will not be sent, or no further: the stream was silenced."""


class DigitEvent(NamedTuple):
    """A digit of a stream (RFC 4733)."""

    slot: int
    fate: DigitFate
    digit: str
    """One of 0123456789*#ABCD."""
    duration_ms: float
    """0 when it was dropped."""


class TracedPacket(NamedTuple):
    """One packet as the trace tells it."""

    at_unix_ns: int
    """When it was sent, or when the kernel received it."""
    is_sent: bool
    is_control: bool
    """RTCP; sequence number, timestamp and marker are 0 then."""
    local_port: int
    remote_ip: str
    remote_port: int
    ssrc: int
    sequence: int
    timestamp: int
    payload_type: int
    """Of RTCP the type of the first packet: 200 SR, 201 RR."""
    marker: bool
    size: int
    """Bytes of the datagram."""


def open_media_pair(engine: MediaEngine | MediaEngines, pool: PortPool, ip: str, dscp: int) -> tuple[int, int]:
    """Open a slot on the next pair of `pool` that can be bound; pairs of other programs are set aside.

    Close with `engine.close(slot)` and then `pool.release(port)`.

    Returns:
        The slot and its RTP port.

    Raises:
        CapacityError: no pair, slot or descriptor is left.
        OSError: the address itself cannot be bound.
    """
    return _bind_next(pool, lambda port: engine.open(ip, port, dscp))


def open_pair_beside(engine: MediaEngine | MediaEngines, slot: int, pool: PortPool, ip: str, dscp: int) -> int:
    """Open a second pair for a slot, as `open_media_pair` does the first; return its RTP port.

    Close the pair that is left, or this one, with `engine.close_beside(slot)` and then `pool.release(port)`.
    """
    return _bind_next(pool, lambda port: engine.open_beside(slot, ip, port, dscp))[1]


def _bind_next(pool: PortPool, bind: Callable[[int], Made]) -> tuple[Made, int]:
    for _ in range(pool.free):
        port = pool.acquire()
        try:
            return bind(port), port
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                pool.release(port)
                raise
            pool.refuse(port)
        except BaseException:
            pool.release(port)
            raise
    raise pool.exhausted()
