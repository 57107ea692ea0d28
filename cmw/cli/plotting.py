"""The plotting library of the pages that we write."""

from __future__ import annotations


def plotting_library() -> str | None:
    """Return the source of the library, which goes into each page, so that pages work offline; None without it."""
    try:
        from plotly.offline import get_plotlyjs  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return None
    return str(get_plotlyjs())
