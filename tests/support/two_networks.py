"""A machine in two networks that know nothing of each other: three namespaces, two cables."""

from __future__ import annotations

import itertools
import os
from typing import NamedTuple

from tests.support.namespaces import Namespaces

_numbers = itertools.count(1)


class Network(NamedTuple):
    """One of the two: the namespace of the peer in it, its address, and the machine's own there."""

    namespace: str
    peer_ip: str
    own_ip: str


class TwoNetworks(Namespaces):
    """Namespace `here`, and at the other end of a cable each `left` and `right`; gone with the `with` block."""

    def __init__(self) -> None:
        name = f"cmw{os.getpid()}-two{next(_numbers)}"
        self.here = f"{name}h"
        self.left = Network(f"{name}l", "192.0.2.2", "192.0.2.1")
        self.right = Network(f"{name}r", "198.51.100.2", "198.51.100.1")
        super().__init__(self.here, self.left.namespace, self.right.namespace)

    def make(self) -> None:
        """Lay the cables too."""
        super().make()
        for device, network in (("left0", self.left), ("right0", self.right)):
            ends = (f"{network.own_ip}/24", network.namespace, "eth0", f"{network.peer_ip}/24")
            self.join(self.here, device, *ends)
