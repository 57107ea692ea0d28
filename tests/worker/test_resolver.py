"""Hosts become addresses of the family that we send from, or a reason that names them."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from cmw.core.address import Address
from cmw.worker.resolver import ResolutionError, resolve

HERE, HERE_6 = "10.0.0.1", "2001:db8::1"


def found(host: str, source: str, answers: dict[int, list[str]] | Exception) -> Address:
    """Resolve with a resolver that knows `answers` by family."""

    async def scene() -> Address:
        async def getaddrinfo(name: str, port: int, *, family: int = 0, type: int = 0) -> list[Any]:
            if isinstance(answers, Exception):
                raise answers
            return [(family, type, 17, "", (ip, port)) for ip in answers.get(family, [])]

        asyncio.get_running_loop().getaddrinfo = getaddrinfo  # type: ignore[method-assign, assignment]
        return await resolve(host, 5060, source)

    return asyncio.run(scene())


@pytest.mark.parametrize(
    ("host", "source", "literal"),
    [
        ("192.0.2.9", HERE, "192.0.2.9"),
        ("[2001:DB8::9]", HERE_6, "2001:db8::9"),
        ("2001:db8::9", HERE_6, "2001:db8::9"),
    ],
)
def test_a_literal_is_not_looked_up(host: str, source: str, literal: str) -> None:
    assert found(host, source, OSError("nobody asks")) == Address(literal, 5060)


@pytest.mark.parametrize(("host", "source", "family"), [("192.0.2.9", HERE_6, "IPv6"), ("[::1]", HERE, "IPv4")])
def test_a_literal_of_the_other_family_cannot_be_reached(host: str, source: str, family: str) -> None:
    with pytest.raises(ResolutionError, match=f"cannot be reached from {source}: expected an {family} address"):
        found(host, source, {})


def test_a_name_has_addresses_of_both_families() -> None:
    answers = {socket.AF_INET: ["192.0.2.1", "192.0.2.2"], socket.AF_INET6: ["2001:db8::1"]}
    assert found("pbx.example", HERE, answers) == Address("192.0.2.1", 5060)
    assert found("pbx.example", HERE_6, answers) == Address("2001:db8::1", 5060)


def test_a_name_has_none_of_our_family() -> None:
    with pytest.raises(ResolutionError, match=r"host 'pbx\.example' has no IPv4 address"):
        found("pbx.example", HERE, {socket.AF_INET6: ["2001:db8::1"]})


def test_a_name_that_nobody_knows() -> None:
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with pytest.raises(ResolutionError) as raised:
        found("pbx.example", HERE, error)
    assert str(raised.value) == "host 'pbx.example' cannot be resolved to an IPv4 address: Name or service not known"


def test_a_name_that_is_none() -> None:
    with pytest.raises(ResolutionError, match="cannot be resolved"):
        found("a" * 70 + ".example", HERE, UnicodeError("label too long"))
