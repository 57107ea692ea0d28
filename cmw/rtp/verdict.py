"""What became of one packet, as a small integer."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class PacketVerdict(IntEnum):
    """What the receive statistics made of a media packet.

    Up to WRONG_PAYLOAD_TYPE it belongs to the stream and is counted as received, with one exception: a packet of
    another payload type before the stream began is not counted. Up to NEW_SSRC it can be played.
    """

    OK = 0
    """Next in sequence, or the first after a gap."""
    FIRST = 1
    """The first packet of the stream."""
    OUT_OF_ORDER = 2
    """Late by less than MAX_MISORDER and seen for the first time."""
    DUPLICATE = 3
    """Seen before."""
    RESYNC = 4
    """The second in a row far from the old sequence: the statistics go on from there."""
    NEW_SSRC = 5
    """The second in a row of another source: the statistics go on with it."""
    WRONG_PAYLOAD_TYPE = 6
    """Neither the negotiated payload type nor its events."""
    PROBATION = 7
    """Of another source or far from the sequence; held until its successor comes."""
    TOO_SHORT = 8
    """Under 12 bytes."""
    BAD_VERSION = 9
    """The version is not 2."""
    BAD_LENGTH = 10
    """The CSRC list or the extension runs past the end."""
    BAD_PADDING = 11
    """The padding count is 0 or more than there is."""
    IS_RTCP = 12
    """Control on the media port, by the second byte (RFC 5761 4); nothing is counted."""
    STRANGER = 13
    """From an address that is not the peer's; only the owner of the socket can tell."""


class ControlVerdict(IntEnum):
    """What became of a compound control packet."""

    OK = 0
    """Valid; its reports were taken."""
    BYE_RECEIVED = 1
    """Valid, and the source of the stream said BYE."""
    TOO_SHORT = 2
    """Under 8 bytes."""
    BAD_VERSION = 3
    """The version of one of the packets is not 2."""
    BAD_FIRST_TYPE = 4
    """The first packet is neither SR nor RR."""
    BAD_PADDING = 5
    """Padding on a packet that is not the last or on the first, or its count is wrong."""
    BAD_LENGTH = 6
    """The lengths do not add up to the datagram, or a packet is shorter than its contents."""


NO_PAYLOAD_TYPE: Final = 255
"""For `event_payload_type`: no telephone-event was negotiated."""
