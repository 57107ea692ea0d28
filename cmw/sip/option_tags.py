"""Extensions by their option tags: what we make of one, and whether a message speaks of it. Source: RFC 3261 19.2."""

from __future__ import annotations

from enum import StrEnum

from cmw.sip.headers import Headers


class Support(StrEnum):
    """What a party makes of an extension."""

    OFF = "off"
    """Not offered; a peer that requires it gets 420."""
    SUPPORTED = "supported"
    """Offered, used when the peer wants it."""
    REQUIRED = "required"
    """A peer that does not support it is refused, or refuses: 421, 420."""


def has_option(headers: Headers, name: str, tag: str) -> bool:
    """Tell whether an option tag stands in Supported or Require, which compare without regard to case.

    Args:
        name: which of the two.
        tag: in lower case.
    """
    return name in headers and any(token.lower() == tag for token in headers.get_tokens(name))


def supports(headers: Headers, tag: str) -> bool:
    """Tell whether who wrote a message knows an extension: it says so, or requires it."""
    return has_option(headers, "Supported", tag) or has_option(headers, "Require", tag)
