"""A stream in slot 0 of a table, with packets made as a test of RTP needs them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from cmw.rtp import RtpPacket, StreamSnapshot, serialize_packet

SECOND = 1_000_000_000
CLOCK_HZ = 8000
SSRC = 0x0BADCAFE
OUR_SSRC = 0x11112222


class Stream:
    """Slot 0 of a table of one twin, open."""

    def __init__(self, module: ModuleType, **settings: Any) -> None:
        self.table = module.StreamTable(1)
        self.open(**settings)

    def open(self, **settings: Any) -> None:
        defaults: dict[str, Any] = {
            "start_ns": 0,
            "period_ns": SECOND // 50,
            "ssrc": OUR_SSRC,
            "sequence": 100,
            "timestamp": 1000,
            "timestamp_step": 160,
            "clock_hz": CLOCK_HZ,
            "payload_type": 0,
            "event_payload_type": 101,
            "cname": b"cmw@test",
        }
        self.table.open(0, **(defaults | settings))

    def receive(
        self,
        seq: int,
        *,
        at_ns: int | None = None,
        timestamp: int | None = None,
        ssrc: int = SSRC,
        payload_type: int = 0,
        marker: bool = False,
        payload: bytes = b"p" * 160,
    ) -> int:
        """Take the packet `seq` of a stream without jitter; `at_ns` and `timestamp` default to its place in it."""
        packet = RtpPacket(
            payload_type=payload_type,
            seq=seq % 65536,
            timestamp=(seq * 160 if timestamp is None else timestamp) % (1 << 32),
            ssrc=ssrc,
            payload=payload,
            marker=marker,
        )
        return self.take(serialize_packet(packet), SECOND + seq * 20_000_000 if at_ns is None else at_ns)

    def take(self, data: bytes, at_ns: int = SECOND) -> int:
        verdict: int = self.table.receive(0, data, at_ns)
        return verdict

    @property
    def now(self) -> StreamSnapshot:
        snapshot: StreamSnapshot = self.table.snapshot(0)
        return snapshot
