"""When to dial again: exponential back-off with full jitter, and a slow pace after a refusal."""

from __future__ import annotations

import re
from typing import Final

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.core.ids import Ids

FLOOR: Final[Nanos] = 500 * MILLISECOND
"""No two tries are closer than this."""

FIRST: Final[Nanos] = 1 * SECOND
CAP: Final[Nanos] = 30 * SECOND
AFTER_REFUSAL: Final[Nanos] = 60 * SECOND

MAX_RETRY_AFTER: Final[Nanos] = 300 * SECOND
"""A gateway may ask for more, but is not believed."""

_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE: Final = re.compile(
    rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}}) "
    r"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60) GMT",
    re.ASCII,
)


class Backoff:
    """Delays until the next try: evenly between `FLOOR` and a ceiling that doubles from 1 s to 30 s."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._ceiling: Nanos = FIRST

    def next_delay(self) -> Nanos:
        """Return how long to wait after a failure, nanoseconds, and double the ceiling."""
        ceiling = self._ceiling
        self._ceiling = min(2 * ceiling, CAP)
        return FLOOR + int((ceiling - FLOOR) * self._ids.unit())

    def reset(self) -> None:
        """Begin again at 1 s; call it when a link has held for a while."""
        self._ceiling = FIRST


def retry_after_ns(text: str, *, unix_ns: int) -> Nanos | None:
    """Return how long Retry-After asks to wait, not below 0; None if it cannot be read. Source: RFC 9110 10.2.3, 5.6.7.

    Args:
        unix_ns: the wall clock now, for the form with a date.
    """
    text = text.strip(" \t")
    if _SECONDS.fullmatch(text):
        return int(text) * SECOND
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    day, month, year = int(match[1]), _MONTHS.index(match[2]) + 1, int(match[3])
    at_s = 86400 * _days(year, month, day) + 3600 * int(match[4]) + 60 * int(match[5]) + int(match[6])
    return max(0, at_s * SECOND - unix_ns)


def _days(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date of the Gregorian calendar."""
    year, month = (year, month) if month > 2 else (year - 1, month + 12)
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
