"""What can be wrong with a message. Source: RFC 3261 7, 8.1.1, 8.2, 18.3."""

from __future__ import annotations

from enum import StrEnum


class Malformation(StrEnum):
    """Why bytes are no message that can be worked with; `DiscardReason` has the same members."""

    TOO_LONG = "too_long"
    """More bytes than a message may have."""
    MALFORMED = "malformed"
    """The first line is neither a request line nor a status line."""
    BAD_VERSION = "bad_version"
    """Another version than SIP/2.0. Source: RFC 3261 21.5.6."""
    BAD_HEADER = "bad_header"
    """A header that cannot be read, or too many of them."""
    MISSING_HEADER = "missing_header"
    """Via, From, To, Call-ID or CSeq is not there. Source: RFC 3261 8.1.1."""
    REPEATED_HEADER = "repeated_header"
    """A header stands several times that has one value only. Source: RFC 3261 7.3.1."""
    BAD_LENGTH = "bad_length"
    """The body is not as long as Content-Length says. Source: RFC 3261 18.3."""
    METHOD_MISMATCH = "method_mismatch"
    """The CSeq names another method than the request line. Source: RFC 3261 8.1.1.5."""
