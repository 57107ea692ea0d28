"""Every error that cmw raises on purpose, from one root.

    CmwError
      LocalProtocolError     we were asked for something illegal now; nothing changed
      RemoteProtocolError    the peer's bytes break the protocol; `hint` says what to answer
      CommandError           a good command that cannot be carried out; `code` is for machines
      CapacityError          no room: ports, slots, descriptors
      SettingsError          at start-up only; names the variable or the plan's field
      AuthenticationError    the gateway refused the token; the message is the page's, word for word

A failed call is none of these: it is an outcome.
"""

from __future__ import annotations


class CmwError(Exception):
    """Root of the tree; never raised itself."""


class LocalProtocolError(CmwError):
    """Raised before any change when a command is illegal in the present state."""


class RemoteProtocolError(CmwError):
    """Raised by parsers on bytes that break the protocol.

    Args:
        message: what was expected, what came, and where.
        hint: the status or close code that fits as an answer; 0 when there is none.
    """

    def __init__(self, message: str, *, hint: int = 0) -> None:
        super().__init__(message)
        self.hint = hint


class CommandError(CmwError):
    """Raised when a well-formed command cannot be carried out.

    Args:
        code: a short upper-case word for machines, such as ``NO_CAPACITY``.
        detail: one sentence for people.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class CapacityError(CmwError):
    """Raised when there is no room left: ports, slots or descriptors.

    Args:
        resource: what is used up, one that docs/generator.md names; empty where it does not matter.
    """

    def __init__(self, message: str, *, resource: str = "") -> None:
        super().__init__(message)
        self.resource = resource


class SettingsError(CmwError):
    """Raised at start-up when a setting or a plan is wrong; names where, what was found, what was expected."""


class AuthenticationError(CmwError):
    """Raised when the gateway refuses the worker's token."""
