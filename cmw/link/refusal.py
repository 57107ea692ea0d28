"""The three ways in which a gateway refuses a worker, and the close codes of the link.

Source: docs/worker-configuration.md, table of errors; RFC 6455 7.4.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class Refusal(Enum):
    """A refusal of the token: the HTTP status before the upgrade, the close code after it, the exact message."""

    INVALID_TOKEN = (401, 4401, "authentication failed: invalid token")
    WORKER_DISABLED = (403, 4403, "authentication failed: worker disabled")
    DUPLICATE_CONNECTION = (409, 4409, "authentication failed: duplicate connection")

    def __init__(self, status: int, close_code: int, message: str) -> None:
        self.status = status
        self.close_code = close_code
        self.message = message

    @classmethod
    def of_status(cls, status: int) -> Refusal | None:
        """Return the refusal that an HTTP status means, or None if it means none."""
        return _BY_STATUS.get(status)

    @classmethod
    def of_close_code(cls, code: int) -> Refusal | None:
        """Return the refusal that a close code means, or None if it means none."""
        return _BY_CLOSE_CODE.get(code)


class CloseCode(IntEnum):
    """Why a side closes the link. The refusals' codes are on `Refusal`."""

    NORMAL = 1000
    """A worker of another make ends on purpose; ours says `GOING_AWAY`."""
    GOING_AWAY = 1001
    """Whoever sends it stops: the gateway, and the worker comes back; or the worker, on purpose."""
    PROTOCOL_ERROR = 1002
    """Bytes that break RFC 6455."""
    UNSUPPORTED_DATA = 1003
    """A binary frame towards a worker."""
    INVALID_DATA = 1007
    """Not UTF-8, not strict JSON, fields that do not fit their type, a torn sample batch."""
    POLICY_VIOLATION = 1008
    """A known message at the wrong time."""
    TOO_BIG = 1009
    """A message above the limit."""
    INTERNAL_ERROR = 1011
    """The gateway failed; the worker comes back."""
    TRY_AGAIN_LATER = 1013
    """The gateway has no room; the worker comes back."""
    SILENCE = 4408
    """Nothing heard for 45 s, or no hello or welcome in time."""
    SUPERSEDED = 4410
    """The same worker process has opened a newer connection."""
    UNSUPPORTED_PROTOCOL = 4426
    """The versions of the protocol differ."""


_BY_STATUS = {refusal.status: refusal for refusal in Refusal}
_BY_CLOSE_CODE = {refusal.close_code: refusal for refusal in Refusal}
