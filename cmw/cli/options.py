"""Options that several commands read in the same way."""

from __future__ import annotations

import ipaddress

import typer

from cmw.core.address import Address
from cmw.core.clock import Nanos
from cmw.load.units import parse_duration
from cmw.worker.values import parse_address

DEFAULT_SIP_PORTS = "5060-5080"
DEFAULT_RTP_PORTS = "10000-65535"
DEFAULT_ANSWER_RTP_PORTS = "10000-65535"


def parse_ports(text: str, option: str) -> tuple[int, int]:
    """Return the first and last port of ``FIRST-LAST`` or of one ``PORT``.

    Raises:
        typer.BadParameter: anything else.
    """
    first, _, last = text.partition("-")
    ports = [_port(word) for word in (first, last or first)]
    if not 1 <= ports[0] <= ports[1]:
        raise typer.BadParameter(
            f"found {text!r}, expected ports such as 5060-5080, from 1 to 65535", param_hint=option
        )
    return ports[0], ports[1]


def parse_listen(text: str, option: str) -> Address:
    """Return the address of ``IP:PORT`` or ``[IPv6]:PORT``; port 0 is legal, an address of no machine is not.

    Raises:
        typer.BadParameter: anything else.
    """
    host, _, port = text.rpartition(":")
    try:
        ip = str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        ip = ""
    if not ip or (_port(port) == 0 and port != "0"):
        raise typer.BadParameter(f"found {text!r}, expected IP:PORT such as 127.0.0.1:5080", param_hint=option)
    return Address(parse_ip(ip, option), _port(port))


def parse_ip(text: str, option: str) -> str:
    """Return a literal address that peers can be shown.

    Raises:
        typer.BadParameter: anything else.
    """
    try:
        return parse_address(text)
    except ValueError as error:
        raise typer.BadParameter(f"found {text!r}, expected {error}", param_hint=option) from None


def parse_duration_option(text: str, option: str) -> Nanos:
    """Return a duration such as ``500ms`` in nanoseconds.

    Raises:
        typer.BadParameter: anything else.
    """
    try:
        return parse_duration(text)
    except ValueError:
        raise typer.BadParameter(
            f"found {text!r}, expected a duration such as 500ms or 2s", param_hint=option
        ) from None


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    return number if number <= 65535 else 0
