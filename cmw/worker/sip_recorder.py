"""The SIP messages of the last calls, kept by reference until it is known whether anybody wants to see them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cmw.core.clock import Nanos
from cmw.net.clock import monotonic_ns
from cmw.sip.hop import Hop

MAX_DIALOGS = 20_000
"""Call-IDs that messages are kept of; beyond it the oldest are forgotten."""

MAX_HALF_DONE = 1000
"""Call-IDs that only one of two ends has forgotten; beyond it the oldest are."""

MAX_MESSAGES = 100
"""Messages kept of one Call-ID, the first ones."""


class RecordedMessage(NamedTuple):
    """A message as it passed."""

    at: Nanos
    is_sent: bool
    data: bytes
    peer: Hop


class SipRecorder:
    """See every message, as `cmw.net.driver.Trace` does, and keep it by its Call-ID.

    Args:
        clock: the monotonic clock.
    """

    def __init__(self, clock: Callable[[], Nanos] = monotonic_ns) -> None:
        self._clock = clock
        self._dialogs: dict[bytes, list[tuple[Nanos, bool, bytes, Hop]]] = {}
        self._left_out: dict[bytes, int] = {}
        self._half_done: dict[bytes, None] = {}

    def note(self, direction: str, data: bytes, peer: Hop) -> None:
        """Keep a message; one without a Call-ID belongs to nobody."""
        call_id = _call_id(data)
        if call_id is None:
            return
        messages = self._dialogs.get(call_id)
        if messages is None:
            if len(self._dialogs) >= MAX_DIALOGS:
                self._forget(next(iter(self._dialogs)))
            messages = self._dialogs[call_id] = []
        if len(messages) < MAX_MESSAGES:
            messages.append((self._clock(), direction == "out", data, peer))
        else:
            self._left_out[call_id] = self._left_out.get(call_id, 0) + 1

    def look(self, call_id: str) -> tuple[list[RecordedMessage], int]:
        """Return the messages of a Call-ID and how many more there were."""
        key = call_id.encode("utf-8", "surrogateescape")
        return [RecordedMessage(*message) for message in self._dialogs.get(key, ())], self._left_out.get(key, 0)

    def forget(self, call_id: str, *, is_shared: bool = False) -> None:
        """Forget the messages of a Call-ID.

        Args:
            is_shared: both ends of the call are here: the second to forget it does.
        """
        key = call_id.encode("utf-8", "surrogateescape")
        if is_shared and key in self._dialogs and key not in self._half_done:
            if len(self._half_done) >= MAX_HALF_DONE:
                self._forget(next(iter(self._half_done)))
            self._half_done[key] = None
        else:
            self._forget(key)

    def clear(self) -> None:
        """Forget everything."""
        self._dialogs.clear()
        self._left_out.clear()
        self._half_done.clear()

    def __len__(self) -> int:
        """Return how many Call-IDs are known."""
        return len(self._dialogs)

    def _forget(self, key: bytes) -> None:
        self._dialogs.pop(key, None)
        self._left_out.pop(key, None)
        self._half_done.pop(key, None)


def _call_id(data: bytes) -> bytes | None:
    """Return the Call-ID of a message as it is usually written; found, not parsed, for each message pays for it."""
    at = data.find(b"\nCall-ID:")
    if at >= 0:
        at += 9
    else:
        at = data.find(b"\ni:")
        if at < 0:
            return _call_id_in_odd_case(data)
        at += 3
    end = data.find(b"\n", at)
    return data[at:end].strip() if end > 0 else None


def _call_id_in_odd_case(data: bytes) -> bytes | None:
    for line in data.split(b"\r\n\r\n", 1)[0].split(b"\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon and name.strip().lower() in (b"call-id", b"i"):
            return value.strip()
    return None
