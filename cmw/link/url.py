"""The gateway's address as CLOUD_URL has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cmw.core.address import Address
from cmw.errors import SettingsError

_PATTERN: Final = re.compile(
    r"(?:(?P<scheme>wss?)://)?(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}))(?::(?P<port>[0-9]{1,5}))?/?"
)


@dataclass(frozen=True, slots=True)
class GatewayUrl:
    """Where the gateway listens, and whether by TLS; only a lab does without."""

    address: Address
    tls: bool

    @property
    def host_header(self) -> str:
        """The Host header of the upgrade; the port is left out where it is the scheme's own. Source: RFC 9110 7.2."""
        own_port = 443 if self.tls else 80
        text = str(self.address)
        return text.removesuffix(f":{own_port}") if self.address.port == own_port else text

    @property
    def warning(self) -> str | None:
        """What to warn of: a token that travels without TLS, even within a machine; None if it does not."""
        if self.tls:
            return None
        return f"CLOUD_URL: {self} sends the token and every report without TLS; use host:port outside of a lab"

    def __str__(self) -> str:
        return str(self.address) if self.tls else f"ws://{self.address}"


def parse_gateway_url(text: str) -> GatewayUrl:
    """Return the gateway's address: ``host:port`` and ``wss://host:port`` mean TLS, ``ws://host:port`` plain.

    The port is 443 with TLS and 80 without unless it is given.

    Raises:
        SettingsError: anything else, such as a path, a user, or a scheme that is not known.
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"CLOUD_URL: found {text!r}, expected host:port, or ws://host:port without TLS in a lab")
    tls = match["scheme"] != "ws"
    port = int(match["port"]) if match["port"] else 443 if tls else 80
    if not 1 <= port <= 65535:
        raise SettingsError(f"CLOUD_URL: found port {port}, expected 1..65535")
    return GatewayUrl(Address(match["host"].strip("[]"), port), tls)
