"""Via: where a request came by and where its responses go. Source: RFC 3261 20.42, RFC 3581."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from cmw.core.address import Address
from cmw.sip.grammar import (
    CACHE_VALUES,
    HOST_PATTERN,
    TOKEN_CHARS,
    Params,
    check_host,
    fail,
    get_param,
    is_literal,
    is_number,
    parse_number,
    parse_params,
    serialize_host,
    serialize_params,
    set_param,
)
from cmw.sip.headers import scan
from cmw.sip.hop import Hop, Transport

DEFAULT_PORT = 5060
"""Port of SIP over UDP and TCP. Source: RFC 3261 19.1.2."""

MAGIC_COOKIE = "z9hG4bK"
"""Start of a branch that names its transaction. Source: RFC 3261 8.1.1.7."""

_VIA = re.compile(
    rf"[Ss][Ii][Pp][ \t]*/[ \t]*2\.0[ \t]*/[ \t]*([{TOKEN_CHARS}]+)[ \t]+({HOST_PATTERN})"
    r"(?:[ \t]*:[ \t]*([0-9]+))?[ \t]*(;.*)?",
    re.DOTALL,
)


class Via(NamedTuple):
    """One Via element.

    Args:
        transport: ``UDP``, ``TCP``, ..., in upper case.
        host: the sent-by host, an IPv6 address without brackets.
        port: the sent-by port, None when not given.
        params: parameters with lower-case names.
    """

    transport: str
    host: str
    port: int | None = None
    params: Params = ()

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {serialize_host(self.host, self.port)}{serialize_params(self.params)}"

    def param(self, name: str) -> str | None:
        """Return the raw value of a parameter; "" when it has none, None when it is absent."""
        return get_param(self.params, name)

    @property
    def branch(self) -> str | None:
        """Return the branch, None when there is none (RFC 2543)."""
        return get_param(self.params, "branch") or None

    @property
    def sent_by(self) -> Address:
        """Return what the sender calls itself, with the default port filled in."""
        return Address(self.host, self.port or self._own_transport.default_port)

    def stamped(self, source: Hop) -> Via:
        """Return this Via as a server keeps it: ``received`` where it differs, ``rport`` where it was asked for.

        Source: RFC 3261 18.2.1, RFC 3581 4.
        """
        if self.param("rport") is not None:
            params = set_param(self.params, "rport", str(source.port))
            return self._replace(params=set_param(params, "received", source.host))
        if self.host != source.host or self.param("received") is not None:
            return self._replace(params=set_param(self.params, "received", source.host))
        return self

    def reply_hop(self, transport: Transport | None = None) -> Hop:
        """Return where a response goes, by maddr, received and rport. Source: RFC 3261 18.2.2, RFC 3581 4.

        Of a stamped Via the host is always a literal: a maddr that is a name is passed over.

        Args:
            transport: how the request came; None takes the word of the Via.
        """
        transport = transport or self._own_transport
        maddr = (self.param("maddr") or "").strip("[]")
        host = maddr if is_literal(maddr) else self.param("received") or self.host
        rport = self.param("rport") or ""
        if is_number(rport) and len(rport) <= 5 and 0 < int(rport) <= 65535:
            return Hop(host.strip("[]"), int(rport), transport)
        return Hop(host.strip("[]"), self.port or transport.default_port, transport)

    def answer_hop(self, source: Hop) -> Hop:
        """Return where the answer to the request of a stamped Via goes: back over its connection, else as the Via says.

        Source: RFC 3261 18.2.2.

        Args:
            source: where the request came from.
        """
        if source.transport.is_reliable:
            return source
        hop = self.reply_hop(source.transport)
        return hop if hop[:2] != source[:2] and is_literal(hop.host) else source

    def reopened_hop(self, transport: Transport) -> Hop:
        """Return where a response goes when the connection that its request came by is gone. Source: RFC 3261 18.2.2.

        The port is that of sent-by: nobody listens at the one that the peer connected from.
        """
        host = (self.param("received") or self.host).strip("[]")
        return Hop(host, self.port or transport.default_port, transport)

    @property
    def _own_transport(self) -> Transport:
        return _TRANSPORTS.get(self.transport, Transport.UDP)


_TRANSPORTS = {str(transport): transport for transport in Transport}


@lru_cache(maxsize=CACHE_VALUES)
def parse_via(text: str) -> Via:
    """Parse one Via element (lists are split when a message is parsed).

    Raises:
        RemoteProtocolError: hint 400.
    """
    plain = scan.plain_via(text)
    if plain is not None:
        return Via(*plain)
    match = _VIA.fullmatch(text)
    if match is None:
        fail("a Via such as SIP/2.0/UDP host:port;branch=...", text)
    transport, host, port, params = match.groups()
    number = None
    if port is not None:
        number = parse_number(port, "a port", maximum=65535) or fail("a port of at least 1", port)
    return Via(transport.upper(), check_host(host), number, parse_params(params) if params else ())
