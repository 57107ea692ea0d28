"""Answers the lookups of a user agent: the procedure of `cmw.sip.locate` with the answers of a DNS client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from cmw.core.ids import Ids
from cmw.net.dns import DnsClient
from cmw.sip.hop import Hop
from cmw.sip.locate import Answer, Located, Question, locate
from cmw.sip.lookup import Lookup

MAX_ROUNDS: Final = 8
"""Rounds of questions; NAPTR, SRV and addresses take three."""


class SipLocator:
    """Find the hops of lookups; the `locate` of a driver.

    Args:
        dns: whom to ask.
        ids: draws among servers of equal priority.
    """

    def __init__(self, dns: DnsClient, ids: Ids) -> None:
        self._dns = dns
        self._ids = ids

    async def __call__(self, lookup: Lookup) -> tuple[Sequence[Hop], str]:
        """Return the hops, best first, or none and the reason."""
        known: dict[Question, Answer] = {}
        for _ in range(MAX_ROUNDS):
            step = locate(
                lookup.uri, transports=lookup.transports, families=lookup.families, known=known, ids=self._ids
            )
            if isinstance(step, Located):
                return step.hops, step.reason
            answers = await asyncio.gather(*(self._dns.answer(question) for question in step.questions))
            known.update(zip(step.questions, answers, strict=True))
        return (), "DNS leads nowhere"
