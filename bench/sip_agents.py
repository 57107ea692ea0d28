"""User agents of ours as processes to be measured: a caller, a callee, and one that registers; for `bench.sip_calls`.

Each says ``ready`` once it can be reached, and in the end one line of JSON with what it did and what it cost. The CPU
time is that of the load alone: Python's start is left out, and all that a transaction leaves to its timers, up to 32 s
later, is let happen at the end and counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

import uvloop

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.load.call_pacer import CallPacer
from cmw.metrics.histogram import ExponentialHistogram
from cmw.net.clock import monotonic_ns
from cmw.net.ids import RandomIds
from cmw.net.sip_transport import SipTransport, open_sip_transport
from cmw.sip import (
    Account,
    CallAnswered,
    CallEnded,
    CallOffered,
    CallProceeding,
    CallRejected,
    CallSnapshot,
    CallTimedOut,
    Credentials,
    Hop,
    RegistrationFailed,
    RegistrationSucceeded,
    UserAgent,
)
from cmw.sip.registrar import Registrar
from cmw.worker.alarm import Alarm
from cmw.worker.garbage import relax_garbage_collection

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
PATIENCE_S = 40
LAST_TIMERS_NS = 60 * SECOND

Transport = SipTransport[Any]


class Caller:
    """Places calls at a rate and hangs each up when it is answered; keeps a snapshot of every call."""

    def __init__(self, target: Hop, rate: float, calls: int) -> None:
        self.snapshots: list[CallSnapshot] = []
        self.failures: list[str] = []
        self.placed_per_second: list[int] = []
        self.behind_longest_ns: Nanos = 0
        self._behind_since: Nanos = 0
        self._target, self._rate, self._calls = target, rate, calls
        self._uri = f"sip:service@{target.host}:{target.port}"
        self._done = asyncio.Event()
        self._pacer: CallPacer[int] = CallPacer()
        self._began: Nanos = 0

    async def run(self, transport: Transport) -> None:
        """Place every call and wait until the last one has ended."""
        self._transport = transport
        self._alarm = Alarm(asyncio.get_running_loop())
        self._began = monotonic_ns()
        gap_ns = SECOND / self._rate
        self._pacer = CallPacer((self._began + int(n * gap_ns), n) for n in range(self._calls))
        self._wake()
        await asyncio.wait_for(self._done.wait(), self._calls / self._rate + PATIENCE_S)

    def report(self) -> dict[str, Any]:
        """Return what is known of the calls: counts, and the times of responses in milliseconds."""
        instants = [call.instants for call in self.snapshots]
        times = {
            "ringing": _times((at.invite_at, at.ringing_at) for at in instants),
            "answer": _times((at.invite_at, at.answered_at) for at in instants),
            "bye": _times((at.bye_at, at.ended_at) for at in instants),
        }
        return {
            "calls": len(self.snapshots),
            "failed": len(self.failures),
            "failures": self.failures[:3],
            "requests_sent_again": sum(call.retransmissions_sent for call in self.snapshots),
            "responses_again": sum(call.counts.retransmissions_received for call in self.snapshots),
            "started_late": self._pacer.late_count,
            "behind_longest_s": round(self.behind_longest_ns / SECOND, 2),
            "late_max_ms": round(self._pacer.late_max_ns / MILLISECOND, 1),
            "placed_per_second": self.placed_per_second,
            "response_ms": {name: _quantiles(histogram) for name, histogram in times.items()},
        }

    def receive_event(self, event: Any) -> None:
        """Hang up what is answered, and keep what has ended."""
        if isinstance(event, CallProceeding):
            return
        if isinstance(event, CallAnswered):
            self._transport.run(lambda agent, now: agent.hang_up(event.call, now=now))
        elif isinstance(event, (CallEnded, CallRejected, CallTimedOut)):
            self._keep(event)

    def _keep(self, event: CallEnded | CallRejected | CallTimedOut) -> None:
        self.snapshots.append(self._transport.machine.call_snapshot(event.call))
        if not isinstance(event, CallEnded) or event.status != 200:
            self.failures.append(repr(event)[:200])
        if len(self.snapshots) == self._calls:
            self._done.set()

    def _wake(self) -> None:
        now = monotonic_ns()
        was_behind = self._pacer.is_behind
        due = self._pacer.pull_due(now)
        if self._pacer.is_behind and not was_behind:
            self._behind_since = now
        elif was_behind and not self._pacer.is_behind:
            self.behind_longest_ns = max(self.behind_longest_ns, now - self._behind_since)
        if due:
            self._transport.run(lambda agent, now: self._place(agent, len(due), now))
            _count(self.placed_per_second, now - self._began, len(due))
        wake_at = self._pacer.next_wake()
        if wake_at is not None:
            self._alarm.at(wake_at, self._wake)

    def _place(self, agent: UserAgent, count: int, now: Nanos) -> None:
        for _ in range(count):
            agent.invite(self._uri, contact_user="bench", body=SDP, destination=self._target, now=now)


class Callee:
    """Rings and answers every call; keeps a snapshot of each that has ended."""

    def __init__(self) -> None:
        self.snapshots: list[CallSnapshot] = []
        self.failures: list[str] = []
        self.taken_per_second: list[int] = []
        self._began: Nanos = 0

    async def run(self, transport: Transport) -> None:
        """Take calls until SIGTERM."""
        self._transport = transport
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()

    def report(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "calls": len(self.snapshots),
            "failed": len(self.failures),
            "failures": self.failures[:3],
            "responses_sent_again": sum(call.retransmissions_sent for call in self.snapshots),
            "taken_per_second": self.taken_per_second,
        }

    def receive_event(self, event: Any) -> None:
        """Ring and answer what is offered, and keep what has ended."""
        if isinstance(event, CallOffered):
            self._began = self._began or event.at
            _count(self.taken_per_second, event.at - self._began, 1)
            self._transport.run(lambda agent, now: self._answer(agent, event.call, now))
        elif isinstance(event, (CallEnded, CallTimedOut)):
            self.snapshots.append(self._transport.machine.call_snapshot(event.call))
            if not isinstance(event, CallEnded) or event.status != 200:
                self.failures.append(repr(event)[:200])

    def _answer(self, agent: UserAgent, call: int, now: Nanos) -> None:
        agent.ring(call, now=now)
        agent.answer(call, body=SDP, now=now)


class Registrant:
    """Registers accounts with digest, each once, so many at a time."""

    def __init__(self, target: Hop, registrations: int, *, at_once: int = 50) -> None:
        self.failures: list[str] = []
        self._target, self._total, self._at_once = target, registrations, at_once
        self._begun = self._ended = 0
        self._done = asyncio.Event()

    async def run(self, transport: Transport) -> None:
        """Register every account and wait for the last answer."""
        self._transport = transport
        transport.run(lambda agent, now: [self._register(agent, now) for _ in range(self._at_once)])
        await asyncio.wait_for(self._done.wait(), PATIENCE_S + self._total / 100)

    def report(self) -> dict[str, Any]:
        """Return the counts."""
        return {"registrations": self._ended, "failed": len(self.failures), "failures": self.failures[:3]}

    def receive_event(self, event: Any) -> None:
        """Go on with the next account once one is registered."""
        if not isinstance(event, (RegistrationSucceeded, RegistrationFailed)):
            return
        self._ended += 1
        if isinstance(event, RegistrationFailed):
            self.failures.append(repr(event)[:200])
        if self._ended == self._total:
            self._done.set()
        elif self._begun < self._total:
            self._transport.run(self._register)

    def _register(self, agent: UserAgent, now: Nanos) -> None:
        if self._begun == self._total:
            return
        self._begun += 1
        user = f"u{self._begun}"
        domain = f"{self._target.host}:{self._target.port}"
        credentials = Credentials(user, "secret")
        account = Account(f"sip:{user}@{domain}", f"sip:{domain}", credentials, user, self._target)
        agent.register(account, expires_s=3600, now=now)


class Binder:
    """The registrar, until SIGTERM."""

    async def run(self, transport: Transport) -> None:
        """Take REGISTERs until SIGTERM."""
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()

    def report(self) -> dict[str, Any]:
        """Return nothing beside the cost."""
        return {"failed": 0}

    def receive_event(self, event: Any) -> None:
        """Leave it."""


def _count(per_second: list[int], since_ns: Nanos, count: int) -> None:
    """Add to the count of the second that an instant is in."""
    second = since_ns // SECOND
    per_second += [0] * (second + 1 - len(per_second))
    per_second[second] += count


def _times(spans: Iterable[tuple[Nanos | None, Nanos | None]]) -> ExponentialHistogram:
    """Return the histogram of spans, in milliseconds, as far as both their ends are known."""
    histogram = ExponentialHistogram()
    histogram.record_many((end - start) / MILLISECOND for start, end in spans if start is not None and end is not None)
    return histogram


def _quantiles(histogram: ExponentialHistogram) -> dict[str, float]:
    names = ("p50", "p90", "p99", "max")
    return {n: round(v or 0.0, 2) for n, v in zip(names, histogram.quantiles((0.5, 0.9, 0.99, 1.0)), strict=True)}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _measure(agent: Any, bind: Hop, make_machine: Callable[..., Any]) -> dict[str, Any]:
    transport: Transport = await open_sip_transport(make_machine, bind.host, bind.port, agent.receive_event)
    relax_garbage_collection()
    print("ready", flush=True)
    cpu, began = _cpu_s(), monotonic_ns()
    await agent.run(transport)
    elapsed = (monotonic_ns() - began) / SECOND
    counts, drops = transport.counts, transport.kernel_drops
    transport.machine.handle_timeout(now=monotonic_ns() + LAST_TIMERS_NS)
    report: dict[str, Any] = agent.report()
    cpu = _cpu_s() - cpu
    transport.close()
    return report | {
        "elapsed_s": round(elapsed, 3),
        "cpu_s": round(cpu, 4),
        "datagrams_received": counts.datagrams_received,
        "datagrams_sent": counts.datagrams_sent,
        "kernel_drops": drops,
        "rss_max_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def _hop(text: str) -> Hop:
    host, _, port = text.rpartition(":")
    return Hop(host, int(port))


def main() -> None:
    """Be one of them, and print what it did as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=("caller", "callee", "registrant", "registrar"))
    parser.add_argument("--bind", type=_hop, required=True, metavar="HOST:PORT")
    parser.add_argument("--target", type=_hop, metavar="HOST:PORT")
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    agent: Any
    if options.role == "caller":
        agent = Caller(options.target, options.rate, options.count)
    elif options.role == "registrant":
        agent = Registrant(options.target, options.count)
    else:
        agent = Callee() if options.role == "callee" else Binder()

    def make_machine(listeners: Any) -> Any:
        if options.role != "registrar":
            return UserAgent(listeners=listeners, ids=RandomIds())
        accounts = {f"u{n + 1}": "secret" for n in range(options.count)}
        return Registrar(local=listeners[0].local, ids=RandomIds(), accounts=accounts)

    json.dump(uvloop.run(_measure(agent, options.bind, make_machine)), sys.stdout)


if __name__ == "__main__":
    main()
