"""SIP, RTP and RTCP of an endpoint as one capture, in the order of their times."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from cmw.capture.pcapng_writer import Passed, write_pcapng
from cmw.load.evidence import EvidenceMessage
from cmw.load.packets import CallPacket, EvidencePackets, joined


def call_capture(messages: Iterable[EvidenceMessage], parts: Sequence[EvidencePackets] = ()) -> bytes:
    """Return a pcapng file, b"" when there is nothing to be in it.

    What went over TCP, TLS or WebSocket is written as UDP, and says so.

    Raises:
        ValueError: a part does not hold what it should.
    """
    said = sorted((_message(each) for each in messages if _is_of_one_family(each)), key=_time)
    heard = sorted(_packets(parts), key=_time)
    passed = list(heapq.merge(said, heard, key=_time))
    return write_pcapng(passed) if passed else b""


def _time(passed: Passed) -> int:
    return passed.at_ns


def _is_of_one_family(message: EvidenceMessage) -> bool:
    return (":" in message.local_host) == (":" in message.remote_host)


def _message(message: EvidenceMessage) -> Passed:
    ours, theirs = (message.local_host, message.local_port), (message.remote_host, message.remote_port)
    comment = "" if message.transport == "UDP" else f"carried over {message.transport}, written as UDP"
    return _passed(message.at_unix_ns, message.is_sent, ours, theirs, message.text.encode(), comment=comment)


def _packets(parts: Sequence[EvidencePackets]) -> Iterator[Passed]:
    """Yield what passed; all parts are of one local address, those of a second call come last."""
    for packet in joined(parts):
        if (":" in parts[0].local_host) == (":" in packet.remote_host):
            yield _packet(packet, parts[-1 if packet.is_beside else 0])


def _packet(packet: CallPacket, part: EvidencePackets) -> Passed:
    comment = ""
    if packet.is_after_gap:
        comment = f"{part.packets_left_out or 'some'} packets before this one were not kept"
    ours, theirs = (part.local_host, packet.local_port), (packet.remote_host, packet.remote_port)
    return _passed(packet.at_unix_ns, packet.is_sent, ours, theirs, packet.data, size=packet.size, comment=comment)


def _passed(
    at_ns: int, is_sent: bool, ours: tuple[str, int], theirs: tuple[str, int], payload: bytes, *, size: int = 0,
    comment: str = "",
) -> Passed:  # fmt: skip
    source, destination = (ours, theirs) if is_sent else (theirs, ours)
    return Passed(at_ns, source, destination, payload, comment, size)
