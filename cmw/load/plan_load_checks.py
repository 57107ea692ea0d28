"""What must hold between the fields of a load, and with the number of calls that it places."""

from __future__ import annotations

from itertools import pairwise
from math import floor

from cmw.load.arrivals import calls_within
from cmw.load.faults import Faults, Path
from cmw.load.plan_load import Load

FIELDS: dict[str, tuple[str, ...]] = {
    "constant": ("rate",),
    "poisson": ("rate",),
    "all-at-once": (),
    "ramp": ("from", "to", "over"),
    "steps": ("steps",),
    "profile": ("profile",),
}
"""The fields that go with each kind of arrivals; those of the last three are required."""

REQUIRED = ("ramp", "steps", "profile")


def check_load(path: Path, load: Load, calls: int, faults: Faults) -> None:
    """Note every fault of a load that is to place so many calls."""
    wanted = FIELDS[load.arrivals]
    given = {name: getattr(load, field) for name, field in _ATTRIBUTES.items() if getattr(load, field) is not None}
    for name in given.keys() - set(wanted):
        because = "for all calls start at once" if load.arrivals == "all-at-once" else f"with {load.arrivals} arrivals"
        faults.add((*path, name), f"found {_show(given[name])}, expected none, {because}")
    missing = [name for name in wanted if name not in given] if load.arrivals in REQUIRED else []
    for name in missing:
        faults.add((*path, name), f"is missing, expected with {load.arrivals} arrivals")
    if not missing and _check_order(path, load, faults):
        _check_enough(path, load, calls, faults)


_ATTRIBUTES = {"rate": "rate", "from": "first", "to": "last", "over": "over", "steps": "steps", "profile": "profile"}


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
    return f"{len(value)} entries" if isinstance(value, list) else f"'{value}'"
