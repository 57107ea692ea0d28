"""Replaces: what it names and what is done with it."""

from __future__ import annotations

import itertools

import pytest

from cmw.errors import RemoteProtocolError
from cmw.sip.replaces import REFUSALS, Replaced, Replaces, parse_replaces


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("98732@h;from-tag=r33;to-tag=xyz", Replaces("98732@h", "xyz", "r33")),
        ("1;to-tag=a ; from-tag=b;early-only", Replaces("1", "a", "b", early_only=True)),
        ("1;to-tag=a;from-tag=b;other=c", Replaces("1", "a", "b")),
    ],
)
def test_replaces_is_read_and_written(text: str, value: Replaces) -> None:
    assert parse_replaces(text) == value
    assert parse_replaces(str(value)) == value


@pytest.mark.parametrize(
    "text", ["", "1", "1;to-tag=a", "1;from-tag=a", ";to-tag=a;from-tag=b", "1;to-tag=;from-tag=b"]
)
def test_a_broken_replaces_is_refused_with_400(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_replaces(text)
    assert caught.value.hint == 400


def test_every_case_of_rfc_3891_3_is_decided() -> None:
    assert set(REFUSALS) == set(itertools.product(Replaced, (False, True)))
    assert REFUSALS[Replaced.CONFIRMED, False] == REFUSALS[Replaced.EARLY_OURS, True] == 0
    assert REFUSALS[Replaced.CONFIRMED, True] == 486
    assert REFUSALS[Replaced.EARLY_THEIRS, False] == REFUSALS[Replaced.NOTHING, False] == 481
    assert REFUSALS[Replaced.ENDED, False] == 603
