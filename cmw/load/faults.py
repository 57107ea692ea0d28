"""Faults of a document that a person wrote: where, what was found, what was expected; all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple

from cmw.errors import SettingsError

Path = tuple[str | int, ...]
"""Where a value sits in a document: mapping keys and list indexes from the root."""

MAX_LISTED = 50
"""Faults shown in one message; a table with a shifted column would print thousands."""


class Position(NamedTuple):
    """A line of a file, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: the place in the document, and one clause that says what was found and what was expected."""

    path: Path
    message: str
    position: Position | None = None


@dataclass(slots=True)
class Faults:
    """A list of faults in the making.

    Args:
        name: what the document is called when no line is known, such as the file's name.
        positions: the line of each path, as far as known; a path without one takes that of its nearest ancestor.
    """

    name: str
    positions: Mapping[Path, Position] = field(default_factory=dict)
    found: list[Fault] = field(default_factory=list)

    def add(self, path: Path, message: str) -> None:
        """Note a fault at `path`."""
        self.found.append(Fault(path, message, self.position(path)))

    def position(self, path: Path) -> Position | None:
        """Return the line of `path` or of its nearest ancestor; None when nothing is known."""
        for length in range(len(path), -1, -1):
            if (known := self.positions.get(path[:length])) is not None:
                return known
        return None

    def raise_if_any(self) -> None:
        """Raise one SettingsError that lists every fault, in the order of the lines."""
        if self.found:
            raise PlanError(self.name, self.found)


class PlanError(SettingsError):
    """Raised for a plan with faults; `faults` holds them for machines."""

    def __init__(self, name: str, faults: Iterable[Fault]) -> None:
        self.faults = sorted(dict.fromkeys(faults), key=_by_line)
        lines = [f"{fault.position or name}: {show_path(fault.path)}{fault.message}" for fault in self.faults]
        if len(lines) > MAX_LISTED:
            lines[MAX_LISTED:] = [f"{name}: and {len(lines) - MAX_LISTED} more faults"]
        super().__init__("\n".join(lines))


def show_path(path: Path) -> str:
    """Return ``groups.callers.audio.codecs[0]: `` or nothing for the root."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_show_key(part)}" if text else _show_key(part)
    return f"{text}: " if text else ""


def _show_key(key: str) -> str:
    """Return a key as it is, or quoted and cut short when it would spoil the line."""
    return key if key.isprintable() and len(key) <= 80 else show_value(key)


def show_value(value: object) -> str:
    """Return a short, single-line picture of a value; never the content of a mapping or a list."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]}...{text[-1]}"


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``, did you mean 'x'?`` when a known word is near, else nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def _by_line(fault: Fault) -> tuple[str, int]:
    return (fault.position.file, fault.position.line) if fault.position else ("", 0)
