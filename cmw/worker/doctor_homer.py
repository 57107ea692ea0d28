"""The capture server that a worker tells of its SIP: without an address for it no worker starts."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from cmw.worker.finding import Finding, fail, ok
from cmw.worker.settings import WorkerSettings
from cmw.worker.values import parse_target


def look_at_homer(settings: WorkerSettings) -> Iterator[Finding]:
    """Tell where `HEP_TARGET`, where it is set, leads; whether anybody listens there UDP does not tell."""
    if settings.hep_target is None:
        return
    target = parse_target(settings.hep_target)
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        why = f"HEP_TARGET: {target.host}: {error.strerror or error}"
        yield fail("capture server", why, "mend the name in HEP_TARGET, or DNS, or unset it")
        return
    yield ok("capture server", f"{target} is {found[0][4][0]}")
