"""Where a user agent can be reached over one transport, and what it writes into Via and Contact for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from cmw.core.address import Address
from cmw.core.ids import Ids
from cmw.errors import LocalProtocolError
from cmw.sip.grammar import is_literal
from cmw.sip.hop import URI_PARAMS, Hop, Transport
from cmw.sip.uri import escape
from cmw.sip.via import Via, parse_via


@dataclass(frozen=True, slots=True)
class Listener:
    """One transport of a user agent.

    Args:
        transport: how messages come and go.
        local: literal address and port that is bound; port 0 for a WebSocket client, to whom nobody can connect.
        advertised: host and port that peers reach us at, when that is another one.
    """

    transport: Transport
    local: Address
    advertised: Address | None = None


class OwnAddress:
    """What the messages that leave through one listener say of us. Source: RFC 3261 8.1.1.7, 8.1.1.8; RFC 7118 5.

    Args:
        listener: the listener.
        ids: source of the host name of a client that has no address of its own.
    """

    __slots__ = ("is_reachable", "sent_by", "transport", "via_start")

    def __init__(self, listener: Listener, ids: Ids) -> None:
        self.transport = listener.transport
        address = listener.advertised or listener.local
        is_websocket = listener.transport in (Transport.WS, Transport.WSS)
        self.is_reachable = address.port > 0
        if self.is_reachable:
            self.sent_by = str(address)
        elif is_websocket:
            self.sent_by = f"{ids.uuid().replace('-', '')[:12]}.invalid"  # RFC 7118 5.2, 5.4
        else:
            raise LocalProtocolError(f"expected a listener with a port, found {listener}")
        rport = "" if is_websocket else ";rport"  # RFC 3581
        self.via_start = f"SIP/2.0/{listener.transport} {self.sent_by}{rport};branch="

    def contact(self, user: str, *, is_secure: bool) -> str:
        """Return the URI that reaches `user` here.

        Args:
            user: unescaped; "" for none.
            is_secure: a SIPS URI, as a request to a SIPS URI needs it. Source: RFC 3261 8.1.1.8.
        """
        where = f"{escape(user)}@{self.sent_by}" if user else self.sent_by
        if is_secure:
            return f"sips:{where}{URI_PARAMS[self.transport] if self.transport is Transport.WSS else ''}"
        return f"sip:{where}{URI_PARAMS[self.transport]}"


class OwnAddresses:
    """The listeners of a user agent: at most one for each transport and family of addresses.

    Args:
        listeners: at least one.
        ids: source of host names.

    Attributes:
        transports: what we can send over, in the order in which the listeners were given.
        sent_by: how we write ourselves into Via.
    """

    def __init__(self, listeners: Iterable[Listener], ids: Ids) -> None:
        self._by_transport: dict[Transport, OwnAddress] = {}
        self._by_family: dict[tuple[Transport, bool], OwnAddress] = {}
        for listener in listeners:
            family = listener.transport, ":" in listener.local.host
            if family in self._by_family:
                raise LocalProtocolError(f"expected one {listener.transport} listener of a family, found two")
            self._by_family[family] = address = OwnAddress(listener, ids)
            self._by_transport.setdefault(listener.transport, address)
        if not self._by_family:
            raise LocalProtocolError("expected at least one listener, found none")
        self.transports = tuple(self._by_transport)
        self._has_families = len(self._by_family) > len(self._by_transport)
        vias = [parse_via(f"{address.via_start}own") for address in self._by_family.values()]
        self.sent_by = frozenset([address.sent_by for address in self._by_family.values()])
        self._comparable = frozenset([_comparable(via) for via in vias])

    def __contains__(self, transport: Transport) -> bool:
        return transport in self._by_transport

    def reachable(self, hops: Sequence[Hop]) -> tuple[Hop, ...]:
        """Return those of some hops that we have a listener for."""
        by_transport = self._by_transport
        if len(hops) == 1:
            return tuple(hops) if hops[0].transport in by_transport else ()
        return tuple([hop for hop in hops if hop.transport in by_transport])

    def has_written(self, via: Via) -> bool:
        """Tell whether the sent-by of a Via is one of ours, in whatever spelling. Source: RFC 3261 18.1.2."""
        return _comparable(via) in self._comparable

    @property
    def first(self) -> OwnAddress:
        """Return the address of the listener that was given first."""
        return next(iter(self._by_family.values()))

    @property
    def families(self) -> tuple[int, ...]:
        """Return the IP versions that we can send from."""
        return tuple(dict.fromkeys([6 if is_six else 4 for _, is_six in self._by_family]))

    def towards(self, hop: Hop) -> OwnAddress:
        """Return who we are towards `hop`; the first of us where there is no way there, as the network will say."""
        if self._has_families:
            address = self._by_family.get((hop.transport, ":" in hop.host))
            if address is not None:
                return address
        return self._by_transport.get(hop.transport) or self.first


def _comparable(via: Via) -> Address:
    """Return the sent-by of a Via as it is the same for all who mean the same."""
    host = str(ip_address(via.host)) if is_literal(via.host) else via.host.lower()
    return Address(host, via.sent_by.port)
