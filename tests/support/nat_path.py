"""Three network namespaces: a private network, a router that translates its addresses, and the world outside."""

from __future__ import annotations

import itertools
import os
import subprocess
from types import TracebackType

_numbers = itertools.count(1)


class NatPath:
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

    def __enter__(self) -> NatPath:
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def enter(self, namespace: str) -> list[str]:
        """Return the words before a command that is to run in a namespace."""
        return ["ip", "netns", "exec", namespace]

    def translated(self, name: str) -> int:
        """Return how many flows the counter ``out`` or ``back`` of the router has seen."""
        words = run(*self.enter(self.router), "nft", "list", "counter", "ip", "nat", name).split()
        return int(words[words.index("packets") + 1])

    def _make(self) -> None:
        for namespace in (self.inside, self.router, self.outside):
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        self._join(self.inside, f"{self.inside_ip}/24", "private0", "10.0.1.1/24")
        self._join(self.outside, f"{self.outside_ip}/24", "public0", f"{self.public_ip}/24")
        run("ip", "-n", self.inside, "route", "add", "default", "via", "10.0.1.1")
        run(*self.enter(self.router), "sysctl", "-qw", "net.ipv4.ip_forward=1")
        run(*self.enter(self.router), "nft", self._rules())

    def _join(self, namespace: str, address: str, device: str, router_address: str) -> None:
        peer = ["peer", "name", "eth0", "netns", namespace]
        run("ip", "-n", self.router, "link", "add", device, "type", "veth", *peer)
        for where, name, ip in ((namespace, "eth0", address), (self.router, device, router_address)):
            run("ip", "-n", where, "address", "add", ip, "dev", name)
            run("ip", "-n", where, "link", "set", name, "up")

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

    def _remove(self) -> None:
        for namespace in (self.inside, self.router, self.outside):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)


def run(*words: str) -> str:
    """Return what a command says; fail with it when it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout
