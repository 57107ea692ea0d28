"""Where a SIP message goes, or came from: an address, and how it is reached. Source: RFC 3261 18, RFC 7118."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Transport(StrEnum):
    """How SIP travels, in the spelling of a Via."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"
    WS = "WS"
    WSS = "WSS"

    @property
    def is_reliable(self) -> bool:
        """Tell whether what is sent arrives or the connection fails: requests are not sent again then."""
        return self is not Transport.UDP

    @property
    def is_secure(self) -> bool:
        """Tell whether TLS is below."""
        return self in (Transport.TLS, Transport.WSS)

    @property
    def default_port(self) -> int:
        """Return the port that an address without one means. Source: RFC 3261 19.1.2, RFC 7118 10.1."""
        return _DEFAULT_PORTS[self]


_DEFAULT_PORTS = {
    Transport.UDP: 5060,
    Transport.TCP: 5060,
    Transport.TLS: 5061,
    Transport.WS: 80,
    Transport.WSS: 443,
}

BY_PARAMETER = {each.lower(): each for each in Transport}
"""Transports by the ``transport`` parameter of a URI, in lower case."""

SECURED = {
    Transport.TCP: Transport.TLS,
    Transport.TLS: Transport.TLS,
    Transport.WS: Transport.WSS,
    Transport.WSS: Transport.WSS,
}
"""What a transport stands for in a SIPS URI, which never leads over one without TLS. Source: RFC 3261 26.2.2."""

URI_PARAMS = {
    Transport.UDP: "",
    Transport.TCP: ";transport=tcp",
    Transport.TLS: ";transport=tls",  # deprecated by RFC 3261 26.2.2, and understood by every server
    Transport.WS: ";transport=ws",
    Transport.WSS: ";transport=ws",  # RFC 7118 5.2: the same for both
}
"""What our own SIP URIs say of the transport that leads to them."""


class Hop(NamedTuple):
    """The next element on the way of a message, or the one that it came from.

    Args:
        host: literal IP address.
        port: 1 .. 65535.
        transport: how to get there.
        server_name: the domain that a TLS certificate has to show, and the name asked for in SNI; "" for the address
            itself. Source: RFC 5922 7.
        flow: above 0 the number of the connection that has to be used; 0 for any to that address, opened if there is
            none; below 0 a connection of the sender's own, which chose that number, opened if there is none (RFC 5626).
    """

    host: str
    port: int
    transport: Transport = Transport.UDP
    server_name: str = ""
    flow: int = 0

    def __str__(self) -> str:
        address = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return address if self.transport is Transport.UDP else f"{address};transport={self.transport.lower()}"


class Datagram(NamedTuple):
    """One message to send, and where to; on a stream it is the driver that finds or opens the connection."""

    data: bytes
    destination: Hop
