"""What must hold for the scenarios of a plan: each step has one trigger and one action, and leads somewhere."""

from __future__ import annotations

from collections.abc import Mapping

from cmw.core.clock import Nanos
from cmw.load.faults import Faults, Path, suggest
from cmw.load.lines import Lines
from cmw.load.plan import Group
from cmw.load.plan_scenario import ACTIONS_EXPECTED, Action, Step
from cmw.load.units import format_duration

VIA = {
    "hold": ("invite", "update"),
    "resume": ("invite", "update"),
    "update": ("invite", "update"),
    "send_dtmf": ("rfc4733", "info"),
}
"""What may carry an action. Without a word, changes go by re-INVITE, digits as was negotiated."""


def check_scenarios(groups: Mapping[str, Group], duration: Nanos | None, faults: Faults) -> None:
    """Note every fault in a scenario.

    Args:
        groups: those that are right on their own.
        duration: how long calls are held; None when it is not known.
    """
    for name, group in groups.items():
        path = ("groups", name, "scenario")
        held = _longest_hold(name, groups, duration)
        for k, step in enumerate(group.scenario):
            _check_step((*path, k), step, held, faults)
        _check_transfers(path, name, group, groups, faults)
    _check_led_to(groups, faults)


def _longest_hold(name: str, groups: Mapping[str, Group], duration: Nanos | None) -> Nanos | None:
    """Return the longest that a call of a group may last, None when that is not known."""
    own = groups[name]
    callers = [own] if own.call is not None else [g for g in groups.values() if g.call and g.call.group == name]
    if any(group.hold is not None and group.hold.fault() is not None for group in callers):
        return None
    times = [duration if group.hold is None else group.hold.longest for group in callers] or [duration]
    known = [time for time in times if time is not None]
    return max(known) if len(known) == len(times) else None


def _check_step(path: Path, step: Step, duration: Nanos | None, faults: Faults) -> None:
    if (step.at is None) == (step.on is None):
        faults.add(path, "found both or neither of at and on, expected exactly one of them")
    if step.digit is not None and step.on != "dtmf":
        faults.add((*path, "digit"), "found without on: dtmf, expected only beside it")
    if step.at is not None and duration is not None and step.at >= duration:
        expected = f"less than the {format_duration(duration)} for which a call is held"
        faults.add((*path, "at"), f"found '{format_duration(step.at)}', expected {expected}")
    names = step.do.names
    if len(names) != 1:
        found = " and ".join(names) if names else "nothing"
        faults.add((*path, "do"), f"found {found}, expected exactly {ACTIONS_EXPECTED}")
        return
    if step.do.update is not None and step.do.update.codecs is None and step.do.update.ports is None:
        faults.add((*path, "do", "update"), "found nothing, expected codecs, ports, or both")
    _check_via((*path, "do"), names[0], step.do, faults)
    if step.do.length is not None and step.do.send_dtmf is None:
        faults.add((*path, "do", "length"), f"found beside {names[0]}, expected only beside send_dtmf")


def _check_via(path: Path, action: str, do: Action, faults: Faults) -> None:
    known = VIA.get(action, ())
    if do.via is not None and do.via not in known:
        expected = " or ".join(known) or "none"
        faults.add((*path, "via"), f"found {do.via!r} beside {action}, expected {expected}")


def _check_transfers(path: Path, name: str, group: Group, groups: Mapping[str, Group], faults: Faults) -> None:
    places = [(k, step.do.transfer) for k, step in enumerate(group.scenario) if step.do.transfer is not None]
    for nth, (k, transfer) in enumerate(places):
        where = (*path, k, "do", "transfer")
        if nth:
            faults.add(where, "found a second transfer, expected at most one in a call")
        if (transfer.uri is None) == (transfer.group is None):
            faults.add(where, "found both or neither of uri and group, expected exactly one of them")
        elif (transfer.uri or "").lower().startswith("tel:") and group.registrar is None:
            faults.add((*where, "uri"), f"found {transfer.uri!r}, expected a SIP URI in a group without a registrar")
        if transfer.group is not None:
            _check_target((*where, "group"), name, group, transfer.group, groups, faults)


def _check_target(
    path: Path, name: str, group: Group, target: str, groups: Mapping[str, Group], faults: Faults
) -> None:
    called = group.call.group if group.call is not None else None
    if target not in groups:
        faults.add(path, f"found {target!r}, expected a group of the plan{suggest(target, groups.keys() - {name})}")
    elif target in (name, called):
        faults.add(path, f"found {target!r}, expected a group that is not part of the call already")
    elif groups[target].call is not None:
        faults.add(path, f"found {target!r}, expected a group that waits for calls, but that one calls")


def _check_led_to(groups: Mapping[str, Group], faults: Faults) -> None:
    """Check that a group has an endpoint for each caller and each transfer that leads to it."""
    lines = Lines(groups)
    for target, group in groups.items():
        moving = [name for name, each in groups.items() if each.transfer_group == target]
        if group.call is None and moving and (used := lines.used(target)) > group.endpoints:
            for name in moving:
                k = next(k for k, step in enumerate(groups[name].scenario) if step.do.transfer is not None)
                faults.add(
                    ("groups", name, "scenario", k, "do", "transfer", "group"),
                    f"found calls for {used} endpoints of {target!r}, expected for at most {group.endpoints}: "
                    "callers, and then each that is transferred, have one of their own",
                )
