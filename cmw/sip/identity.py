"""Who calls, by the word of a trusted network and not only by From: asserted and preferred identities, privacy.

Source: RFC 3325, RFC 3323, draft-ietf-sip-privacy-04 (Remote-Party-ID).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cmw.errors import RemoteProtocolError
from cmw.sip.argument_checks import check_address, check_line
from cmw.sip.headers import Headers
from cmw.sip.name_addr import parse_name_addr


@dataclass(frozen=True, slots=True)
class Identity:
    """What is said of a party beside From.

    Args:
        asserted: values of P-Asserted-Identity, at most one sip or sips and one tel address.
        preferred: value of P-Preferred-Identity, "" for none.
        privacy: values of Privacy, such as ``id`` or ``user;critical``, "" for none.
        remote_party: value of Remote-Party-ID, "" for none.
    """

    asserted: tuple[str, ...] = ()
    preferred: str = ""
    privacy: str = ""
    remote_party: str = ""

    def __post_init__(self) -> None:
        for value in (*self.asserted, self.preferred, self.privacy, self.remote_party):
            check_line(value, "an identity")
        for value in (*self.asserted, *filter(None, (self.preferred, self.remote_party))):
            check_address(value, "identity")

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield the header rows."""
        for value in self.asserted:
            yield "P-Asserted-Identity", value
        if self.preferred:
            yield "P-Preferred-Identity", self.preferred
        if self.privacy:
            yield "Privacy", self.privacy
        if self.remote_party:
            yield "Remote-Party-ID", self.remote_party


def read_identity(headers: Headers) -> Identity:
    """Return what a message says of its sender; values that cannot be read are left out."""
    return Identity(
        asserted=tuple([value for value in headers.get_all("P-Asserted-Identity") if _is_address(value)]),
        preferred=_address(headers.get("P-Preferred-Identity")),
        privacy=headers.get("Privacy") or "",
        remote_party=_address(headers.get("Remote-Party-ID")),
    )


def _is_address(value: str) -> bool:
    try:
        parse_name_addr(value)
    except RemoteProtocolError:
        return False
    return True


def _address(value: str | None) -> str:
    return value if value is not None and _is_address(value) else ""
