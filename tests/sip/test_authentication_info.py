import pytest

from cmw.errors import RemoteProtocolError
from cmw.sip.authentication_info import AuthenticationInfo, parse_authentication_info, serialize_authentication_info


@pytest.mark.parametrize(
    "info",
    [AuthenticationInfo("ab", "auth", 'c"n', 10, "next"), AuthenticationInfo("ab"), AuthenticationInfo(nextnonce="n")],
)
def test_what_is_written_is_read(info: AuthenticationInfo) -> None:
    assert parse_authentication_info(serialize_authentication_info(info)) == info


def test_more_than_we_know_is_passed_over() -> None:
    value = 'NEXTNONCE="n", qop="AUTH-INT", new=1, nc=0000000A'
    assert parse_authentication_info(value) == AuthenticationInfo("", "auth-int", "", 10, "n")


@pytest.mark.parametrize(
    "value", ["", "Digest rspauth=1", "nc=1", "nc=+0000001", "nc=0000000g", "nc=٠٠٠٠٠٠٠١", "rspauth", 'nextnonce="\r"']
)
def test_malformed_values_are_refused(value: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_authentication_info(value)
