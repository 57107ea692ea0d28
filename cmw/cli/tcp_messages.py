"""SIP messages from the TCP segments of a capture: in any order, sent again, several in one or one in several.

A capture may begin in the middle of a connection and lack segments, so what follows a gap is read anew from the next
segment that begins with a message.
"""

from __future__ import annotations

from collections import OrderedDict

from cmw.capture import Datagram
from cmw.core.address import Address
from cmw.sip.stream import MessageReceived, MessageStream

MOST_WAITING = 64
"""Segments that wait for an earlier one; with more, that one is taken for lost."""

MOST_CONNECTIONS = 4096
"""Directions that are followed at once; the one that was quiet longest gives way."""

_RESTART = 1 << 20
"""A segment this far from where the stream is belongs to another connection of the same ports."""


class TcpMessages:
    """Take segments of all connections, give messages."""

    def __init__(self) -> None:
        self._directions: OrderedDict[tuple[Address, Address], _Direction] = OrderedDict()

    def read(self, segment: Datagram) -> list[bytes]:
        """Return the messages that a segment completes, oldest first."""
        key = segment.source, segment.destination
        direction = self._directions.pop(key, None)
        if direction is None or segment.opens or direction.is_elsewhere(segment.sequence):
            direction = _Direction(segment.sequence)
        self._directions[key] = direction
        if len(self._directions) > MOST_CONNECTIONS:
            self._directions.popitem(last=False)
        return direction.read(segment)

    def finish(self) -> list[bytes]:
        """Return the messages behind gaps that nothing has filled by the end of the capture."""
        return [message for direction in self._directions.values() for message in direction.finish()]


class _Direction:
    """One direction of a connection."""

    def __init__(self, sequence: int) -> None:
        self._next = sequence
        self._waiting: dict[int, Datagram] = {}
        self._stream = MessageStream()

    def is_elsewhere(self, sequence: int) -> bool:
        return abs(self._ahead(sequence)) > _RESTART

    def read(self, segment: Datagram) -> list[bytes]:
        if not segment.data:
            return []
        longest = self._waiting.get(segment.sequence)
        if longest is None or len(longest.data) < len(segment.data):
            self._waiting[segment.sequence] = segment
        messages = self._take_ready()
        if len(self._waiting) > MOST_WAITING:
            messages += self._pass_gap()
        return messages

    def finish(self) -> list[bytes]:
        messages: list[bytes] = []
        while self._waiting:
            messages += self._pass_gap()
        return messages

    def _pass_gap(self) -> list[bytes]:
        self._next = min(self._waiting, key=self._ahead)
        self._stream = MessageStream()
        return self._take_ready()

    def _ahead(self, sequence: int) -> int:
        """Return how far a sequence number is ahead of the stream, below 0 when it is behind. Source: RFC 9293 3.4."""
        return (sequence - self._next + (1 << 31)) % (1 << 32) - (1 << 31)

    def _take_ready(self) -> list[bytes]:
        messages: list[bytes] = []
        while ready := [sequence for sequence in self._waiting if self._ahead(sequence) <= 0]:
            segment = self._waiting.pop(min(ready, key=self._ahead))
            seen = -self._ahead(segment.sequence)
            if seen < segment.size:
                messages += self._append(segment, segment.data[seen:])
        return messages

    def _append(self, segment: Datagram, data: bytes) -> list[bytes]:
        self._next = (segment.sequence + segment.size) % (1 << 32)
        self._stream.receive_data(data)
        messages = []
        while (event := self._stream.next_event()) is not None:
            if isinstance(event, MessageReceived):
                messages.append(event.data)
        if len(segment.data) < segment.size or self._stream.close_expected:
            self._stream = MessageStream()  # the capture cut the segment, or what it holds is no message
            messages = messages or [data]
        return messages
