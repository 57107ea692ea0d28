"""Where tables and views are printed."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console


class Terminal(Console):
    """A console that leaves a reader who went away to the program: rich would end it with 1."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise, as a plain print does."""
        raise BrokenPipeError
