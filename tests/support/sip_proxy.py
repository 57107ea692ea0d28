"""A proxy or redirect server for flows in virtual time: it stays in the path, may ask for a password, may be dead."""

from __future__ import annotations

from hashlib import sha256

from cmw.core.clock import Nanos
from cmw.core.timers import Deadline
from cmw.sip.hop import Datagram, Hop
from cmw.sip.lookup import literal_hop
from cmw.sip.message import Request, Response, make_response, parse_message, serialize_message
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.uri import parse_uri
from tests.support.sip_link import Link


class Proxy:
    """Forward what comes along, without state but for what it has seen.

    Args:
        link: the network.
        address: its address there.
        next_hops: where requests for a host go that the link does not know by its address.
        realm: asks for credentials of this realm; "" asks for none.
        refusal: answers every INVITE so; 0 forwards it.
        contacts: Contact values of a refusal with 3xx.
    """

    def __init__(
        self,
        link: Link,
        address: Hop,
        next_hops: dict[str, Hop] | None = None,
        *,
        realm: str = "",
        refusal: int = 0,
        contacts: tuple[str, ...] = (),
        is_dead: bool = False,
    ) -> None:
        self.address = address
        self.next_hops = next_hops or {}
        self.realm = realm
        self.refusal = refusal
        self.contacts = contacts
        self.is_dead = is_dead
        self.seen: list[str] = []
        self._answered: set[str] = set()
        self._out: list[Datagram] = []
        link.attach(address, self)

    def receive_datagram(self, data: bytes, source: Hop, *, now: Nanos) -> None:
        message = parse_message(data)
        if self.is_dead:
            return
        if isinstance(message, Response):
            self._backward(message)
            return
        self.seen.append(message.method)
        message.headers.replace_first("Via", str(message.top_via.stamped(source)))
        branch = message.top_via.branch or ""
        if message.method == "ACK" and branch in self._answered:
            return
        status = self._status(message)
        if status:
            self._answered.add(branch)
            self._respond(message, status)
        else:
            self._forward(message)

    def _status(self, request: Request) -> int:
        if request.method == "INVITE" and request.to.tag is None:
            proofs = request.headers.get_all("Proxy-Authorization")
            if self.realm and not any(f'realm="{self.realm}"' in proof for proof in proofs):
                return 407
            return self.refusal
        return 0

    def _respond(self, request: Request, status: int) -> None:
        headers = [("Contact", contact) for contact in self.contacts]
        if status == 407:
            headers = [("Proxy-Authenticate", f'Digest realm="{self.realm}", nonce="{self.realm}1", qop="auth"')]
        response = make_response(request, status, to_tag="proxy", headers=headers)
        self._out.append(Datagram(serialize_message(response), request.top_via.reply_hop()))

    def _forward(self, request: Request) -> None:
        own = f"sip:{self.address};lr"
        route = request.headers.get("Route")
        if route is not None and parse_name_addr(route).uri == own:
            request.headers.remove_first("Route")
        route = request.headers.get("Route")
        uri = parse_name_addr(route).uri if route is not None else request.uri
        hop = self.next_hops.get(parse_uri(uri).host) or literal_hop(uri)
        if hop is None:
            return
        seed = f"{request.top_via.branch}{self.address}"
        if request.method == "INVITE" and request.to.tag is None:
            request.headers.add_first("Record-Route", f"<{own}>")
        branch = f"z9hG4bK{sha256(seed.encode()).hexdigest()[:12]}"
        request.headers.add_first("Via", f"SIP/2.0/UDP {self.address};branch={branch}")
        self._out.append(Datagram(serialize_message(request), hop))

    def _backward(self, response: Response) -> None:
        response.headers.remove_first("Via")
        self._out.append(Datagram(serialize_message(response), response.top_via.reply_hop()))

    def handle_timeout(self, *, now: Nanos) -> None: ...

    def datagrams_to_send(self) -> list[Datagram]:
        out, self._out = self._out, []
        return out

    def next_event(self) -> None: ...

    def next_timeout(self) -> Deadline | None:
        return None
