"""The methods of SIP, and what each may do. Source: the IANA registry of SIP methods."""

from __future__ import annotations

KNOWN_METHODS = frozenset(
    "ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SUBSCRIBE UPDATE".split()
)
"""Methods that have a meaning, served or not."""

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY, MESSAGE"
"""The methods that our user agent serves."""

NEEDS_DIALOG = frozenset(("BYE", "INFO", "PRACK", "UPDATE"))
"""Methods that mean nothing outside of a dialog."""

MAKES_DIALOG = frozenset(("INVITE", "REFER", "SUBSCRIBE"))
"""Methods that open one. Source: RFC 3261 12.1, RFC 3515 2.4.4, RFC 6665 4.1.2.4."""

CHANGING_METHODS = frozenset(("INVITE", "UPDATE"))
"""Methods that change the session of a dialog. Source: RFC 3261 14, RFC 3311."""

CANCELLABLE = ("INVITE", *sorted(KNOWN_METHODS - {"ACK", "CANCEL", "INVITE"}))
"""Requests that a CANCEL may be about, the likely one first: "anything but CANCEL or ACK". Source: RFC 3261 9.2."""
