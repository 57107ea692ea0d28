from __future__ import annotations

from cmw.core.clock import SECOND
from cmw.sip.failed_hops import FAILED_FOR_NS, MAX_FAILED_FOR_S, MAX_HOPS, FailedHops
from cmw.sip.hop import Hop, Transport

A, B, C = (Hop(f"192.0.2.{number}", 5060) for number in (1, 2, 3))


def test_a_hop_that_failed_comes_behind_the_others_for_a_while() -> None:
    failed = FailedHops()
    failed.note(A, now=0)
    assert failed.order([A, B, C], now=1) == (B, C, A)
    assert failed.order([A], now=1) == (A,)
    assert failed.order([A, B, C], now=FAILED_FOR_NS) == (A, B, C)
    assert len(failed) == 0


def test_retry_after_says_how_long_within_bounds() -> None:
    failed = FailedHops()
    failed.note(A, 120, now=0)
    failed.note(B, 10**9, now=0)
    assert failed.has(A, now=119 * SECOND)
    assert not failed.has(A, now=120 * SECOND)
    assert failed.has(B, now=(MAX_FAILED_FOR_S - 1) * SECOND)
    assert not failed.has(B, now=MAX_FAILED_FOR_S * SECOND)


def test_an_answer_is_forgiveness() -> None:
    failed = FailedHops()
    failed.note(A, now=0)
    failed.forgive(A)
    assert not failed.has(A, now=1)


def test_every_connection_to_a_hop_fails_with_it_but_no_other_transport() -> None:
    failed = FailedHops()
    failed.note(A._replace(transport=Transport.TCP, flow=7), now=0)
    assert failed.has(A._replace(transport=Transport.TCP, flow=8), now=1)
    assert not failed.has(A, now=1)


def test_the_memory_is_bounded() -> None:
    failed = FailedHops()
    for number in range(MAX_HOPS + 1):
        failed.note(Hop("192.0.2.1", number + 1), now=0)
    assert len(failed) == MAX_HOPS
    assert not failed.has(Hop("192.0.2.1", 1), now=1)
