"""Tables and JSON documents on stdout."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def print_json(document: Any) -> None:
    """Print one JSON document."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table for people, as wide as its content: a terminal wraps a line, and no half of an id is hidden."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    from cmw.cli.console import Terminal

    table = Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="dim")
    cells = [[show(value) for value in row] for row in rows]
    for row in cells:
        table.add_row(*map(Text, row))
    width = sum(2 + max(map(cell_len, [name, *(row[at] for row in cells)])) for at, name in enumerate(columns))
    Terminal(highlight=False, width=width).print(table, soft_wrap=True)


def print_fields(document: dict[str, Any], names: Sequence[str]) -> None:
    """Print some fields of an object, one a line."""
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {show(document.get(name))}".rstrip())


def to_second(instant: str | None) -> str | None:
    """Return an ISO 8601 instant without what is below a second."""
    return re.sub(r"\.[0-9]+", "", instant) if instant else None


def show(value: Any) -> str:
    """Return a value as people read it: nothing for None, one line for a mapping, without its zeros."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        shown = {key: _nested(inner) for key, inner in value.items() if inner not in (None, 0, {}, [])}
        return "  ".join(f"{key}={text}" for key, text in shown.items() if text)
    text = str(value)
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def _nested(value: Any) -> str:
    text = show(value)
    return f"({text})" if text and isinstance(value, dict) else text
