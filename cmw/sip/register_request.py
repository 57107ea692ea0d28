"""The REGISTER requests of one account: what is the same in all of them is written once. Source: RFC 3261 10.2."""

from __future__ import annotations

from collections.abc import Sequence

from cmw.errors import LocalProtocolError
from cmw.sip.account import Account
from cmw.sip.argument_checks import check_line, check_sip_address, check_sip_uri
from cmw.sip.grammar import quote
from cmw.sip.headers import Headers, canonical_name
from cmw.sip.message import MAX_CSEQ, Request
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.register_answer import OwnContact
from cmw.sip.uri import parse_uri

_OURS = frozenset(
    ("Via", "From", "To", "Call-ID", "CSeq", "Contact", "Expires", "Max-Forwards", "Content-Length", "Route")
)
"""Headers that an account may not add to its REGISTERs, for they are made from the rest of it."""

_Rows = list[tuple[str, str]]


class RegisterRequests:
    """Makes each REGISTER of a registration: same Call-ID and From tag, CSeq rising by one. Source: RFC 3261 10.2.4.

    Args:
        account: who registers where.
        call_id: the same for all of them.
        tag: of From.
        seq: CSeq number before the first.
        common: rows that all our requests have: Allow, User-Agent.
        is_outbound: asks for a flow, when the account has an instance and a flow number. Source: RFC 5626 4.2.1.
    """

    def __init__(
        self,
        account: Account,
        *,
        call_id: str,
        tag: str,
        seq: int,
        common: Sequence[tuple[str, str]],
        is_outbound: bool,
    ) -> None:
        self._account = account
        self._is_outbound = is_outbound and bool(account.instance and account.reg_id)
        self.seq = seq
        self._head: _Rows = [("Route", route) for route in account.routes]
        self._head += [
            ("Max-Forwards", "70"),
            ("From", f"<{account.aor}>;tag={tag}"),
            ("To", f"<{account.aor}>"),
            ("Call-ID", call_id),
        ]
        self._tail: _Rows = [
            ("Supported", "path, outbound" if self._is_outbound else "path"),
            *[(canonical_name(name), value) for name, value in (*common, *account.headers)],
        ]
        self._bindings: dict[tuple[str, int], _Rows] = {}

    def own_contact(self, contact: str) -> OwnContact:
        """Return our Contact, to be found again in an answer."""
        reg_id = str(self._account.reg_id) if self._is_outbound else ""
        instance = f"<{self._account.instance}>" if self._is_outbound else ""
        return OwnContact(contact, parse_uri(contact), instance, reg_id)

    def make(self, uri: str, contact: str, expires_s: int, proofs: Sequence[tuple[str, str]]) -> Request:
        """Return the next REGISTER, without a Via.

        Args:
            uri: Request-URI.
            contact: raw text of our Contact's URI, which depends on the transport.
            expires_s: lifetime to ask for, seconds; 0 removes.
            proofs: Authorization and Proxy-Authorization rows.
        """
        self.seq = self.seq + 1 if self.seq < MAX_CSEQ else 1
        bindings = self._bindings.get((contact, expires_s))
        if bindings is None:
            bindings = self._bindings[contact, expires_s] = self._make_bindings(contact, expires_s)
        rows = [*self._head, ("CSeq", f"{self.seq} REGISTER"), *bindings, *self._tail, *proofs]
        return Request("REGISTER", uri, Headers(rows))

    def _make_bindings(self, contact: str, expires_s: int) -> _Rows:
        account = self._account
        if expires_s == 0 and account.removes_all:
            return [("Contact", "*"), ("Expires", "0")]  # RFC 3261 10.2.2
        params = f";expires={expires_s}"
        if account.q is not None and expires_s:
            params += f";q={account.q:.3f}".rstrip("0").rstrip(".")
        if account.instance:
            params += f";+sip.instance={quote(f'<{account.instance}>')}"
        if self._is_outbound:
            params += f";reg-id={account.reg_id}"
        contacts = [f"<{contact}>{params}", *[_with_expires(text, expires_s) for text in account.contacts]]
        return [*[("Contact", value) for value in contacts], ("Expires", str(expires_s))]


def check_account(account: Account) -> None:
    """Raise `LocalProtocolError` if no REGISTER can be made of an account."""
    check_sip_uri(account.aor, "address of record")
    if check_sip_uri(account.registrar, "registrar").user is not None:  # RFC 3261 10.2
        raise LocalProtocolError(f"expected a registrar without a user part, found {account.registrar!a}")
    for route in account.routes:
        check_sip_address(route, "route")
    for contact in account.contacts:
        check_sip_address(contact, "contact")
    if account.q is not None and not 0 <= account.q <= 1:
        raise LocalProtocolError(f"expected a preference q of 0 to 1, found {account.q}")
    if account.reg_id < 0 or (account.reg_id and not account.instance):
        raise LocalProtocolError(f"expected a flow number from 1 with an instance, found {account.reg_id}")
    if any(char in account.instance for char in '<>" \r\n'):
        raise LocalProtocolError(f"expected an instance such as urn:uuid:..., found {account.instance!a}")
    for name, value in account.headers:
        if canonical_name(name) in _OURS:
            raise LocalProtocolError(f"expected a header that REGISTER does not have anyway, found {name}")
        check_line(value)


def _with_expires(contact: str, expires_s: int) -> str:
    """Return a further contact with a lifetime, unless it has its own and is not to be removed."""
    parsed = parse_name_addr(contact)
    if expires_s and parsed.param("expires") is not None:
        return contact
    params = tuple([pair for pair in parsed.params if pair[0] != "expires"])
    return str(parsed._replace(params=(*params, ("expires", str(expires_s)))))
