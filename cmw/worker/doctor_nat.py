"""How a SIP server sees us: the answer to OPTIONS tells the address that our request came from. Source: RFC 3581 4."""

from __future__ import annotations

import secrets
import socket
import ssl
from ipaddress import ip_address

from cmw.core.address import Address
from cmw.errors import RemoteProtocolError
from cmw.net.tls_stream import Stream, TlsStream
from cmw.sip import Hop, MessageStream, Response, StreamMessageReceived, Transport, parse_message
from cmw.worker.finding import Finding, fail, ok, warn
from cmw.worker.settings import Addresses

TRIES = 3
PATIENCE_S = 1.0
"""For the answer to each of the tries."""

_NAT = "NAT"


def look_at_nat(hop: Hop, own: Addresses) -> Finding:
    """Ask a server with OPTIONS which address it sees, and compare that with those that SIP and SDP will show."""
    over = hop.transport
    if over in (Transport.WS, Transport.WSS):
        return ok(_NAT, f"{hop} is not asked: over WebSocket everything comes back on our own connection")
    try:
        with _connect(hop, own) as sock:
            port = sock.getsockname()[1]
            answer = _ask(sock, hop, Address(own.external, port))
    except OSError as error:
        return fail(_NAT, f"{hop}: {error.strerror or error}", f"see that SIP over {over} reaches the target")
    if answer is None:
        remedy = f"see that the target answers OPTIONS over {over}, and that its answers come through the firewall"
        return warn(_NAT, f"{hop} does not answer OPTIONS", remedy)
    via = answer.top_via
    seen = (via.param("received") or via.host).strip("[]")
    seen_port = via.param("rport") or str(via.port or over.default_port)
    found = f"{hop} answers {answer.status} and sees {seen} port {seen_port}, sent from {own.sip} port {port}"
    if not _is_same(seen, own.external):
        remedy = f"set EXTERNAL_IP={seen} and SDP_IP={seen}, and hand SIP and RTP ports on to this machine"
        return warn(_NAT, found, remedy)
    if own.external != own.sip and own.sdp == own.sip:
        return warn(_NAT, f"{found}, but SDP shows {own.sdp}", f"set SDP_IP={seen}, and hand RTP ports on")
    return ok(_NAT, found)


def _connect(hop: Hop, own: Addresses) -> socket.socket:
    """Return a socket of ours at which only the target is heard."""
    kind = socket.SOCK_DGRAM if hop.transport is Transport.UDP else socket.SOCK_STREAM
    sock = socket.socket(socket.AF_INET6 if ":" in own.sip else socket.AF_INET, kind)
    try:
        sock.settimeout(PATIENCE_S * TRIES)
        sock.bind((own.sip, 0))
        sock.connect((hop.host, hop.port))
    except BaseException:
        sock.close()
        raise
    sock.settimeout(PATIENCE_S)
    return sock


def _ask(sock: socket.socket, hop: Hop, shown: Address) -> Response | None:
    branch = f"z9hG4bK{secrets.token_hex(8)}"
    request = _options(hop, shown, branch)
    if hop.transport is Transport.UDP:
        return _ask_by_datagrams(sock, request, branch)
    sock.settimeout(PATIENCE_S * TRIES)
    way: Stream = sock if hop.transport is Transport.TCP else TlsStream(sock, _any_certificate(), hop.host)
    way.sendall(request)
    return _read_answer(way, branch)


def _read_answer(way: Stream, branch: str) -> Response | None:
    """Return the first answer to us that comes by a stream, None when there is silence or something else."""
    stream = MessageStream()
    while not stream.close_expected:
        try:
            data = way.recv(65536)
        except TimeoutError:
            return None
        if not data:
            return None
        stream.receive_data(data)
        while (event := stream.next_event()) is not None:
            if isinstance(event, StreamMessageReceived) and (answer := _answer_in(event.data, branch)) is not None:
                return answer
    return None


def _ask_by_datagrams(sock: socket.socket, request: bytes, branch: str) -> Response | None:
    for _ in range(TRIES):
        try:
            sock.send(request)
            answer = _answer_in(sock.recv(65535), branch)
        except TimeoutError:
            continue
        if answer is not None:
            return answer
    return None


def _answer_in(data: bytes, branch: str) -> Response | None:
    try:
        answer = parse_message(data)
    except RemoteProtocolError:
        return None
    return answer if isinstance(answer, Response) and answer.top_via.branch == branch else None


def _options(hop: Hop, shown: Address, branch: str) -> bytes:
    target = Address(hop.host, hop.port)
    return "\r\n".join(
        [
            f"OPTIONS sip:{target} SIP/2.0",
            f"Via: SIP/2.0/{hop.transport} {shown};rport;branch={branch}",
            "Max-Forwards: 70",
            f"From: <sip:doctor@{shown}>;tag={secrets.token_hex(4)}",
            f"To: <sip:{target}>",
            f"Call-ID: {secrets.token_hex(12)}",
            "CSeq: 1 OPTIONS",
            f"Contact: <sip:doctor@{shown}>",
            "Content-Length: 0",
            "\r\n",
        ]
    ).encode()


def _any_certificate() -> ssl.SSLContext:
    """Return a context that trusts everybody: nothing secret is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _is_same(seen: str, shown: str) -> bool:
    try:
        return ip_address(seen) == ip_address(shown)
    except ValueError:
        return False
