"""Retry-After: when a party may be asked again. Source: RFC 3261 20.33."""

from __future__ import annotations

import re
from typing import NamedTuple

from cmw.sip.grammar import get_param, parse_params, read_seconds
from cmw.sip.headers import Headers

_RETRY_AFTER = re.compile(r"[ \t]*([0-9]{1,10})[ \t]*(?:\((?:[^()\\]|\\.)*\))?[ \t]*(;.*)?")


class RetryAfter(NamedTuple):
    """A Retry-After value: seconds to wait, and for how many seconds it is reachable then; None when not said."""

    after_s: int
    duration_s: int | None = None


def parse_retry_after(headers: Headers) -> RetryAfter | None:
    """Return when to ask again, None when a message does not say, or nothing that makes sense."""
    match = _RETRY_AFTER.fullmatch(headers.get("Retry-After") or "")
    if match is None:
        return None
    duration = None
    if match[2] is not None and '"' not in match[2]:
        pairs = match[2].split(";")[1:]
        known = [pair for pair in pairs if pair.partition("=")[0].strip().lower() == "duration"]
        value = get_param(parse_params(f";{known[0]}"), "duration") if known else None
        duration = read_seconds(value)
    return RetryAfter(int(match[1]), duration)
