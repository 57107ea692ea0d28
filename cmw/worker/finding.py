"""What a check of `cmw doctor` comes to."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Grade(IntEnum):
    """How bad it is; the worst of all decides over the exit code."""

    OK = 0
    WARN = 1
    FAIL = 2


class Finding(NamedTuple):
    """One line of the doctor.

    Args:
        check: what was looked at, always the same words.
        grade: how bad it is.
        found: what was seen.
        remedy: what to do about it; "" when nothing.
    """

    check: str
    grade: Grade
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    """Return a finding with which nothing is wrong."""
    return Finding(check, Grade.OK, found)


def warn(check: str, found: str, remedy: str) -> Finding:
    """Return a finding that may become a failure."""
    return Finding(check, Grade.WARN, found, remedy)


def fail(check: str, found: str, remedy: str) -> Finding:
    """Return a finding with which a worker does not do its work."""
    return Finding(check, Grade.FAIL, found, remedy)
