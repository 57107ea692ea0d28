"""A dialog: what two parties of a call remember of each other to send requests. Source: RFC 3261 12."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cmw.errors import RemoteProtocolError
from cmw.sip.grammar import is_public
from cmw.sip.headers import Headers
from cmw.sip.hop import Hop
from cmw.sip.lookup import literal_hop, question
from cmw.sip.message import Request, Response
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.route_set import Path, make_path

_OUTBOUND = re.compile(r";ob(?=[;=?]|$)", re.IGNORECASE)


class Dialog:
    """The state of one dialog.

    Args:
        call_id: the Call-ID.
        local: our From value, tag included.
        remote: our To value, tag included.
        local_seq: CSeq number of our last request.
        remote_seq: CSeq number of the peer's last request, None before the first.
        routes: the route set, Route values in the order in which they are visited.
        remote_target: URI that requests go to.
        peer: hop that the peer's messages came by; stands in where a name would have to be resolved.
    """

    __slots__ = (
        "_path",
        "call_id",
        "local",
        "local_seq",
        "peer",
        "remote",
        "remote_seq",
        "remote_tag",
        "remote_target",
        "routes",
    )

    def __init__(
        self,
        *,
        call_id: str,
        local: str,
        remote: str,
        remote_tag: str,
        local_seq: int,
        remote_seq: int | None,
        routes: tuple[str, ...],
        remote_target: str,
        peer: Hop,
    ) -> None:
        self.call_id = call_id
        self.local = local
        self.remote = remote
        self.remote_tag = remote_tag
        self.local_seq = local_seq
        self.remote_seq = remote_seq
        self.routes = routes
        self.remote_target = remote_target
        self.peer = peer
        self._path: Path | None = None

    @classmethod
    def of_caller(cls, invite: Request, response: Response, source: Hop) -> Dialog:
        """Make the caller's dialog from a response with a To tag. Source: RFC 3261 12.1.2."""
        return cls(
            call_id=response.call_id,
            local=invite.headers.get("From") or "",
            remote=response.headers.get("To") or "",
            remote_tag=response.to_tag,
            local_seq=invite.seq,
            remote_seq=None,
            routes=tuple(reversed(_routes(response))),
            remote_target=_contact_uri(response) or invite.uri,
            peer=source,
        )

    @classmethod
    def of_callee(cls, invite: Request, local_tag: str, first_seq: int, source: Hop) -> Dialog:
        """Make the callee's dialog from an INVITE. Source: RFC 3261 12.1.1.

        Args:
            invite: the INVITE.
            local_tag: the tag of our responses.
            first_seq: our first request has the CSeq number after it.
            source: where the INVITE came from.
        """
        from_ = invite.from_
        return cls(
            call_id=invite.call_id,
            local=f"{invite.headers.get('To')};tag={local_tag}",
            remote=invite.headers.get("From") or "",
            remote_tag=from_.tag or "",
            local_seq=first_seq,
            remote_seq=invite.seq,
            routes=_routes(invite),
            remote_target=_contact_uri(invite) or from_.uri,
            peer=source,
        )

    def make_request(
        self, method: str, *, seq: int | None = None, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> Request:
        """Build a request within the dialog, without its Via. Source: RFC 3261 12.2.1.1.

        Args:
            method: the method.
            seq: CSeq number for an ACK; other requests take the next one.
            headers: rows to add.
            body: the body.
        """
        if seq is None:
            self.local_seq += 1
            seq = self.local_seq
        path = self.path()
        rows = [("Route", route) for route in path.routes] if path.routes else []
        rows += (
            ("Max-Forwards", "70"),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{seq} {method}"),
            *headers,
        )
        return Request(method, path.request_uri, Headers(rows), body)

    def path(self) -> Path:
        """Return how requests are addressed; the sender finds out where their `next_uri` is."""
        if self._path is None:
            self._path = make_path(self.remote_target, self.routes)
        return self._path

    def next_hop(self) -> Hop | None:
        """Return where requests go first: the first route or the remote target; None where DNS has to be asked.

        A name that nobody can look up stands for where the peer's messages come from. So does an address behind a NAT
        that they come through, and one that says by ``ob`` that it is reached so. Source: RFC 7118 5.2, RFC 5626 4.3.
        """
        next_uri = self.path().next_uri
        hop = literal_hop(next_uri)
        if hop is None:
            return self.peer if question(next_uri) is None else None
        peer = self.peer
        if hop[:3] == peer[:3] or hop.transport is not peer.transport:
            return hop
        is_hidden = is_public(peer.host) and not is_public(hop.host)
        return peer if is_hidden or (peer.flow and _OUTBOUND.search(next_uri) is not None) else hop

    def refresh_target(self, message: Request | Response) -> None:
        """Take over the Contact of a target refresh request or its 2xx. Source: RFC 3261 12.2.1.2, 12.2.2."""
        target = _contact_uri(message)
        if target is not None and target != self.remote_target:
            self.remote_target = target
            self._path = None

    def accepts(self, seq: int) -> bool:
        """Tell whether a request of the peer is in order, and remember its number if so. Source: RFC 3261 12.2.2."""
        if self.remote_seq is not None and seq < self.remote_seq:
            return False
        self.remote_seq = seq
        return True


def _routes(message: Request | Response) -> tuple[str, ...]:
    """Return the Record-Route values as they stand; none when one cannot be read, for then no way leads along them."""
    values = message.headers.get_all("Record-Route")
    try:
        for value in values:
            parse_name_addr(value)
    except RemoteProtocolError:
        return ()
    return tuple(values)


def _contact_uri(message: Request | Response) -> str | None:
    """Return the URI of the first Contact if it is a SIP URI."""
    value = message.headers.get("Contact")
    if value is None or value == "*":
        return None
    try:
        contact = parse_name_addr(value)
        contact.sip_uri()
    except RemoteProtocolError:
        return None
    return contact.uri
