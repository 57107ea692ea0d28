"""What one variable of the worker may hold: each type parses, and when it refuses says what it expected."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, SecretStr

from cmw.core.address import Address
from cmw.errors import SettingsError
from cmw.link.url import HOST_NAME, PROXY_EXPECTED, parse_proxy_url
from cmw.worker.small_files import read_small

MASK = "****"
"""What stands for a secret wherever it would be shown."""

TOKEN_EXPECTED = "cmw_ followed by 64 hex characters, 68 characters in all"  # noqa: S105
GATEWAY_EXPECTED = "host:port of the gateway (TLS), or ws://host:port in a lab"
TARGET_EXPECTED = "host:port of a capture server, such as homer.example:9060"
ADDRESS_EXPECTED = "one IP address without port or scope, such as 10.0.1.50"
NAME_EXPECTED = "a name of 1 to 100 printable characters"

MIN_SPOOL_BYTES = 1 << 20

MAX_CERTIFICATES_BYTES = 16 << 20
"""Of a file of authorities; that of a system has a quarter of a megabyte."""

_UNITS = {None: 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_TOKEN = re.compile(r"cmw_[0-9a-fA-F]{64}")
_GATEWAY = re.compile(rf"(ws://)?({HOST_NAME}|\[[0-9a-fA-F:.]+\]):([0-9]{{1,5}})")


class Gateway(NamedTuple):
    """Where the worker dials out to. Without `tls` the token travels in the clear: for a lab only."""

    address: Address
    tls: bool


def parse_gateway(text: str) -> Gateway:
    """Return where `host:port` (TLS) or `ws://host:port` leads.

    Raises:
        ValueError: says what was expected.
    """
    match = _GATEWAY.fullmatch(text)
    if match is None or not 1 <= int(match[3]) <= 65535:
        raise ValueError(GATEWAY_EXPECTED)
    host = match[2]
    if host.startswith("["):
        host = parse_address(host[1:-1])
    return Gateway(Address(host, int(match[3])), tls=match[1] is None)


def parse_address(text: str) -> str:
    """Return the canonical text of an address that can be bound and shown to a peer.

    An IPv6 address may stand in brackets, as in a URL; one that maps an IPv4 address is that address.

    Raises:
        ValueError: says what was expected.
    """
    bracketed = re.fullmatch(r"\[([0-9a-fA-F:.]+)\]", text)
    try:
        address = IPv6Address(bracketed[1]) if bracketed else ip_address(text)
    except ValueError:
        raise ValueError(ADDRESS_EXPECTED) from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if "%" in text or address.is_unspecified or address.is_multicast:
        raise ValueError(ADDRESS_EXPECTED)
    return str(address)


def is_v6(address: str) -> bool:
    """Tell of which IP version a literal address is."""
    return ":" in address


def _strip(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _number(lowest: int, highest: int, expected: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        digits = isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value.strip())  # int() alone takes far more
        number = int(digits[0]) if digits else value
        if type(number) is not int or not lowest <= number <= highest:
            raise ValueError(expected)
        return number

    return check


def _token(value: SecretStr) -> SecretStr:
    token = value.get_secret_value().strip()
    if not _TOKEN.fullmatch(token):
        raise ValueError(TOKEN_EXPECTED)
    return SecretStr(token)


def _gateway(text: str) -> str:
    parse_gateway(text)
    return text


def parse_target(text: str) -> Address:
    """Return where `host:port` leads.

    Raises:
        ValueError: says what was expected.
    """
    try:
        target = parse_gateway(text)
    except ValueError:
        raise ValueError(TARGET_EXPECTED) from None
    if not target.tls:
        raise ValueError(TARGET_EXPECTED)
    return target.address


def _target(text: str) -> str:
    parse_target(text)
    return text


def _name(text: str) -> str:
    if not 1 <= len(text) <= 100 or not text.isprintable():
        raise ValueError(NAME_EXPECTED)
    return text


def _choice(*words: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        word = value.strip().lower() if isinstance(value, str) else value
        if word not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return word

    return check


def _proxy(value: SecretStr) -> SecretStr:
    try:
        parse_proxy_url(value.get_secret_value())
    except SettingsError:
        raise ValueError(PROXY_EXPECTED) from None
    return value


def _certificate_file(text: str) -> str:
    import ssl

    try:
        read_small(text, MAX_CERTIFICATES_BYTES)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=text)
    except ssl.SSLError:
        raise ValueError("a PEM file of certificates (it holds none)") from None
    except OSError as error:
        raise ValueError(f"a PEM file of certificates ({error.strerror})") from None
    except ValueError as error:
        raise ValueError(f"a PEM file of certificates ({error})") from None
    return text


def _writable_directory(text: str) -> str:
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise ValueError("a directory to write to (it is something else)")
    if path.exists() and not os.access(path, os.W_OK | os.X_OK):
        raise ValueError("a directory to write to (it is not writable)")
    return text


def _bytes(value: object) -> object:
    digits = isinstance(value, str) and re.fullmatch(r"([0-9]{1,15})(?:([KMG])i?B?)?", value.strip())
    number = int(digits[1]) * _UNITS[digits[2]] if digits else value
    if type(number) is not int or not MIN_SPOOL_BYTES <= number <= 1 << 40:
        raise ValueError("a number of bytes from 1M to 1024G, such as 67108864 or 64M")
    return number


Token = Annotated[SecretStr, AfterValidator(_token)]
GatewayText = Annotated[str, BeforeValidator(_strip), AfterValidator(_gateway)]
Name = Annotated[str, BeforeValidator(_strip), AfterValidator(_name)]
TargetText = Annotated[str, BeforeValidator(_strip), AfterValidator(_target)]
CaptureId = Annotated[int, BeforeValidator(_number(0, (1 << 32) - 1, "a whole number from 0 to 4294967295"))]
Port = Annotated[int, BeforeValidator(_number(1, 65535, "a port from 1 to 65535"))]
MediaThreads = Annotated[int, BeforeValidator(_number(1, 64, "a whole number from 1 to 64"))]
Seconds = Annotated[int, BeforeValidator(_number(1, 3600, "whole seconds from 1 to 3600"))]
ProxyText = Annotated[SecretStr, AfterValidator(_proxy)]
CertificateFile = Annotated[str, BeforeValidator(_strip), AfterValidator(_certificate_file)]
WritableDirectory = Annotated[str, BeforeValidator(_strip), AfterValidator(_writable_directory)]
SpoolBytes = Annotated[int, BeforeValidator(_bytes)]
IpAddress = Annotated[str, BeforeValidator(_strip), AfterValidator(parse_address)]
LogLevel = Annotated[
    Literal["error", "warn", "info", "debug", "trace"],
    BeforeValidator(_choice("error", "warn", "info", "debug", "trace")),
]
LogFormat = Annotated[Literal["json", "pretty"], BeforeValidator(_choice("json", "pretty"))]
