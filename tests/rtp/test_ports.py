"""Port pairs: even, rotating, counted."""

from __future__ import annotations

import pytest

from cmw.core.address import PortRange
from cmw.errors import CapacityError, LocalProtocolError
from cmw.rtp.ports import PortPool


def test_pairs_start_even_and_stay_inside_the_range() -> None:
    pool = PortPool(PortRange(10001, 10006))
    assert [pool.acquire(), pool.acquire()] == [10002, 10004]
    assert len(pool) == 2


def test_the_pair_that_rested_longest_comes_first() -> None:
    pool = PortPool(PortRange(10000, 10005))
    first, second = pool.acquire(), pool.acquire()
    pool.release(second)
    pool.release(first)
    assert [pool.acquire() for _ in range(3)] == [10004, second, first]


def test_exhaustion_names_range_and_numbers() -> None:
    pool = PortPool(PortRange(10000, 10003))
    pool.refuse(pool.acquire())
    pool.acquire()
    pool.acquire()
    with pytest.raises(CapacityError, match=r"10000-10003: 2 pairs, 2 in use here, 1 taken by other programs"):
        pool.acquire()


def test_a_refused_pair_is_tried_again_last_and_forgiven_when_it_works() -> None:
    pool = PortPool(PortRange(10000, 10003))
    pool.refuse(pool.acquire())
    assert (pool.taken_by_others, pool.free, pool.in_use) == (1, 2, 0)
    assert [pool.acquire(), pool.acquire()] == [10002, 10000]
    pool.release(10000)
    assert pool.taken_by_others == 0


def test_a_range_without_a_whole_pair_has_none() -> None:
    pool = PortPool(PortRange(10001, 10002))
    assert len(pool) == 0
    with pytest.raises(CapacityError):
        pool.acquire()


def test_giving_back_twice_is_refused() -> None:
    pool = PortPool(PortRange(10000, 10003))
    port = pool.acquire()
    pool.release(port)
    with pytest.raises(LocalProtocolError, match="10000"):
        pool.release(port)
    assert pool.free == 2
