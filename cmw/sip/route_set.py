"""How a request is addressed that has to go along routes. Source: RFC 3261 12.2.1.1, 8.1.2."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cmw.errors import RemoteProtocolError
from cmw.sip.grammar import Params
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.uri import parse_uri

_LOOSE = re.compile(r";lr(?=[;=?]|$)", re.IGNORECASE)
_METHOD = re.compile(r";method=", re.IGNORECASE)
_NOT_IN_REQUEST_URI = frozenset(("method",))
"""URI parameters that may not stand in a Request-URI; neither may headers. Source: RFC 3261 19.1.1 table 1."""


class Path(NamedTuple):
    """What a request says of its way.

    Args:
        request_uri: the Request-URI.
        routes: Route values, in the order in which they are visited.
        next_uri: whose address the request is sent to.
    """

    request_uri: str
    routes: tuple[str, ...]
    next_uri: str


def make_path(target: str, routes: Sequence[str]) -> Path:
    """Return the way of a request to `target` along `routes`.

    Args:
        target: URI of the one that the request is for.
        routes: Route values; a first one without ``lr`` is a strict router, which wants its own URI in the request.
    """
    if "?" in target or _METHOD.search(target) is not None:
        target = _request_uri(target)
    if not routes:
        return Path(target, (), target)
    first = parse_name_addr(routes[0]).uri
    if _LOOSE.search(first) is not None:
        return Path(target, tuple(routes), first)
    return Path(_request_uri(first), (*routes[1:], f"<{target}>"), first)


def _request_uri(text: str) -> str:
    try:
        uri = parse_uri(text)
    except RemoteProtocolError:
        return text
    params: Params = tuple([pair for pair in uri.params if pair[0] not in _NOT_IN_REQUEST_URI])
    return str(uri._replace(params=params, headers=()))
