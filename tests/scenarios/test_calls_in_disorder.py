"""Whatever is ordered, and whatever the network does, nothing raises, every call ends once, and nothing is left."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from cmw.core.clock import MILLISECOND, SECOND
from cmw.errors import LocalProtocolError
from cmw.sip import CallOptions, Refresher, SessionTimerChoice, Support
from cmw.sip.events import CallOffered, CallReoffered, TransferRequested
from cmw.sip.hop import Hop
from cmw.sip.redirect import Follow, RedirectPolicy
from cmw.sip.timing import Timing
from cmw.sip.user_agent import UserAgent
from tests.support.call_stage import ALICE, BOB, CAROL, LAST, OTHER
from tests.support.ids import CountingIds
from tests.support.sip_link import Link, listen_at
from tests.support.sip_party import SDP

TIMING = Timing(timer_c_ns=60 * SECOND)
HOPS = (ALICE, BOB, CAROL)


class Chance(CountingIds):
    """Ids whose jitter differs from party to party."""

    def __init__(self, start: int, chance: random.Random) -> None:
        super().__init__(start)
        self._chance = chance

    def unit(self) -> float:
        return self._chance.random()


class Disorder:
    """Three user agents that do whatever comes to their mind on a link that loses, doubles and reorders."""

    def __init__(self, seed: int, loss: float) -> None:
        self.chance = random.Random(seed)
        self.link = Link(
            delay_ns=5 * MILLISECOND,
            lose=lambda sent: self.chance.random() < loss,
            chaos=self.chance,
            jitter_ns=100 * MILLISECOND,
            double=0.1,
        )
        self.agents: dict[Hop, UserAgent] = {}
        self.calls: dict[Hop, list[int]] = {hop: [] for hop in HOPS}
        self.begun: dict[Hop, set[int]] = {hop: set() for hop in HOPS}
        self.ends: dict[Hop, Counter[int]] = {hop: Counter() for hop in HOPS}
        self.transfers: dict[Hop, list[int]] = {hop: [] for hop in HOPS}
        self.raised: Counter[str] = Counter()
        for number, hop in enumerate(HOPS):
            ids = Chance(1 + 1_000_000 * number, random.Random(seed + number))
            agent = UserAgent(listeners=listen_at(hop), ids=ids, timing=TIMING)
            agent.set_inbound_options(self.options())
            self.agents[hop] = agent
            self.link.attach(hop, agent, lambda event, hop=hop: self.take(hop, event))  # type: ignore[misc]

    def options(self) -> CallOptions:
        pick = self.chance.choice
        refresher = pick((None, Refresher.UAC, Refresher.UAS))
        timer = SessionTimerChoice(expires_s=pick((0, 90, 600)), refresher=refresher, is_soft=pick((False, True)))
        return CallOptions(
            reliable=pick((Support.OFF, Support.SUPPORTED, Support.REQUIRED)),
            session_timer=timer,
            redirects=RedirectPolicy(pick((Follow.NONE, Follow.ALL))),
            takes_transfers=pick((True, False)),
            defers_prack=pick((True, False)),
        )

    def take(self, hop: Hop, event: object) -> None:
        if isinstance(event, CallOffered):
            self.calls[hop].append(event.call)
            self.begun[hop].add(event.call)
        elif isinstance(event, LAST):
            self.ends[hop][event.call] += 1
            if event.call in self.calls[hop]:
                self.calls[hop].remove(event.call)
        elif isinstance(event, TransferRequested):
            self.transfers[hop].append(event.transfer)
        elif isinstance(event, CallReoffered) and self.chance.random() < 0.8:
            self.try_out(lambda: self.agents[hop].answer_reoffer(event.call, body=SDP, now=self.link.now))

    def act(self) -> None:
        """Order one agent to do something, whether or not that makes sense."""
        pick = self.chance.choice
        hop = pick(HOPS)
        agent, now = self.agents[hop], self.link.now
        call = pick(self.calls[hop]) if self.calls[hop] else 0
        other = pick(self.calls[hop]) if self.calls[hop] else 0
        body = pick((SDP, OTHER, b""))
        contacts = [f"<sip:x@{pick(HOPS)}>"]
        transfer = pick(self.transfers[hop]) if self.transfers[hop] else 0
        orders = [
            lambda: self.dial(hop, body),
            lambda: agent.ring(call, status=pick((180, 183)), body=body, now=now),
            lambda: agent.ring(call, status=183, body=body, reliable=True, now=now),
            lambda: agent.answer(call, body=body or SDP, now=now),
            lambda: agent.answer(call, body=SDP, now=now),
            lambda: agent.acknowledge(call, body=body, now=now),
            lambda: agent.reject(call, status=pick((302, 486, 603)), contacts=contacts, now=now),
            lambda: agent.hang_up(call, reason="SIP;cause=200", now=now),
            lambda: agent.reoffer(call, body=body, method=pick(("INVITE", "UPDATE")), now=now),
            lambda: agent.reoffer(call, body=body, method=pick(("INVITE", "UPDATE")), now=now),
            lambda: agent.answer_reoffer(call, body=body, now=now),
            lambda: agent.reject_reoffer(call, now=now),
            lambda: agent.request_in_call(call, pick(("INFO", "MESSAGE", "OPTIONS")), now=now),
            lambda: agent.transfer(call, f"sip:x@{pick(HOPS)}", is_followed=pick((True, False)), now=now),
            lambda: agent.transfer(call, replaces_call=other, now=now),
            lambda: agent.accept_transfer(transfer, now=now),
            lambda: self.dial_for(hop, transfer),
            lambda: agent.reject_transfer(transfer, now=now),
            lambda: agent.report_transfer(transfer, status=pick((183, 200, 486)), now=now),
            lambda: agent.request("MESSAGE", f"sip:x@{pick(HOPS)}", now=now),
        ]
        self.try_out(pick(orders))

    def dial(self, hop: Hop, body: bytes) -> None:
        target = self.chance.choice([each for each in HOPS if each != hop])
        options = self.options()
        call = self.agents[hop].invite(f"sip:x@{target}", body=body, options=options, now=self.link.now)
        self.calls[hop].append(call)
        self.begun[hop].add(call)

    def dial_for(self, hop: Hop, transfer: int) -> None:
        call = self.agents[hop].invite("", transfer=transfer, body=SDP, now=self.link.now)
        self.calls[hop].append(call)
        self.begun[hop].add(call)

    def try_out(self, order: object) -> None:
        try:
            order()  # type: ignore[operator]
        except LocalProtocolError as error:
            self.raised[str(error)[:20]] += 1

    def run(self, orders: int) -> None:
        for _ in range(orders):
            self.act()
            self.link.run(self.link.now + int(self.chance.random() * 600 * MILLISECOND))
        for _ in range(20):
            for hop, agent in self.agents.items():
                for call in list(self.calls[hop]):
                    agent.hang_up(call, now=self.link.now)
            self.link.run(self.link.now + 40 * SECOND)
        self.link.run_until_quiet(self.link.now + 4000 * SECOND)

    def check(self) -> None:
        for hop, agent in self.agents.items():
            assert self.ends[hop] == Counter(self.begun[hop]), hop
            counters = agent.counters
            assert counters["calls"] == counters["transactions"] == 0
            assert not agent._stack.dialogs
            assert not agent._stack.transfers
            assert not agent._requests
            assert agent.next_timeout() is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.3]))
def test_nothing_that_is_ordered_leaves_anything_behind(seed: int, loss: float) -> None:
    disorder = Disorder(seed, loss)
    disorder.run(80)
    disorder.check()
