"""Facts are values: alike when their fields are, with the fields that do not count left out."""

from __future__ import annotations

from dataclasses import field

from cmw.core.facts import fact


@fact
class Seen:
    """Something that was seen."""

    what: str
    at: int = 0
    note: str = field(default="", compare=False)


def test_facts_with_the_same_fields_are_the_same() -> None:
    assert Seen("x", 1, note="a") == Seen("x", 1, note="b")
    assert hash(Seen("x", 1)) == hash(Seen("x", 1, note="b"))
    assert Seen("x") != Seen("y")


def test_facts_have_no_room_for_more() -> None:
    assert not hasattr(Seen("x"), "__dict__")
