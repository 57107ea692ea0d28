"""A worker's share of one run: its endpoints from the first REGISTER to the last report."""

from __future__ import annotations

import asyncio
import itertools
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.words import Blame, Outcome, OutcomeKind, Phase
from cmw.errors import CommandError
from cmw.link.samples import SampleBatch
from cmw.load.outcome import RunTotals
from cmw.load.plan_sound import decode_sound
from cmw.load.run_link import ProgressReport, RunDone
from cmw.load.share import EndpointShare, GroupShare, RunShare
from cmw.net.clock import wall_clock
from cmw.sip import CallOffered
from cmw.worker.alarm import Alarm
from cmw.worker.call_order import CallOrder
from cmw.worker.callee import Callee
from cmw.worker.caller import Caller
from cmw.worker.choices import answer_choice, codecs_of, endpoint_settings, from_uri, sources_of
from cmw.worker.endpoint import Endpoint, goes, no_memory, nowhere
from cmw.worker.endpoint_records import Reach
from cmw.worker.generator import GeneratorWatch
from cmw.worker.logs import get_logger
from cmw.worker.paced_starts import PacedStarts
from cmw.worker.reporting import endpoint_report
from cmw.worker.run_evidence import RunEvidence
from cmw.worker.run_seconds import RunSeconds
from cmw.worker.sip_traffic import SipTraffic
from cmw.worker.sites import CalleeLines, Site, Sites
from cmw.worker.station import CallOwner, Station
from cmw.worker.stations import Placement

EVIDENCE_STEP_NS: Final[Nanos] = 50 * MILLISECOND
"""Between two parts of evidence while there are calls: it costs them a twentieth of the loop at most."""

MAX_WAIT: Final[Nanos] = 60 * SECOND
"""How far ahead a start may lie; beyond it the clocks cannot be right."""


class Uplink(Protocol):
    """Where reports and samples go; nothing handed over here is lost but for samples that the spool had to drop."""

    @property
    def samples_dropped(self) -> int: ...

    def report(self, kind: str, run_id: str, data: dict[str, Any]) -> None: ...

    def send_samples(self, batch: SampleBatch) -> None: ...


class RunExecution:
    """Carry out one share.

    `prepare` registers and returns where the receivers are reached; `start` lets callers call; `stop` ends everything
    politely, `abandon` at once. `finished` is set after the last report was handed to the uplink.
    """

    def __init__(
        self,
        share: RunShare,
        station: Station,
        alarm: Alarm,
        uplink: Uplink,
        watch: GeneratorWatch,
        place: Callable[[RunShare], Awaitable[Sequence[Placement]]] | None = None,
    ) -> None:
        self.share = share
        self.finished = asyncio.Event()
        self._sounds = station.sounds
        self._sites = Sites([Placement(station, share)])
        self._place = place
        self._alarm = alarm
        self._uplink = uplink
        self._wall = wall_clock()
        self._watch = watch
        self._log = get_logger(component="run")
        self._samples_dropped_before = uplink.samples_dropped
        self._endpoints: list[Endpoint] = []
        self._firsts: dict[tuple[str, int], Endpoint] = {}
        self._shares: dict[int, tuple[GroupShare, EndpointShare]] = {}
        self._called_groups = _called_groups(share)
        self._open = share.total_endpoints
        self._room_taken = share.seats
        self._order = CallOrder()
        self._known: Mapping[str, Mapping[str, str]] = {}
        self._unready = share.total_endpoints
        self._ready = asyncio.Event()
        self._started_at: Nanos | None = None
        self._sip_before: SipTraffic | None = None
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._numbers = itertools.count()
        self._starts = PacedStarts(alarm)
        self._is_stopping = False
        self._evidence: RunEvidence | None = None
        self._is_telling = False
        self._totals: RunTotals | None = None
        self._seconds = RunSeconds(share.run_id, self, self._endpoints, station.engine, alarm, watch, self._wall)
        self._on_finished: Callable[[RunExecution], None] | None = None

    # Commands.

    async def prepare(self) -> dict[str, Any]:
        """Make the endpoints, register those with an account, and return when each is ready or has failed.

        Returns:
            ``targets``: for each group that waits, position to URI; ``failed``: how many endpoints are not ready.

        Raises:
            CommandError: the run was stopped meanwhile.
            CmwError: a sound cannot be made, or a certificate not used; `abandon` the run then.
        """
        if self._place is not None:
            self._sites = Sites(await self._place(self.share))
        self._sip_before = self._sites.sip_traffic
        if self.share.evidence.is_wanted:
            self._evidence = self._make_evidence()
            for _ in self._evidence.make_memory():
                await asyncio.sleep(0)
        await self._sites.prepare()
        for name, text in self.share.sounds.items():
            self._sounds.keep(name, _samples(name, text))
        for group in self.share.groups.values():
            for source in sources_of(group):
                await self._sounds.prepare(source, codecs_of(group), group.audio.ptime_ms)
        if self._is_stopping:
            raise CommandError("RUN_STOPPED", f"run {self.share.run_id} was stopped before it was prepared")
        now = self._alarm.now()
        for group in self.share.groups.values():
            for endpoint_share in group.endpoints:
                self._add_endpoint(group, endpoint_share)
        self._sites.take_calls(self._take_call)
        for endpoint in self._endpoints:
            _, endpoint_share = self._shares[endpoint.settings.index]
            self._starts.add(now + (endpoint_share.register_at_ns or 0), partial(self._prepare_endpoint, endpoint))
        self._starts.arm()
        self.at(now + self.share.register_within_ns, self._give_up_registering)
        self._look_later()
        if self._endpoints:
            await self._ready.wait()
        if self.finished.is_set():
            return {"targets": {}, "failed": self.share.total_endpoints}
        self._ready.set()
        return {"targets": self._targets(), "failed": sum(_has_left(endpoint) for endpoint in self._endpoints)}

    async def start(self, targets: Mapping[str, Mapping[str, str]], start_at: Nanos | None = None) -> Nanos:
        """Begin: from then on calls are placed, waited for and measured.

        Args:
            targets: for each group that is called, position to URI.
            start_at: when all workers of the run begin; at once if None, over, or more than `MAX_WAIT` ahead.

        Returns:
            how long after `start_at` it was, 0 if it was not.
        """
        if self._started_at is not None:
            raise CommandError("RUN_STARTED", f"run {self.share.run_id} was started already")
        if not self._ready.is_set():
            raise CommandError("RUN_NOT_PREPARED", f"run {self.share.run_id} is not prepared yet")
        self._started_at = self._alarm.now()
        self._known = targets
        await self._sites.prepare_targets(targets)
        if self.finished.is_set():
            return 0
        now = self._alarm.now()
        self._started_at = start = start_at if start_at is not None and now < start_at <= now + MAX_WAIT else now
        if start > now:
            self.at(start, self._watch.begin_windows)
        else:
            self._watch.begin_windows()
        self.at(start + self.share.run_within_ns, self._give_up)
        self._seconds.begin(start)
        for endpoint in self._endpoints:
            self._start_endpoint(endpoint, start, targets)
        self._starts.arm()
        self._finish_if_done()
        return max(0, now - start_at) if start_at is not None else 0

    def stop(self, reason: str, *, is_ours: bool = False) -> None:
        """Hang up, un-register and report.

        Args:
            is_ours: nobody asked for it: what did not come to its own end has failed by our fault. It has a warning
                that says so otherwise.
        """
        if self._is_stopping or self.finished.is_set():
            return
        self._is_stopping = True
        self._open = sum(not endpoint.lifecycle.is_closed for endpoint in self._endpoints)
        if not self._endpoints:
            self._room_taken = 0
        for endpoint in self._endpoints:
            if not endpoint.has_left:
                endpoint.lifecycle.settle(_cut_short(reason, is_ours=is_ours))
                endpoint.abort()
        self._finish_if_done()

    def abandon(self, reason: str, *, is_ours: bool = False) -> None:
        """End without waiting for anybody: peers and registrars are told, but their answers are not awaited."""
        self.stop(reason, is_ours=is_ours)
        for endpoint in self._endpoints:
            if not endpoint.lifecycle.is_closed:
                endpoint.lifecycle.settle(_cut_short(reason, is_ours=is_ours))
                endpoint.close_now()
        if self._evidence is not None:
            self._evidence.hurry()
            self._finish_if_done()

    def discard(self) -> None:
        """Let go of a run that could not be prepared; nothing is reported."""
        self.finished.set()
        self._let_go()
        self._forget()
        self._watch.close()

    def when_finished(self, callback: Callable[[RunExecution], None]) -> None:
        """Have `callback` told once, right after the last report."""
        self._on_finished = callback

    # Looks.

    @property
    def sip_ips(self) -> str:
        """Return the address that its SIP is bound to, or the addresses with commas."""
        return ", ".join(station.addresses.sip for station in self._sites.stations)

    @property
    def endpoints_open(self) -> int:
        """Return how many endpoints have not closed yet, those that are still to be made among them.

        One that calls again counts once, one that takes several calls at a time as often.
        """
        return self._room_taken

    @property
    def calls_active(self) -> int:
        """Return how many endpoints are in a call."""
        return sum(endpoint.lifecycle.phase is Phase.INCALL for endpoint in self._endpoints)

    # Preparation.

    def _add_endpoint(self, group: GroupShare, share: EndpointShare) -> None:
        registrar = self.share.registrars[group.registrar] if group.registrar is not None else None
        site = self._sites.of(share.index)
        first = self._firsts.get((group.name, share.position))
        if first is not None:
            user, account = first.settings.user, first.settings.account
        else:
            user = site.station.claim_user(share.name)
            account = site.ways.account(share, user, registrar) if registrar is not None else None
        settings = endpoint_settings(group, share, registrar, account, user=user, own_uri=site.station.uri_of(user))
        make = Caller if group.calls else Callee
        endpoint = make(settings, site.station, self._alarm, on_ready=self._mark_ready, on_closed=self._close_endpoint)
        endpoint.reach = partial(self._reach, endpoint, group, share)
        endpoint.on_left = self._leave_call
        if first is not None:
            self._order.add(endpoint, first, share.follows)
        else:
            self._firsts[group.name, share.position] = endpoint
        if self._evidence is not None:
            endpoint.lend = self._evidence.lend
        self._endpoints.append(endpoint)
        self._shares[share.index] = (group, share)
        if isinstance(endpoint, Callee):
            site.callees.setdefault(user, CalleeLines()).add(endpoint)
            site.station.set_inbound_options(user, settings.options)
            if group.answer is not None:  # now, for a caller of another worker may be ahead of our `start`
                endpoint.answering = answer_choice(group.answer, share)
            if group.name not in self._called_groups:
                site.takes_any.append(endpoint)

    def _prepare_endpoint(self, endpoint: Endpoint) -> None:
        group, _ = self._shares[endpoint.settings.index]
        registrar = self.share.registrars[group.registrar] if group.registrar is not None else None
        fault = self._sites.of(endpoint.settings.index).ways.registrar_fault(registrar) if registrar is not None else ""
        if fault and endpoint.settings.registers:
            endpoint.registration.attempted = True
            endpoint.fail(OutcomeKind.REGISTRATION_FAILED, Blame.UNKNOWN, fault)
        else:
            endpoint.prepare()

    def _mark_ready(self, endpoint: Endpoint) -> None:
        self._unready -= 1
        if self._unready == 0:
            self._ready.set()

    def _give_up_registering(self) -> None:
        for endpoint in self._endpoints:
            if endpoint.lifecycle.phase is not Phase.INITIALIZING or not endpoint.settings.registers:
                continue
            if endpoint.settings.account is not None:
                endpoint.fail(OutcomeKind.REGISTRATION_FAILED, Blame.TARGET, "registration was not answered in time")

    def _targets(self) -> dict[str, dict[str, str]]:
        """Return where the receivers are reached that can be."""
        targets: dict[str, dict[str, str]] = {}
        for endpoint in self._endpoints:
            group, share = self._shares[endpoint.settings.index]
            if not group.calls and not _has_left(endpoint):
                uri = share.target or endpoint.station.uri_of(endpoint.settings.user)
                targets.setdefault(group.name, {})[str(share.position)] = uri
        return targets

    # Calls.

    def _start_endpoint(self, endpoint: Endpoint, start: Nanos, targets: Mapping[str, Mapping[str, str]]) -> None:
        group, share = self._shares[endpoint.settings.index]
        if share.transfers_to is not None:
            to = share.transfers_to
            endpoint.transfer_uri = targets.get(to.group or "", {}).get(str(to.position))
        if isinstance(endpoint, Caller):
            if share.follows is None:
                self._plan_call(endpoint, start + (share.starts_at_ns or 0))
        elif isinstance(endpoint, Callee) and group.answer is not None and not endpoint.call.attempted:
            if share.expects_call:
                endpoint.expect_call(start + group.answer.wait_ns)
            else:
                endpoint.abort()

    def _plan_call(self, caller: Endpoint, due_at: Nanos) -> None:
        assert isinstance(caller, Caller)
        caller.call.due_at = due_at
        self._starts.add(due_at, partial(self._place_call, caller))

    def _leave_call(self, endpoint: Endpoint) -> bool:
        """Plan the next call of an endpoint; return whether there are any that need its registration."""
        following = self._order.after(endpoint)
        if self._is_stopping:
            pass
        elif endpoint.settings.registers and endpoint.settings.account and not endpoint.registration.succeeded:
            self._fail_further(endpoint)
        elif isinstance(following, Caller) and not _has_left(following) and self._started_at is not None:
            _, share = self._shares[following.settings.index]
            now = self._alarm.now()
            self._plan_call(following, max(now, (endpoint.over_at or now) + share.pause_ns))
            self._starts.arm()
        return self._order.has_further(endpoint)

    def _fail_further(self, first: Endpoint) -> None:
        """End the further calls of an endpoint that never registered."""
        blame = (first.lifecycle.outcome and first.lifecycle.outcome.blame) or Blame.UNKNOWN
        for further in self._order.further(first):
            if not _has_left(further):
                further.fail(OutcomeKind.REGISTRATION_FAILED, blame, f"{first.settings.name} never registered")

    def _place_call(self, caller: Caller) -> None:
        if _has_left(caller):
            return
        group, share = self._shares[caller.settings.index]
        targets = self._known
        callee = share.callee
        assert callee is not None
        target = callee.uri or targets.get(callee.group or "", {}).get(str(callee.position))
        if target is None:
            reason = f"endpoint {callee.position} of group {callee.group} never became ready"
            caller.begin_call("")
            caller.fail(OutcomeKind.CALL_FAILED, Blame.UNKNOWN, reason)
            return
        if fault := self._sites.of(share.index).ways.call_fault(group, target):
            caller.begin_call(target)
            caller.fail(OutcomeKind.CALL_FAILED, Blame.UNKNOWN, fault)
            return
        reach = caller.reach(target)
        caller.place_call(target, reach.destination, reach.local_uri or target, reach.routes)

    def _reach(self, endpoint: Endpoint, group: GroupShare, share: EndpointShare, target: str) -> Reach:
        """Return how a call of an endpoint goes out."""
        own, ways = share.target or endpoint.station.uri_of(endpoint.settings.user), self._sites.of(share.index).ways
        flow = self._order.first_of(endpoint).registration_flow if group.registrar is not None else None
        return Reach(from_uri(group, share, own), ways.destination(group, target, flow), ways.routes_of(group))

    def _take_call(self, site: Site, offer: CallOffered) -> CallOwner | int | None:
        """Give an inbound call to the endpoint it names; one that names nobody, to any that waits for strangers."""
        named = site.callees.get(offer.request_user)
        if named is not None:
            return named.take()
        while site.takes_any:
            if site.takes_any[0].can_take():
                return site.takes_any[0]
            site.takes_any.pop(0)
        return None

    # How it stands: what `RunSeconds` asks for.

    @property
    def sip_traffic(self) -> SipTraffic:
        """Return what has passed of SIP so far, and was lost here."""
        return self._sites.sip_traffic

    def send_samples(self, batch: SampleBatch) -> None:
        """Send the samples of some endpoints."""
        self._uplink.send_samples(batch)

    def tell_progress(self) -> None:
        """Tell how the run stands."""
        phases = Counter(endpoint.lifecycle.phase.name for endpoint in self._endpoints)
        outcomes = Counter(
            endpoint.lifecycle.outcome.kind.value
            for endpoint in self._endpoints
            if endpoint.lifecycle.is_closed and endpoint.lifecycle.outcome is not None
        )
        callers = [endpoint for endpoint in self._endpoints if isinstance(endpoint, Caller)]
        now = self._alarm.now()
        report = ProgressReport(
            second=self._seconds.current,
            endpoints=len(self._endpoints),
            by_phase=dict(phases),
            by_outcome=dict(outcomes),
            calls_active=phases[Phase.INCALL.name],
            calls_due=sum(e.call.due_at is not None and e.call.due_at <= now for e in callers),
            calls_attempted=sum(e.call.attempted for e in callers),
            calls_answered=sum(e.call.answered for e in callers),
            quality=self._seconds.quality,
            untrusted_seconds=self._watch.untrusted_seconds,
        )
        self._uplink.report("progress", self.share.run_id, report.model_dump())

    def at(self, due_ns: Nanos, callback: Callable[[], None]) -> None:
        """Call back at an instant, unless the run has finished by then.

        A fault of ours in one of these, which are for the run as a whole, ends the run: nobody would measure it, or see
        to its end, and its calls would stay up meanwhile.
        """

        if not self.finished.is_set():
            number = next(self._numbers)
            self._timers[number] = self._alarm.at(due_ns, partial(self._fire, number, callback))

    def _fire(self, number: int, callback: Callable[[], None]) -> None:
        self._timers.pop(number, None)
        try:
            callback()
        except Exception as error:
            self._log.exception("a run cannot go on", run=self.share.run_id)
            self._end_all(OutcomeKind.OSERROR, f"the worker failed: {type(error).__name__}: {error}")

    def _look_later(self) -> None:
        """Report every second how the run stands, until it starts: registrations may take their time."""

        def look() -> None:
            if self._started_at is None:
                self.tell_progress()
                self._look_later()

        self.at(self._alarm.now() + SECOND, look)

    # Ends.

    def _give_up(self) -> None:
        """The last resort: nothing may keep a run open for ever."""
        self._end_all(OutcomeKind.TIMEOUT, "the endpoint did not end in the time of the run")

    def _end_all(self, kind: OutcomeKind, reason: str) -> None:
        """End, by our own fault, what has not ended, and wait for nobody."""
        for endpoint in list(self._endpoints):
            if not endpoint.lifecycle.is_closed:
                endpoint.fail(kind, Blame.WORKER, reason)
                endpoint.close_now()

    def _close_endpoint(self, endpoint: Endpoint) -> None:
        self._open -= 1
        if endpoint.shortage:
            self._watch.add_shortage(endpoint.shortage)
        if room := self._order.close(endpoint):
            self._room_taken -= room
            endpoint.station.release_user(endpoint.settings.user)
            if isinstance(endpoint, Callee):
                endpoint.station.set_inbound_options(endpoint.settings.user, None)
        if self._evidence is not None and self._evidence.take(endpoint) and not self._is_telling:
            self._tell_evidence_later(EVIDENCE_STEP_NS)
        report = endpoint_report(endpoint, self.share.run_id, self._started_at)
        self._uplink.report("endpoint", self.share.run_id, report.model_dump(mode="json", exclude_none=True))
        first = self._order.first_of(endpoint)
        if first is not endpoint and not self._order.has_further(first):
            first.give_up_registration()
        self._finish_if_done()

    def _make_evidence(self) -> RunEvidence:
        names = [endpoint.name for group in self.share.groups.values() for endpoint in group.endpoints]
        report = partial(self._uplink.report, "event", self.share.run_id)
        return RunEvidence(self.share.evidence, names, self._sites.stations, report, self._wall)

    def _tell_evidence(self) -> None:
        """Send some of what is kept: a little at a time while there are calls, then as fast as the loop goes."""
        assert self._evidence is not None
        self._is_telling = False
        try:
            self._evidence.step()
        finally:
            if self._evidence.is_untold:
                self._tell_evidence_later(EVIDENCE_STEP_NS if self._open else 0)
            else:
                self._finish_if_done()

    def _tell_evidence_later(self, wait_ns: Nanos) -> None:
        self._is_telling = True
        self.at(self._alarm.now() + wait_ns, self._tell_evidence)

    def _finish_if_done(self) -> None:
        if self._open or self.finished.is_set() or (self._started_at is None and not self._is_stopping):
            return
        if self._totals is None:
            self._totals = self._conclude()
        if self._evidence is not None and self._evidence.finish():
            if not self._is_telling:
                self._tell_evidence_later(0)
            return
        self.finished.set()
        self._let_go()
        self._uplink.report("run_done", self.share.run_id, RunDone(generator=self._totals).model_dump(mode="json"))
        if self._on_finished is not None:
            self._on_finished(self)
        self._forget()

    def _conclude(self) -> RunTotals:
        """Sum up how the worker fared, now that the last endpoint has ended: what is still to be told is no load."""
        self._seconds.end()
        figures = [endpoint.figures for endpoint in self._endpoints if endpoint.figures is not None]
        return self._watch.finish(
            endpoints=len(self._endpoints),
            packets_sent=sum(f.packets_sent for f in figures),
            packets_received=sum(f.packets_received for f in figures),
            send_errors=sum(f.send_errors for f in figures),
            kernel_drops=sum(f.kernel_drops for f in figures),
            sip=None if self._sip_before is None else self._sites.sip_traffic.since(self._sip_before),
            samples_dropped=self._uplink.samples_dropped - self._samples_dropped_before,
        )

    def _forget(self) -> None:
        """Let go of the endpoints, which refer to the run: old circles are seldom collected."""
        for endpoint in self._endpoints:
            endpoint.reach, endpoint.lend, endpoint.on_left = nowhere, no_memory, goes
        self._endpoints.clear()
        self._firsts.clear()
        self._order.clear()
        self._shares.clear()
        self._sites.forget()
        self._on_finished = None

    def _let_go(self) -> None:
        if self._starts.late_count:
            late_ms = self._starts.late_max_ns // MILLISECOND
            self._log.warn("started late", run=self.share.run_id, count=self._starts.late_count, latest_ms=late_ms)
        if self._evidence is not None:
            self._evidence.close()
            self._evidence = None
        self._starts.close()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._sites.close()


def _has_left(endpoint: Endpoint) -> bool:
    """Tell whether an endpoint has ended or is about to."""
    return endpoint.lifecycle.phase >= Phase.DISCONNECTING


def _samples(name: str, text: str) -> array[int]:
    try:
        return decode_sound(text)
    except ValueError as error:
        raise CommandError("BAD_SOUND", f"{name}: expected samples of 16 bit in base64: {error}") from None


def _cut_short(reason: str, *, is_ours: bool) -> Outcome:
    told = f"stopped before its end: {reason}"
    if is_ours:
        return Outcome(OutcomeKind.OSERROR, Blame.WORKER, told)
    return Outcome(OutcomeKind.COMPLETED_WITH_WARNINGS, Blame.UNKNOWN, told)


def _called_groups(share: RunShare) -> set[str]:
    """Return the groups that calls and transfers of this share lead to."""
    endpoints = (endpoint for group in share.groups.values() for endpoint in group.endpoints)
    led_to = (callee for endpoint in endpoints for callee in (endpoint.callee, endpoint.transfers_to))
    return {callee.group for callee in led_to if callee is not None and callee.group is not None}
