"""Whose server the requests of each endpoint of a share go to, and so which network the endpoint belongs in."""

from __future__ import annotations

from collections.abc import Iterator

from cmw.load.share import EndpointShare, GroupShare, RunShare
from cmw.worker.ways import next_uri, registrar_uri


def destinations_of(share: RunShare) -> dict[int, str | None]:
    """Return the URI whose server takes the requests of each endpoint, by its index in the run; None: nobody knows.

    An endpoint without registrar, proxy and URI goes where those go that it shares calls with: one that calls a group,
    where that group is; one that waits, where its callers are. When nothing is said of these either, it goes where the
    run goes first: to the first registrar, or else the first host that is called.
    """
    found = {
        endpoint.index: _own_destination(share, group, endpoint)
        for group in share.groups.values()
        for endpoint in group.endpoints
    }
    groups = {group.name: _first(found, group) for group in share.groups.values()}
    by_callers = {callee: groups[caller] for caller, callee in reversed(list(_pairs(share))) if groups[caller]}
    by_callees = {caller: groups.get(callee) for caller, callee in _pairs(share)}
    first = _first_of_run(share, found)
    for group in share.groups.values():
        fallback = (by_callees if group.calls else by_callers).get(group.name) or first
        for endpoint in group.endpoints:
            found[endpoint.index] = found[endpoint.index] or fallback
    return found


def _own_destination(share: RunShare, group: GroupShare, endpoint: EndpointShare) -> str | None:
    if group.registrar is not None:
        return registrar_uri(share.registrars[group.registrar])
    if group.calls and group.way.routes:
        return next_uri(group.way.routes[0], group.way)
    if endpoint.callee is None or endpoint.callee.uri is None:
        return None
    return next_uri(endpoint.callee.uri, group.way)


def _first(found: dict[int, str | None], group: GroupShare) -> str | None:
    return next((uri for endpoint in group.endpoints if (uri := found[endpoint.index]) is not None), None)


def _first_of_run(share: RunShare, found: dict[int, str | None]) -> str | None:
    registered = (group for group in share.groups.values() if group.registrar is not None)
    firsts = (_first(found, group) for group in (*registered, *share.groups.values()))
    return next((uri for uri in firsts if uri is not None), None)


def _pairs(share: RunShare) -> Iterator[tuple[str, str]]:
    """Yield which group calls which, in the order of the plan."""
    for group in share.groups.values():
        callee = group.endpoints[0].callee if group.endpoints else None
        if callee is not None and callee.group is not None:
            yield group.name, callee.group
