"""How many endpoints this process can carry at most: by its ports and its descriptors."""

from __future__ import annotations

import resource
from typing import NamedTuple

from cmw.core.address import PortRange
from cmw.worker.doctor_machine import limits_of_machine

RESERVED_DESCRIPTORS = 100
"""For everything but media: the SIP listener, the link, the health page, logs, the interpreter."""

DESCRIPTORS_PER_ENDPOINT = 2
"""One socket for RTP, one for RTCP."""

FIRST_TIER = 25
"""Endpoints of the smallest worker that the page describes; a worker that cannot carry these says so at start."""


class Capacity(NamedTuple):
    """What fits, and why not more.

    Args:
        endpoints: how many endpoints can have a call at once.
        bound: the setting or limit that decides, in words for the operator.
    """

    endpoints: int
    bound: str


def media_threads(wanted: int | None) -> int:
    """Return how many media threads to start: `wanted`, else one for each core but the one for signalling."""
    return wanted or max(1, int(limits_of_machine()[0]) - 1)


def endpoint_capacity(rtp_ports: PortRange) -> Capacity:
    """Return how many endpoints fit: port pairs of the range, or descriptors, whichever are fewer.

    The soft limit of descriptors is raised to the hard one first.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    by_ports = len(rtp_ports.pairs())
    by_descriptors = max(0, (hard - RESERVED_DESCRIPTORS) // DESCRIPTORS_PER_ENDPOINT)
    if hard == resource.RLIM_INFINITY or by_ports <= by_descriptors:
        return Capacity(by_ports, f"RTP_PORT_MIN to RTP_PORT_MAX, {rtp_ports}, holds {by_ports} pairs of ports")
    return Capacity(by_descriptors, f"the limit of open files, {hard}, is enough for {by_descriptors} pairs of sockets")
