"""What commands check of the text that they are given, before they change anything.

Every function raises `LocalProtocolError`, which names what was checked.
"""

from __future__ import annotations

from collections.abc import Iterable

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.grammar import is_token
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.tel_uri import TelUri, parse_called_uri
from cmw.sip.uri import SipUri, parse_uri

HeaderRows = Iterable[tuple[str, str]]
"""Names and values of header rows."""

CheckedRows = tuple[tuple[str, str], ...]


def check_line(text: str, what: str = "text") -> str:
    """Return `text`, refusing line breaks, which would begin another header."""
    if "\r" in text or "\n" in text:
        raise LocalProtocolError(f"expected {what} without line breaks, found {text!a}")
    return text


def check_rows(headers: HeaderRows) -> CheckedRows:
    """Return header rows whose names are tokens and whose values have no line breaks."""
    rows = tuple([(name, check_line(value)) for name, value in headers])
    for name, _ in rows:
        if not is_token(name):
            raise LocalProtocolError(f"expected a header name, found {name!a}")
    return rows


def check_rows_of(body: bytes, headers: HeaderRows) -> CheckedRows:
    """Return header rows, which have to say what the body is when there is one."""
    rows = check_rows(headers)
    if body and all(name.lower() not in ("content-type", "c") for name, _ in rows):
        raise LocalProtocolError("expected a Content-Type for the body, found none")
    return rows


def check_called_uri(text: str, what: str) -> SipUri | TelUri:
    """Return the URI of somebody to call."""
    try:
        return parse_called_uri(text)
    except RemoteProtocolError as error:
        raise LocalProtocolError(f"{what}: {error}") from None


def check_sip_uri(text: str, what: str) -> SipUri:
    """Return a SIP URI."""
    try:
        return parse_uri(text)
    except RemoteProtocolError as error:
        raise LocalProtocolError(f"{what}: {error}") from None


def check_address(text: str, what: str) -> str:
    """Return `text`, refusing what is no value of a header such as Contact or P-Asserted-Identity."""
    try:
        parse_name_addr(check_line(text, what))
    except RemoteProtocolError as error:
        raise LocalProtocolError(f"{what}: {error}") from None
    return text


def check_sip_address(text: str, what: str) -> str:
    """Return `text`, refusing what is no value of a header such as Route, whose URI is a SIP URI."""
    check_sip_uri(parse_name_addr(check_address(text, what)).uri, what)
    return text
