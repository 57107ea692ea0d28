"""Tables for people lose nothing, whatever the width of the terminal."""

from __future__ import annotations

import pytest

from cmw.cli.tables import print_fields, print_table, show, to_second

ID = "301f374969f94fa4a4075a94fe67a20f"


def test_a_table_is_as_wide_as_its_content(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table(("ID", "NAME", "REASON"), [(ID, "日本 [bold]", None), (ID, "x", "because")])
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "NAME", "REASON"]
    assert first.split() == [ID, "日本", "[bold]"]
    assert second.split() == [ID, "x", "because"]


def test_fields_stand_in_one_column(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"id": 1, "progress": {"by_phase": {"INCALL": 2, "CLOSED": 0}, "second": None}}, ["id", "progress"])
    assert capsys.readouterr().out == "id        1\nprogress  by_phase=(INCALL=2)\n"


@pytest.mark.parametrize(("value", "shown"), [(None, ""), (True, "yes"), (False, "no"), ({}, ""), (1.5, "1.5")])
def test_values_as_people_read_them(value: object, shown: str) -> None:
    assert show(value) == shown


@pytest.mark.parametrize(
    ("instant", "shown"),
    [
        ("2026-11-22T20:50:22.123Z", "2026-11-22T20:50:22Z"),
        ("2026-11-22T20:50:22Z", "2026-11-22T20:50:22Z"),
        (None, None),
    ],
)
def test_instants_to_the_second(instant: str | None, shown: str | None) -> None:
    assert to_second(instant) == shown


def test_what_would_move_the_terminal_is_shown_as_a_question_mark() -> None:
    assert show("a\x1b[31mb\x00\u202e") == "a?[31mb??"


def test_a_mapping_without_anything_to_say_is_left_out() -> None:
    assert show({"load": {"endpoints": 0, "calls": 0}, "capacity": 5}) == "capacity=5"
