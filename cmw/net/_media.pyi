"""Types of the media engine; see `_media.pyx` for how it works."""

from collections.abc import Iterable, Sequence
from typing import Self, final

from cmw.net.media import PacingSnapshot, ReceivedFormat, TracedPacket
from cmw.rtp.jitter_buffer import BufferSettings
from cmw.rtp.snapshot import StreamSnapshot

__test__: dict[str, str]  # Cython makes it

@final
class MediaEngine:
    def __new__(cls, *, slots: int, tick_us: int = 1000, realtime: bool = True, trace: bool = False) -> Self: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    @property
    def scheduling(self) -> str: ...
    def cpu_seconds(self) -> float: ...
    def add_source(self, frames: bytes, frame_bytes: int) -> int: ...
    def open(self, ip: str, rtp_port: int, dscp: int) -> int: ...
    def start_stream(
        self,
        slot: int,
        *,
        remote_ip: str,
        remote_rtp_port: int,
        remote_rtcp_port: int,
        payload_type: int,
        clock_hz: int,
        ptime_ms: int,
        source: int,
        ssrc: int,
        sequence: int,
        timestamp: int,
        cname: bytes,
        mode: int,
        event_payload_type: int | None = None,
        extended_reports: bool = True,
        jitter_buffer: BufferSettings | None = None,
        late_limit_ns: int = 100_000_000,
        remote_rtcp_ip: str | None = None,
        formats: Sequence[ReceivedFormat] = (),
        symmetric: bool = False,
    ) -> None: ...
    def change_remote(
        self,
        slot: int,
        *,
        remote_ip: str,
        remote_rtp_port: int,
        remote_rtcp_port: int,
        remote_rtcp_ip: str | None = None,
        symmetric: bool = False,
    ) -> None: ...
    def change_sending(self, slot: int, *, payload_type: int, clock_hz: int, ptime_ms: int, source: int) -> None: ...
    def change_receiving(
        self, slot: int, *, formats: Sequence[ReceivedFormat], event_payload_type: int | None = None
    ) -> None: ...
    def set_sending(self, slot: int, on: bool) -> None: ...
    def rate_streams(self, ratings: Iterable[tuple[int, int, int, int]]) -> None: ...
    def stop_stream(self, slot: int) -> None: ...
    def close(self, slot: int) -> None: ...
    def snapshot(self, slot: int) -> StreamSnapshot: ...
    def snapshot_all(self) -> list[tuple[int, StreamSnapshot]]: ...
    def pacing(self) -> PacingSnapshot: ...
    def close_pacing_interval(self) -> PacingSnapshot: ...
    def take_trace(self, most: int) -> tuple[list[TracedPacket], int]: ...
