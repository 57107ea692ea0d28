"""Cost of a call in signalling: INVITE, 100, 180, 200, ACK, BYE, 200, both sides, without sockets.

Each bench asserts its result before it is timed; under `--benchmark-disable` it runs once, untimed.
"""

from __future__ import annotations

import gc
from typing import Any

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.net.ids import RandomIds
from cmw.sip import CallEnded, CallOffered, UserAgent
from cmw.sip.hop import Hop
from cmw.sip.inbound_call import InboundCall
from tests.support.sip_link import listen_at

CALLER = Hop("192.0.2.1", 5060)
CALLEE = Hop("192.0.2.2", 5060)
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\n"
)


class Pair:
    """A caller and a callee whose datagrams arrive at once, in time that the bench moves."""

    def __init__(self) -> None:
        self.now: Nanos = 0
        self.caller = UserAgent(listeners=listen_at(CALLER), ids=RandomIds())
        self.callee = UserAgent(listeners=listen_at(CALLEE), ids=RandomIds())

    def call(self) -> int:
        """Place, answer and end one call, 10 ms after the last one; return the status of the BYE."""
        self.now += 10 * MILLISECOND
        for agent in (self.caller, self.callee):
            deadline = agent.next_timeout()
            if deadline is not None and deadline.at <= self.now:
                agent.handle_timeout(now=self.now)
        handle = self.caller.invite("sip:bob@192.0.2.2", body=SDP, now=self.now)
        self._exchange()
        self.caller.hang_up(handle, now=self.now)
        return self._exchange()

    def pass_to_the_end(self) -> None:
        """Let the last timer of every call fire."""
        self.now += 60 * SECOND
        for agent in (self.caller, self.callee):
            agent.handle_timeout(now=self.now)

    def _exchange(self) -> int:
        status = 0
        while sent := self.caller.datagrams_to_send():
            for datagram in sent:
                self.callee.receive_datagram(datagram.data, CALLER, now=self.now)
            while (event := self.callee.next_event()) is not None:
                if isinstance(event, CallOffered):
                    self.callee.ring(event.call, now=self.now)
                    self.callee.answer(event.call, body=SDP, now=self.now)
            for datagram in self.callee.datagrams_to_send():
                self.caller.receive_datagram(datagram.data, CALLEE, now=self.now)
            while (event := self.caller.next_event()) is not None:
                if isinstance(event, CallEnded):
                    status = event.status
        return status


def test_a_call_with_both_sides(benchmark: Any) -> None:
    pair = Pair()
    assert pair.call() == 200
    assert pair.caller.counters["calls"] == pair.callee.counters["calls"] == 0
    benchmark(pair.call)


def test_a_call_goes_without_the_garbage_collector() -> None:
    """Collections cost more than anything else when each call leaves a circle of references behind."""
    pair = Pair()
    pair.call()
    pair.pass_to_the_end()
    gc.collect()
    gc.disable()
    try:
        pair.call()
        pair.pass_to_the_end()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_call_that_is_over_leaves_little_for_its_last_timers() -> None:
    """What lingers for 32 s is fresh memory for the next call, and looked through by the collector."""
    pair = Pair()
    pair.call()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(100):
        pair.call()
    gc.collect()
    lingering = gc.get_objects()
    assert len(lingering) - before <= 50 * 100  # 38 to 44, by what the collector of a Python tracks
    assert sum(isinstance(each, InboundCall) for each in lingering) <= 1  # the last one is good until the next event
