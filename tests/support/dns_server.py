"""A name server on loopback that knows what it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from cmw.core.address import Address


class DnsServer(asyncio.DatagramProtocol):
    """Answers over UDP from a zone, and counts.

    Args:
        zone: owner and type (``"example.com SRV"``) to lines of records; ``"!"`` alone for a server failure,
            ``"-"`` for no answer at all. A name of which nothing is known does not exist.
    """

    def __init__(self, zone: dict[str, list[str]]) -> None:
        self.zone = zone
        self.additional: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.ttl_s = 300
        self._transport: Any = None

    async def start(self, ip: str = "127.0.0.1") -> Address:
        """Listen, and return where."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, (ip, 0))
        return Address(*self._transport.get_extra_info("sockname")[:2])

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: Any) -> None: ...

    def datagram_received(self, data: bytes, address: Any) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{name} {kind}")
        lines = self.zone.get(f"{name} {kind}")
        if lines == ["-"]:
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if lines == ["!"]:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif not any(key.startswith(f"{name} ") for key in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        self._add_answer(response, name, kind, 0)
        for key, extra in self.additional.items():
            owner, kind = key.split(" ")
            response.additional.append(dns.rrset.from_text(f"{owner}.", self.ttl_s, "IN", kind, *extra))
        self._transport.sendto(response.to_wire(), address)

    def _add_answer(self, response: dns.message.Message, name: str, kind: str, depth: int) -> None:
        lines = self.zone.get(f"{name} {kind}")
        alias = self.zone.get(f"{name} CNAME")
        if lines and lines[0] not in "!-":
            response.answer.append(dns.rrset.from_text(f"{name}.", self.ttl_s, "IN", kind, *lines))
        elif alias and depth < 20:
            response.answer.append(dns.rrset.from_text(f"{name}.", self.ttl_s, "IN", "CNAME", *alias))
            self._add_answer(response, alias[0].rstrip("."), kind, depth + 1)
