"""Three network namespaces: a private network, a router that translates its addresses, and the world outside."""

from __future__ import annotations

import itertools
import os

from tests.support.namespaces import Namespaces, run

_numbers = itertools.count(1)


class NatPath(Namespaces):
    """Namespaces `inside`, `router` and `outside`, gone with the `with` block; nothing routes from outside to inside.

    What goes out has the router's public address. What comes to that address on the SIP and RTP ports of a worker is
    handed to the worker's private one.
    """

    inside_ip = "10.0.1.50"
    public_ip = "203.0.113.10"
    outside_ip = "203.0.113.20"

    def __init__(self) -> None:
        name = f"cmw{os.getpid()}-nat{next(_numbers)}"
        self.inside, self.router, self.outside = f"{name}i", f"{name}r", f"{name}o"
        super().__init__(self.inside, self.router, self.outside)

    def translated(self, name: str) -> int:
        """Return how many flows the counter ``out`` or ``back`` of the router has seen."""
        words = run(*self.enter(self.router), "nft", "list", "counter", "ip", "nat", name).split()
        return int(words[words.index("packets") + 1])

    def make(self) -> None:
        """Lay the cables, and have the router translate."""
        super().make()
        self.join(self.router, "private0", "10.0.1.1/24", self.inside, "eth0", f"{self.inside_ip}/24")
        self.join(self.router, "public0", f"{self.public_ip}/24", self.outside, "eth0", f"{self.outside_ip}/24")
        run("ip", "-n", self.inside, "route", "add", "default", "via", "10.0.1.1")
        run(*self.enter(self.router), "sysctl", "-qw", "net.ipv4.ip_forward=1")
        run(*self.enter(self.router), "nft", self._rules())

    def _rules(self) -> str:
        ports = "{ 5060-5080, 10000-10099 }"
        return "; ".join(
            [
                "add table ip nat",
                "add counter ip nat out",
                "add counter ip nat back",
                "add chain ip nat after { type nat hook postrouting priority 100 ; }",
                "add rule ip nat after oifname public0 counter name out masquerade",
                "add chain ip nat before { type nat hook prerouting priority -100 ; }",
                f"add rule ip nat before iifname public0 udp dport {ports} counter name back dnat to {self.inside_ip}",
            ]
        )
