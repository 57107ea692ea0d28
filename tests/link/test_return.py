"""A hundred workers and a gateway that was away: all are back within 30 s, none dials twice within half a second."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from cmw.core.clock import SECOND
from tests.link.world import World, make_link
from tests.support.ids import CountingIds


class RandomUnits(CountingIds):
    """Jitter of one worker."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)

    def unit(self) -> float:
        return self._random.random()


@pytest.mark.parametrize("away_s", [5, 60, 600])
def test_a_hundred_workers_come_back(away_s: int) -> None:
    back_at = 10 * SECOND + away_s * SECOND
    opened = []
    for number in range(100):
        world = World(make_link(ids=RandomUnits(number)))
        world.link.start(now=0)
        world.run_until(10 * SECOND)
        assert world.link.is_open
        world.status = 503
        world.cut()
        world.run_until(back_at)
        assert not world.link.is_open
        world.status = 101
        while not world.link.is_open:
            deadline = world.link.next_timeout()
            assert deadline is not None
            world.run_until(deadline.at)
        assert world.now <= back_at + 30 * SECOND
        assert all(later - sooner >= SECOND // 2 for sooner, later in pairwise(world.dials))
        opened.append(world.now)
    assert len({at // SECOND for at in opened}) >= min(10, away_s // 2)  # not all at once
