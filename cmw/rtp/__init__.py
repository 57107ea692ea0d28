"""RTP and RTCP: codecs of packets, receive statistics and pacing of many streams. Standard library only.

`StreamTable` is the compiled one when it is built, else its twin in plain Python with the same results; CMW_PURE=1 asks
for the twin. A compiled module that is there but does not load is an error, not a reason to fall back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmw._twin import pure_wanted
from cmw.rtp.packet import PacketError, RtpPacket, parse_packet, serialize_packet
from cmw.rtp.rtcp import (
    ControlError,
    ControlPacket,
    Goodbye,
    OtherControl,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    parse_compound,
    serialize_compound,
)
from cmw.rtp.snapshot import ReceptionBlock, StreamSnapshot
from cmw.rtp.verdict import NO_PAYLOAD_TYPE, ControlVerdict, PacketVerdict

if TYPE_CHECKING:
    from cmw.rtp._pure import StreamTable

    IMPLEMENTATION: str
elif pure_wanted():
    from cmw.rtp._pure import StreamTable

    IMPLEMENTATION = "pure"
else:
    try:
        from cmw._rtp import StreamTable

        IMPLEMENTATION = "compiled"
    except ModuleNotFoundError as error:
        if error.name != "cmw._rtp":
            raise
        from cmw.rtp._pure import StreamTable

        IMPLEMENTATION = "pure"

__all__ = [
    "IMPLEMENTATION",
    "NO_PAYLOAD_TYPE",
    "ControlError",
    "ControlPacket",
    "ControlVerdict",
    "Goodbye",
    "OtherControl",
    "PacketError",
    "PacketVerdict",
    "ReceiverReport",
    "ReceptionBlock",
    "RtpPacket",
    "SenderReport",
    "SourceDescription",
    "StreamSnapshot",
    "StreamTable",
    "parse_compound",
    "parse_packet",
    "serialize_compound",
    "serialize_packet",
]
