"""An account at a registrar."""

from __future__ import annotations

from dataclasses import dataclass

from cmw.core.address import Address
from cmw.sip.digest import Credentials


@dataclass(frozen=True, slots=True)
class Account:
    """Who registers where.

    Args:
        aor: address of record, such as ``sip:alice@example.com``.
        registrar: URI that REGISTER goes to, such as ``sip:example.com``.
        credentials: user name and password, None when no challenge is to be answered.
        contact_user: user part of the Contact; has to be different for each account of one listener.
        destination: where requests go, resolved; None takes the literal address in `registrar`.
    """

    aor: str
    registrar: str
    credentials: Credentials | None
    contact_user: str
    destination: Address | None = None
