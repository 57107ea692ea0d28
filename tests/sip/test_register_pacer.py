"""Turns at a bounded rate, in virtual time."""

from __future__ import annotations

import pytest

from cmw.core.clock import MILLISECOND, SECOND, Nanos
from cmw.errors import LocalProtocolError
from cmw.sip.register_pacer import RegisterPacer


def serve(pacer: RegisterPacer[int], until: Nanos) -> list[tuple[Nanos, int]]:
    """Return who went when, up to an instant."""
    served = []
    while (deadline := pacer.next_timeout()) is not None and deadline.at <= until:
        served += [(deadline.at, turn) for turn in pacer.due(now=deadline.at)]
    return served


def test_the_first_goes_at_once_and_the_others_in_order() -> None:
    pacer: RegisterPacer[int] = RegisterPacer(10)
    assert [pacer.enter("r", turn, now=0) for turn in range(4)] == [True, False, False, False]
    assert len(pacer) == 3
    assert serve(pacer, SECOND) == [(100 * MILLISECOND, 1), (200 * MILLISECOND, 2), (300 * MILLISECOND, 3)]
    assert pacer.next_timeout() is None
    assert pacer.enter("r", 9, now=SECOND)


def test_registrars_do_not_wait_for_each_other() -> None:
    pacer: RegisterPacer[int] = RegisterPacer(1)
    assert pacer.enter("a", 1, now=0)
    assert pacer.enter("b", 2, now=0)


def test_whoever_leaves_gives_its_turn_to_the_next() -> None:
    pacer: RegisterPacer[int] = RegisterPacer(10)
    for turn in range(4):
        pacer.enter("r", turn, now=0)
    pacer.leave("r", 1)
    pacer.leave("r", 77)
    pacer.leave("elsewhere", 1)
    assert [turn for _, turn in serve(pacer, SECOND)] == [2, 3]


def test_a_stall_is_not_followed_by_a_storm() -> None:
    pacer: RegisterPacer[int] = RegisterPacer(1000)
    for turn in range(5000):
        pacer.enter("r", turn, now=0)
    assert len(list(pacer.due(now=3 * SECOND))) <= 11
    assert len(serve(pacer, 4 * SECOND)) <= 1011


def test_nobody_waits_without_a_bound() -> None:
    pacer: RegisterPacer[int] = RegisterPacer(0)
    assert all(pacer.enter("r", turn, now=0) for turn in range(100))
    with pytest.raises(LocalProtocolError):
        RegisterPacer(-1)
