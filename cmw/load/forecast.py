"""What a plan would do, told before anything is sent: endpoints, calls over time, ports, bandwidth."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.load.plan import Group, Plan
from cmw.load.search import greatest_step, search_words
from cmw.load.share import GroupShare
from cmw.load.split import whole_run

FORECAST_VERSION: Literal[1] = 1

MAX_POINTS = 20
"""Points of the forecast's timeline."""

PORTS_PER_CALL = 2
"""Of each end that is ours: one for RTP and one for RTCP."""

HEADER_BYTES = 20 + 8 + 12
"""IPv4, UDP and RTP without extensions. Source: RFC 791 3.1, RFC 768, RFC 3550 5.1."""

G711_BYTES_PER_MS = 8


class ForecastModel(BaseModel):
    """Base of the forecast's parts."""

    model_config = ConfigDict(frozen=True)


class GroupForecast(ForecastModel):
    """A group, and when its calls start; null for one that waits."""

    name: str
    endpoints: int
    role: str
    """What its endpoints do, in words."""
    registrar: str | None
    arrivals: str | None
    first_call_s: float | None
    last_call_s: float | None
    peak_calls_per_second: int | None
    """The most calls that start within any second."""


class Point(ForecastModel):
    """An instant of the run: calls started until then, and calls that stand if each is answered at once."""

    at_s: float
    started: int
    standing: int


class Forecast(ForecastModel):
    """What the plan would do. Calls are taken to be answered at once and held to their end: the most there can be."""

    schema_version: Literal[1] = FORECAST_VERSION
    name: str
    search: str | None = None
    """What is searched, in words; the figures are then those of the greatest step. Null for an ordinary plan."""
    endpoints: int
    registrations: int
    registered_after_s: float | None
    """When the last REGISTER starts."""
    calls: int
    standing_calls: int
    """The most calls that stand at a time."""
    hold_s: float
    """How long a call is held, in the mean."""
    longest_hold_s: float
    last_call_ends_s: float | None
    ends_within_s: float
    """When the run is over, whatever happens."""
    rtp_ports: int
    packets_per_second: int
    """The most RTP packets that are sent in a second; as many come."""
    bandwidth_bps: int
    """Of those packets at IP level, in each direction."""
    groups: list[GroupForecast]
    timeline: list[Point]


def forecast(plan: Plan) -> Forecast:
    """Return what a plan would do; of a search, what its greatest step would."""
    searched, plan = search_words(plan), greatest_step(plan)
    whole = whole_run(plan, "forecast")
    calls = [call for share in whole.groups.values() for call in _calls(plan, share)]
    starts = sorted(call.start for call in calls)
    strangers = [group for name, group in plan.groups.items() if _is_called_from_outside(plan, name)]
    awaited = sum(group.endpoints for group in strangers)
    registering = [e.register_at_ns for g in whole.groups.values() for e in g.endpoints if e.register_at_ns is not None]
    return Forecast(
        name=plan.name,
        search=searched,
        endpoints=sum(group.endpoints for group in plan.groups.values()),
        registrations=len(registering),
        registered_after_s=_seconds(max(registering, default=None)),
        calls=len(starts) + awaited,
        standing_calls=round(_peak(calls, lambda _: 1)) + awaited,
        hold_s=(sum(call.end - call.start for call in calls) / len(calls) if calls else plan.duration) / SECOND,
        longest_hold_s=max((call.end - call.start for call in calls), default=plan.duration) / SECOND,
        last_call_ends_s=_seconds(max(call.end for call in calls)) if calls else None,
        ends_within_s=(whole.register_within_ns + whole.run_within_ns) / SECOND,
        rtp_ports=PORTS_PER_CALL * plan.seats,
        packets_per_second=round(
            _peak(calls, lambda call: sum(map(_packets_per_second, call.ours)))
            + sum(group.endpoints * _packets_per_second(group) for group in strangers)
        ),
        bandwidth_bps=round(
            _peak(calls, lambda call: sum(map(_bandwidth_bps, call.ours)))
            + sum(group.endpoints * _bandwidth_bps(group) for group in strangers)
        ),
        groups=[_group(plan, share) for share in whole.groups.values()],
        timeline=_timeline(calls),
    )


class _Call(NamedTuple):
    """A call that is placed: when it begins and ends, and those ends of it that are ours."""

    start: Nanos
    end: Nanos
    ours: list[Group]


def _calls(plan: Plan, share: GroupShare) -> Iterator[_Call]:
    for endpoint in share.endpoints:
        start = endpoint.starts_at_ns
        if start is not None:
            yield _Call(start, start + (endpoint.hold_ns or share.hold_ns), _ends(plan, share))


def _starts(share: GroupShare) -> list[Nanos]:
    return [endpoint.starts_at_ns for endpoint in share.endpoints if endpoint.starts_at_ns is not None]


def _is_called_from_outside(plan: Plan, name: str) -> bool:
    """Tell whether a group waits for calls that nobody in the plan places."""
    calls = (group.call for group in plan.groups.values())
    return plan.groups[name].call is None and not any(call is not None and call.group == name for call in calls)


def _ends(plan: Plan, share: GroupShare) -> list[Group]:
    """Return those ends of the group's calls that are ours."""
    caller = plan.groups[share.name]
    assert caller.call is not None
    return [caller] if caller.call.group is None else [caller, plan.groups[caller.call.group]]


def _packets_per_second(group: Group) -> float:
    return SECOND / group.audio.ptime


def _bandwidth_bps(group: Group) -> float:
    packet_bytes = HEADER_BYTES + G711_BYTES_PER_MS * group.audio.ptime / MILLISECOND
    return 8 * packet_bytes * _packets_per_second(group)


def _peak(calls: Iterable[_Call], weigh: Callable[[_Call], float]) -> float:
    """Return the greatest sum of the weights of calls that stand at a time; one that ends makes room for the next."""
    changes = [change for c in calls for change in ((c.start, 1, weigh(c)), (c.end, 0, -weigh(c)))]
    standing = most = 0.0
    for _, _, weight in sorted(changes):
        standing += weight
        most = max(most, standing)
    return most


def _group(plan: Plan, share: GroupShare) -> GroupForecast:
    group = plan.groups[share.name]
    starts = sorted(_starts(share))
    return GroupForecast(
        name=share.name,
        endpoints=group.endpoints,
        role=_role(group),
        registrar=group.registrar,
        arrivals=(group.load.arrivals if group.load else "constant") if starts else None,
        first_call_s=_seconds(starts[0]) if starts else None,
        last_call_s=_seconds(starts[-1]) if starts else None,
        peak_calls_per_second=round(_peak([_Call(start, start + SECOND, []) for start in starts], lambda _: 1))
        if starts
        else None,
    )


def _role(group: Group) -> str:
    if group.call is not None:
        shared = f", {group.call.pairing}" if group.call.pairing is not None else ""
        return f"calls {group.call.uri}" if group.call.group is None else f"calls group {group.call.group}{shared}"
    if group.answer is not None and group.answer.reject is not None:
        return f"rejects calls with {group.answer.reject}"
    return "redirects calls" if group.answer is not None and group.answer.redirect else "answers calls"


def _timeline(calls: list[_Call]) -> list[Point]:
    """Return evenly spaced instants from the first call to the end of the last."""
    if not calls:
        return []
    starts, ends = sorted(call.start for call in calls), sorted(call.end for call in calls)
    instants = sorted({starts[0] + k * (ends[-1] - starts[0]) // (MAX_POINTS - 1) for k in range(MAX_POINTS)})
    return [
        Point(
            at_s=at / SECOND,
            started=bisect_right(starts, at),
            standing=bisect_right(starts, at) - bisect_right(ends, at),
        )
        for at in instants
    ]


def _seconds(instant: Nanos | None) -> float | None:
    return None if instant is None else instant / SECOND
