"""What one REGISTER changes among the bindings of its user. Source: RFC 3261 10.3, RFC 3327 5.3, RFC 5626 6."""

from __future__ import annotations

from dataclasses import dataclass

from cmw.core.clock import SECOND, Nanos
from cmw.errors import CapacityError, RemoteProtocolError
from cmw.sip.grammar import is_literal, is_number, read_q, serialize_params, unquote
from cmw.sip.hop import Hop
from cmw.sip.location import MAX_CONTACTS, Binding, LocationTable
from cmw.sip.lookup import literal_hop
from cmw.sip.message import Request
from cmw.sip.name_addr import NameAddr, parse_name_addr
from cmw.sip.option_tags import supports
from cmw.sip.uri import SipUri
from cmw.sip.via import DEFAULT_PORT

DEFAULT_EXPIRES_S = 3600
"""Lifetime of a binding when nobody says anything. Source: RFC 3261 10.3 step 7."""

EXTENSIONS = ("path", "outbound")
"""What a REGISTER may require. Source: RFC 3327, RFC 5626."""

MAX_PATHS = 16
"""Path values of one binding; more is refused."""


class RegisterRefusedError(Exception):
    """A REGISTER that is answered with something else than 200."""

    def __init__(self, status: int, *headers: tuple[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class BindingRules:
    """What a registrar grants.

    Args:
        min_expires_s: shortest lifetime; shorter ones are refused with 423.
        max_expires_s: longest lifetime; longer ones are cut.
        max_contacts: contacts of one user; more is refused with 503.
    """

    min_expires_s: int = 1
    max_expires_s: int = DEFAULT_EXPIRES_S
    max_contacts: int = MAX_CONTACTS


@dataclass(frozen=True, slots=True)
class BindingUpdate:
    """What is to be changed.

    Args:
        removed: bindings that go.
        added: bindings that are made, or take the place of those that they are equivalent to.
        is_outbound: a flow is kept, which the answer has to say. Source: RFC 5626 6.
    """

    removed: tuple[Binding, ...] = ()
    added: tuple[Binding, ...] = ()
    is_outbound: bool = False


def plan_update(
    request: Request, source: Hop, user: str, locations: LocationTable, rules: BindingRules, *, now: Nanos
) -> BindingUpdate:
    """Return what a REGISTER changes, without changing anything; all of it or nothing. Source: RFC 3261 10.3.

    Raises:
        RegisterRefusedError: how to answer instead.
        RemoteProtocolError: a contact or a path cannot be read; with the status to answer.
    """
    contacts = request.headers.get_all("Contact")
    if "*" in contacts:
        return BindingUpdate(removed=tuple(_all_bindings(request, user, locations)))
    planner = _Planner(request, source, user, locations, rules, now)
    for text in contacts:
        planner.take(parse_name_addr(text))
    return planner.finish()


def _all_bindings(request: Request, user: str, locations: LocationTable) -> list[Binding]:
    """Return what ``Contact: *`` removes. Source: RFC 3261 10.3 step 6."""
    expires = request.headers.get("Expires") or ""
    if len(request.headers.get_all("Contact")) != 1 or not is_number(expires) or expires.strip("0"):
        raise RegisterRefusedError(400)
    removed = locations.bindings(user)
    for binding in removed:
        _check_order(binding, request)
    return removed


class _Planner:
    """Goes through the contacts of one REGISTER."""

    def __init__(
        self, request: Request, source: Hop, user: str, locations: LocationTable, rules: BindingRules, now: Nanos
    ) -> None:
        self._request = request
        self._source = source
        self._user = user
        self._locations = locations
        self._rules = rules
        self._now = now
        self._paths = _paths(request)
        self._knows_outbound = supports(request.headers, "outbound")
        self._removed: dict[Binding, None] = {}
        self._added: dict[str, Binding] = {}
        self._new = 0

    def take(self, contact: NameAddr) -> None:
        """Plan what becomes of one contact. Source: RFC 3261 10.3 step 7."""
        uri = contact.sip_uri()
        instance, reg_id = self._flow_of(contact)
        known = self._locations.find_flow(self._user, instance, reg_id) if reg_id else None
        known = known or self._locations.find(self._user, uri)
        if known is not None:
            _check_order(known, self._request)
        expires_s = self._expires_s(contact)
        if expires_s == 0:
            if known is not None:
                self._removed[known] = None
            return
        if known is not None and not known.uri.is_equivalent(uri):
            self._removed[known] = None  # the same flow of the same instance, with another URI
        self._new += known is None
        self._added[contact.uri] = Binding(
            user=self._user,
            contact=contact.uri,
            uri=uri,
            destination=self._destination(uri),
            call_id=self._request.call_id,
            cseq=self._request.cseq.number,
            expires_at=self._now + expires_s * SECOND,
            paths=self._paths,
            q=_preference(contact),
            params=serialize_params(tuple([pair for pair in contact.params if pair[0] != "expires"])),
            instance=instance,
            reg_id=reg_id,
        )

    def finish(self) -> BindingUpdate:
        """Return the plan, if there is room for it."""
        try:
            gone = sum(binding.contact not in self._added for binding in self._removed)
            self._locations.check_room(self._user, self._new - gone, self._rules.max_contacts)
        except CapacityError:
            raise RegisterRefusedError(503) from None
        added = tuple(self._added.values())
        return BindingUpdate(tuple(self._removed), added, any(binding.reg_id for binding in added))

    def _flow_of(self, contact: NameAddr) -> tuple[str, str]:
        """Return instance and flow number of a contact, "" where there is none. Source: RFC 5626 6."""
        try:
            instance = unquote(contact.param("+sip.instance") or "")
        except RemoteProtocolError:
            raise RegisterRefusedError(400) from None
        reg_id = contact.param("reg-id") or ""
        if not instance or not self._knows_outbound or not is_number(reg_id):
            return instance, ""
        if self._is_far_away():
            raise RegisterRefusedError(439)
        return instance, reg_id.lstrip("0")

    def _is_far_away(self) -> bool:
        """Tell whether a proxy between us and the client keeps no flows."""
        if len(self._request.headers.get_all("Via")) < 2:
            return False
        return not self._paths or parse_name_addr(self._paths[-1]).sip_uri().param("ob") is None

    def _expires_s(self, contact: NameAddr) -> int:
        """Return the lifetime to grant, 0 to remove. Source: RFC 3261 10.3 step 7, 20.19 (malformed counts as 3600)."""
        rules = self._rules
        text = contact.param("expires")
        if text is None:
            text = self._request.headers.get("Expires")
        wanted = rules.max_expires_s if text is None else DEFAULT_EXPIRES_S
        if text is not None and is_number(text):
            wanted = int(text) if len(text) <= 10 else rules.max_expires_s
        if 0 < wanted < rules.min_expires_s:
            raise RegisterRefusedError(423, ("Min-Expires", str(rules.min_expires_s)))
        return min(wanted, rules.max_expires_s)

    def _destination(self, uri: SipUri) -> Hop:
        """Return where requests for a contact go: along its path, back over its connection, or to its address.

        Where the address is a name or behind NAT, it is the source; nobody need be able to connect to a client.
        """
        if self._paths:
            hop = literal_hop(parse_name_addr(self._paths[0]).uri)
            via_proxy = hop is None or hop[:2] == self._source[:2]
            return self._source if via_proxy or hop is None else hop
        source = self._source
        if source.transport.is_reliable or not is_literal(uri.host):
            return source
        is_behind_nat = source.host not in (self._request.top_via.host, uri.host)
        return source if is_behind_nat else Hop(uri.host, uri.port or DEFAULT_PORT)


def _paths(request: Request) -> tuple[str, ...]:
    paths = request.headers.get_all("Path")
    if len(paths) > MAX_PATHS:
        raise RegisterRefusedError(400)
    for path in paths:
        parse_name_addr(path).sip_uri()
    return tuple(paths)


def _preference(contact: NameAddr) -> float:
    """Return q, 1 when there is none or it makes no sense. Source: RFC 3261 20.10."""
    q = read_q(contact.param("q"))
    return 1.0 if q is None else q


def _check_order(binding: Binding, request: Request) -> None:
    """Refuse a REGISTER that is older than the binding it would change. Source: RFC 3261 10.3 steps 6, 7."""
    if binding.call_id == request.call_id and request.cseq.number <= binding.cseq:
        raise RegisterRefusedError(500)
