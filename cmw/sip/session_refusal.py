"""Why a session description cannot be agreed to, in the words of a Warning. Source: RFC 3261 20.43, 21.4.26."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NoReturn

from cmw.errors import RemoteProtocolError

NOT_ACCEPTABLE_HERE = 488
"""The hint of a session that we cannot agree to. Source: RFC 3261 21.4.26."""

REQUEST_PENDING = 491
"""The hint of an offer that crossed one of ours. Source: RFC 3261 14.2."""

_MAX_WARNINGS = 4


class SdpWarning(IntEnum):
    """What is in the way; the value is the warn-code. Source: RFC 3261 20.43, 27.2."""

    text: str

    def __new__(cls, code: int, text: str) -> SdpWarning:
        """Make a member of its code, with the text that the RFC gives it."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.text = text
        return member

    NETWORK_PROTOCOL = 300, "Incompatible network protocol"
    ADDRESS_FORMAT = 301, "Incompatible network address formats"
    TRANSPORT = 302, "Incompatible transport protocol"
    MEDIA_TYPE = 304, "Media type not available"
    MEDIA_FORMAT = 305, "Incompatible media format"
    ATTRIBUTE = 306, "Attribute not understood"
    PARAMETER = 307, "Session description parameter not understood"
    MULTICAST = 330, "Multicast not available"
    MISCELLANEOUS = 399, "Miscellaneous warning"


class SessionRefusedError(RemoteProtocolError):
    """Raised when a description can be read but not agreed to.

    Args:
        message: what was expected, what came.
        warnings: what is in the way, the first hindrance first.
        hint: the status to answer an offer with.
    """

    def __init__(self, message: str, warnings: Sequence[SdpWarning], *, hint: int = NOT_ACCEPTABLE_HERE) -> None:
        super().__init__(message, hint=hint)
        self.warnings = tuple(dict.fromkeys(warnings))[:_MAX_WARNINGS]


def serialize_warnings(error: Exception, agent: str) -> str:
    """Return the value of the Warning header field that tells why; empty when the error holds none.

    Args:
        error: what a parser or a negotiation raised.
        agent: who warns: ``host:port``, or a name that is a token.
    """
    warnings = error.warnings if isinstance(error, SessionRefusedError) else ()
    return ", ".join([f'{warning.value} {agent} "{warning.text}"' for warning in warnings])


def warning_rows(error: Exception, agent: str = "cmw") -> tuple[tuple[str, str], ...]:
    """Return the header field that tells why, for a response; none when the error holds no warnings."""
    text = serialize_warnings(error, agent)
    return (("Warning", text),) if text else ()


def refuse(expected: str, found: str, *warnings: SdpWarning) -> NoReturn:
    """Raise `SessionRefusedError` saying what was expected and what came, cut to a readable length."""
    shown = found if len(found) <= 120 else found[:120] + "..."
    raise SessionRefusedError(f"expected {expected}, found {shown!a}", warnings)
