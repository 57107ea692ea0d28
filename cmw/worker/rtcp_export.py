"""The RTCP of all calls on its way to a capture server, under the Call-IDs that it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from cmw.core.address import Address
from cmw.core.clock import MILLISECOND, Nanos
from cmw.net.hep_exporter import HepExporter
from cmw.net.packet_log import LoggedPacket, PacketLog
from cmw.rtp.report_document import report_document
from cmw.rtp.rtcp import ControlError
from cmw.worker.alarm import Alarm

LOOK_NS: Nanos = 100 * MILLISECOND
LOG_BYTES = 512 << 10
"""For each media thread, twice: 1,500 reports between two looks; what comes faster is lost, and counted."""

PORTION = 60
"""Reports that are told in one go: a few milliseconds of the loop."""


class ControlSource(Protocol):
    """The media engine, as far as this file needs it."""

    def __len__(self) -> int: ...

    def set_label(self, slot: int, label: int) -> None: ...

    def set_control_logs(self, logs: Sequence[PacketLog | None]) -> None: ...


class Owner(NamedTuple):
    """Whose reports they are."""

    call_id: str
    local_ip: str


class RtcpExport:
    """Tell a capture server of RTCP from now on, until `close`.

    The engine writes to one log of each thread while the other one is read.

    Args:
        engine: whose streams.
        exporter: who tells; it is for others to close.
        alarm: timers.
    """

    def __init__(self, engine: ControlSource, exporter: HepExporter, alarm: Alarm) -> None:
        self._engine = engine
        self._exporter = exporter
        self._alarm = alarm
        self._logs = [PacketLog(LOG_BYTES) for _ in range(len(engine))]
        self._spare = [PacketLog(LOG_BYTES) for _ in range(len(engine))]
        self._owners: dict[int, Owner] = {}
        self._labels: dict[int, int] = {}  # by slot
        self._last_label = 0
        self._leaving: list[int] = []  # labels that nothing more is written under
        self._untold: Iterator[None] = iter(())
        self.lost = 0
        engine.set_control_logs(self._logs)
        self._timer: asyncio.TimerHandle | None = alarm.at(alarm.now() + LOOK_NS, self._look)

    def name(self, slot: int, call_id: str, local_ip: str) -> None:
        """Say whose the reports of a slot are, from now on until `forget`."""
        self.forget(slot)
        self._last_label += 1
        self._labels[slot] = self._last_label
        self._owners[self._last_label] = Owner(call_id, local_ip)
        self._engine.set_label(slot, self._last_label)

    def forget(self, slot: int) -> None:
        """Take note that a slot is closed; what it has said is still told."""
        label = self._labels.pop(slot, None)
        if label is not None:
            self._leaving.append(label)

    def close(self) -> None:
        """Tell what is left, and no more."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        self._engine.set_control_logs([None] * len(self._logs))
        for _ in self._untold:
            pass
        for _ in self._tell(self._logs, list(self._owners)):
            pass

    def _look(self) -> None:
        """Read what was written since the last look, a portion now and the others after whatever waits."""
        if next(self._untold, self) is self:
            full, self._logs, self._spare = self._logs, self._spare, self._logs
            self._engine.set_control_logs(self._logs)
            leaving, self._leaving = self._leaving, []
            self._untold = self._tell(full, leaving)
            more = next(self._untold, self) is not self
        else:
            more = True
        self._timer = self._alarm.at(self._alarm.now() + (0 if more else LOOK_NS), self._look)

    def _tell(self, logs: Sequence[PacketLog], leaving: Sequence[int]) -> Iterator[None]:
        """Tell of the packets in some logs, which are empty then, and forget those labels."""
        told = 0
        for log in logs:
            self.lost += log.left_out
            for packet in log:
                self._tell_packet(packet)
                told += 1
                if told % PORTION == 0:
                    yield
            log.clear()
        for label in leaving:
            self._owners.pop(label, None)

    def _tell_packet(self, packet: LoggedPacket) -> None:
        owner = self._owners.get(packet.label)
        if owner is None or packet.size > len(packet.data):
            self.lost += 1  # of nobody's call, or longer than what is kept
            return
        with suppress(ControlError):  # what is no report tells nothing
            self._exporter.send_report(
                report_document(packet.data),
                is_sent=packet.is_sent,
                local=Address(owner.local_ip, packet.local_port),
                remote=Address(packet.remote_ip, packet.remote_port),
                at=packet.at_unix_ns,
                call_id=owner.call_id,
            )
