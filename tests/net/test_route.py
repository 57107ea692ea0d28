"""The route tells the local address; names that do not resolve are an OSError."""

from __future__ import annotations

import pytest

from cmw.core.address import Address
from cmw.net.route import local_address_towards


@pytest.mark.loopback
def test_the_way_to_loopback_leaves_from_loopback() -> None:
    assert local_address_towards(Address("127.0.0.1", 5060)) == "127.0.0.1"
    assert local_address_towards(Address("localhost", 5060)) in ("127.0.0.1", "::1")


@pytest.mark.loopback
def test_a_name_that_does_not_resolve_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"."):
        local_address_towards(Address("does-not-exist.invalid", 5060))


@pytest.mark.parametrize("name", ["two..dots.example", f"{'x' * 64}.example"])
def test_a_name_that_cannot_be_one_is_an_os_error_too(name: str) -> None:
    with pytest.raises(OSError, match="is no host name"):
        local_address_towards(Address(name, 5060))
