"""Faults are shown on one line each, in the order of the lines of the file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.load.faults import Faults, PlanError, Position, show_path, show_value, suggest


def test_a_path_reads_like_the_document() -> None:
    assert show_path(("groups", "callers", "audio", "codecs", 0)) == "groups.callers.audio.codecs[0]: "
    assert show_path(()) == ""


@given(st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists), st.text())
def test_nothing_shown_breaks_the_line_or_fills_the_screen(value: object, key: str) -> None:
    for text in (show_value(value), show_path((key,))):
        assert text.isprintable()
        assert len(text) <= 90


def test_faults_come_in_the_order_of_the_lines_and_once() -> None:
    faults = Faults("p.yaml", {("b",): Position("p.yaml", 1), ("a",): Position("p.yaml", 9)})
    for path in (("a",), ("b",), ("a",)):
        faults.add(path, "is wrong")
    with pytest.raises(PlanError) as caught:
        faults.raise_if_any()
    assert str(caught.value) == "p.yaml:1: b: is wrong\np.yaml:9: a: is wrong"
    assert [fault.path for fault in caught.value.faults] == [("b",), ("a",)]


def test_no_fault_is_no_error() -> None:
    Faults("p").raise_if_any()


def test_near_words_are_suggested_and_far_ones_not() -> None:
    assert suggest("endpionts", ["endpoints", "load"]) == ", did you mean 'endpoints'?"
    assert suggest("zzz", ["endpoints", "load"]) == ""
