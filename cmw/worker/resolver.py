"""Host names of a run, looked up once, off the event loop."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from cmw.core.address import Address
from cmw.errors import CmwError


class ResolutionError(CmwError):
    """A host name has no address that we can send to."""


async def resolve(host: str, port: int) -> Address:
    """Return `host`:`port` as a literal address; literals, in brackets or not, come back as they are.

    Raises:
        ResolutionError: names the host and the reason.
    """
    bare = host.removeprefix("[").removesuffix("]")
    try:
        return Address(str(ipaddress.ip_address(bare)), port)
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(bare, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ResolutionError(f"host {bare!r} cannot be resolved: {why}") from None
    by_family = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    if not by_family:
        raise ResolutionError(f"host {bare!r} has no address")
    return Address(str(by_family[0][4][0]), port)
