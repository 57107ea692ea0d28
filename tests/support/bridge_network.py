"""A container on the bridge of its host, as Docker has it unless told otherwise: two namespaces, no port published."""

from __future__ import annotations

import itertools
import os

from tests.support.namespaces import Namespaces, run

_numbers = itertools.count(1)


class BridgeNetwork(Namespaces):
    """Namespaces `host` and `container`, gone with the `with` block; the host has a network of its own too."""

    host_ip = "10.0.1.20"
    bridge_ip = "172.17.0.1"
    container_ip = "172.17.0.2"

    def __init__(self) -> None:
        name = f"cmw{os.getpid()}-br{next(_numbers)}"
        self.host, self.container = f"{name}h", f"{name}c"
        super().__init__(self.host, self.container)

    def make(self) -> None:
        """Lay the cable, and give the container its way out."""
        super().make()
        self.join(self.host, "veth0", "0.0.0.0/32", self.container, "eth0", f"{self.container_ip}/16")
        for device, address in (("docker0", f"{self.bridge_ip}/16"), ("lan0", f"{self.host_ip}/24")):
            run("ip", "-n", self.host, "link", "add", device, "type", "bridge")
            run("ip", "-n", self.host, "address", "add", address, "dev", device)
            run("ip", "-n", self.host, "link", "set", device, "up")
        run("ip", "-n", self.host, "link", "set", "veth0", "master", "docker0")
        run("ip", "-n", self.container, "route", "add", "default", "via", self.bridge_ip)
