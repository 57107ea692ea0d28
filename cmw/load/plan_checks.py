"""What must hold between the parts of a plan: groups, registrars, accounts, thresholds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from cmw.core.clock import Nanos
from cmw.load.faults import Faults, Path, suggest
from cmw.load.lines import Block, Lines
from cmw.load.plan import Group, Registrar
from cmw.load.plan_evidence import Evidence
from cmw.load.plan_load_checks import check_load
from cmw.load.plan_pairing import ONE_TO_ONE, pairing_for
from cmw.load.plan_threshold import expression_of, written_rules
from cmw.load.thresholds import functions_of, group_of, parse_threshold


def check_groups(
    registrars: Mapping[str, Registrar],
    groups: Mapping[str, Group],
    group_names: Mapping[object, object],
    registrar_names: object,
    hold_ns: Nanos | None,
    faults: Faults,
) -> None:
    """Note every fault between groups and registrars.

    Args:
        registrars: those that are right on their own.
        groups: those that are right on their own.
        group_names: all groups of the document, so that a reference to one with a fault is not a second fault.
        registrar_names: all registrars of the document, for the same reason.
        hold_ns: how long each call is held; None when the plan does not say so rightly.
    """
    known = {str(name) for name in registrar_names} if isinstance(registrar_names, Mapping) else set()
    for name, group in groups.items():
        _check_roles(name, group, hold_ns, faults)
        if group.registrar is not None and group.registrar not in known:
            expected = f"one of {', '.join(sorted(known))}" if known else "a registrar of the plan, which has none"
            faults.add(
                ("groups", name, "registrar"),
                f"found {group.registrar!r}, expected {expected}{suggest(group.registrar, known)}",
            )
    _check_one_search(groups, faults)
    _check_called(groups, {str(name) for name in group_names}, faults)
    _check_accounts(registrars, groups, faults)


def check_thresholds(thresholds: object, groups: Collection[object], faults: Faults) -> None:
    """Note every threshold that cannot be read; anything but a mapping of lists is noted elsewhere."""
    for metric, expressions in thresholds.items() if isinstance(thresholds, Mapping) else ():
        if not isinstance(metric, str):
            continue
        try:
            functions_of(metric)
            _check_group(metric, [str(name) for name in groups])
        except ValueError as error:
            faults.add(("thresholds", metric), str(error))
            continue
        for k, rule in enumerate(written_rules(expressions)):
            if (expression := expression_of(rule)) is not None:
                path: Path = ("thresholds", metric, k) if isinstance(expressions, list) else ("thresholds", metric)
                _check_threshold(metric, expression, path, faults)
                if isinstance(rule, Mapping) and "delay" in rule and not rule.get("abort_on_fail"):
                    faults.add((*path, "delay"), "found without abort_on_fail, expected only beside it")


def _check_group(metric: str, groups: Sequence[str]) -> None:
    group = group_of(metric)
    if group and group not in groups:
        raise ValueError(
            f"found no group {group!r}{suggest(group, groups) or ', expected one of ' + ', '.join(groups)}"
        )


def has_endpoint(groups: Mapping[str, Group], name: str) -> bool:
    """Tell whether an endpoint of the plan has this name."""
    group, _, number = name.rpartition("-")
    number, dot, call = number.partition(".")
    of_group = groups[group].endpoints if group in groups else 0
    if not (_is_number(number.lstrip("0")) and 1 <= int(number) <= of_group and f"{int(number):04d}" == number):
        return False
    return not dot or (_is_number(call) and 2 <= int(call) <= sum(Lines(groups).calls_at(group, int(number) - 1)))


def _is_number(text: str) -> bool:
    """Tell whether a text is a number as we write it."""
    return text.isascii() and text.isdigit() and len(text) <= 9 and str(int(text)) == text


def check_evidence(evidence: Evidence, groups: Mapping[str, Group], faults: Faults) -> None:
    """Note every endpoint whose evidence is wanted and that the plan does not have, and packets that nobody wants."""
    if evidence.rtp and not evidence.chooses:
        expected = "expected calls, worst, slowest or endpoints beside it, which say whose packets are kept"
        faults.add(("evidence", "rtp"), f"found {evidence.rtp}, {expected}")
    for k, name in enumerate(evidence.endpoints):
        if not has_endpoint(groups, name):
            expected = f"expected the name of an endpoint, such as {next(iter(groups), 'callers')}-0001"
            faults.add(("evidence", "endpoints", k), f"found {name!r}, {expected}")


def _check_threshold(metric: str, expression: str, path: Path, faults: Faults) -> None:
    try:
        threshold = parse_threshold(metric, expression)
    except ValueError as error:
        faults.add(path, str(error))
        return
    if threshold.function == "rate" and threshold.limit > 1 and "baseline" not in expression:
        expected = "expected a share from 0 to 1, such as 'rate >= 0.99'"
        faults.add(path, f"found {expression[:80]!r}, {expected}")


def _check_one_search(groups: Mapping[str, Group], faults: Faults) -> None:
    searching = [name for name, group in groups.items() if group.load is not None and group.load.arrivals == "search"]
    for name in searching[1:]:
        faults.add(
            ("groups", name, "load", "arrivals"),
            f"found a second search beside that of {searching[0]!r}, expected one in a plan",
        )


def _check_roles(name: str, group: Group, hold_ns: Nanos | None, faults: Faults) -> None:
    """Check that a group calls or waits, and has only what fits."""
    path = ("groups", name)
    if len(set(group.audio.codecs)) < len(group.audio.codecs):
        faults.add((*path, "audio", "codecs"), "found a codec twice, expected each once")
    if (misfit := group.audio.jitter_buffer.fault()) is not None:
        faults.add((*path, "audio", "jitter_buffer", misfit[0]), misfit[1])
    if group.call is None:
        if group.hold is not None:
            faults.add(
                (*path, "hold"), "found in a group that waits for calls, expected only beside call: callers hang up"
            )
        if group.load is not None:
            faults.add((*path, "load"), "found in a group that waits for calls, expected only beside call")
        if group.repeats or group.pause is not None:
            field = "repeats" if group.repeats else "pause"
            faults.add((*path, field), "found in a group that waits for calls, expected only beside call")
        return
    if group.answer is not None:
        faults.add((*path, "answer"), "found in a group that calls, expected only in a group without call")
    if (group.call.group is None) == (group.call.uri is None):
        faults.add((*path, "call"), "found both or neither of group and uri, expected exactly one of them")
    if group.hold is not None and (hold_fault := group.hold.fault()) is not None:
        faults.add((*path, "hold", *hold_fault[0]), hold_fault[1])
        hold_ns = None
    elif group.hold is not None:
        hold_ns = group.hold.fixed
        if group.hold.is_random and group.load is not None and group.load.arrivals == "search":
            faults.add((*path, "hold"), "found times drawn at random beside a search, expected one duration")
    _check_repeats(path, group, faults)
    if group.load is not None:
        check_load((*path, "load"), group.load, group.endpoints, hold_ns, faults)


def _check_repeats(path: Path, group: Group, faults: Faults) -> None:
    if group.pause is not None and (fault := group.pause.fault()) is not None:
        faults.add((*path, "pause", *fault[0]), fault[1])
    if group.pause is not None and not group.repeats:
        faults.add((*path, "pause"), "found without repeats, expected only beside them")
    if group.repeats and group.load is not None and group.load.arrivals == "search":
        faults.add((*path, "repeats"), f"found {group.repeats} beside a search, expected one call for each endpoint")


def _check_called(groups: Mapping[str, Group], names: set[str], faults: Faults) -> None:
    """Check that called groups exist, wait for calls, and have the endpoints that their callers need."""
    lines = Lines(groups)
    for name, group in groups.items():
        callee = group.call.group if group.call is not None else None
        if group.call is not None and group.call.pairing is not None and callee is None:
            expected = "expected only beside group: whoever is at a URI takes all calls"
            faults.add(("groups", name, "call", "pairing"), f"found '{group.call.pairing}', {expected}")
        if callee is None:
            continue
        path = ("groups", name, "call", "group")
        block = lines.leads_to(name)
        if callee not in names:
            faults.add(path, f"found {callee!r}, expected a group of the plan{suggest(callee, names - {name})}")
        elif callee == name:
            faults.add(path, f"found {callee!r}, expected another group: a group cannot call itself")
        elif callee in groups and groups[callee].call is not None:
            faults.add(path, f"found {callee!r}, expected a group that waits for calls, but that one calls")
        elif block is not None and block.end > groups[callee].endpoints:
            faults.add(path, _too_many_callers(group, block, groups[callee].endpoints))


def _too_many_callers(group: Group, block: Block, endpoints: int) -> str:
    """Return that a called group is too small for its callers, and a pairing for which it is not."""
    assert group.call is not None
    left = max(0, endpoints - block.first)
    pairing = group.call.pairing or ONE_TO_ONE
    others = f", {block.first} of whose {endpoints} endpoints others call" if block.first else ""
    found = f"found {group.endpoints} callers of {block.group!r}{others}"
    enough = f', or pairing: "{pairing_for(group.endpoints, left)}" beside it' if left else ""
    return f"{found}, expected at most {left * pairing.callers // pairing.receivers}{enough}"


def _check_accounts(registrars: Mapping[str, Registrar], groups: Mapping[str, Group], faults: Faults) -> None:
    """Check that every registrar has an account for each endpoint that registers there.

    None is there twice, unless all that register only call: a call to such an account could reach either endpoint.
    """
    for name, registrar in registrars.items():
        needed = sum(group.endpoints for group in groups.values() if group.registrar == name)
        path = ("registrars", name, "accounts")
        if any(fault.path[:3] == path for fault in faults.found):
            continue
        if needed > len(registrar.accounts):
            faults.add(path, f"found {len(registrar.accounts)} accounts, expected {needed}, one for each endpoint")
        if all(group.call is not None for group in groups.values() if group.registrar == name):
            continue
        seen: dict[str, int] = {}
        for k, account in enumerate(registrar.accounts):
            if account.username in seen:
                faults.add(
                    (*path, k, "username"),
                    f"found {account.username!r}, expected each account once: entry {seen[account.username]} has it",
                )
            seen.setdefault(account.username, k)
