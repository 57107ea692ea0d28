"""The Date header. Source: RFC 3261 20.17, RFC 1123 5.2.14."""

from __future__ import annotations

import re

_DAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")
"""From the weekday of 1970-01-01 on."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_DAYS_OF_400_YEARS = 146_097

_DATE = re.compile(
    rf"({'|'.join(_DAYS)}), ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}}) ([0-9]{{2}}):([0-9]{{2}}):([0-9]{{2}}) GMT"
)


def format_date(unix_s: int) -> str:
    """Return an instant as a Date value, such as ``Sat, 13 Nov 2010 23:29:00 GMT``.

    Args:
        unix_s: seconds since 1970 UTC, not negative.
    """
    days, second = divmod(unix_s, 86_400)
    year, month, day = _civil(days)
    hour, minute = second // 3600, second // 60 % 60
    return f"{_DAYS[days % 7]}, {day:02d} {_MONTHS[month]} {year:04d} {hour:02d}:{minute:02d}:{second % 60:02d} GMT"


def parse_date(text: str) -> int | None:
    """Return the instant of a Date value in seconds since 1970 UTC, None when it is none: GMT is its only zone.

    A weekday that does not fit is passed over; what is before 1970 counts as 1970.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    day, month, year = int(match[2]), _MONTHS.index(match[3]), int(match[4])
    hour, minute, second = int(match[5]), int(match[6]), int(match[7])
    if not 1 <= day <= _month_length(year, month) or hour > 23 or minute > 59 or second > 60:
        return None
    years = year - 1970
    days = years * 365 + (year - 1) // 4 - (year - 1) // 100 + (year - 1) // 400 - 477  # leap days before 1970
    days += sum([_month_length(year, earlier) for earlier in range(month)]) + day - 1
    return max(days * 86_400 + hour * 3600 + minute * 60 + second, 0)


def _civil(days: int) -> tuple[int, int, int]:
    """Return year, month from 0 and day of a number of days since 1970-01-01, by the rules of Gregory's calendar."""
    year = 1970 + days // _DAYS_OF_400_YEARS * 400
    days %= _DAYS_OF_400_YEARS
    while days >= (length := 366 if _is_leap(year) else 365):
        days, year = days - length, year + 1
    for month in range(12):
        length = _month_length(year, month)
        if days < length:
            return year, month, days + 1
        days -= length
    raise AssertionError("no year has more days than its months")


def _month_length(year: int, month: int) -> int:
    if month == 1:
        return 29 if _is_leap(year) else 28
    return 30 if month in (3, 5, 8, 10) else 31


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
