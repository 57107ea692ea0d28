"""CLOUD_URL."""

from __future__ import annotations

import pytest

from cmw.core.address import Address
from cmw.errors import SettingsError
from cmw.link.url import GatewayUrl, parse_gateway_url


@pytest.mark.parametrize(
    ("text", "host", "port", "tls", "header"),
    [
        ("wg.callmeter.io:443", "wg.callmeter.io", 443, True, "wg.callmeter.io"),
        ("gateway.example", "gateway.example", 443, True, "gateway.example"),
        ("wss://gateway.example:8443/", "gateway.example", 8443, True, "gateway.example:8443"),
        ("ws://localhost:8080", "localhost", 8080, False, "localhost:8080"),
        ("ws://10.0.0.1", "10.0.0.1", 80, False, "10.0.0.1"),
        (" [2001:db8::1]:443 ", "2001:db8::1", 443, True, "[2001:db8::1]"),
        ("ws://[::1]:9", "::1", 9, False, "[::1]:9"),
    ],
)
def test_addresses(text: str, host: str, port: int, tls: bool, header: str) -> None:
    url = parse_gateway_url(text)
    assert url == GatewayUrl(Address(host, port), tls)
    assert url.host_header == header
    assert parse_gateway_url(str(url)) == url


@pytest.mark.parametrize(
    "text",
    [
        *("", "http://a:1", "https://a", "a:0", "a:65536", "a:b", "user@a:1", "a:1/path", "ws://a:1/link/v1", "a b"),
        *(
            "::1",
            "a:1\r\nX: y",
            "//a",
            "ws://",
            ":443",
            "a:443?x",
            "é.example",
            "a..b:1",
            f"{'a' * 64}:1",
            f"{'a.' * 127}a:1",
        ),
    ],
)
def test_anything_else_is_refused_naming_the_variable(text: str) -> None:
    with pytest.raises(SettingsError, match="CLOUD_URL"):
        parse_gateway_url(text)


@pytest.mark.parametrize(
    ("text", "warns"),
    [
        ("gateway.example:443", False),
        ("wss://127.0.0.1:443", False),
        ("ws://127.0.0.1:80", True),
        ("ws://localhost:80", True),
        ("ws://10.0.0.1:80", True),
    ],
)
def test_a_token_without_tls_is_warned_of(text: str, warns: bool) -> None:
    assert (parse_gateway_url(text).warning is not None) is warns
