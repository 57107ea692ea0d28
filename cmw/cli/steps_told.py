"""The steps of a search, as they are told."""

from __future__ import annotations

from collections.abc import Iterator

from cmw.load.search import SearchPart, SearchStep


class StepsTold:
    """Says each step of a search once, in the order in which they end."""

    def __init__(self) -> None:
        self._count = 0

    def news(self, search: SearchPart | None) -> Iterator[tuple[SearchStep, str]]:
        """Yield the steps that have ended since the last look, each with the line that tells of it."""
        if search is None:
            return
        for step in search.steps[self._count :]:
            self._count += 1
            yield step, f"step {self._count}: {step.load:g} {search.unit}: {step.verdict}. {step.reason}"
