"""A gateway that comes back: a hundred workers find it again, none of them with a haste that would keep it down.

CMW_AWAY_SECONDS=60 is the real thing.
"""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from pathlib import Path

import pytest

from cmw.core.address import Address
from cmw.core.clock import SECOND
from cmw.link import events
from cmw.link.backoff import CAP, FLOOR
from cmw.link.presence import WorkerInfo
from cmw.link.url import GatewayUrl
from cmw.net.clock import monotonic_ns
from cmw.net.ids import RandomIds
from cmw.net.link_client import LinkClient
from tests.gateway.world import open_gateway

pytestmark = pytest.mark.loopback

WORKERS = 100
AWAY_S = int(os.environ.get("CMW_AWAY_SECONDS", "2"))


class Dialler:
    """A worker that only links, with the back-off of the product; it keeps when each try was due."""

    def __init__(self, port: int, token: str) -> None:
        self.opened = 0
        self.tries: list[int] = []
        self.last_opened_at = 0
        self.client = LinkClient(
            url=GatewayUrl(Address("127.0.0.1", port), False),
            token=token,
            info=WorkerInfo(capacity=1),
            on_event=self._on_event,
            ids=RandomIds(),
        )

    def _on_event(self, event: object) -> None:
        if isinstance(event, events.LinkOpened):
            self.opened += 1
            self.last_opened_at = monotonic_ns()
        elif isinstance(event, events.LinkLost):
            assert event.retry_at is not None
            self.tries.append(event.retry_at)


async def all_opened(diallers: list[Dialler], times: int) -> None:
    async with asyncio.timeout(2 * CAP / SECOND):
        while any(dialler.opened < times for dialler in diallers):  # noqa: ASYNC110 - it comes over sockets
            await asyncio.sleep(0.05)


def test_a_hundred_workers_come_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            port = server.port
            tokens = [(await gateway.create_worker(f"w{k}"))[1] for k in range(WORKERS)]
            diallers = [Dialler(port, token) for token in tokens]
            for dialler in diallers:
                dialler.client.start()
            await all_opened(diallers, 1)
        await asyncio.sleep(AWAY_S)  # the fault itself: the port is gone
        async with open_gateway(tmp_path, port=port):
            returned_at = monotonic_ns()
            await all_opened(diallers, 2)
            for dialler in diallers:
                await dialler.client.close(1.0)
        late_s = sorted((dialler.last_opened_at - returned_at) / SECOND for dialler in diallers)
        print(f"back after {late_s[WORKERS // 2]:.1f} s (median), {late_s[-1]:.1f} s (worst)")
        tries = sum(len(dialler.tries) for dialler in diallers)
        closest_s = min(b - a for d in diallers for a, b in pairwise(d.tries)) / SECOND
        print(f"{tries} tries, none of a worker closer than {closest_s:.2f} s to the one before")
        assert closest_s >= FLOOR / SECOND

    asyncio.run(asyncio.wait_for(work(), 120 + AWAY_S))
