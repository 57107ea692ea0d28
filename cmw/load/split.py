"""Split a run over workers: a pure function of plan, capacities and seed.

Who calls whom, when, and under which account does not depend on the workers; only who carries which endpoint does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cmw.core.clock import MILLISECOND, Nanos
from cmw.errors import CapacityError
from cmw.load.arrivals import schedule
from cmw.load.deal import deal
from cmw.load.draws import Draws
from cmw.load.lines import Lines
from cmw.load.plan import Account, Answer, Group, Plan, Registrar
from cmw.load.plan_hold import USUAL_PAUSE
from cmw.load.plan_load import Load
from cmw.load.plan_sound import sound_key, source_name
from cmw.load.share import (
    AccountShare,
    AnswerShare,
    AudioShare,
    BufferShare,
    Callee,
    EndpointShare,
    EvidenceShare,
    GroupShare,
    RunShare,
)
from cmw.load.split_sip import call_uri, identity_share, registrar_share, sip_share, step_share, way_share
from cmw.load.timing import (
    EXTERNAL_WAIT_NS,
    receiver_deadline,
    receiver_hold_limit,
    registration_deadline,
    repeat_span,
    retry_span,
    run_deadline,
    setup_deadline,
    transfer_deadline,
)


def split_run(plan: Plan, run_id: str, workers: list[tuple[str, int]], seed: int = 0) -> dict[str, RunShare]:
    """Return the share of each worker that gets any endpoint.

    Args:
        workers: id and free capacity (endpoints) of each, in a stable order.
        seed: decides which worker comes first among equals.

    Raises:
        CapacityError: when the workers together have too little room, or none has enough for a receiver of many calls.
    """
    room = sum(max(0, capacity) for _, capacity in workers)
    if room < plan.seats:
        raise CapacityError(f"the plan needs {plan.seats} endpoints, the workers have room for {room}")
    whole = whole_run(plan, run_id)
    seats = Counter(
        (name, endpoint.position)
        for name, group in whole.groups.items()
        for endpoint in group.endpoints
        if endpoint.follows is None
    )
    carriers = deal(seats, workers, seed)
    parts: dict[str, dict[str, list[EndpointShare]]] = {}
    for name, group in whole.groups.items():
        for endpoint in group.endpoints:
            worker = carriers[name, endpoint.position]
            parts.setdefault(worker, {}).setdefault(name, []).append(endpoint)
    return {worker: _part(whole, groups) for worker, groups in parts.items()}


def whole_run(plan: Plan, run_id: str) -> RunShare:
    """Return the run as if one worker carried all of it."""
    builder = _Builder(plan)
    groups = {name: builder.group(name, group) for name, group in plan.groups.items()}
    registering = [e.register_at_ns for g in groups.values() for e in g.endpoints if e.register_at_ns is not None]
    return RunShare(
        run_id=run_id,
        name=plan.name,
        groups=groups,
        registrars={name: registrar_share(name, registrar) for name, registrar in plan.registrars.items()},
        register_within_ns=registration_deadline(max(registering, default=0), _longest_retry(plan)),
        run_within_ns=run_deadline(
            max(map(builder.last_wait, groups.values())), max(map(plan.longest_hold, plan.groups))
        ),
        evidence=EvidenceShare.model_validate(plan.evidence.model_dump()),
        sounds={sound_key(text): text for text in plan.sounds.values()},
    )


def contact_uri(user: str, registrar: Registrar) -> str:
    """Return the address of record of a user of a registrar; the default port is left out."""
    usual = _USUAL_PORTS.get(registrar.transport, 5060)
    port = "" if registrar.port in (None, 5060, usual) else f":{registrar.port}"
    return f"sip:{_escape(user)}@{registrar.domain}{port}"


_USUAL_PORTS = {"tls": 5061, "ws": 80, "wss": 443}


class _Builder:
    """Deals indexes, accounts, registration instants and callees, group by group."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._index = 0
        self._accounts: dict[str, Iterator[Account]] = {n: iter(r.accounts) for n, r in plan.registrars.items()}
        self._registered: dict[str, int] = {}
        self._lines = Lines(plan.groups)
        self._holds = {name: Draws(plan.seed, "hold", name) for name in plan.groups}
        self._pauses = {name: Draws(plan.seed, "pause", name) for name in plan.groups}
        self._arrivals = {name: _arrivals(plan, name, group) for name, group in plan.groups.items()}

    def group(self, name: str, group: Group) -> GroupShare:
        """Return the whole of a group."""
        registrar = self._registrar_of(group)
        return GroupShare(
            name=name,
            registrar=group.registrar,
            way=way_share(group),
            late_offer=group.call is not None and group.call.offer == "late",
            redirects=group.call.redirects if group.call is not None else 0,
            identity=identity_share(group.identity) if group.identity is not None else None,
            headers=dict(group.headers),
            sip=sip_share(group.sip),
            scenario=[step_share(step, group, registrar, self._plan.sounds) for step in group.scenario],
            answer=None if group.call is not None else self._answer(name, group),
            audio=AudioShare(
                codecs=list(group.audio.codecs),
                ptime_ms=group.audio.ptime // MILLISECOND,
                source=source_name(group.audio.source, self._plan.sounds),
                dscp=group.audio.dscp,
                rtcp_mux=group.audio.rtcp_mux,
                symmetric=group.audio.symmetric,
                buffer=BufferShare(**group.audio.jitter_buffer.settings()._asdict()),
                late_limit_ns=group.audio.late_after,
            ),
            hold_ns=self._plan.longest_hold(name),
            setup_timeout_ns=self._plan.setup_timeout,
            hold_limit_ns=receiver_hold_limit(self._plan.longest_hold(name)),
            endpoints=self._endpoints(name, group),
        )

    def last_wait(self, group: GroupShare) -> Nanos:
        """Return the latest instant at which a call of the group may be answered."""
        if group.answer is not None:
            return group.answer.wait_ns + (group.setup_timeout_ns if group.answer.rings_on else group.answer.after_ns)
        return setup_deadline(self._last_start(group.name), group.setup_timeout_ns)

    def _endpoints(self, name: str, group: Group) -> list[EndpointShare]:
        """Return the endpoints of a group, and then the further calls of each: the second of every line, and so on."""
        found = [self._endpoint(name, group, position) for position in range(group.endpoints)]
        lines = [self._lines.calls_at(name, position) for position in range(group.endpoints)]
        latest = {(position, 0): share for position, share in enumerate(found)}
        named = [1] * group.endpoints
        further = sorted(
            (call, line, position)
            for position, calls in enumerate(lines)
            for line, most in enumerate(calls)
            for call in range(most)
            if call or line
        )
        for call, line, position in further:
            named[position] += 1
            share = found[position].model_copy(
                update={
                    "index": self._next_index(),
                    "name": f"{found[position].name}.{named[position]}",
                    "register_at_ns": None,
                    "line": line,
                    "transfers_to": self._transfers_to(name, position, line),
                }
            )
            if call:
                share = self._after(name, group, share, latest[position, line], call)
            latest[position, line] = share
            found.append(share)
        return found

    def _endpoint(self, name: str, group: Group, position: int) -> EndpointShare:
        account, target, register_at_ns = self._account(group)
        return EndpointShare(
            index=self._next_index(),
            position=position,
            name=f"{name}-{position + 1:04d}",
            account=account,
            target=target,
            register_at_ns=register_at_ns,
            starts_at_ns=self._arrivals[name][position] if group.call is not None else None,
            hold_ns=self._hold(name, group, position),
            callee=self._callee(name, group, position),
            expects_call=group.call is None and self._lines.expects_call(name, position),
            transfers_to=self._transfers_to(name, position, 0),
            hangs_up=group.call is None and self._lines.is_led_to(name, position),
        )

    def _after(self, name: str, group: Group, share: EndpointShare, before: EndpointShare, call: int) -> EndpointShare:
        """Return a call of an endpoint as what comes after another on the same line; the first is number 0."""
        if group.call is None:
            return share.model_copy(update={"follows": before.index})
        k = call * group.endpoints + share.position
        pause_ns = (group.pause or USUAL_PAUSE).draw(self._pauses[name], k - group.endpoints)
        held_ns = before.hold_ns if before.hold_ns is not None else self._plan.longest_hold(name)
        return share.model_copy(
            update={
                "starts_at_ns": (before.starts_at_ns or 0) + held_ns + pause_ns,
                "hold_ns": self._hold(name, group, k),
                "follows": before.index,
                "pause_ns": pause_ns,
            }
        )

    def _next_index(self) -> int:
        index, self._index = self._index, self._index + 1
        return index

    def _hold(self, name: str, group: Group, k: int) -> Nanos | None:
        return group.hold.draw(self._holds[name], k) if group.hold and group.hold.is_random else None

    def _registrar_of(self, group: Group) -> Registrar | None:
        return self._plan.registrars[group.registrar] if group.registrar is not None else None

    def _account(self, group: Group) -> tuple[AccountShare | None, str | None, Nanos | None]:
        if group.registrar is None:
            return None, None, None
        registrar = self._plan.registrars[group.registrar]
        account = next(self._accounts[group.registrar])
        k = self._registered.get(group.registrar, 0)
        self._registered[group.registrar] = k + 1
        rate = registrar.registration.rate
        share = AccountShare(
            username=account.username,
            password=account.password,
            realm=account.realm,
            auth_username=account.auth_username,
        )
        return share, contact_uri(account.username, registrar), k * rate.per_ns // rate.events

    def _callee(self, name: str, group: Group, position: int) -> Callee | None:
        if group.call is None:
            return None
        if (found := self._lines.callee(name, position)) is not None:
            return Callee(group=found[0], position=found[1])
        return Callee(uri=call_uri(group, self._registrar_of(group)))

    def _transfers_to(self, name: str, position: int, line: int) -> Callee | None:
        found = self._lines.transferee(name, position, line)
        return Callee(group=found[0], position=found[1]) if found is not None else None

    def _moves_to(self, name: str) -> list[str]:
        return [other for other, group in self._plan.groups.items() if group.transfer_group == name]

    def _callers_of(self, name: str) -> list[str]:
        return [other for other, group in self._plan.groups.items() if group.call and group.call.group == name]

    def _answer(self, name: str, group: Group) -> AnswerShare:
        settings = group.answer or Answer()
        progress = settings.progress or (183 if settings.early_media else 180)
        return AnswerShare(
            after_ns=settings.after,
            ring=settings.ring is not False,
            rings_on=settings.ring == "forever",
            reject=settings.reject,
            redirect=list(settings.redirect or []),
            early_media=settings.early_media,
            progress=progress,
            options_status=settings.options or 200,
            headers=dict(settings.headers),
            wait_ns=settings.wait if settings.wait is not None else self._wait(name),
        )

    def _wait(self, name: str) -> Nanos:
        """Return how long an endpoint waits for its call where the plan does not say."""
        deadlines = [receiver_deadline(last, self._plan.setup_timeout) for last in self._last_calls(name)]
        for other in self._moves_to(name):
            deadlines += [self._transfer_deadline(other, last) for last in self._last_calls_of(other)]
        return max(deadlines, default=EXTERNAL_WAIT_NS)

    def _last_calls(self, name: str) -> list[Nanos]:
        """Return when the last call of each group that calls this one begins."""
        return [self._last_start(caller) for caller in self._callers_of(name)]

    def _last_start(self, name: str) -> Nanos:
        """Return when the last call of a group that calls begins at the latest."""
        group, plan = self._plan.groups[name], self._plan
        if not group.repeats:
            return self._arrivals[name][-1]
        pause_ns = (group.pause or USUAL_PAUSE).longest
        return self._arrivals[name][-1] + group.repeats * repeat_span(
            plan.setup_timeout, plan.longest_hold(name), pause_ns
        )

    def _last_calls_of(self, name: str) -> list[Nanos]:
        """Return when the last call of a group begins, whether it calls or is called."""
        return [self._last_start(name)] if self._arrivals[name] else self._last_calls(name) or [EXTERNAL_WAIT_NS]

    def _transfer_deadline(self, name: str, last_call_ns: Nanos) -> Nanos:
        group = self._plan.groups[name]
        transfer = group.transfer
        at_ns = next(step.at for step in group.scenario if step.do.transfer is transfer)
        return transfer_deadline(
            last_call_ns, self._plan.setup_timeout, at_ns if at_ns is not None else self._plan.longest_hold(name)
        )


def _arrivals(plan: Plan, name: str, group: Group) -> list[Nanos]:
    if group.call is None:
        return []
    load = group.load or Load()
    draws = Draws(plan.seed, "arrivals", name) if load.is_random else None
    return schedule(load.stages, group.endpoints, draws)


def _longest_retry(plan: Plan) -> Nanos:
    """Return how long the tries of a registration may take beyond its first."""
    retries = [registrar.registration.retry for registrar in plan.registrars.values()]
    return max([retry_span(retry.tries, retry.base, retry.max) for retry in retries], default=0)


def _part(whole: RunShare, groups: dict[str, list[EndpointShare]]) -> RunShare:
    """Return the share with these endpoints, and only the registrars that they need."""
    chosen = {name: whole.groups[name].model_copy(update={"endpoints": part}) for name, part in groups.items()}
    needed = {group.registrar for group in chosen.values()}
    registrars = {name: registrar for name, registrar in whole.registrars.items() if name in needed}
    said = {source for group in chosen.values() for source in _sources(group)}
    sounds = {key: text for key, text in whole.sounds.items() if key in said}
    return whole.model_copy(update={"groups": chosen, "registrars": registrars, "sounds": sounds})


def _sources(group: GroupShare) -> list[str]:
    return [group.audio.source, *[step.source for step in group.scenario if step.source is not None]]


def _escape(user: str) -> str:
    """Return `user` as the user part of a SIP URI. Source: RFC 3261 25.1, user."""
    plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()&=+$,;?/"
    return "".join(c if c in plain else "".join(f"%{byte:02X}" for byte in c.encode()) for c in user)
