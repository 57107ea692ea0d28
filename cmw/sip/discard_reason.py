"""Why what came had no effect."""

from __future__ import annotations

from enum import StrEnum


class DiscardReason(StrEnum):
    """Why a datagram had no effect."""

    KEEPALIVE = "keepalive"
    """Nothing but line breaks or zero bytes, as sent to keep NAT bindings open. Source: RFC 5626 4.4."""
    MALFORMED = "malformed"
    """The first line is neither a request line nor a status line. What has a Via is answered, here and below."""
    TOO_LONG = "too_long"
    """More bytes than a message may have."""
    BAD_VERSION = "bad_version"
    """Another version than SIP/2.0. Source: RFC 3261 21.5.6."""
    BAD_HEADER = "bad_header"
    """A header cannot be read, or there are too many."""
    MISSING_HEADER = "missing_header"
    """Via, From, To, Call-ID or CSeq is not there. Source: RFC 3261 8.1.1."""
    REPEATED_HEADER = "repeated_header"
    """A header stands several times that has one value only. Source: RFC 3261 7.3.1."""
    BAD_LENGTH = "bad_length"
    """The body is not as long as Content-Length says. Source: RFC 3261 18.3."""
    METHOD_MISMATCH = "method_mismatch"
    """The CSeq names another method than the request line. Source: RFC 3261 8.1.1.5."""
    SEVERAL_VIAS = "several_vias"
    """A response that was misrouted: its last hop is not us. Source: RFC 3261 8.1.3.3."""
    FOREIGN_VIA = "foreign_via"
    """A response whose Via names another address than ours. Source: RFC 3261 18.1.2."""
    STRAY_RESPONSE = "stray_response"
    """No transaction of ours has this branch. Source: RFC 6026 7.2."""
    STRAY_ACK = "stray_ack"
    """The ACK belongs to no call of ours."""
    NOT_CLAIMED = "not_claimed"
    """A registrar was handed a request that is none of its business."""
