"""A chart of report.html: what plotly is given, and what all charts have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

GOOD, ODD, BAD, PLAIN, SOFT = "#2da44e", "#bf8700", "#cf222e", "#4c8dff", "#9aa4b2"
"""Colours that can be told apart on white and on black."""


class Chart(NamedTuple):
    """A drawing: its title, what it says in words, and what plotly is given."""

    title: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    is_wide: bool = False


def chart_layout(x_title: str, y_axis: dict[str, Any], shade: Iterable[tuple[int, int]] = ()) -> dict[str, Any]:
    """Return axes and margins of a chart.

    Args:
        shade: spans of x in which the generator was the limit.
    """
    return {
        "margin": {"t": 10, "b": 42, "l": 52, "r": 10},
        "legend": {"orientation": "h", "y": 1.15},
        "xaxis": {"title": {"text": x_title}},
        "yaxis": y_axis,
        "shapes": [
            {"type": "rect", "yref": "paper", "x0": begin, "x1": end, "y0": 0, "y1": 1, "line": {"width": 0},
             "fillcolor": ODD, "opacity": 0.2, "layer": "below"}
            for begin, end in shade
        ],
    }  # fmt: skip
