"""Host names of a run, looked up once, off the event loop."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from cmw.core.address import Address
from cmw.errors import CmwError


class ResolutionError(CmwError):
    """A host name has no address that we can send to."""


async def resolve(host: str, port: int, source: str) -> Address:
    """Return `host`:`port` as a literal address; literals, in brackets or not, come back as they are.

    Args:
        source: literal address that we send from; only its family can be reached.

    Raises:
        ResolutionError: names the host and the reason.
    """
    bare = host.removeprefix("[").removesuffix("]")
    family = "IPv6" if ":" in source else "IPv4"
    try:
        literal = str(ipaddress.ip_address(bare))
    except ValueError:
        return Address(await _look_up(bare, port, family), port)
    if (":" in literal) != (":" in source):
        raise ResolutionError(f"host {bare!r} cannot be reached from {source}: expected an {family} address")
    return Address(literal, port)


async def _look_up(host: str, port: int, family: str) -> str:
    loop = asyncio.get_running_loop()
    wanted = socket.AF_INET6 if family == "IPv6" else socket.AF_INET
    try:
        found = await loop.getaddrinfo(host, port, family=wanted, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ResolutionError(f"host {host!r} cannot be resolved to an {family} address: {why}") from None
    if not found:
        raise ResolutionError(f"host {host!r} has no {family} address")
    return str(found[0][4][0])
