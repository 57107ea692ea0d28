"""How a SIP server sees us: the answer to OPTIONS tells the address that our request came from. Source: RFC 3581 4."""

from __future__ import annotations

import secrets
import socket
from ipaddress import ip_address

from cmw.core.address import Address
from cmw.errors import RemoteProtocolError
from cmw.sip import Response, parse_message
from cmw.worker.finding import Finding, fail, ok, warn
from cmw.worker.settings import Addresses

TRIES = 3
PATIENCE_S = 1.0
"""For the answer to each of the tries."""


def look_at_nat(target: Address, own: Addresses) -> Finding:
    """Ask a target with OPTIONS over UDP which address it sees, and compare that with the one that SIP will show."""
    family = socket.AF_INET6 if ":" in own.sip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((own.sip, 0))
            sock.connect((target.host, target.port))
            sock.settimeout(PATIENCE_S)
            answer = _ask(sock, target, Address(own.external, sock.getsockname()[1]))
            port = sock.getsockname()[1]
    except OSError as error:
        return fail("NAT", f"{target}: {error.strerror or error}", "see that SIP over UDP reaches the target")
    if answer is None:
        remedy = "see that the target answers OPTIONS over UDP, and that its answers come through the firewall"
        return warn("NAT", f"{target} does not answer OPTIONS", remedy)
    via = answer.top_via
    seen = via.param("received") or via.host
    seen_port = via.param("rport") or str(via.port or 5060)
    found = f"{target} answers {answer.status} and sees {seen} port {seen_port}, sent from {own.sip} port {port}"
    if _is_same(seen, own.external):
        return ok("NAT", found)
    return warn(
        "NAT", found, f"set EXTERNAL_IP={seen} and SDP_IP={seen}, and hand SIP and RTP ports on to this machine"
    )


def _ask(sock: socket.socket, target: Address, shown: Address) -> Response | None:
    branch = f"z9hG4bK{secrets.token_hex(8)}"
    request = "\r\n".join(
        [
            f"OPTIONS sip:{target} SIP/2.0",
            f"Via: SIP/2.0/UDP {shown};rport;branch={branch}",
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
    for _ in range(TRIES):
        try:
            sock.send(request)
            answer = parse_message(sock.recv(65535))
        except (TimeoutError, RemoteProtocolError):
            continue
        if isinstance(answer, Response) and answer.top_via.branch == branch:
            return answer
    return None


def _is_same(seen: str, shown: str) -> bool:
    try:
        return ip_address(seen) == ip_address(shown)
    except ValueError:
        return False
