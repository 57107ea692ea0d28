"""The profile of a load from a CSV file: ``time,rate``; faults name FILE:LINE."""

from __future__ import annotations

import csv
import re
from pathlib import Path as FilePath

from cmw.cli.document import Source, read_text
from cmw.errors import SettingsError
from cmw.load.faults import Path, Position
from cmw.load.plan_load import MAX_STAGES

MAX_PROFILE_BYTES = 1 << 20

PROFILE_COLUMNS = ("time", "rate")

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


def read_profile_rows(file: FilePath, path: Path, source: Source) -> list[dict[str, str]]:
    """Return the points of a profile; a head line, blank lines and ``#`` are skipped.

    A number alone is seconds, or calls per second: that is how recordings write them.
    """
    text = read_text(file, MAX_PROFILE_BYTES, "profile")
    points: list[dict[str, str]] = []
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    source.positions[path] = Position(str(file), 1)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#") or (not points and tuple(cells) == PROFILE_COLUMNS):
                continue
            if len(points) >= MAX_STAGES:
                raise SettingsError(f"{file}: found more than {MAX_STAGES} points, expected at most so many")
            _add_point(cells, Position(str(file), reader.line_num), path, points, source)
    except csv.Error as error:
        raise SettingsError(f"{file}:{reader.line_num}: not CSV: {error}") from error
    return points


def _add_point(cells: list[str], position: Position, path: Path, points: list[dict[str, str]], source: Source) -> None:
    """Add one line of the file, or the fault of a line that has not two cells."""
    if len(cells) != len(PROFILE_COLUMNS):
        found = f"{len(cells)} cell{'s' * (len(cells) > 1)}"
        source.fault((*path, len(points)), f"found {found}, expected time,rate", position)
        return
    source.positions[(*path, len(points))] = position
    at, rate = cells
    points.append({"at": _with_unit(at, "s"), "rate": _with_unit(rate, "/s")})


def _with_unit(cell: str, unit: str) -> str:
    return cell + unit if _NUMBER.fullmatch(cell) else cell
