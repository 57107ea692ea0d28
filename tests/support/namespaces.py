"""Network namespaces that are there for a `with` block, and the commands that make them."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import Self


class Namespaces:
    """Made by `make`, and gone with the `with` block, even if they were made in part.

    Args:
        names: of all of them.
    """

    def __init__(self, *names: str) -> None:
        self._names = names

    def __enter__(self) -> Self:
        try:
            self.make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def make(self) -> None:
        """Make the namespaces, each with its loopback device up."""
        for name in self._names:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")

    def enter(self, namespace: str) -> list[str]:
        """Return the words before a command that is to run in a namespace."""
        return ["ip", "netns", "exec", namespace]

    def join(
        self, namespace: str, device: str, address: str, other: str, other_device: str, other_address: str
    ) -> None:
        """Lay a cable between two namespaces; addresses are like ``192.0.2.1/24``."""
        peer = ["peer", "name", other_device, "netns", other]
        run("ip", "-n", namespace, "link", "add", device, "type", "veth", *peer)
        for where, name, its in ((namespace, device, address), (other, other_device, other_address)):
            run("ip", "-n", where, "address", "add", its, "dev", name)
            run("ip", "-n", where, "link", "set", name, "up")

    def _remove(self) -> None:
        for name in self._names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def run(*words: str) -> str:
    """Return what a command says; fail with it when it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout
