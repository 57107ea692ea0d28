"""What must hold between the fields of a load, and with the number of calls that it places."""

from __future__ import annotations

from itertools import pairwise
from math import floor

from cmw.core.clock import Nanos
from cmw.load.arrivals import calls_within
from cmw.load.faults import Faults, Path
from cmw.load.plan_load import DEFAULT_RATE, CallRange, Load, calls_of_step, search_bounds
from cmw.load.units import format_duration

FIELDS: dict[str, tuple[str, ...]] = {
    "constant": ("rate",),
    "poisson": ("rate",),
    "all-at-once": (),
    "ramp": ("from", "to", "over"),
    "steps": ("steps",),
    "profile": ("profile",),
    "search": ("calls", "rate"),
}
"""The fields that go with each kind of arrivals; a search without `calls` is one for a rate, and has others."""

RATE_SEARCH: tuple[str, ...] = ("from", "to", "for")
"""Those of a search for a rate, all of them required."""

REQUIRED = ("ramp", "steps", "profile")
"""The kinds of arrivals that need every field of theirs; so does a search for a rate."""


def check_load(path: Path, load: Load, calls: int, hold_ns: Nanos | None, faults: Faults) -> None:
    """Note every fault of a load that is to place so many calls, each held so long; None when that is not known."""
    wanted = RATE_SEARCH if load.arrivals == "search" and load.calls is None else FIELDS[load.arrivals]
    given = {name: getattr(load, field) for name, field in _ATTRIBUTES.items() if getattr(load, field) is not None}
    for name in given.keys() - set(wanted):
        because = "for all calls start at once" if load.arrivals == "all-at-once" else f"with {load.arrivals} arrivals"
        faults.add((*path, name), f"found {_show(given[name])}, expected none, {because}")
    needs_all = load.arrivals in REQUIRED or wanted == RATE_SEARCH
    missing = [name for name in wanted if name not in given] if needs_all else []
    for name in missing:
        instead = ", or calls: {from, to} to search a number of calls" if load.arrivals == "search" else ""
        faults.add((*path, name), f"is missing, expected with {load.arrivals} arrivals{instead}")
    if load.arrivals == "search":
        if not missing:
            _check_search(path, load, calls, hold_ns, faults)
    elif not missing and _check_order(path, load, faults):
        _check_enough(path, load, calls, faults)


_ATTRIBUTES = {
    "rate": "rate",
    "from": "first",
    "to": "last",
    "over": "over",
    "steps": "steps",
    "profile": "profile",
    "calls": "calls",
    "for": "span",
}


def _check_search(path: Path, load: Load, calls: int, hold_ns: Nanos | None, faults: Faults) -> None:
    """Check that a search goes upwards, and that the group has the endpoints for its greatest step."""
    first, last = search_bounds(load)
    at = (*path, "calls", "to") if load.calls is not None else (*path, "to")
    if not 0 < first < last:
        faults.add(at, f"found {float(last):g} after {float(first):g}, expected a search that goes up from above 0")
        return
    needed = int(last) if load.calls is not None else calls_of_step(last, load.span)
    if needed > calls:
        faults.add(at, f"found a search with up to {needed} calls in a step, expected at most the {calls} endpoints "
                   "of the group")  # fmt: skip
    if load.calls is None or hold_ns is None:
        return
    rate = load.rate or DEFAULT_RATE
    spread_ns = (needed - 1) * rate.per_ns // rate.events
    if spread_ns >= hold_ns:
        faults.add(
            (*path, "rate"),
            f"found {rate}, at which {needed} calls take {format_duration(spread_ns)} to start, expected less than "
            f"their duration, {format_duration(hold_ns)}: else they never stand at the same time",
        )


def _check_order(path: Path, load: Load, faults: Faults) -> bool:
    """Check that the points of a profile come one after the other."""
    for k, (before, after) in enumerate(pairwise(load.profile or ())):
        if after.at <= before.at:
            faults.add((*path, "profile", k + 1, "at"), "found an instant that is not after the one before it")
            return False
    return True


def _check_enough(path: Path, load: Load, calls: int, faults: Faults) -> None:
    """Check that a load that ends places all the calls: call k is due when the integral of the rate is k."""
    within = None if load.arrivals == "all-at-once" else calls_within(load.stages)
    if within is None:
        return
    placed = floor(within) + 1 if within else 0
    if placed < calls:
        faults.add(
            (*path, load.arrivals),
            f"found a load that ends with 0/s after {placed} calls, expected one that places the {calls} "
            "calls of the group",
        )


def _show(value: object) -> str:
    if isinstance(value, int):
        return f"'{format_duration(value)}'"
    if isinstance(value, CallRange):
        return f"{value.first} to {value.last}"
    return f"{len(value)} entries" if isinstance(value, list) else f"'{value}'"
