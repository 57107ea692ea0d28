"""Two network namespaces and a cable between them that loses SIP messages over UDP, each way by itself."""

from __future__ import annotations

import itertools
import os
import subprocess
from types import TracebackType

_numbers = itertools.count(1)


class LossyPath:
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

    def __enter__(self) -> LossyPath:
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

    def lost(self, namespace: str) -> int:
        """Return how many messages to a namespace were lost."""
        words = _run(*self.enter(namespace), "nft", "list", "counter", "ip", "path", "lost").split()
        return int(words[words.index("packets") + 1])

    def _make(self) -> None:
        for namespace in (self.here, self.there):
            _run("ip", "netns", "add", namespace)
        peer = ["peer", "name", "path0", "netns", self.there]
        _run("ip", "-n", self.here, "link", "add", "path0", "type", "veth", *peer)
        for namespace, ip in ((self.here, self.here_ip), (self.there, self.there_ip)):
            _run("ip", "-n", namespace, "address", "add", f"{ip}/24", "dev", "path0")
            for device in ("lo", "path0"):
                _run("ip", "-n", namespace, "link", "set", device, "up")
            _run(*self.enter(namespace), "nft", self._rules())

    def _rules(self) -> str:
        drop = f"udp dport {self._ports} numgen random mod 100 < {self._loss_percent} counter name lost drop"
        return (
            "add table ip path; add counter ip path lost; "
            "add chain ip path input { type filter hook input priority 0 ; }; "
            f"add rule ip path input {drop}"
        )

    def _remove(self) -> None:
        for namespace in (self.here, self.there):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout
