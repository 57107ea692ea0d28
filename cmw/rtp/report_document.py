"""A compound RTCP packet as the JSON that Homer takes under protocol type 5 of HEP3.

The names are those that its capture agents use; numbers stand as they are on the wire, `ntp_timestamp_sec` and
`ntp_timestamp_usec` being both words of the NTP timestamp. Source: RFC 3550 6.4, 6.5; RFC 3611 4.7.
"""

from __future__ import annotations

from typing import Any

from cmw.rtp.extended_report import VOIP, XR, parse_voip, split_blocks
from cmw.rtp.rtcp import (
    RR,
    SR,
    ControlPacket,
    OtherControl,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    parse_compound,
)
from cmw.rtp.snapshot import ReceptionBlock

VOIP_BYTES = 32


def report_document(data: bytes) -> dict[str, Any]:
    """Return what a compound packet says.

    Raises:
        ControlError: it is none.
    """
    document: dict[str, Any] = {}
    for packet in parse_compound(data):
        document |= _part(packet)
    return document


def _part(packet: ControlPacket) -> dict[str, Any]:
    match packet:
        case SenderReport():
            sender = {
                "ntp_timestamp_sec": packet.ntp >> 32,
                "ntp_timestamp_usec": packet.ntp & 0xFFFFFFFF,
                "rtp_timestamp": packet.rtp_ts,
                "packets": packet.packets_sent,
                "octets": packet.bytes_sent,
            }
            return {"sender_information": sender, **_report(packet, SR)}
        case ReceiverReport():
            return _report(packet, RR)
        case SourceDescription(chunks):
            return _description(chunks)
        case OtherControl(kind, _, body) if kind == XR:
            return _extended(body)
        case _:
            return {}


def _report(packet: SenderReport | ReceiverReport, kind: int) -> dict[str, Any]:
    return {
        "ssrc": packet.ssrc,
        "type": kind,
        "report_count": len(packet.blocks),
        "report_blocks": [_block(block) for block in packet.blocks],
    }


def _block(block: ReceptionBlock) -> dict[str, int]:
    return {
        "source_ssrc": block.ssrc,
        "fraction_lost": block.fraction_lost,
        "packets_lost": block.packets_lost,
        "highest_seq_no": block.ext_highest_seq,
        "ia_jitter": block.jitter,
        "lsr": block.lsr,
        "dlsr": block.dlsr,
    }


def _description(chunks: tuple[tuple[int, tuple[tuple[int, bytes], ...]], ...]) -> dict[str, Any]:
    if not chunks:
        return {}
    ssrc, items = chunks[0]
    told = [{"type": kind, "text": text.decode("utf-8", "replace")} for kind, text in items]
    return {"sdes_ssrc": ssrc, "sdes_report_count": len(chunks), "sdes_information": told}


def _extended(body: bytes) -> dict[str, Any]:
    """Return the VoIP metrics of an extended report, where it has them."""
    for kind, _, contents in split_blocks(body):
        if kind == VOIP and len(contents) == VOIP_BYTES:
            voip = parse_voip(contents)
            told = {
                "type": VOIP,
                "id": voip.ssrc,
                "fraction_lost": voip.loss_rate,
                "fraction_discard": voip.discard_rate,
                "burst_density": voip.burst_density,
                "gap_density": voip.gap_density,
                "burst_duration": voip.burst_duration_ms,
                "gap_duration": voip.gap_duration_ms,
                "round_trip_delay": voip.round_trip_ms,
                "end_system_delay": voip.end_system_delay_ms,
            }
            return {"report_blocks_xr": told}
    return {}
