"""Whole datagrams of a call, kept by a media engine in memory of ours: the first ones and the last ones.

The compiled engine writes them by `_packet_log.pxd`, where the layout is drawn; the one in plain Python by `add`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

LOGGED_BYTES: Final = 1500
"""More of a datagram is not kept."""

_HEAD: Final = struct.Struct("=8q")
_ENTRY: Final = struct.Struct("=qqIHHBB2x28s")
_FIRST_USED, _LEFT_OUT, _IS_FULL = 2, 6, 7
_HEAD_AT, _TAIL_AT, _WRAP_AT = 3, 4, 5


class LoggedPacket(NamedTuple):
    """A datagram of RTP or RTCP."""

    at_unix_ns: int
    """When it was sent, or when the kernel received it."""
    label: int
    """What its slot was labelled with."""
    is_sent: bool
    is_control: bool
    local_port: int
    remote_ip: str
    remote_port: int
    size: int
    """Bytes of the datagram."""
    data: bytes
    """Of it, no more than `LOGGED_BYTES`."""


class PacketLog:
    """Room for packets; when it is full, those between the first and the last ones are left out, and counted.

    It is for one slot at a time. Read it once no engine writes to it any more.

    Args:
        first_bytes: for the first packets, in whole words of 8 bytes; each packet takes 56 bytes more than it has.
        last_bytes: for the last ones.
    """

    def __init__(self, first_bytes: int, last_bytes: int = 0) -> None:
        self._first_bytes = first_bytes & ~7
        self._last_bytes = last_bytes & ~7
        self.buffer = bytearray(_HEAD.size + self._first_bytes + self._last_bytes)
        """What an engine writes to; its length never changes."""
        self.clear()

    def clear(self) -> None:
        """Forget the packets."""
        _HEAD.pack_into(self.buffer, 0, self._first_bytes, self._last_bytes, 0, 0, 0, 0, 0, 0)

    @property
    def left_out(self) -> int:
        """Return how many packets found no room."""
        return int(self._state[_LEFT_OUT])

    def __iter__(self) -> Iterator[LoggedPacket]:
        """Yield the packets in the order in which they passed."""
        yield from self.first()
        yield from self.last()

    def first(self) -> Iterator[LoggedPacket]:
        """Yield those that came before the room for the first ones was full."""
        return self._span(_HEAD.size, _HEAD.size + self._state[_FIRST_USED])

    def last(self) -> Iterator[LoggedPacket]:
        """Yield those that came after it; what was left out came between the two."""
        state, ring = self._state, _HEAD.size + self._first_bytes
        if state[_WRAP_AT]:
            yield from self._span(ring + state[_TAIL_AT], ring + state[_WRAP_AT])
            yield from self._span(ring, ring + state[_HEAD_AT])
        else:
            yield from self._span(ring + state[_TAIL_AT], ring + state[_HEAD_AT])

    def add(self, packet: LoggedPacket) -> None:
        """Keep a packet."""
        data = packet.data[:LOGGED_BYTES]
        entry = _ENTRY.pack(
            packet.at_unix_ns, packet.label, packet.size, len(data), packet.local_port, packet.is_sent,
            packet.is_control, _sockaddr(packet.remote_ip, packet.remote_port),
        )  # fmt: skip
        need = _padded(len(entry) + len(data))
        state = list(self._state)
        if not state[_IS_FULL] and state[_FIRST_USED] + need <= self._first_bytes:
            at = _HEAD.size + state[_FIRST_USED]
            state[_FIRST_USED] += need
        else:
            state[_IS_FULL] = 1
            if need > self._last_bytes:
                state[_LEFT_OUT] += 1
                _HEAD.pack_into(self.buffer, 0, *state)
                return
            self._make_room(state, need)
            at = _HEAD.size + self._first_bytes + state[_HEAD_AT]
            state[_HEAD_AT] += need
        self.buffer[at : at + len(entry) + len(data)] = entry + data
        _HEAD.pack_into(self.buffer, 0, *state)

    # Private.

    def _span(self, at: int, end: int) -> Iterator[LoggedPacket]:
        while at < end:
            yield self._packet(at)
            at += self._entry_bytes(at)

    @property
    def _state(self) -> tuple[int, ...]:
        return _HEAD.unpack_from(self.buffer)

    def _make_room(self, state: list[int], need: int) -> None:
        if state[_HEAD_AT] + need > self._last_bytes:
            while state[_WRAP_AT]:
                self._drop_oldest(state)
            state[_WRAP_AT], state[_HEAD_AT] = state[_HEAD_AT], 0
        while state[_WRAP_AT] and state[_TAIL_AT] < state[_HEAD_AT] + need:
            self._drop_oldest(state)

    def _drop_oldest(self, state: list[int]) -> None:
        state[_TAIL_AT] += self._entry_bytes(_HEAD.size + self._first_bytes + state[_TAIL_AT])
        state[_LEFT_OUT] += 1
        if state[_TAIL_AT] == state[_WRAP_AT]:
            state[_TAIL_AT] = state[_WRAP_AT] = 0

    def _entry_bytes(self, at: int) -> int:
        return _padded(_ENTRY.size + _ENTRY.unpack_from(self.buffer, at)[3])

    def _packet(self, at: int) -> LoggedPacket:
        at_ns, label, size, kept, local_port, sent, control, remote = _ENTRY.unpack_from(self.buffer, at)
        data = bytes(self.buffer[at + _ENTRY.size : at + _ENTRY.size + kept])
        return LoggedPacket(at_ns, label, bool(sent), bool(control), local_port, *_address(remote), size, data)


def _padded(size: int) -> int:
    return (size + 7) & ~7


def _sockaddr(ip: str, port: int) -> bytes:
    """Return an address as the kernel has it: sockaddr_in or sockaddr_in6."""
    if ":" in ip:
        packed = socket.inet_pton(socket.AF_INET6, ip)
        return struct.pack("=H2sI16sI", socket.AF_INET6, port.to_bytes(2, "big"), 0, packed, 0)
    return struct.pack("=H2s4s", socket.AF_INET, port.to_bytes(2, "big"), socket.inet_pton(socket.AF_INET, ip))


def _address(sockaddr: bytes) -> tuple[str, int]:
    family, port = struct.unpack_from("=H2s", sockaddr)
    if family == socket.AF_INET6:
        return socket.inet_ntop(family, sockaddr[8:24]), int.from_bytes(port, "big")
    return socket.inet_ntop(socket.AF_INET, sockaddr[4:8]), int.from_bytes(port, "big")
