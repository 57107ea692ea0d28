"""A path that loses a fifth of all messages costs no call; one that loses half costs fewer than one in a hundred.

What the timers of RFC 3261 give: an INVITE is sent 7 times in 32 s, other requests and a 2xx 11 times. Where half is
lost each way, a quarter of the exchanges succeed, so 0.75 ** 11 = 4 % of the BYEs would time out: INVITE and BYE are
tried again where their hop answered of late.
"""

from __future__ import annotations

import random

import pytest

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.errors import LocalProtocolError
from cmw.sip import CallAnswered, CallEnded, CallOffered, Hop, UserAgent
from tests.support.ids import CountingIds
from tests.support.sip_link import Link, listen_at
from tests.support.sip_party import SDP

CALLER, CALLEE = Hop("127.0.0.1", 5060), Hop("127.0.0.2", 5060)
CALLS = 500


class LossyCalls:
    """Calls that ring after 100 ms, are answered after 2 s, and hung up by the caller 10 s later."""

    def __init__(self, seed: int, loss: float) -> None:
        chance = random.Random(seed)
        self.link = Link(lose=lambda sent: chance.random() < loss)
        self.caller = UserAgent(listeners=listen_at(CALLER), ids=CountingIds(1))
        self.callee = UserAgent(listeners=listen_at(CALLEE), ids=CountingIds(1_000_000))
        self.link.attach(CALLER, self.caller, self.take_of_caller)
        self.link.attach(CALLEE, self.callee, self.take_of_callee)
        self.plan: list[tuple[Nanos, str, int]] = [(index * 50 * MILLISECOND, "invite", 0) for index in range(CALLS)]
        self.answered: set[int] = set()
        self.ended: set[int] = set()

    def take_of_caller(self, event: object) -> None:
        if isinstance(event, CallAnswered):
            self.answered.add(event.call)
            self.plan.append((self.link.now + 10 * SECOND, "hang up", event.call))
        elif isinstance(event, CallEnded) and event.status in (200, 481):  # 481: an earlier BYE did arrive
            self.ended.add(event.call)

    def take_of_callee(self, event: object) -> None:
        if isinstance(event, CallOffered):
            self.plan.append((self.link.now + 100 * MILLISECOND, "ring", event.call))
            self.plan.append((self.link.now + 2 * SECOND, "answer", event.call))

    def run(self) -> int:
        """Return how many calls were answered and ended as planned."""
        while self.plan:
            self.plan.sort(key=lambda item: item[0])
            at, what, call = self.plan.pop(0)
            self.link.run(at)
            self.act(what, call)
            self.link.drain()
            if not self.plan:
                self.link.run(self.link.now + 200 * SECOND)
        return len(self.answered & self.ended)

    def act(self, what: str, call: int) -> None:
        now = self.link.now
        try:
            if what == "invite":
                self.caller.invite("sip:bob@127.0.0.2", body=SDP, now=now)
            elif what == "ring":
                self.callee.ring(call, now=now)
            elif what == "answer":
                self.callee.answer(call, body=SDP, now=now)
            else:
                self.caller.hang_up(call, now=now)
        except LocalProtocolError:
            return  # the call is over already


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_fifth_lost_both_ways_costs_no_call(seed: int) -> None:
    assert LossyCalls(seed, 0.2).run() == CALLS


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_half_lost_both_ways_costs_less_than_one_call_in_a_hundred(seed: int) -> None:
    calls = LossyCalls(seed, 0.5)
    completed = calls.run()
    calls.link.run_until_quiet(calls.link.now + 400 * SECOND)
    for agent in (calls.caller, calls.callee):
        assert agent.counters["transactions"] == 0
    assert completed >= 0.99 * CALLS
