"""A capture from bytes to the document of `cmw analyze`: SIP in it names the codecs, then its RTP is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from cmw.capture import CaptureError, Datagram, DatagramReader, read_frames
from cmw.cli.capture_sound import write_sounds
from cmw.cli.session_directory import SessionDirectory
from cmw.core.clock import SECOND, Nanos
from cmw.errors import SettingsError
from cmw.metrics.emodel import is_rated, stream_quality
from cmw.rtp.flows import USUAL_MEASURING, FlowTable, Measuring, Stream
from cmw.rtp.snapshot import StreamSnapshot

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Analysis:
    """What was found in a capture; `damage` says where it broke off, empty when it did not."""

    def __init__(
        self, streams: list[Stream], reader: DatagramReader, flows: FlowTable, sip_messages: int, damage: str
    ) -> None:
        self.damage = damage
        self.streams = streams
        self._reader = reader
        self._flows = flows
        self._sip_messages = sip_messages

    def document(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "schema_version": 1,
            "frames": self._reader.frames,
            "rtp_packets": self._flows.rtp_packets,
            "rtcp_packets": self._flows.rtcp_packets,
            "sip_messages": self._sip_messages,
            "frames_passed_over": dict(self._reader.passed_over),
            "incomplete_fragments": self._reader.incomplete_fragments,
            "problems": self._problems(),
            "streams": [stream_document(stream) for stream in self.streams],
        }

    def _problems(self) -> list[str]:
        problems = [f"the capture is not whole: {self.damage}"] if self.damage else []
        if self._reader.incomplete_fragments:
            problems.append(f"{self._reader.incomplete_fragments} IP packets lack fragments and were passed over")
        odd = {reason: n for reason, n in self._reader.passed_over.items() if reason.startswith(("link type", "cut"))}
        return problems + [f"{count} frames were passed over: {reason}" for reason, count in odd.items()]


def analyze_capture(stream: BinaryIO, measuring: Measuring = USUAL_MEASURING) -> Analysis:
    """Measure every RTP stream in a capture.

    A capture that breaks off is measured up to there.

    Args:
        stream: seekable, at its beginning.
        measuring: the listener's jitter buffer, and what is late.

    Raises:
        SettingsError: it is no capture at all.
    """
    directory = SessionDirectory()
    for datagram in _datagrams(stream, DatagramReader(), lambda damage: None):
        directory.read(datagram)
    directory.finish()
    stream.seek(0)
    reader = DatagramReader()
    flows = FlowTable(directory.codecs, measuring)
    damages: list[str] = []
    for datagram in _datagrams(stream, reader, damages.append):
        if not datagram.is_tcp:
            flows.receive(datagram.source, datagram.destination, _whole(datagram), datagram.at_ns)
    return Analysis(flows.finish(), reader, flows, directory.sip_messages, "".join(damages))


def sounds_of(stream: BinaryIO, found: Analysis, directory: Path) -> list[Path]:
    """Write the sound of each stream of G.711 that was found in a capture; return the files.

    Args:
        stream: the capture, seekable.

    Raises:
        SettingsError: there are too many streams, or the files cannot be written.
    """
    stream.seek(0)
    datagrams = (each for each in _datagrams(stream, DatagramReader(), lambda damage: None) if not each.is_tcp)
    try:
        return write_sounds(directory, found.streams, datagrams)
    except OSError as error:
        raise SettingsError(f"--wav: {directory} cannot be written: {error.strerror or error}") from None


def stream_document(stream: Stream) -> dict[str, Any]:
    """Return a stream as `--json` prints it. docs/analyze.md says what each figure is."""
    now = stream.snapshot()
    r_factor, mos = _quality(stream, now)
    return {
        "ssrc": f"0x{stream.ssrc:08x}",
        "source": str(stream.source),
        "destination": str(stream.destination),
        "payload_type": stream.payload_type,
        "payload_types": stream.payload_types,
        "codec": stream.codec.name or None,
        "clock_hz": stream.codec.clock_hz,
        "announced": stream.announced,
        "first_packet_at": _instant(now.first_packet_at_ns),
        "last_packet_at": _instant(now.last_packet_at_ns),
        "packets_received": now.packets_received,
        "bytes_received": now.bytes_received,
        "packets_expected": now.packets_expected,
        "packets_lost": now.packets_lost,
        "duplicate_packets": now.duplicate_packets,
        "out_of_order_packets": now.out_of_order_packets,
        "discarded_packets": now.discarded_packets,
        "late_packets": now.late_packets,
        "sequence_number_resets": now.sequence_number_resets + now.sequence_number_jumps,
        "sequence_number_jumps": now.sequence_number_jumps,
        "ssrc_switches": stream.ssrc_switches,
        "payload_type_changes": now.payload_type_changes,
        "timestamp_jumps": now.timestamp_jumps,
        "jitter_ms": {
            "last": _short(now.jitter_ms),
            "mean": _short(now.jitter_mean_ms),
            "min": _short(now.jitter_min_ms),
            "max": _short(now.jitter_max_ms),
        },
        "packet_spacing_ms": {
            "mean": _short(now.total_spacing_mean_ms),
            "min": _short(now.total_spacing_min_ms),
            "max": _short(now.total_spacing_max_ms),
        },
        "loss_bursts": now.loss_bursts,
        "longest_loss_burst": now.longest_loss_burst,
        "burst_density": _short(now.burst_density),
        "gap_density": _short(now.gap_density),
        "burst_duration_ms": _short(now.burst_duration_ms),
        "gap_duration_ms": _short(now.gap_duration_ms),
        "jitter_buffer": {
            "pushed": now.buffer_pushed,
            "late": now.buffer_late,
            "concealed": max(0, now.packets_lost + now.duplicate_packets) + now.buffer_late,
            "delay_ms": _short(now.buffer_delay_ms),
        },
        "clock_drift_ppm": _short(now.clock_drift_ppm),
        "clock_skew_ppm": _short(now.clock_skew_ppm),
        "rtcp_packets": now.rtcp_received,
        "packets_sent": now.remote_packets_sent,
        "mos": _short(mos),
        "r_factor": _short(r_factor),
    }


def _datagrams(stream: BinaryIO, reader: DatagramReader, damaged: Callable[[str], None]) -> Iterator[Datagram]:
    """Yield what a capture holds up to where it breaks off, which `damaged` is told."""
    try:
        frames = read_frames(stream)
    except CaptureError as error:
        raise SettingsError(str(error)) from error
    try:
        for frame in frames:
            datagram = reader.read(frame)
            if datagram is not None:
                yield datagram
    except CaptureError as error:
        damaged(str(error))


def _whole(datagram: Datagram) -> bytes:
    """Return the payload at its length on the wire: where the capture cut it, zeros stand for what is not known."""
    missing = datagram.size - len(datagram.data)
    if missing <= 0 or not datagram.data:
        return datagram.data
    without_padding = bytes([datagram.data[0] & 0xDF])  # its length was in the last byte
    return without_padding + datagram.data[1:] + bytes(missing)


def _quality(stream: Stream, now: StreamSnapshot) -> tuple[float | None, float | None]:
    """Return R and MOS by what a listener would have missed; Nones for a codec whose impairment is not known."""
    if not is_rated(stream.codec.name) or not now.packets_expected:
        return None, None
    unheard = max(0, now.packets_lost) + now.buffer_late
    quality = stream_quality(
        unheard / now.packets_expected,
        None,
        now.jitter_mean_ms or 0.0,
        codec=stream.codec.name,
        burst_ratio=now.burst_ratio or 1.0,
        buffer_ms=now.buffer_delay_ms,
    )
    return quality.r_factor, quality.mos


def _instant(at_ns: Nanos | None) -> str | None:
    """Return ISO 8601 in UTC with nanoseconds: a capture may have them."""
    if at_ns is None:
        return None
    seconds, rest_ns = divmod(at_ns, SECOND)
    return f"{(_EPOCH + timedelta(seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%S')}.{rest_ns:09d}Z"


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
