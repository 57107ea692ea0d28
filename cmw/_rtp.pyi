# The compiled twin of cmw.rtp._pure, where the docstrings are; the C interface is _rtp.pxd.
# Integers out of their C type's range raise OverflowError.

from collections.abc import MutableSequence
from typing import Self, final

from cmw.core.clock import Nanos
from cmw.rtp.extended_report import VoipRating
from cmw.rtp.lateness import HistogramDict
from cmw.rtp.snapshot import ReceptionBlock, StreamSnapshot

__pyx_capi__: dict[str, object]  # the functions of _rtp.pxd, for cimport
__test__: dict[str, str]

@final
class StreamTable:
    def __new__(cls, slots: int) -> Self: ...
    def __len__(self) -> int: ...
    def open(
        self,
        slot: int,
        *,
        start_ns: Nanos,  # monotonic
        period_ns: Nanos,  # 1 or more
        late_bound_ns: Nanos = 0,  # 1 .. period_ns, 0 for a whole period
        ssrc: int,  # 32 bits
        sequence: int,  # 16 bits
        timestamp: int,  # 32 bits
        timestamp_step: int,  # RTP units in a packet
        clock_hz: int,  # 1 .. 10_000_000
        payload_type: int,  # 0 .. 127
        event_payload_type: int = 255,  # 255 for none
        cname: bytes = b"",  # up to 255 bytes
        unix_offset_ns: int = 0,  # wall clock less monotonic clock
        seed: int = 0,  # 64 bits
        late_limit_ns: int = 100_000_000,  # 0 .. 60 s
        buffer: tuple[int, int, int] = (40_000_000, 20_000_000, 200_000_000),  # BufferSettings
        extended_reports: bool = False,
    ) -> None: ...
    def stop(self, slot: int) -> None: ...
    def close(self, slot: int) -> None: ...
    def change_payload(self, slot: int, *, payload_type: int, event_payload_type: int = 255, clock_hz: int) -> None: ...
    def change_sending(
        self, slot: int, *, payload_type: int, clock_hz: int, period_ns: Nanos, timestamp_step: int
    ) -> None: ...
    def pull_due(self, now: Nanos, slack_ns: Nanos, out: MutableSequence[int]) -> int: ...  # out: C ints
    def next_due(self) -> Nanos | None: ...
    def stamp(self, slot: int, packet: bytearray) -> None: ...
    def stamp_as(self, slot: int, packet: bytearray, timestamp: int, marker: bool, *, now: Nanos) -> None: ...
    def send_failed(self, slot: int) -> None: ...
    def receive(self, slot: int, data: bytes, arrival_ns: Nanos) -> int: ...  # PacketVerdict
    def receive_rtcp(self, slot: int, data: bytes, arrival_ns: Nanos) -> int: ...  # ControlVerdict
    def rtcp_due(self, slot: int, *, now: Nanos) -> bool: ...
    def next_rtcp_due(self, slot: int) -> Nanos | None: ...
    def build_rtcp(self, slot: int, *, now: Nanos, bye: bool = False) -> bytes: ...
    def rate(self, slot: int, rating: VoipRating) -> None: ...
    def close_interval(self, slot: int, *, now: Nanos) -> ReceptionBlock | None: ...
    def snapshot(self, slot: int) -> StreamSnapshot: ...
    def pacing(self) -> HistogramDict: ...  # microseconds
