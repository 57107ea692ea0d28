"""A SIP party played by the test: it keeps what it gets and sends what it is told."""

from __future__ import annotations

from collections.abc import Iterable

from cmw.core.clock import Nanos
from cmw.core.timers import Deadline
from cmw.errors import RemoteProtocolError
from cmw.sip.hop import Datagram, Hop
from cmw.sip.message import Request, Response, make_response, parse_message, serialize_message
from tests.support.sip_link import Link

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)

ANOTHER_SDP = SDP.replace(b"- 1 1", b"- 1 2").replace(b"4000", b"4002")
"""The same party at another port."""


class Party:
    """A machine for `Link` without any behaviour.

    Args:
        link: the network.
        address: its address there.
    """

    def __init__(self, link: Link, address: Hop) -> None:
        self.link = link
        self.address = address
        self.received: list[Request | Response] = []
        self.unreadable: list[bytes] = []
        self._out: list[Datagram] = []
        self._branches = 0
        link.attach(address, self)

    # what the link calls

    def receive_datagram(self, data: bytes, source: Hop, *, now: Nanos) -> None:
        try:
            self.received.append(parse_message(data))
        except RemoteProtocolError:
            self.unreadable.append(data)

    def handle_timeout(self, *, now: Nanos) -> None: ...

    def datagrams_to_send(self) -> list[Datagram]:
        out, self._out = self._out, []
        return out

    def next_event(self) -> None: ...

    def next_timeout(self) -> Deadline | None:
        return None

    # what the test calls

    def branch(self) -> str:
        self._branches += 1
        return f"z9hG4bKparty{self._branches}"

    def request(
        self,
        method: str,
        uri: str,
        *,
        call_id: str = "c1",
        cseq: int = 1,
        from_tag: str = "from1",
        to: str = "",
        branch: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        cseq_method: str = "",
    ) -> Request:
        """Build a request of this party."""
        request = Request(method, uri, body=body)
        add = request.headers.add
        add("Via", f"SIP/2.0/UDP {self.address};rport;branch={branch or self.branch()}")
        add("Max-Forwards", "70")
        add("From", f"<sip:party@{self.address}>;tag={from_tag}")
        add("To", to or f"<{uri}>")
        add("Call-ID", call_id)
        add("CSeq", f"{cseq} {cseq_method or method}")
        add("Contact", f"<sip:party@{self.address}>")
        rows = list(headers)
        for name, value in rows:
            add(name, value)
        if body and "Content-Type" not in dict(rows):
            add("Content-Type", "application/sdp")
        return request

    def send(self, message: Request | Response, destination: Hop) -> None:
        """Put a message on the link and let it arrive, with everything that follows at once."""
        self.send_bytes(serialize_message(message), destination)

    def send_bytes(self, data: bytes, destination: Hop) -> None:
        self._out.append(Datagram(data, destination))
        self.link.run(self.link.now + 4 * self.link.delay_ns)

    def respond(
        self,
        request: Request,
        status: int,
        reason: str = "",
        *,
        tag: str | None = "to1",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        destination: Hop,
    ) -> Response:
        """Answer a request, with a Contact, and let the answer arrive."""
        response = make_response(request, status, reason, to_tag=tag, headers=headers, body=body)
        if "Contact" not in response.headers:
            response.headers.add("Contact", f"<sip:party@{self.address}>")
        if body:
            response.headers.add("Content-Type", "application/sdp")
        self.send(response, destination)
        return response

    def requests(self, method: str) -> list[Request]:
        """Return the requests with this method that arrived, in order."""
        return [each for each in self.received if isinstance(each, Request) and each.method == method]

    def responses(self, method: str) -> list[Response]:
        """Return the responses to requests with this method that arrived, in order."""
        return [each for each in self.received if isinstance(each, Response) and each.cseq.method == method]

    def statuses(self, method: str) -> list[int]:
        return [each.status for each in self.responses(method)]
