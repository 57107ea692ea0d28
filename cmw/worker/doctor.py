"""`cmw doctor`: everything that a worker needs from its settings, its network and its machine, looked at beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cmw.sip import SipUri
from cmw.worker.doctor_gateway import look_at_gateway
from cmw.worker.doctor_homer import look_at_homer
from cmw.worker.doctor_machine import look_at_machine
from cmw.worker.doctor_ports import look_at_ports
from cmw.worker.doctor_spool import look_at_spool
from cmw.worker.doctor_targets import look_at_targets
from cmw.worker.finding import Finding, fail, ok
from cmw.worker.settings import read_settings

MEND_SETTINGS = "set it as docs/configuration.md says; `cmw config` shows every value and where it comes from"


class Wanted(NamedTuple):
    """What the operator wants to know beside the settings.

    Args:
        destinations: what will be called: for the addresses chosen, and asked with OPTIONS.
        capacity: endpoints that this worker is to carry; None when nobody says.
    """

    destinations: Sequence[SipUri] = ()
    capacity: int | None = None


def examine(wanted: Wanted) -> Iterator[Finding]:
    """Return each finding as soon as it is there; takes some seconds, and blocks."""
    settings, faults = read_settings()
    for fault in faults:
        yield fail("settings", str(fault), MEND_SETTINGS)
    if settings is not None:
        yield ok("settings", "all of them can be used; the token has the right shape")
        yield from look_at_gateway(settings)
        chosen = yield from look_at_targets(settings, wanted.destinations)
        yield from look_at_ports(settings, chosen, wanted.capacity)
        yield from look_at_spool(settings)
        yield from look_at_homer(settings)
    yield from look_at_machine(wanted.capacity)
