"""An account at a registrar."""

from __future__ import annotations

from dataclasses import dataclass

from cmw.sip.credentials import Credentials
from cmw.sip.hop import Hop, Transport
from cmw.sip.retry_policy import DEFAULT_RETRY_POLICY, RetryPolicy


@dataclass(frozen=True, slots=True)
class Account:
    """Who registers where.

    Args:
        aor: address of record, such as ``sip:alice@example.com``.
        registrar: URI that REGISTER goes to, such as ``sip:example.com``.
        credentials: user name and password, or several of them for several realms: the registrar's and an outbound
            proxy's; None when no challenge is to be answered.
        contact_user: user part of the Contact; has to be different for each account of one listener.
        destination: where requests go, resolved; None takes the literal address in `registrar`.
        transport: how requests go to a URI that does not say; None for the usual way.
        routes: Route values, such as ``<sip:proxy.example;lr>``, that every request of the account begins with: an
            outbound proxy, or a whole path. The first says where requests go. Source: RFC 3261 8.1.1.1, 8.1.2.
        retry: when a registration that failed is tried again.
        q: preference of our Contact among those of the same address of record, 0 .. 1; None says none.
        contacts: further Contact values that are bound and removed together with ours.
        headers: further rows of every REGISTER.
        instance: URN of this device, such as ``urn:uuid:...``, which makes the Contact that of an instance. Source:
            RFC 5626 4.1.
        reg_id: number of this flow among those of the instance, from 1; 0 asks for no flow. Source: RFC 5626 4.2.
        removes_all: the last REGISTER removes every binding of the address of record with ``Contact: *``.
    """

    aor: str
    registrar: str
    credentials: Credentials | tuple[Credentials, ...] | None
    contact_user: str
    destination: Hop | None = None
    transport: Transport | None = None
    routes: tuple[str, ...] = ()
    retry: RetryPolicy = DEFAULT_RETRY_POLICY
    q: float | None = None
    contacts: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    instance: str = ""
    reg_id: int = 0
    removes_all: bool = False
