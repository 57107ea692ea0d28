"""Split a run over workers: a pure function of plan, capacities and seed.

Who calls whom, when, and under which account does not depend on the workers; only who carries which endpoint does.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from heapq import heapify, heapreplace

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.errors import CapacityError
from cmw.load.arrivals import schedule
from cmw.load.plan import DEFAULT_RATE, Account, Group, Plan, Registrar
from cmw.load.share import (
    AccountShare,
    AnswerShare,
    AudioShare,
    Callee,
    EndpointShare,
    GroupShare,
    RegistrarShare,
    RunShare,
)
from cmw.load.timing import (
    EXTERNAL_WAIT_NS,
    receiver_deadline,
    receiver_hold_limit,
    registration_deadline,
    run_deadline,
    setup_deadline,
)


def split_run(plan: Plan, run_id: str, workers: list[tuple[str, int]], seed: int = 0) -> dict[str, RunShare]:
    """Return the share of each worker that gets any endpoint.

    Args:
        workers: id and free capacity (endpoints) of each, in a stable order.
        seed: decides which worker comes first among equals.

    Raises:
        CapacityError: when the workers together have too little room.
    """
    room = sum(max(0, capacity) for _, capacity in workers)
    if room < plan.total_endpoints:
        raise CapacityError(f"the plan needs {plan.total_endpoints} endpoints, the workers have room for {room}")
    whole = whole_run(plan, run_id)
    carriers = _deal(workers, seed)
    parts: dict[str, dict[str, list[EndpointShare]]] = {}
    for name, group in whole.groups.items():
        for endpoint in group.endpoints:
            parts.setdefault(next(carriers), {}).setdefault(name, []).append(endpoint)
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
        registrars={name: _registrar_share(name, registrar) for name, registrar in plan.registrars.items()},
        register_within_ns=registration_deadline(max(registering, default=0)),
        run_within_ns=run_deadline(max(map(_last_wait, groups.values())), plan.duration),
    )


def contact_uri(user: str, registrar: Registrar) -> str:
    """Return the address of record of a user of a registrar; the default port is left out."""
    port = "" if registrar.port == 5060 else f":{registrar.port}"
    return f"sip:{_escape(user)}@{registrar.domain}{port}"


class _Builder:
    """Deals indexes, accounts, registration instants and callees, group by group."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._index = 0
        self._accounts: dict[str, Iterator[Account]] = {n: iter(r.accounts) for n, r in plan.registrars.items()}
        self._registered: dict[str, int] = {}
        self._called: dict[str, int] = {}
        self._arrivals = {name: _arrivals(group) for name, group in plan.groups.items()}

    def group(self, name: str, group: Group) -> GroupShare:
        """Return the whole of a group."""
        return GroupShare(
            name=name,
            registrar=group.registrar,
            answer=None if group.call is not None else self._answer(name, group),
            audio=AudioShare(
                codecs=list(group.audio.codecs),
                ptime_ms=group.audio.ptime // MILLISECOND,
                source=group.audio.source,
                dscp=group.audio.dscp,
            ),
            hold_ns=self._plan.duration,
            setup_timeout_ns=self._plan.setup_timeout,
            hold_limit_ns=receiver_hold_limit(self._plan.duration),
            endpoints=[self._endpoint(name, group, position) for position in range(group.endpoints)],
        )

    def _endpoint(self, name: str, group: Group, position: int) -> EndpointShare:
        index, self._index = self._index, self._index + 1
        endpoint_name = f"{name}-{position + 1:04d}"
        account, target, register_at_ns = self._account(group)
        return EndpointShare(
            index=index,
            position=position,
            name=endpoint_name,
            account=account,
            target=target,
            register_at_ns=register_at_ns,
            starts_at_ns=self._arrivals[name][position] if group.call is not None else None,
            callee=self._callee(group),
            expects_call=group.call is None and self._expects_call(name, position),
        )

    def _account(self, group: Group) -> tuple[AccountShare | None, str | None, Nanos | None]:
        if group.registrar is None:
            return None, None, None
        registrar = self._plan.registrars[group.registrar]
        account = next(self._accounts[group.registrar])
        k = self._registered.get(group.registrar, 0)
        self._registered[group.registrar] = k + 1
        rate = registrar.registration.rate
        share = AccountShare(username=account.username, password=account.password, realm=account.realm)
        return share, contact_uri(account.username, registrar), k * rate.per_ns // rate.events

    def _callee(self, group: Group) -> Callee | None:
        if group.call is None:
            return None
        if group.call.group is None:
            return Callee(uri=group.call.uri)
        position = self._called.get(group.call.group, 0)
        self._called[group.call.group] = position + 1
        return Callee(group=group.call.group, position=position)

    def _callers_of(self, name: str) -> list[str]:
        return [other for other, group in self._plan.groups.items() if group.call and group.call.group == name]

    def _expects_call(self, name: str, position: int) -> bool:
        callers = self._callers_of(name)
        return not callers or position < sum(self._plan.groups[caller].endpoints for caller in callers)

    def _answer(self, name: str, group: Group) -> AnswerShare:
        settings = group.answer
        callers = self._callers_of(name)
        wait_ns = EXTERNAL_WAIT_NS
        if settings is not None and settings.wait is not None:
            wait_ns = settings.wait
        elif callers:
            last_ns = max(self._arrivals[caller][-1] for caller in callers)
            wait_ns = receiver_deadline(last_ns, self._plan.setup_timeout)
        return AnswerShare(
            after_ns=settings.after if settings else 0,
            ring=settings.ring if settings else True,
            reject=settings.reject if settings else None,
            wait_ns=wait_ns,
        )


def _arrivals(group: Group) -> list[Nanos]:
    if group.call is None:
        return []
    load = group.load
    return schedule(load.effective_rate if load else DEFAULT_RATE, group.endpoints)


def _last_wait(group: GroupShare) -> Nanos:
    """Return the latest instant at which a call of the group may be answered."""
    if group.answer is not None:
        return group.answer.wait_ns + group.answer.after_ns
    return max(setup_deadline(e.starts_at_ns or 0, group.setup_timeout_ns) for e in group.endpoints)


def _registrar_share(name: str, registrar: Registrar) -> RegistrarShare:
    return RegistrarShare(
        name=name,
        domain=registrar.domain,
        port=registrar.port,
        transport=registrar.transport,
        expires_s=-(-registrar.registration.expires // SECOND),
    )


def _part(whole: RunShare, groups: dict[str, list[EndpointShare]]) -> RunShare:
    """Return the share with these endpoints, and only the registrars that they need."""
    chosen = {name: whole.groups[name].model_copy(update={"endpoints": part}) for name, part in groups.items()}
    needed = {group.registrar for group in chosen.values()}
    registrars = {name: registrar for name, registrar in whole.registrars.items() if name in needed}
    return whole.model_copy(update={"groups": chosen, "registrars": registrars})


def _deal(workers: list[tuple[str, int]], seed: int) -> Iterator[str]:
    """Yield the carrier of one endpoint after the other: always the worker that is least full for its capacity."""
    usable = [(worker, capacity) for worker, capacity in workers if capacity > 0]
    first = seed % len(usable) if usable else 0
    heap = [
        (Fraction(1, capacity), order, worker, capacity)
        for order, (worker, capacity) in enumerate(usable[first:] + usable[:first])
    ]
    heapify(heap)
    while heap:
        share, order, worker, capacity = heap[0]
        yield worker
        heapreplace(heap, (share + Fraction(1, capacity), order, worker, capacity))


def _escape(user: str) -> str:
    """Return `user` as the user part of a SIP URI. Source: RFC 3261 25.1, user."""
    plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()&=+$,;?/"
    return "".join(c if c in plain else "".join(f"%{byte:02X}" for byte in c.encode()) for c in user)
