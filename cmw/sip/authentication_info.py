"""What a server says after it let a request pass: its own proof, and the next nonce.

Source: RFC 7616 3.5, RFC 3261 20.6.
"""

from __future__ import annotations

from typing import NamedTuple

from cmw.sip.auth_fields import is_echoable, parse_fields
from cmw.sip.grammar import fail, is_hex, quote


class AuthenticationInfo(NamedTuple):
    """A value of Authentication-Info or Proxy-Authentication-Info.

    Args:
        rspauth: proof that the server knows the password, hex; empty when there is none.
        qop: quality of protection of that proof, lower case; empty from servers of RFC 2069.
        cnonce: of the request that is answered; empty when it is not said.
        nc: of the request that is answered; None when it is not said.
        nextnonce: to be used from now on; empty for the same again.
    """

    rspauth: str = ""
    qop: str = ""
    cnonce: str = ""
    nc: int | None = None
    nextnonce: str = ""


def parse_authentication_info(value: str) -> AuthenticationInfo:
    """Return the fields of a value; what we do not know is passed over.

    Raises:
        RemoteProtocolError: hint 400 when it is malformed.
    """
    fields = parse_fields(value)
    count, nextnonce = fields.get("nc", ""), fields.get("nextnonce", "")
    if not is_echoable(nextnonce):
        fail("a nonce that can be sent back", nextnonce)
    return AuthenticationInfo(
        rspauth=fields.get("rspauth", ""),
        qop=fields.get("qop", "").lower(),
        cnonce=fields.get("cnonce", ""),
        nc=parse_count(count) if count else None,
        nextnonce=nextnonce,
    )


def serialize_authentication_info(info: AuthenticationInfo) -> str:
    """Return the value of Authentication-Info or Proxy-Authentication-Info."""
    fields = []
    if info.qop:
        fields.append(f"qop={info.qop}")
    if info.rspauth:
        fields.append(f'rspauth="{info.rspauth}"')
    if info.cnonce:
        fields.append(f"cnonce={quote(info.cnonce)}")
    if info.nc is not None:
        fields.append(f"nc={info.nc:08x}")
    if info.nextnonce:
        fields.append(f"nextnonce={quote(info.nextnonce)}")
    return ", ".join(fields)


def parse_count(text: str) -> int:
    """Return the meaning of eight hex digits, 0 .. 2^32 - 1. Source: RFC 7616 3.4, nc-value."""
    if len(text) != 8 or not is_hex(text):
        fail("eight hex digits as nc", text)
    return int(text, 16)
