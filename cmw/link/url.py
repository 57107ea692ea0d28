"""The gateway's address as CLOUD_URL has it, and the proxy's as CLOUD_PROXY has it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from cmw.core.address import Address
from cmw.errors import SettingsError

HOST_NAME: Final = (
    r"(?=[^:/]{1,253}(?:[:/]|$))[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62}){0,126}\.?"
)
"""Of labels of 1 to 63 characters, 253 together. Source: RFC 1035 2.3.4."""

_HOST: Final = rf"(?P<host>\[[0-9A-Fa-f:.]{{2,45}}\]|{HOST_NAME})"
_PATTERN: Final = re.compile(rf"(?:(?P<scheme>wss?)://)?{_HOST}(?::(?P<port>[0-9]{{1,5}}))?/?")
_PROXY: Final = re.compile(
    r"(?P<scheme>https?)://(?:(?P<user>[^:@/\s]{1,256})(?::(?P<password>[^:@/\s]{0,1024}))?@)?"
    rf"{_HOST}:(?P<port>[0-9]{{1,5}})/?"
)
PROXY_EXPECTED: Final = (
    "http://host:port or https://host:port, with user:password@ before the host if the proxy wants it"
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


@dataclass(frozen=True, slots=True)
class ProxyUrl:
    """Where the HTTP proxy listens, whether by TLS, and what it wants to know."""

    address: Address
    tls: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.address}"


def parse_proxy_url(text: str) -> ProxyUrl:
    """Return the proxy of ``http://[user:password@]host:port`` or ``https://``; reserved characters as ``%40``.

    Raises:
        SettingsError: anything else; what was found is not shown, for it may hold a password.
    """
    match = _PROXY.fullmatch(text.strip())
    if match is None or not 1 <= int(match["port"]) <= 65535:
        raise SettingsError(f"CLOUD_PROXY: expected {PROXY_EXPECTED}")
    user, password = match["user"], match["password"]
    return ProxyUrl(
        Address(match["host"].strip("[]"), int(match["port"])),
        match["scheme"] == "https",
        unquote(user) if user is not None else None,
        unquote(password) if password is not None else None,
    )
