"""Colours are for terminals whose owner wants them."""

from __future__ import annotations

import io

import pytest

from cmw.cli.terminal import is_coloured


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "no_color", "coloured"),
    [(_Terminal(), "", True), (_Terminal(), "1", False), (io.StringIO(), "", False)],
)
def test_who_gets_colours(stream: io.StringIO, no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    assert is_coloured(stream) is coloured
