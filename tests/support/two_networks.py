"""A machine in two networks that know nothing of each other: three namespaces, two cables."""

from __future__ import annotations

import itertools
import os
import subprocess
from types import TracebackType
from typing import NamedTuple

_numbers = itertools.count(1)


class Network(NamedTuple):
    """One of the two: the namespace of the peer in it, its address, and the machine's own there."""

    namespace: str
    peer_ip: str
    own_ip: str


class TwoNetworks:
    """Namespace `here`, and at the other end of a cable each `left` and `right`; gone with the `with` block."""

    def __init__(self) -> None:
        name = f"cmw{os.getpid()}-two{next(_numbers)}"
        self.here = f"{name}h"
        self.left = Network(f"{name}l", "192.0.2.2", "192.0.2.1")
        self.right = Network(f"{name}r", "198.51.100.2", "198.51.100.1")

    def __enter__(self) -> TwoNetworks:
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

    def _make(self) -> None:
        run("ip", "netns", "add", self.here)
        run("ip", "-n", self.here, "link", "set", "lo", "up")
        for device, network in (("left0", self.left), ("right0", self.right)):
            run("ip", "netns", "add", network.namespace)
            peer = ["peer", "name", "eth0", "netns", network.namespace]
            run("ip", "-n", self.here, "link", "add", device, "type", "veth", *peer)
            ends = ((self.here, device, network.own_ip), (network.namespace, "eth0", network.peer_ip))
            for where, name, ip in ends:
                run("ip", "-n", where, "address", "add", f"{ip}/24", "dev", name)
                run("ip", "-n", where, "link", "set", name, "up")

    def _remove(self) -> None:
        for namespace in (self.here, self.left.namespace, self.right.namespace):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)


def run(*words: str) -> str:
    """Return what a command says; fail with it when it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout
