"""Tables and JSON documents on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def print_json(document: Any) -> None:
    """Print one JSON document."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table for people; for pipes it is as wide as its content."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from cmw.cli.console import Terminal

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    cells = [[show(value) for value in row] for row in rows]
    for row in cells:
        table.add_row(*map(Text, row))
    console = Terminal(highlight=False)
    if not console.is_terminal:
        widest = sum(max([len(column), *(len(row[at]) for row in cells)]) + 3 for at, column in enumerate(columns))
        console = Terminal(highlight=False, width=max(80, widest))
    console.print(table)


def print_fields(document: dict[str, Any], names: Sequence[str]) -> None:
    """Print some fields of an object, one a line."""
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {show(document.get(name))}".rstrip())


def show(value: Any) -> str:
    """Return a value as people read it: nothing for None, one line for a mapping, without its zeros."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "  ".join(f"{key}={_nested(inner)}" for key, inner in value.items() if inner not in (None, 0, {}, []))
    return str(value)


def _nested(value: Any) -> str:
    return f"({show(value)})" if isinstance(value, dict) else show(value)
