"""The packets of the media engine as lines of the log, at level trace."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Protocol

from cmw.core.address import Address
from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.net.media import TracedPacket
from cmw.worker.alarm import Alarm
from cmw.worker.logs import get_logger

LOOK_NS: Nanos = 50 * MILLISECOND
MOST_PACKETS = 500
"""Written at each look, which is a few milliseconds of the signalling loop; what comes faster is lost, and told."""


class TraceSource(Protocol):
    """The media engine, as far as this file needs it."""

    def set_trace(self, on: bool) -> None: ...

    def take_trace(self, most: int) -> tuple[list[TracedPacket], int]: ...


class PacketTrace:
    """Write the packets of an engine to the log while it is on."""

    def __init__(self, engine: TraceSource, alarm: Alarm) -> None:
        self._engine = engine
        self._alarm = alarm
        self._log = get_logger(component="media")
        self._timer: asyncio.TimerHandle | None = None
        self._lost = 0
        self._told_at: Nanos = 0

    def set(self, on: bool) -> None:
        """Begin, or stop after what is kept was written."""
        if on == (self._timer is not None):
            return
        self._engine.set_trace(on)
        if on:
            self._told_at = self._alarm.now()
            self._timer = self._alarm.at(self._told_at + LOOK_NS, self._look)
            return
        assert self._timer is not None
        self._timer.cancel()
        self._timer = None
        self._write()
        self._tell_lost()

    def _look(self) -> None:
        self._write()
        now = self._alarm.now()
        if now - self._told_at >= SECOND:
            self._told_at = now
            self._tell_lost()
        self._timer = self._alarm.at(now + LOOK_NS, self._look)

    def _write(self) -> None:
        packets, lost = self._engine.take_trace(MOST_PACKETS)
        self._lost += lost
        for packet in packets:
            self._write_packet(packet)

    def _write_packet(self, packet: TracedPacket) -> None:
        at = datetime.fromtimestamp(packet.at_unix_ns // SECOND, UTC).isoformat().replace("+00:00", "")
        numbers = {"seq": packet.sequence, "timestamp": packet.timestamp, "marker": packet.marker}
        self._log.trace(
            "RTCP" if packet.is_control else "RTP",
            direction="out" if packet.is_sent else "in",
            local_port=packet.local_port,
            remote=str(Address(packet.remote_ip, packet.remote_port)),
            ssrc=f"0x{packet.ssrc:08x}",
            payload_type=packet.payload_type,
            **({} if packet.is_control else numbers),
            size=packet.size,
            at=f"{at}.{packet.at_unix_ns % SECOND // 1000:06d}Z",
        )

    def _tell_lost(self) -> None:
        if self._lost:
            self._log.warn("packets not traced", lost=self._lost)
            self._lost = 0
