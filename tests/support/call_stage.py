"""Calls on a link in virtual time: two user agents, or one and a party that the test plays."""

from __future__ import annotations

from typing import Any, TypeVar

from cmw.core.clock import MILLISECOND, Nanos
from cmw.sip import CallOptions, CallSnapshot, UserAgent
from cmw.sip.events import CallCancelled, CallEnded, CallOffered, CallRejected, CallTimedOut
from cmw.sip.hop import Hop
from cmw.sip.message import Request, Response
from tests.support.ids import CountingIds
from tests.support.sip_link import Link, Sent, listen_at
from tests.support.sip_party import SDP, Party

ALICE = Hop("127.0.0.1", 5060)
BOB = Hop("127.0.0.2", 5060)
CAROL = Hop("127.0.0.3", 5060)
HELD = SDP + b"a=sendonly\r\n"
OTHER = SDP.replace(b"4000", b"4400")
LAST = (CallEnded, CallRejected, CallTimedOut, CallCancelled)
EventT = TypeVar("EventT")


class Stage:
    """A link with user agents on it, by their address."""

    def __init__(self, *hops: Hop, delay_ns: Nanos = 10 * MILLISECOND) -> None:
        self.link = Link(delay_ns=delay_ns)
        self.agents: dict[Hop, UserAgent] = {}
        self.snapshots: dict[tuple[Hop, int], CallSnapshot] = {}
        for number, hop in enumerate(hops):
            self.add(hop, number)

    def add(self, hop: Hop, number: int) -> UserAgent:
        agent = UserAgent(listeners=listen_at(hop), ids=CountingIds(1 + 1000 * number))
        self.agents[hop] = agent
        self.link.attach(hop, agent, lambda event: self._keep(hop, event))
        return agent

    def _keep(self, hop: Hop, event: object) -> None:
        if isinstance(event, LAST):
            self.snapshots[hop, event.call] = self.agents[hop].call_snapshot(event.call)

    @property
    def now(self) -> Nanos:
        return self.link.now

    def run(self, duration_ns: Nanos = 100 * MILLISECOND) -> None:
        self.link.run(self.link.now + duration_ns)

    def finish(self, limit_ns: Nanos = 10**12) -> None:
        """Let everything come to rest; afterwards nothing may be left."""
        self.link.run_until_quiet(self.link.now + limit_ns)
        for agent in self.agents.values():
            counters = agent.counters
            assert counters["transactions"] == counters["calls"] == 0
            assert agent.next_timeout() is None
            assert not agent._stack.dialogs
            assert not agent._stack.transfers
            assert not agent._requests

    def events(self, hop: Hop, kind: type[EventT]) -> list[EventT]:
        return [each for each in self.link.events[hop] if isinstance(each, kind)]

    def last(self, hop: Hop, kind: type[EventT]) -> EventT:
        return self.events(hop, kind)[-1]

    def ends(self, hop: Hop) -> list[object]:
        return [each for each in self.link.events[hop] if isinstance(each, LAST)]

    def sent(self, hop: Hop) -> list[str]:
        return self.link.sent(hop)

    def messages(self, hop: Hop, what: str) -> list[Any]:
        """Return the messages that one party sent, such as ``INVITE`` or ``200 INVITE``."""
        return [each.message for each in self.link.log if each.source == hop and each.what == what]

    def lose(self, *what: str, source: Hop | None = None) -> None:
        """Lose the next datagram of each kind."""
        left = list(what)

        def decide(sent: Sent) -> bool:
            if sent.what in left and source in (None, sent.source):
                left.remove(sent.what)
                return True
            return False

        self.link.lose = decide


class Pair(Stage):
    """Alice and Bob, who are user agents."""

    def __init__(self, *, to_alice: CallOptions | None = None, to_bob: CallOptions | None = None) -> None:
        super().__init__(ALICE, BOB)
        self.alice, self.bob = self.agents[ALICE], self.agents[BOB]
        if to_alice is not None:
            self.alice.set_inbound_options(to_alice)
        if to_bob is not None:
            self.bob.set_inbound_options(to_bob)

    def dial(self, body: bytes = SDP, **more: Any) -> int:
        """Let Alice call, and the INVITE arrive."""
        call = self.alice.invite("sip:bob@127.0.0.2", local_uri="sip:alice@127.0.0.1", body=body, now=self.now, **more)
        self.run()
        return call

    @property
    def offered(self) -> CallOffered:
        return self.last(BOB, CallOffered)

    def talk(self, **more: Any) -> tuple[int, int]:
        """Let Alice call and Bob answer; return both handles."""
        call = self.dial(**more)
        other = self.offered.call
        self.bob.ring(other, now=self.now)
        self.bob.answer(other, body=SDP, now=self.now)
        self.run()
        return call, other


class CallingParty(Stage):
    """Alice calls; Bob is played by the test."""

    def __init__(self, body: bytes = SDP, **more: Any) -> None:
        super().__init__(ALICE)
        self.alice = self.agents[ALICE]
        self.party = Party(self.link, BOB)
        self.call = self.alice.invite("sip:bob@127.0.0.2", body=body, now=0, **more)
        self.run()
        self.invite = self.party.requests("INVITE")[0]

    def respond(self, status: int, *, tag: str = "one", request: Request | None = None, **more: Any) -> None:
        self.party.respond(request or self.invite, status, tag=tag, destination=ALICE, **more)

    def respond_reliably(self, rseq: int, status: int = 183, *, tag: str = "one", body: bytes = b"") -> None:
        self.respond(status, tag=tag, body=body, headers=[("Require", "100rel"), ("RSeq", str(rseq))])

    def tell(self, method: str, *, cseq: int, tag: str = "one", **more: Any) -> Request:
        """Send a request in the dialog of `tag`."""
        local = self.invite.headers.get("From") or ""
        request = self.party.request(
            method, "sip:x@127.0.0.1", call_id=self.invite.call_id, from_tag=tag, to=local, cseq=cseq, **more
        )
        self.party.send(request, ALICE)
        return request

    def answer(self, method: str) -> Response:
        return self.party.responses(method)[-1]

    def snapshot(self) -> CallSnapshot:
        return self.alice.call_snapshot(self.call)


class CalledParty(Stage):
    """Bob is called; Alice is played by the test."""

    def __init__(self, *, body: bytes = SDP, options: CallOptions | None = None, **more: Any) -> None:
        super().__init__(BOB)
        self.bob = self.agents[BOB]
        if options is not None:
            self.bob.set_inbound_options(options)
        self.party = Party(self.link, ALICE)
        self.invite = self.party.request("INVITE", "sip:bob@127.0.0.2", body=body, **more)
        self.party.send(self.invite, BOB)

    @property
    def call(self) -> int:
        return self.last(BOB, CallOffered).call

    @property
    def to(self) -> str:
        return next(each for each in reversed(self.party.responses("INVITE")) if each.to.tag).headers.get("To") or ""

    def tell(self, method: str, *, cseq: int, **more: Any) -> Request:
        request = self.party.request(method, "sip:bob@127.0.0.2", to=self.to, cseq=cseq, **more)
        self.party.send(request, BOB)
        return request

    def prack(self, response: Response, *, cseq: int, **more: Any) -> int:
        """Acknowledge a reliable response; return the status of the answer."""
        rack = f"{response.headers.get('RSeq')} {response.cseq.number} INVITE"
        self.tell("PRACK", cseq=cseq, headers=[("RAck", rack)], **more)
        return self.answer("PRACK").status

    def answer(self, method: str) -> Response:
        return self.party.responses(method)[-1]

    def established(self) -> CalledParty:
        self.bob.answer(self.call, body=SDP, now=self.now)
        self.run()
        self.tell("ACK", cseq=1)
        return self

    def snapshot(self) -> CallSnapshot:
        return self.bob.call_snapshot(self.call)
