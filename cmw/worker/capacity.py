"""How many endpoints this process can carry at most: by its ports and its descriptors."""

from __future__ import annotations

import resource

from cmw.core.address import PortRange

RESERVED_DESCRIPTORS = 100
"""For everything but media: the SIP listener, the link, the health page, logs, the interpreter."""

DESCRIPTORS_PER_ENDPOINT = 2
"""One socket for RTP, one for RTCP."""


def endpoint_capacity(rtp_ports: PortRange) -> int:
    """Return how many endpoints fit: port pairs of the range, or descriptors, whichever are fewer.

    The soft limit of descriptors is raised to the hard one first.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    by_descriptors = (hard - RESERVED_DESCRIPTORS) // DESCRIPTORS_PER_ENDPOINT
    if hard == resource.RLIM_INFINITY:
        by_descriptors = len(rtp_ports)
    return max(0, min(len(rtp_ports.pairs()), by_descriptors))
