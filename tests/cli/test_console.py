"""A reader that goes away is no error of the run."""

from __future__ import annotations

import io

import pytest

from cmw.cli.console import Terminal


class _Gone(io.StringIO):
    def write(self, text: str, /) -> int:
        raise BrokenPipeError


def test_a_reader_that_went_away_is_left_to_the_program() -> None:
    with pytest.raises(BrokenPipeError):
        Terminal(file=_Gone()).print("summary")
