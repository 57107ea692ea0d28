"""Whatever the network does, every call ends exactly once, in bounded time, and leaves nothing behind."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from cmw.core.clock import MILLISECOND, SECOND
from cmw.errors import LocalProtocolError
from cmw.sip.events import (
    CallAnswered,
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallOffered,
    CallRejected,
    CallTimedOut,
)
from cmw.sip.hop import Hop
from cmw.sip.timing import Timing
from cmw.sip.user_agent import UserAgent
from tests.support.ids import CountingIds
from tests.support.sip_link import Link, listen_at
from tests.support.sip_party import SDP

CALLER = Hop("127.0.0.1", 5060)
CALLEE = Hop("127.0.0.2", 5060)
LAST = (CallEnded, CallRejected, CallTimedOut, CallCancelled)
TIMING = Timing(timer_c_ns=60 * SECOND)
BOUND_NS = TIMING.timer_c_ns + 3 * TIMING.timeout_ns
"""The longest way: ring until timer C, cancel in vain, and a BYE that nobody answers."""


class Storm:
    """Calls on a link that loses, doubles and reorders; all choices come from one seed."""

    def __init__(self, seed: int, loss: float, calls: int) -> None:
        self.chance = random.Random(seed)
        self.link = Link(
            delay_ns=5 * MILLISECOND,
            lose=lambda sent: self.chance.random() < loss,
            chaos=self.chance,
            jitter_ns=200 * MILLISECOND,
            double=0.1,
        )
        self.agents = {
            address: UserAgent(listeners=listen_at(address), ids=CountingIds(start), timing=TIMING)
            for address, start in ((CALLER, 1), (CALLEE, 1_000_000))
        }
        self.ends: dict[Hop, Counter[int]] = {CALLER: Counter(), CALLEE: Counter()}
        self.begun: dict[Hop, set[int]] = {CALLER: set(), CALLEE: set()}
        self.plan: list[tuple[int, Hop, str, int]] = []
        for address, agent in self.agents.items():
            self.link.attach(address, agent, lambda event, address=address: self.take(address, event))  # type: ignore[misc]
        for _ in range(calls):
            self.begun[CALLER].add(self.agents[CALLER].invite("sip:b@127.0.0.2", body=SDP, now=0))

    def take(self, address: Hop, event: object) -> None:
        if isinstance(event, LAST):
            self.ends[address][event.call] += 1
        elif isinstance(event, CallOffered):
            self.begun[address].add(event.call)
            self.later(address, self.chance.choice(("answer", "answer", "answer", "reject", "ring")), event.call)
        elif isinstance(event, CallAnswered) or (isinstance(event, CallConfirmed) and self.chance.random() < 0.7):
            self.later(address, "hang up", event.call)

    def later(self, address: Hop, what: str, call: int) -> None:
        self.plan.append((self.link.now + int(self.chance.random() * 3 * SECOND), address, what, call))

    def run(self, end: int) -> None:
        while True:
            self.plan.sort(key=lambda item: item[0])
            if not self.plan or self.plan[0][0] > end:
                break
            at, address, what, call = self.plan.pop(0)
            self.link.run(at)
            self.act(self.agents[address], what, call)
        self.link.run(end)

    def act(self, agent: UserAgent, what: str, call: int) -> None:
        try:
            state = agent.call_snapshot(call).state
        except LocalProtocolError:  # the call is over and forgotten
            return
        if what == "hang up":
            agent.hang_up(call, now=self.link.now)
        elif state == "PROCEEDING":
            if what == "answer":
                agent.answer(call, body=SDP, now=self.link.now)
            elif what == "reject":
                agent.reject(call, status=486, now=self.link.now)
            else:
                agent.ring(call, now=self.link.now)
        self.link.drain()


def check(seed: int, loss: float, *, calls: int = 10) -> None:
    storm = Storm(seed, loss, calls)
    for call in list(storm.begun[CALLER])[: calls // 3]:
        storm.later(CALLER, "hang up", call)
    storm.run(BOUND_NS)
    for address, agent in storm.agents.items():
        confirmed_by_nobody = storm.begun[address] - set(storm.ends[address])
        for call in confirmed_by_nobody:
            # Only a call that stands may still be there: its peer's BYE was lost each time, and nobody told it.
            assert agent.call_snapshot(call).state == "CONFIRMED"
            agent.hang_up(call, now=storm.link.now)
    storm.run(2 * BOUND_NS)
    storm.run(3 * BOUND_NS)
    for address, agent in storm.agents.items():
        assert storm.ends[address] == Counter(storm.begun[address])
        assert agent.counters["transactions"] == agent.counters["calls"] == 0
        assert agent.next_timeout() is None


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), loss=st.sampled_from([0.0, 0.1, 0.3, 0.6, 0.9, 1.0]))
def test_every_call_ends_exactly_once(seed: int, loss: float) -> None:
    check(seed, loss)


def test_a_network_that_only_reorders_ends_every_call_by_its_plan() -> None:
    storm = Storm(7, 0.0, 20)
    storm.run(BOUND_NS)
    assert all(count == 1 for ends in storm.ends.values() for count in ends.values())
