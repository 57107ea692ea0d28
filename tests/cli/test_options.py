"""Ports, addresses and durations of the command line: what is wrong is told with what was expected."""

from __future__ import annotations

import pytest
import typer

from cmw.cli.options import parse_duration_option, parse_ip, parse_listen, parse_ports
from cmw.core.address import Address


@pytest.mark.parametrize(
    ("text", "ports"), [("5060-5080", (5060, 5080)), ("5060", (5060, 5060)), ("1-65535", (1, 65535))]
)
def test_ports(text: str, ports: tuple[int, int]) -> None:
    assert parse_ports(text, "--x") == ports


@pytest.mark.parametrize("text", ["", "-", "-5", "0", "5080-5060", "1-65536", "x", "1-2-3", "5060 - 5080", "٥", "1e3"])
def test_no_ports(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected ports such as 5060-5080") as raised:
        parse_ports(text, "--sip-ports")
    assert raised.value.param_hint == "--sip-ports"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5080", Address("127.0.0.1", 5080)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("[::1]:5080", Address("::1", 5080)),
        ("[0:0::1]:5080", Address("::1", 5080)),
    ],
)
def test_listen(text: str, address: Address) -> None:
    assert parse_listen(text, "--listen") == address


@pytest.mark.parametrize(
    "text",
    ["", "5080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "host:5080", "0.0.0.0:5080", "[::]:1"],
)
def test_no_place_to_listen(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected"):
        parse_listen(text, "--listen")


@pytest.mark.parametrize("text", ["", "host", "0.0.0.0", "224.0.0.1", "10.0.0.1:5060", "fe80::1%eth0"])
def test_no_address_to_show(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected one IP address"):
        parse_ip(text, "--sdp-ip")


def test_durations() -> None:
    assert parse_duration_option("500ms", "--delay") == 500_000_000
    for text in ("", "5", "-1s", "soon"):
        with pytest.raises(typer.BadParameter, match="expected a duration such as 500ms or 2s"):
            parse_duration_option(text, "--delay")
