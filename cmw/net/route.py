"""Which local address a packet to somewhere leaves from. Connecting a UDP socket asks the route and sends nothing."""

from __future__ import annotations

import socket

from cmw.core.address import Address

_ANYWHERE = (
    (socket.AF_INET, "192.0.2.1"),  # RFC 5737: belongs to nobody, so only the default route leads there
    (socket.AF_INET6, "2001:db8::1"),  # RFC 3849
)


def local_address_towards(destination: Address) -> str:
    """Return the address that the route to `destination` leaves from; a host name is resolved, which blocks.

    Raises:
        OSError: the name does not resolve or no route leads there.
    """
    failure: OSError | None = None
    try:
        found = socket.getaddrinfo(destination.host, destination.port, type=socket.SOCK_DGRAM)
    except UnicodeError:  # what Python says of an empty label, or one that is too long
        raise socket.gaierror(socket.EAI_NONAME, f"{destination.host!r} is no host name") from None
    for family, _, _, _, address in found:
        try:
            return _connected_from(family, address)
        except OSError as error:
            failure = error
    raise failure or OSError(f"no address for {destination.host}")


def default_address() -> str | None:
    """Return the address that the default route leaves from, IPv4 first, or None without such a route."""
    for family, host in _ANYWHERE:
        try:
            return _connected_from(family, (host, 9))
        except OSError:
            continue
    return None


def _connected_from(family: int, address: tuple[object, ...]) -> str:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0]).partition("%")[0]
