from __future__ import annotations

from cmw.core.clock import SECOND
from cmw.sip.hop import Hop, Transport
from cmw.sip.hop_memory import FAILED_FOR_NS, MAX_FAILED_FOR_S, MAX_REMEMBERED, HopMemory

A, B, C = (Hop(f"192.0.2.{number}", 5060) for number in (1, 2, 3))


def test_a_hop_that_failed_comes_behind_the_others_for_a_while() -> None:
    memory = HopMemory()
    memory.note_failure(A, now=0)
    assert memory.order([A, B, C], now=1) == (B, C, A)
    assert memory.order([A], now=1) == (A,)
    assert memory.order([A, B, C], now=FAILED_FOR_NS) == (A, B, C)


def test_retry_after_says_how_long_within_bounds() -> None:
    memory = HopMemory()
    memory.note_failure(A, 120, now=0)
    memory.note_failure(B, 10**9, now=0)
    assert memory.has_failed(A, now=119 * SECOND)
    assert not memory.has_failed(A, now=120 * SECOND)
    assert memory.has_failed(B, now=(MAX_FAILED_FOR_S - 1) * SECOND)
    assert not memory.has_failed(B, now=MAX_FAILED_FOR_S * SECOND)


def test_an_answer_is_forgiveness() -> None:
    memory = HopMemory()
    memory.note_failure(A, now=0)
    memory.note_answer(A, now=0)
    assert not memory.has_failed(A, now=1)


def test_every_connection_to_a_hop_fails_with_it_but_no_other_transport() -> None:
    memory = HopMemory()
    memory.note_failure(A._replace(transport=Transport.TCP, flow=7), now=0)
    assert memory.has_failed(A._replace(transport=Transport.TCP, flow=8), now=1)
    assert not memory.has_failed(A, now=1)


def test_the_memory_is_bounded() -> None:
    memory = HopMemory()
    for number in range(MAX_REMEMBERED + 1):
        memory.note_failure(Hop("192.0.2.1", number + 1), now=0)
        memory.note_answer(Hop("192.0.2.2", number + 1), now=0)
    assert not memory.has_failed(Hop("192.0.2.1", 1), now=1)
    assert memory.has_failed(Hop("192.0.2.1", MAX_REMEMBERED + 1), now=1)
    assert not memory.has_answered(Hop("192.0.2.2", 1), since=0)
    assert memory.has_answered(Hop("192.0.2.2", MAX_REMEMBERED + 1), since=0)


def test_an_answer_is_remembered_by_its_time_whatever_connection_it_came_by() -> None:
    memory = HopMemory()
    memory.note_answer(A._replace(transport=Transport.TCP, flow=7), now=5)
    assert memory.has_answered(A._replace(transport=Transport.TCP), since=5)
    assert not memory.has_answered(A._replace(transport=Transport.TCP), since=6)
    assert not memory.has_answered(A, since=0)
