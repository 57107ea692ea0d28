"""The way to what will be called: where its name leads, which addresses we show it, and what it sees of us."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence

from cmw.core.address import Address
from cmw.errors import SettingsError
from cmw.net.dns import DnsClient
from cmw.net.ids import RandomIds
from cmw.net.route import local_address_towards
from cmw.net.sip_locator import SipLocator
from cmw.sip import Hop, SipUri, Transport
from cmw.sip.lookup import Lookup, literal_hop
from cmw.worker.doctor_nat import look_at_nat
from cmw.worker.finding import Finding, fail, ok
from cmw.worker.settings import Addresses, WorkerSettings


def look_at_targets(settings: WorkerSettings, targets: Sequence[SipUri]) -> Generator[Finding, None, list[Addresses]]:
    """Look at the addresses without a destination and for each; return the ones that were chosen."""
    chosen = []
    try:
        home = settings.addresses()
    except SettingsError as error:
        yield fail("addresses", str(error), "set SIP_IP")
    else:
        chosen.append(home)
        yield ok("addresses", _shown("without a destination", home))
    for target in targets:
        hop = literal_hop(target)
        if hop is None:
            hops, why = _find(target, settings)
            if not hops:
                yield fail("DNS", f"{target}: {why}", "mend the name, or its records in DNS")
                continue
            hop = hops[0]
            yield ok("DNS", f"{target} leads to {', '.join(map(str, hops))}")
        try:
            own = settings.addresses_at(settings.sip_ip or local_address_towards(Address(hop.host, hop.port)))
        except OSError as error:
            yield fail("addresses", f"for {target}: {error.strerror or error}", f"mend the route to {hop.host}")
            continue
        chosen.append(own)
        yield ok("addresses", _shown(f"for {target}", own))
        yield look_at_nat(hop, own)
    return chosen


def _find(target: SipUri, settings: WorkerSettings) -> tuple[Sequence[Hop], str]:
    """Return the hops to a target as a worker finds them, or none and the reason."""
    families = (4, 6) if settings.sip_ip is None else (6,) if ":" in settings.sip_ip else (4,)

    async def find() -> tuple[Sequence[Hop], str]:
        return await SipLocator(DnsClient(), RandomIds())(Lookup(1, target, tuple(Transport), families))

    return asyncio.run(find())


def _shown(whom: str, own: Addresses) -> str:
    return f"{whom}: SIP {own.sip}, media {own.media}, in SDP {own.sdp}, in Via and Contact {own.external}"
