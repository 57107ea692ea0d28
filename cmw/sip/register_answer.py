"""What a registrar says in its 2xx: our binding, those of others, and how requests reach and leave us.

Source: RFC 3261 10.2.4, RFC 3327 5.1, RFC 3608 5, RFC 5626 4.2.1, RFC 5627 4.2, RFC 7315 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from cmw.errors import RemoteProtocolError
from cmw.sip.grammar import read_seconds, split_outside, unquote
from cmw.sip.headers import canonical_name
from cmw.sip.message import Response
from cmw.sip.name_addr import NameAddr, parse_name_addr
from cmw.sip.uri import SipUri

MAX_ROUTES = 16
"""Routes and contacts that are kept of one answer; beyond that somebody makes them up."""

MAX_CONTACTS = 64
"""Contacts that are shown of one answer."""


@dataclass(frozen=True, slots=True)
class BoundContact:
    """A contact that the registrar knows.

    Args:
        uri: raw text of its URI.
        expires_s: its lifetime, seconds; None when the registrar does not say.
        q: its preference, raw text; "" when there is none.
    """

    uri: str
    expires_s: int | None
    q: str = ""


@dataclass(frozen=True, slots=True)
class RegisterAnswer:
    """A 2xx to REGISTER, taken apart.

    Args:
        expires_s: lifetime of our binding, 0 when the registrar made none.
        is_listed: our Contact is among those of the answer, as it should be.
        others: the other contacts of the address of record.
        service_routes: Service-Route values, in order; our later requests begin with them.
        paths: Path values, in order: the way by which requests reach us.
        associated_uris: other identities of ours, P-Associated-URI.
        is_outbound: the registrar keeps our flow, as ``Require: outbound`` says.
        flow_timer_s: how long the flow may be silent; None when the registrar does not say.
        date: Date, raw text.
        public_gruu: ``pub-gruu`` of our Contact.
    """

    expires_s: int
    is_listed: bool
    others: tuple[BoundContact, ...] = ()
    service_routes: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    associated_uris: tuple[str, ...] = ()
    is_outbound: bool = False
    flow_timer_s: int | None = None
    date: str = ""
    public_gruu: str = ""


@dataclass(frozen=True, slots=True)
class OwnContact:
    """Our Contact as it was sent, to find it again.

    Args:
        text: raw text of its URI.
        uri: the same, taken apart.
        instance: ``+sip.instance`` without quotes, "" when there is none.
        reg_id: ``reg-id``, "" when there is none.
    """

    text: str
    uri: SipUri
    instance: str = ""
    reg_id: str = ""

    def is_same(self, contact: NameAddr) -> bool:
        """Tell whether a contact of the answer is ours: an equivalent URI, or the same flow of the same instance.

        Source: RFC 3261 19.1.4, RFC 5626 6.
        """
        if contact.uri == self.text:
            return True
        if self.instance and contact.param("reg-id") == self.reg_id:
            return _unquoted(contact.param("+sip.instance")) == self.instance
        try:
            return contact.sip_uri().is_equivalent(self.uri)
        except RemoteProtocolError:
            return False


def read_register_answer(response: Response, own: OwnContact, asked_s: int) -> RegisterAnswer:
    """Take a 2xx to REGISTER apart; what makes no sense in it is passed over.

    Args:
        response: the 2xx.
        own: the Contact that we sent.
        asked_s: the lifetime that we asked for, which counts when the registrar says none.
    """
    found: dict[str, list[str]] = {}
    for name, value in response.headers:
        if name in _READ:
            found.setdefault(name, []).append(value)
    header_s = read_seconds(found.get("Expires", [None])[0])
    ours, others = _sort_contacts(found.get("Contact", ()), own)
    expires_s = read_seconds(ours.param("expires")) if ours is not None else None
    if expires_s is None:
        expires_s = asked_s if header_s is None else header_s
    if len(found.keys() - _USUAL) == 0:
        return RegisterAnswer(expires_s, ours is not None, others, date=found.get("Date", [""])[0])
    return RegisterAnswer(
        expires_s,
        ours is not None,
        others,
        service_routes=_routes(found.get("Service-Route", ())),
        paths=tuple(found.get("Path", ())[:MAX_ROUTES]),
        associated_uris=tuple(_elements(found.get(_ASSOCIATED, ()))[:MAX_ROUTES]),
        is_outbound="outbound" in [token.lower() for token in _elements(found.get("Require", ()))],
        flow_timer_s=read_seconds(found.get("Flow-Timer", [None])[0]) or None,
        date=found.get("Date", [""])[0],
        public_gruu=_unquoted(ours.param("pub-gruu")) if ours is not None else "",
    )


_ASSOCIATED = canonical_name("P-Associated-URI")
_USUAL = frozenset(("Contact", "Expires", "Date"))
_READ = _USUAL | {"Service-Route", "Path", _ASSOCIATED, "Require", "Flow-Timer"}


def _sort_contacts(values: list[str] | tuple[()], own: OwnContact) -> tuple[NameAddr | None, tuple[BoundContact, ...]]:
    """Return our contact and all others."""
    ours: NameAddr | None = None
    others: list[BoundContact] = []
    for value in values:
        try:
            contact = parse_name_addr(value)
        except RemoteProtocolError:
            continue
        if ours is None and own.is_same(contact):
            ours = contact
        elif len(others) < MAX_CONTACTS:
            others.append(BoundContact(contact.uri, read_seconds(contact.param("expires")), contact.param("q") or ""))
    return ours, tuple(others)


def _routes(values: list[str] | tuple[()]) -> tuple[str, ...]:
    """Return Service-Route values that a request can be sent along, none at all when one of them is broken."""
    try:
        for value in values:
            parse_name_addr(value).sip_uri()
    except RemoteProtocolError:
        return ()
    return tuple(values[:MAX_ROUTES])


def _elements(values: list[str] | tuple[()]) -> list[str]:
    try:
        return [part for value in values for part in split_outside(value, ",") if part]
    except RemoteProtocolError:
        return []


def _unquoted(text: str | None) -> str:
    if text is None:
        return ""
    try:
        return unquote(text)
    except RemoteProtocolError:
        return text
