"""A user agent among peers that know its dialogs, tags and branches, and mean it no good.

A scene is some hundred messages: answers to what the agent asked, requests within its calls, all of them possibly
damaged, doubled or late; a user who gives whatever orders come to his mind; names that lead anywhere, connections that
break. Then everybody falls silent, and after ten minutes nothing may be left.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from random import Random

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip import events as facts
from cmw.sip.account import Account
from cmw.sip.call_options import CallOptions
from cmw.sip.credentials import Credentials
from cmw.sip.hop import Hop, Transport
from cmw.sip.lookup import Lookup
from cmw.sip.message import Request, Response, make_response, parse_message, serialize_message
from cmw.sip.option_tags import Support
from cmw.sip.redirect import Follow, RedirectPolicy
from cmw.sip.session_timer import Refresher, SessionTimerChoice
from cmw.sip.user_agent import UserAgent
from tests.fuzz.damage import make_case
from tests.support.ids import CountingIds
from tests.support.sip_link import listen_at
from tests.support.sip_party import SDP

US = Hop("127.0.0.1", 5060)
PEERS = (
    Hop("127.0.0.2", 5060),
    Hop("127.0.0.3", 5062),
    Hop("127.0.0.2", 40000, Transport.TCP, flow=3),
    Hop("127.0.0.4", 5060, Transport.TCP, flow=4),
    Hop("127.0.0.5", 49152, Transport.WS, flow=5),
)
HOME = Hop("127.0.0.2", 5060)
SILENCE_NS: Nanos = 600 * SECOND
MOST_AT_ONCE = 64
"""Datagrams that one input may bring forth."""

LAST = (facts.CallEnded, facts.CallRejected, facts.CallTimedOut, facts.CallCancelled)
TARGETS = (
    "sip:bob@127.0.0.2",
    "sip:bob@127.0.0.4;transport=tcp",
    "sip:bob@pbx.example",
    "sips:bob@127.0.0.2",
    "sip:127.0.0.5:80;transport=ws",
)
CONTACTS = (
    *[f"<{target}>" for target in TARGETS],
    "<sip:bob@127.0.0.3:5062>;q=0.5",
    "<sip:me@127.0.0.1:5060>",
    "<sip:x@nowhere.invalid;transport=ws>",
    "<sip:a@b.example?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2&Route=%3Csip:z%3E;method=BYE>",
    "*",
    "<tel:+1>",
    "<sip:",
)
ROUTES = (
    "<sip:127.0.0.3:5062;lr>",
    "<sip:127.0.0.3:5062>",
    "<sip:edge.example;lr>",
    "<sips:127.0.0.4;lr>",
    "<sip:",
    '"a" <sip:b;lr>;x',
)
SECONDS = ("0", "1", "30", "89", "90", "1800", "4294967295", "4294967296", "-1", "x", "60 (busy);duration=9")
CHALLENGES = (
    'Digest realm="lab", nonce="n1", qop="auth"',
    'Digest realm="lab", nonce="n2", qop="auth", stale=true',
    'Digest realm="else", nonce="n3", algorithm=SHA-256, qop="auth-int"',
    'Digest realm="lab", nonce="n4", algorithm=MD5-sess, qop="auth"',
    "Basic realm=x",
    "Digest",
)
BODIES = (SDP, SDP.replace(b"4000", b"0"), SDP + b"a=sendonly\r\n", b"", b"", b"junk")
STATUSES = (
    100,
    180,
    183,
    199,
    200,
    200,
    200,
    202,
    204,
    299,
    300,
    301,
    302,
    380,
    400,
    401,
    403,
    404,
    407,
    408,
    420,
    421,
    422,
)
STATUSES += (
    423,
    430,
    439,
    480,
    481,
    482,
    486,
    487,
    488,
    489,
    491,
    494,
    500,
    501,
    503,
    504,
    580,
    600,
    603,
    604,
    606,
    699,
)
GOOD = {
    "INVITE": (100, 180, 183, 183, 200, 200, 200, 200, 401, 407, 302, 422, 491),
    "REFER": (202,),
    "REGISTER": (200, 401, 423),
}
METHODS = tuple(
    "INVITE ACK BYE CANCEL UPDATE PRACK REFER NOTIFY INFO MESSAGE OPTIONS SUBSCRIBE REGISTER PUBLISH FOO".split()
)
WITHIN = tuple(
    "INVITE INVITE INVITE UPDATE UPDATE UPDATE PRACK PRACK PRACK REFER REFER NOTIFY NOTIFY INFO OPTIONS ACK BYE".split()
)


class HostileIds(CountingIds):
    """Ids whose jitter differs from case to case."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._chance = chance

    def unit(self) -> float:
        return self._chance.random()


class Scene:
    """One user agent from its first message to silence.

    Args:
        chance: what everything is drawn from.
        steps: messages, orders and accidents before the silence.
    """

    def __init__(self, chance: Random, steps: int = 150) -> None:
        self.chance = chance
        self.steps = steps
        self.now: Nanos = chance.choice((0, 1, 10**9, 2**62))
        self.messages = 0
        transports = [US, US._replace(transport=Transport.TCP), US._replace(transport=Transport.WS, port=0)]
        self.agent = UserAgent(listeners=listen_at(*transports[: chance.randrange(1, 4)]), ids=HostileIds(chance))
        self.agent.set_inbound_options(self._options())
        self.account = self._account()
        self.asked: deque[tuple[Request, Hop]] = deque(maxlen=12)
        self.offers: deque[Request] = deque(maxlen=6)
        self.accepted: deque[Response] = deque(maxlen=3)
        self.told: deque[tuple[bytes, Hop]] = deque(maxlen=12)
        self.dialogs: dict[tuple[str, str, str], int] = {}
        self.racks: dict[str, str] = {}
        self.calls: list[int] = []
        self.transfers: list[int] = []
        self.registrations: list[int] = []
        self.lookups: list[Lookup] = []
        self.begun: Counter[tuple[str, int]] = Counter()
        self.ended: Counter[tuple[str, int]] = Counter()
        self._branches = 0

    def play(self) -> int:
        """Play the scene; return how many messages the agent took."""
        acts: tuple[Callable[[], None], ...] = (
            *[self._respond] * 7,
            *[self._request_in_dialog] * 7,
            self._offer,
            *[self._confirm] * 3,
            self._acknowledge,
            self._repeat,
            self._request,
            *[self._order] * 9,
            self._break,
            self._answer_lookup,
            *[self._let_time_pass] * 3,
        )
        for _ in range(self.steps):
            self.chance.choice(acts)()
            self._drain()
        self._fall_silent()
        return self.messages

    # what the peers do

    def _respond(self) -> None:
        if not self.asked:
            return
        chance = self.chance
        request, hop = self.asked[-1] if chance.random() < 0.6 else chance.choice(self.asked)
        if request.method == "ACK":
            return
        status = chance.choice(GOOD.get(request.method, (200,)) if chance.random() < 0.6 else STATUSES)
        response = make_response(request, status, to_tag=f"peer{int(chance.expovariate(0.8))}")
        self._decorate(response, request.method)
        if 100 < status < 200 and chance.random() < 0.6:
            response.headers.add("Require", "100rel")
            response.headers.add("RSeq", chance.choice(("1", "1", "2", "3", "4294967295", "4294967296", "0", "x")))
        if status == 423:
            response.headers.add("Min-Expires", chance.choice(SECONDS))
        if status in (401, 407):
            name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
            for _ in range(chance.randrange(1, 3)):
                response.headers.add(name, chance.choice(CHALLENGES))
        if request.method == "REGISTER" and status == 200:
            response.headers.add("Contact", f"{request.headers.get('Contact')};expires={chance.choice(SECONDS)}")
            response.headers.add("Service-Route", chance.choice(ROUTES))
        self._deliver(response, hop if chance.random() < 0.9 else chance.choice(PEERS))

    def _request_in_dialog(self) -> None:
        if not self.dialogs:
            return
        chance = self.chance
        key = next(reversed(self.dialogs)) if chance.random() < 0.5 else chance.choice(list(self.dialogs))
        call_id, ours, theirs = key
        method = chance.choice(WITHIN)
        step = 1 if chance.random() < 0.9 else chance.choice((0, 2, -1, 1000, 2**31))
        seq = max(0, min(self.dialogs[key] + step, 2**31 - 1))
        self.dialogs[key] = max(self.dialogs[key], seq) if step < 1000 else self.dialogs[key]
        source = PEERS[hash_of(call_id)] if chance.random() < 0.9 else chance.choice(PEERS)
        request = self._make(method, call_id, theirs, ours, seq, source)
        if method == "PRACK":
            request.headers.add("RAck", self.racks.get(call_id, "1 1 INVITE"))
        self._deliver(request, source)
        if method == "INVITE":
            self.offers.append(request)

    def _offer(self) -> None:
        chance, source = self.chance, self.chance.choice(PEERS)
        request = self._make("INVITE", f"c{chance.randrange(10**6)}", f"from{chance.randrange(3)}", "", 1, source)
        add = request.headers.add
        add("Supported", chance.choice(("100rel, timer", "timer", "100rel", "replaces, foo")))
        if chance.random() < 0.2:
            add("Require", chance.choice(("100rel", "100rel", "timer", "timer", "replaces", "foo")))
        if chance.random() < 0.1:
            add("Expires", chance.choice(SECONDS))
        if self.dialogs and chance.random() < 0.2:
            call_id, ours, theirs = chance.choice(list(self.dialogs))
            early = chance.choice(("", ";early-only"))
            add("Replaces", f"{call_id};to-tag={ours};from-tag={theirs}{early}")
        self._deliver(request, source)
        self.offers.append(request)
        if chance.random() < 0.7:
            self._drain()
            self._order()

    def _acknowledge(self) -> None:
        """Send the ACK or the CANCEL of an INVITE of the peers', with its own branch or another."""
        if not self.offers:
            return
        chance = self.chance
        invite = chance.choice(self.offers)
        method = chance.choice(("ACK", "ACK", "CANCEL"))
        request = Request(method, invite.uri, body=chance.choice(BODIES) if method == "ACK" else b"")
        for name, value in invite.headers:
            if name in ("Via", "From", "To", "Call-ID", "Route"):
                request.headers.add(name, value)
        if method == "ACK":
            ours = [key[1] for key in self.dialogs if key[0] == invite.call_id]
            if ours and invite.to.tag is None:
                request.headers.set("To", f"{invite.headers.get('To')};tag={chance.choice(ours)}")
            if chance.random() < 0.7:
                request.headers.replace_first("Via", self._via(PEERS[0]))
        request.headers.add("CSeq", f"{invite.cseq.number} {method}")
        self._deliver(request, chance.choice(PEERS))

    def _confirm(self) -> None:
        """Send the ACK of a 2xx."""
        if self.accepted:
            response, chance = self.chance.choice(self.accepted), self.chance
            source = PEERS[hash_of(response.call_id)]
            request = self._make(
                "ACK", response.call_id, response.from_.tag or "", response.to.tag or "", response.cseq.number, source
            )
            request.body = chance.choice(BODIES)
            self._deliver(request, source)

    def _repeat(self) -> None:
        if self.told:
            data, source = self.chance.choice(self.told)
            self._receive(data, source if self.chance.random() < 0.7 else self.chance.choice(PEERS))

    def _request(self) -> None:
        chance, source = self.chance, self.chance.choice(PEERS)
        method = chance.choice(METHODS)
        ours = chance.choice(("", "", "tagx"))
        self._deliver(
            self._make(method, f"r{chance.randrange(10**6)}", "from", ours, chance.randrange(9), source), source
        )

    def _make(self, method: str, call_id: str, theirs: str, ours: str, seq: int, source: Hop) -> Request:
        chance = self.chance
        request = Request(method, chance.choice(("sip:me@127.0.0.1", "sip:127.0.0.1", "sips:me@127.0.0.1")))
        add = request.headers.add
        add("Via", self._via(source))
        add("Max-Forwards", "70")
        add("From", f"<sip:peer@{source.host}>;tag={theirs}")
        add("To", f"<sip:me@127.0.0.1>;tag={ours}" if ours else "<sip:me@127.0.0.1>")
        add("Call-ID", call_id)
        add("CSeq", f"{seq} {method}")
        self._decorate(request, method)
        if method == "REFER":
            add(
                "Refer-To",
                chance.choice((*CONTACTS, f"<sip:x@127.0.0.3?Replaces={call_id}%3Bto-tag%3Da%3Bfrom-tag%3Db>")),
            )
            if chance.random() < 0.3:
                add("Refer-Sub", chance.choice(("false", "true", "x")))
        if method in ("NOTIFY", "SUBSCRIBE"):
            add("Event", chance.choice(("refer", "refer;id=1", "refer;id=2", "message-summary", "x;")))
            add(
                "Subscription-State",
                chance.choice(("active;expires=60", "terminated;reason=noresource", "active;expires=99999999999", "x")),
            )
            request.headers.set("Content-Type", "message/sipfrag")
            request.body = b"SIP/2.0 %d Any\r\n" % chance.choice((100, 180, 200, 486, 603, 99, 700))
        return request

    def _decorate(self, message: Request | Response, method: str) -> None:
        """Add what an answer or a request may carry."""
        chance, add = self.chance, message.headers.add
        if chance.random() < 0.9:
            add("Contact", chance.choice(CONTACTS))
        for _ in range(chance.choice((0, 0, 0, 0, 1, 2))):
            add("Record-Route", chance.choice(ROUTES))
        if chance.random() < 0.3:
            add("Session-Expires", chance.choice(SECONDS) + chance.choice(("", ";refresher=uac", ";refresher=uas")))
        if chance.random() < 0.2:
            add("Min-SE", chance.choice(SECONDS))
        if chance.random() < 0.3:
            add("Retry-After", chance.choice(SECONDS))
        if chance.random() < 0.3:
            add("Allow", chance.choice(("INVITE, UPDATE", "INVITE", "")))
        if isinstance(message, Request) and chance.random() < 0.03:
            add("Require", chance.choice(("100rel", "timer", "foo")))
        if chance.random() < 0.6:
            message.body = chance.choice(BODIES)
        if message.body:
            kind = "application/sdp" if chance.random() < 0.9 else "multipart/mixed;boundary=b"
            add("Content-Type", kind)

    def _via(self, source: Hop) -> str:
        self._branches += 1
        rport = self.chance.choice((";rport", "", ";maddr=127.0.0.9", ";received=127.0.0.8"))
        return f"SIP/2.0/{source.transport} {source.host}:{source.port}{rport};branch=z9hG4bKp{self._branches}"

    def _deliver(self, message: Request | Response, source: Hop) -> None:
        data = serialize_message(message)
        if self.chance.random() < 0.15:
            data = make_case([data], self.chance)
        self.told.append((data, source))
        self._receive(data, source)

    def _receive(self, data: bytes, source: Hop) -> None:
        self.messages += 1
        self.agent.receive_datagram(data, source, now=self._wobbling())

    def _wobbling(self) -> Nanos:
        """Return an instant that is sometimes before the last one."""
        return self.now - (SECOND if self.chance.random() < 0.05 else 0)

    # what the user does

    def _order(self) -> None:
        try:
            self._give_order()
        except LocalProtocolError:
            return  # the peer was quicker, or it makes no sense

    def _give_order(self) -> None:
        chance, agent, now = self.chance, self.agent, self._wobbling()
        pick = chance.randrange(24)
        if pick == 0:
            self._place("sip:", None)
        elif pick in (1, 2):
            self._place(chance.choice(TARGETS), None)
        elif pick == 3:
            handle = agent.register(self.account, expires_s=chance.choice((1, 60, 3600, 2**32 - 1)), now=now)
            self.registrations.append(handle)
            self.begun["registration", handle] += 1
        elif pick == 4 and self.registrations:
            agent.unregister(chance.choice(self.registrations), now=now)
        elif pick == 5:
            handle = agent.request("OPTIONS", chance.choice(TARGETS), account=self.account, now=now)
            self.begun["request", handle] += 1
        elif pick in (6, 7) and self.transfers:
            self._treat_transfer(chance.choice(self.transfers), now)
        elif self.calls:
            self._change_call(chance.choice(self.calls), pick, now)

    def _change_call(self, call: int, pick: int, now: Nanos) -> None:
        chance, agent = self.chance, self.agent
        body = chance.choice(BODIES[:5])
        if pick in (8, 9):
            agent.answer(call, body=body, now=now)
        elif pick in (10, 11):
            agent.ring(
                call, status=chance.choice((180, 183)), body=body, reliable=chance.choice((None, True, False)), now=now
            )
        elif pick == 12:
            agent.reject(call, status=chance.choice((302, 486, 603)), contacts=["<sip:x@127.0.0.3>"], now=now)
        elif pick == 13:
            agent.hang_up(call, reason=chance.choice(("", "Q.850;cause=16")), now=now)
        elif pick in (14, 15):
            agent.reoffer(call, body=body, method=chance.choice(("INVITE", "UPDATE")), now=now)
        elif pick in (16, 17):
            agent.answer_reoffer(call, body=body, now=now)
        elif pick == 18:
            agent.reject_reoffer(call, now=now)
        elif pick == 19:
            agent.acknowledge(call, body=body, now=now)
        elif pick == 20:
            other = chance.choice((None, chance.choice(self.calls)))
            self.begun[
                "transfer",
                agent.transfer(call, TARGETS[0], replaces_call=other, is_followed=chance.random() < 0.7, now=now),
            ] += 1
        elif pick == 21:
            self.begun["request", agent.request_in_call(call, "INFO", now=now)] += 1
        else:
            agent.call_snapshot(call)

    def _treat_transfer(self, transfer: int, now: Nanos) -> None:
        chance, agent = self.chance, self.agent
        match chance.randrange(4):
            case 0:
                agent.accept_transfer(transfer, now=now)
            case 1:
                agent.reject_transfer(transfer, now=now)
            case 2:
                agent.report_transfer(transfer, status=chance.choice((180, 200, 486)), now=now)
            case _:
                self._place("", transfer)

    def _place(self, target: str, transfer: int | None) -> None:
        chance = self.chance
        call = self.agent.invite(
            target,
            account=chance.choice((None, self.account)),
            body=chance.choice((SDP, SDP, b"")),
            headers=[("Expires", "20")] if chance.random() < 0.1 else [],
            options=self._options(),
            destination=chance.choice((None, None, None, HOME, HOME._replace(transport=Transport.TCP, flow=-3))),
            transfer=transfer,
            now=self.now,
        )
        self.calls.append(call)
        self.begun["call", call] += 1

    def _options(self) -> CallOptions:
        pick = self.chance.choice
        refresher = pick((None, Refresher.UAC, Refresher.UAS))
        mode = pick((Support.OFF, Support.SUPPORTED, Support.REQUIRED))
        timer = SessionTimerChoice(mode, pick((0, 90, 600)), 90, refresher, is_soft=pick((False, True)))
        return CallOptions(
            reliable=pick((Support.OFF, Support.SUPPORTED, Support.SUPPORTED, Support.REQUIRED)),
            session_timer=timer,
            redirects=RedirectPolicy(pick(tuple(Follow))),
            takes_transfers=pick((True, True, False)),
            defers_prack=pick((True, False, False)),
        )

    def _account(self) -> Account:
        pick = self.chance.choice
        return Account(
            aor="sip:me@pbx.example",
            registrar=pick(("sip:127.0.0.2", "sip:pbx.example", "sip:127.0.0.4;transport=tcp")),
            credentials=Credentials("me", "secret", pick((None, "lab"))),
            contact_user="me",
            destination=pick((None, HOME)),
            routes=pick(((), ("<sip:127.0.0.3:5062;lr>",))),
        )

    # what the network does

    def _break(self) -> None:
        chance = self.chance
        if not self.asked:
            return
        request, hop = chance.choice(self.asked)
        if hop.transport.is_reliable and chance.random() < 0.5:
            self.agent.flow_lost(chance.choice((3, 4, 5, 9)), hop._replace(flow=min(hop.flow, 0)), "gone", now=self.now)
        else:
            at_fault = serialize_message(request) if chance.random() < 0.3 else None
            self.agent.transport_failed(hop, "refused", at_fault=at_fault, now=self.now)

    def _answer_lookup(self) -> None:
        if self.lookups:
            lookup = self.lookups.pop(self.chance.randrange(len(self.lookups)))
            hops = [peer._replace(flow=0) for peer in self.chance.sample(PEERS, self.chance.randrange(4))]
            self.agent.receive_lookup(lookup.number, hops, now=self.now)

    def _let_time_pass(self) -> None:
        self.now += (
            self.chance.choice((10, 10, 100, 100, 100, 500, 500, 500, 500, 4000, 4000, 32_000, 90_000, 4_000_000))
            * MILLISECOND
        )
        self._wake()

    def _wake(self) -> None:
        """Wake the agent as often as it wants to be at this instant."""
        for _ in range(1000):
            deadline = self.agent.next_timeout()
            if deadline is None or deadline.at > self.now:
                return
            self.agent.handle_timeout(now=self.now)
        raise AssertionError(f"it wants to be woken at {deadline} for ever")

    # what is seen

    def _drain(self, most: int = MOST_AT_ONCE) -> None:
        datagrams = self.agent.datagrams_to_send()
        assert len(datagrams) <= most, f"{len(datagrams)} datagrams at once"
        for datagram in datagrams:
            if (message := _read(datagram.data)) is not None:
                self._see(message, datagram.destination)
        self.lookups += self.agent.lookups_to_make()
        while (event := self.agent.next_event()) is not None:
            self._take(event)
        assert min(self.agent.counters.values()) >= 0

    def _see(self, message: Request | Response, hop: Hop) -> None:
        ours, theirs = message.from_.tag, message.to.tag
        if message.cseq.method == "ACK" or (isinstance(message, Request) and message.method in ("PRACK", "BYE")):
            self.dialogs.setdefault((message.call_id, ours or "", theirs or ""), 1)
        if isinstance(message, Request):
            self.asked.append((message, hop))
        else:
            ours, theirs = theirs, ours
            if (rseq := message.headers.get("RSeq")) is not None:
                self.racks[message.call_id] = f"{rseq} {message.cseq}"
            if 200 <= message.status < 300 and message.cseq.method == "INVITE":
                self.accepted.append(message)
            elif message.status == 481 and self.chance.random() < 0.8:
                self.dialogs.pop((message.call_id, ours or "", theirs or ""), None)
        if (
            ours
            and theirs
            and message.cseq.method == "INVITE"
            and (isinstance(message, Request) or message.status < 300)
        ):
            self.dialogs.setdefault((message.call_id, ours, theirs), 1)
            if len(self.dialogs) > 16:
                del self.dialogs[next(iter(self.dialogs))]

    def _take(self, event: facts.Event) -> None:
        if isinstance(event, facts.CallOffered):
            self.calls.append(event.call)
            self.begun["call", event.call] += 1
        elif isinstance(event, LAST):
            self.ended["call", event.call] += 1
            self.calls.remove(event.call)
        elif isinstance(event, (facts.RequestSucceeded, facts.RequestFailed)):
            self.ended["request", event.request] += 1
        elif isinstance(event, (facts.RegistrationEnded, facts.RegistrationFailed)):
            self.ended["registration", event.registration] += 1
            self.registrations.remove(event.registration)
        elif isinstance(event, facts.TransferRequested):
            self.transfers.append(event.transfer)
        elif isinstance(event, facts.TransferCompleted) or (
            isinstance(event, facts.TransferAccepted) and not event.is_followed
        ):
            self.ended["transfer", event.transfer] += 1

    def _fall_silent(self) -> None:
        for call in list(self.calls):
            self.agent.hang_up(call, now=self.now)
        for registration in list(self.registrations):
            self.agent.unregister(registration, now=self.now)
        self._drain(1000)
        end = self.now + SILENCE_NS
        while (deadline := self.agent.next_timeout()) is not None and deadline.at <= end:
            self.now = max(self.now, deadline.at)
            self._wake()
            self._drain(1000)
        assert self.begun == self.ended, (
            f"begun and not ended once: {(self.begun - self.ended) + (self.ended - self.begun)}"
        )
        self._find_leftovers()

    def _find_leftovers(self) -> None:
        agent = self.agent
        assert agent.next_timeout() is None, agent.next_timeout()
        counters = agent.counters
        left = {
            name: counters[name]
            for name in ("transactions", "kept_bytes", "calls", "registrations", "registrations_queued")
        }
        assert not any(left.values()), left
        stack = agent._stack
        layer = stack.layer
        for name in ("_clients", "_servers", "_merge_keys", "_waiting", "_answering", "_due"):
            assert not getattr(layer, name), name
        assert not stack.dialogs
        assert not stack.transfers
        assert not agent._requests
        assert not len(stack.heap)
        assert not len(stack.sender._lookups)


def hash_of(text: str) -> int:
    """Return which of the peers a call is with."""
    return sum(text.encode()) % len(PEERS)


def _read(data: bytes) -> Request | Response | None:
    """Read what the agent sends; None for the answer to something malformed, whose rows it repeats."""
    try:
        return parse_message(data)
    except RemoteProtocolError:
        if data.startswith((b"SIP/2.0 400 ", b"SIP/2.0 505 ")):
            return None
        raise


def play(chance: Random) -> int:
    """Play one scene; return how many messages it took."""
    return Scene(chance).play()
