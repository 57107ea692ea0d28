"""Pieces of HTML that the pages of a report are made of: everything that comes in is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Cell = tuple[str, str] | tuple[str, str, str]
"""Text, not yet escaped, a class, and perhaps where it leads."""


def table(title: str, head: list[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a titled table; nothing without rows. A head that ends in ``|n`` is a column of numbers."""
    if not rows:
        return ""
    heads = "".join(tag("th", name.removesuffix("|n"), "n" if name.endswith("|n") else "") for name in head)
    lines = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<section><h2>{escape(title)}</h2>\n<table>\n<tr>{heads}</tr>\n{lines}\n</table></section>\n"


def _cell(cell: Cell) -> str:
    text, css, *links = cell
    if not links:
        return tag("td", text, css)
    return f'<td class="{css}"><a href="{escape(links[0])}">{escape(text)}</a></td>'


def pair(*sections: str) -> str:
    """Return sections side by side where there is room."""
    return f'<div class="pair">{"".join(sections)}</div>\n' if any(sections) else ""


def tag(name: str, text: str, css: str) -> str:
    """Return an element with text and, perhaps, a class."""
    return f'<{name} class="{css}">{escape(text)}</{name}>' if css else f"<{name}>{escape(text)}</{name}>"


def number(value: float | None) -> str:
    """Return a number for people: whole numbers as they are, others with four significant digits; a dash for none."""
    if value is None:
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value)}"
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
