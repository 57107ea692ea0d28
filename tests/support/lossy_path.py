"""Two network namespaces and a cable between them that loses SIP messages over UDP, each way by itself."""

from __future__ import annotations

import itertools
import os

from tests.support.namespaces import Namespaces, run

_numbers = itertools.count(1)


class LossyPath(Namespaces):
    """Namespaces `here` and `there`, gone with the `with` block; their addresses are of a network for examples.

    Args:
        loss_percent: how many of a hundred datagrams to these ports get lost, at random.
        ports: those of SIP, or others.
    """

    here_ip = "192.0.2.1"
    there_ip = "192.0.2.2"

    def __init__(self, loss_percent: int, ports: str = "5060-5080") -> None:
        self._loss_percent, self._ports = loss_percent, ports
        name = f"cmw{os.getpid()}-{next(_numbers)}"
        self.here, self.there = f"{name}a", f"{name}b"
        super().__init__(self.here, self.there)

    def lost(self, namespace: str) -> int:
        """Return how many messages to a namespace were lost."""
        words = run(*self.enter(namespace), "nft", "list", "counter", "ip", "path", "lost").split()
        return int(words[words.index("packets") + 1])

    def make(self) -> None:
        """Lay the cable, and have both ends lose what comes."""
        super().make()
        self.join(self.here, "path0", f"{self.here_ip}/24", self.there, "path0", f"{self.there_ip}/24")
        for namespace in (self.here, self.there):
            run(*self.enter(namespace), "nft", self._rules())

    def _rules(self) -> str:
        drop = f"udp dport {self._ports} numgen random mod 100 < {self._loss_percent} counter name lost drop"
        return (
            "add table ip path; add counter ip path lost; "
            "add chain ip path input { type filter hook input priority 0 ; }; "
            f"add rule ip path input {drop}"
        )
