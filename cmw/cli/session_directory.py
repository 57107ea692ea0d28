"""What the session descriptions in a capture say: who takes which payload types where.

Read with lenience, unlike a live offer: of a description that breaks the grammar, addresses and codecs still serve.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from ipaddress import ip_address

from cmw.capture import Datagram
from cmw.cli.tcp_messages import TcpMessages
from cmw.core.address import Address
from cmw.core.clock import Nanos
from cmw.rtp.payload_types import STATIC, Codec

Codecs = dict[int, Codec]

_SIP_VERSION = b"SIP/2.0"
_KINDS = (b"audio", b"video")
_CONNECTION = re.compile(rb"c=IN IP[46] ([0-9A-Za-z:.\-]{1,255})")
_MEDIA = re.compile(rb"m=([a-z]+) ([0-9]{1,5})(?:/[0-9]+)? [A-Z/]+((?: [0-9]{1,3})+)")
_RTPMAP = re.compile(rb"a=rtpmap:([0-9]{1,3})[ \t]+([!-.0-~]{1,64})/([0-9]{1,7})")
_UPPER_CASE = {codec.name.upper(): codec.name for codec in STATIC.values()}


class SessionDirectory:
    """Session descriptions by the address that they name."""

    def __init__(self) -> None:
        self.sip_messages = 0
        self._tcp = TcpMessages()
        self._ended_at_ns: Nanos = 0
        self._by_address: dict[Address, list[tuple[Nanos, Codecs]]] = defaultdict(list)
        self._by_port: dict[int, list[tuple[Nanos, Codecs]]] = defaultdict(list)

    def read(self, datagram: Datagram) -> None:
        """Take a datagram, or a segment of TCP, that may hold SIP messages with session descriptions in them."""
        for message in self._tcp.read(datagram) if datagram.is_tcp else (datagram.data,):
            self._read_message(message, datagram.at_ns)
        self._ended_at_ns = datagram.at_ns

    def finish(self) -> None:
        """Take what is left of TCP when the capture is over."""
        for message in self._tcp.finish():
            self._read_message(message, self._ended_at_ns)

    def _read_message(self, message: bytes, at_ns: Nanos) -> None:
        head, _, body = message.partition(b"\r\n\r\n")
        if _SIP_VERSION not in head.partition(b"\r\n")[0]:
            return
        self.sip_messages += 1
        start = body.find(b"v=0")
        if start < 0:
            return
        for address, codecs in _sections(body[start:]):
            self._by_address[address].append((at_ns, codecs))
            self._by_port[address.port].append((at_ns, codecs))

    def codecs(self, source: Address, destination: Address, at_ns: Nanos) -> Codecs | None:
        """Return what the receiver asked for; None when no description names the addresses. Source: RFC 3264 5.1.

        The sender's own description serves when the receiver's is not in the capture, and behind address translation
        the receiver's port has to do.
        """
        told = self._by_address.get(destination) or self._by_address.get(source) or self._by_port.get(destination.port)
        return _as_of(told, at_ns) if told else None


def _sections(body: bytes) -> Iterator[tuple[Address, Codecs]]:
    """Yield address and payload types of each audio and video section that is not refused."""
    session, *sections = body.split(b"\nm=")
    for section in sections:
        media = _MEDIA.match(b"m=" + section)
        connection = _CONNECTION.search(section) or _CONNECTION.search(session)
        if media is None or connection is None or media[1] not in _KINDS:
            continue
        port = int(media[2])
        if 0 < port <= 65535:
            yield Address(_host(connection[1].decode("ascii")), port), _codecs_of(media[3], section)


def _host(text: str) -> str:
    """Return a literal address in its usual form; names stay as they are."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def _codecs_of(formats: bytes, section: bytes) -> Codecs:
    codecs = {int(number): STATIC.get(int(number), Codec("", 0)) for number in formats.split()}
    for number, name, clock_hz in _RTPMAP.findall(section):
        text = name.decode("ascii")
        codecs[int(number)] = Codec(_UPPER_CASE.get(text.upper(), text), int(clock_hz))
    return codecs


def _as_of(told: list[tuple[Nanos, Codecs]], at_ns: Nanos) -> Codecs:
    """Return what was said last before `at_ns`, or else first after it: RTP may overtake its description."""
    before = bisect_right(told, at_ns, key=lambda row: row[0])
    return told[max(0, before - 1)][1]
