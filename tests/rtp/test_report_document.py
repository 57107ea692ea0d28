"""RTCP as the JSON that Homer takes: names as its agents write them, numbers as they are on the wire."""

from __future__ import annotations

import pytest

from cmw.rtp.extended_report import XR, VoipMetrics, serialize_voip
from cmw.rtp.report_document import report_document
from cmw.rtp.rtcp import (
    ControlError,
    Goodbye,
    OtherControl,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    serialize_compound,
)
from cmw.rtp.snapshot import ReceptionBlock

BLOCK = ReceptionBlock(0x7B0000A1, 12, -3, 65540, 13, 0xB85E1234, 296222)
VOIP = VoipMetrics(0x7B0000A1, 5, 6, 128, 2, 300, 4000, 45, 60, 127, 127, 127, 16, 88, 127, 41, 40, 0, 40, 80, 200)


def test_a_sender_report_with_everything() -> None:
    voip = OtherControl(XR, 0, (0xDE0000B2).to_bytes(4, "big") + serialize_voip(VOIP))
    names = SourceDescription(((0xDE0000B2, ((1, b"me@here"), (6, "é".encode()))),))
    data = serialize_compound([SenderReport(0xDE0000B2, 0xDA9F1111_8C660000, 84679, 514, 82240, (BLOCK,)), names, voip])
    assert report_document(data) == {
        "sender_information": {
            "ntp_timestamp_sec": 0xDA9F1111,
            "ntp_timestamp_usec": 0x8C660000,
            "rtp_timestamp": 84679,
            "packets": 514,
            "octets": 82240,
        },
        "ssrc": 0xDE0000B2,
        "type": 200,
        "report_count": 1,
        "report_blocks": [
            {
                "source_ssrc": 0x7B0000A1, "fraction_lost": 12, "packets_lost": -3, "highest_seq_no": 65540,
                "ia_jitter": 13, "lsr": 0xB85E1234, "dlsr": 296222,
            }
        ],
        "sdes_ssrc": 0xDE0000B2,
        "sdes_report_count": 1,
        "sdes_information": [{"type": 1, "text": "me@here"}, {"type": 6, "text": "é"}],
        "report_blocks_xr": {
            "type": 7, "id": 0x7B0000A1, "fraction_lost": 5, "fraction_discard": 6, "burst_density": 128,
            "gap_density": 2, "burst_duration": 300, "gap_duration": 4000, "round_trip_delay": 45,
            "end_system_delay": 60,
        },
    }  # fmt: skip


def test_a_receiver_that_leaves() -> None:
    data = serialize_compound([ReceiverReport(5), SourceDescription(()), Goodbye((5,), b"bye")])
    assert report_document(data) == {"ssrc": 5, "type": 201, "report_count": 0, "report_blocks": []}


@pytest.mark.parametrize("data", [b"", b"\x80\xc8\x00\x01", b"x" * 40])
def test_what_is_no_report_is_refused(data: bytes) -> None:
    with pytest.raises(ControlError):
        report_document(data)
