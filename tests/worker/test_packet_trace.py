"""Packets become lines of the log while the trace is on; what was lost is told once a second."""

from __future__ import annotations

import io
import json
from typing import Any

from cmw.core.clock import MILLISECOND, SECOND
from cmw.net.media import TracedPacket
from cmw.worker.logs import configure_logging
from cmw.worker.packet_trace import MOST_PACKETS, PacketTrace
from tests.worker.stage import Stage

AT = 1_700_000_000_123_456_789
RTP = TracedPacket(AT, False, False, 10000, "10.0.0.2", 4000, 0xBADCAFE, 7, 160, 8, True, 172)
RTCP = TracedPacket(AT, True, True, 10001, "2001:db8::1", 4001, 1, 0, 0, 200, False, 64)


class Source:
    """Gives what the test puts in."""

    def __init__(self) -> None:
        self.is_on = False
        self.packets: list[TracedPacket] = []
        self.lost = 0

    def set_trace(self, on: bool) -> None:
        self.is_on = on

    def take_trace(self, most: int) -> tuple[list[TracedPacket], int]:
        taken, self.packets = self.packets[:most], self.packets[most:]
        lost, self.lost = self.lost, 0
        return taken, lost


class Watched:
    """A trace in virtual time, and its lines."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        configure_logging("trace", "json", self.out)
        self.stage = Stage()
        self.source = Source()
        self.trace = PacketTrace(self.source, self.stage.alarm)  # type: ignore[arg-type]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


def test_a_line_for_each_packet() -> None:
    watched = Watched()
    watched.trace.set(True)
    watched.source.packets = [RTP, RTCP]
    watched.stage.after(60 * MILLISECOND)
    rtp, rtcp = watched.lines()
    assert {key: rtp[key] for key in rtp if key not in ("time", "component")} == {
        "level": "trace", "event": "RTP", "direction": "in", "local_port": 10000, "remote": "10.0.0.2:4000",
        "ssrc": "0x0badcafe", "payload_type": 8, "seq": 7, "timestamp": 160, "marker": True, "size": 172,
        "at": "2023-11-14T22:13:20.123456Z",
    }  # fmt: skip
    assert (rtcp["event"], rtcp["direction"], rtcp["remote"]) == ("RTCP", "out", "[2001:db8::1]:4001")
    assert "seq" not in rtcp


def test_what_was_lost_is_told_once_a_second() -> None:
    watched = Watched()
    watched.trace.set(True)
    for _ in range(10):
        watched.source.lost = 5
        watched.stage.after(100 * MILLISECOND)
    watched.stage.after(SECOND)
    assert [line["lost"] for line in watched.lines() if line["event"] == "packets not traced"] == [50]


def test_a_flood_does_not_hold_the_loop() -> None:
    watched = Watched()
    watched.trace.set(True)
    watched.source.packets = [RTP] * (2 * MOST_PACKETS)
    watched.stage.after(60 * MILLISECOND)
    assert len(watched.lines()) == MOST_PACKETS


def test_off_writes_what_is_left_and_ends() -> None:
    watched = Watched()
    watched.trace.set(False)
    assert not watched.source.is_on
    watched.trace.set(True)
    watched.trace.set(True)
    watched.source.packets, watched.source.lost = [RTP], 3
    watched.trace.set(False)
    assert [line["event"] for line in watched.lines()] == ["RTP", "packets not traced"]
    assert not watched.source.is_on
    watched.source.packets = [RTP]
    watched.stage.after(SECOND)
    assert len(watched.lines()) == 2
