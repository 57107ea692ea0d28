"""A document that a person wrote, on its way to a model: where its values stand, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from cmw.errors import SettingsError
from cmw.load.faults import Fault, Path, Position


@dataclass(slots=True)
class Source:
    """A document, where its values stand, and the faults found on the way."""

    document: Any = None
    positions: dict[Path, Position] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, path: Path, message: str, position: Position | None) -> None:
        self.faults.append(Fault(path, message, position))


def read_text(file: FilePath, limit: int, what: str) -> str:
    """Return the text of a file that is not larger than `limit` bytes."""
    try:
        with file.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise SettingsError(f"{file}: cannot read the {what}: {error.strerror or error}") from error
    if len(data) > limit:
        raise SettingsError(f"{file}: found more than {limit} bytes, expected a {what} of at most {limit}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{file}:{line}: found bytes that are not UTF-8, expected text") from error
