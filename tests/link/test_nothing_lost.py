"""A connection cut anywhere loses no report and doubles none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmw.core.clock import SECOND
from cmw.link import events
from cmw.link.messages import Command
from tests.link.world import World, make_batch, make_link
from tests.support.ids import CountingIds

REPORTS = 4


def converse(world: World) -> None:
    """One short conversation: outcomes, samples, a command and its answers."""
    link = world.link
    link.start(now=world.now)
    world.settle()
    link.report("endpoint", "run-1", {"n": 1}, now=world.now)
    link.send_samples(make_batch(1), now=world.now)
    if world.server is not None:
        world.server.link.send_command("c-1", "prepare_run", "run-1", {"share": {}}, now=world.now)
    else:
        world.store.commands.submit(COMMAND)
    world.settle()
    link.report("endpoint", "run-1", {"n": 2}, now=world.now)
    link.report("run_done", "run-1", {"generator": {}}, now=world.now)
    world.settle()


def assert_whole(world: World) -> None:
    assert [seq for _, seq, _ in world.store.rows] == list(range(1, REPORTS + 1))
    assert [content for _, _, content in world.store.rows] == [{"n": 1}, 1, {"n": 2}, {"generator": {}}]
    assert world.link.pending == 0
    assert world.carried_out == ["c-1"]
    assert [type(answer) for answer in world.store.answers].count(events.CommandWasDone) == 1
    assert world.store.commands.outstanding() == []


COMMAND = Command(id="c-1", name="prepare_run", run_id="run-1", data={"share": {}})


def whole_length() -> int:
    world = World(make_link())
    converse(world)
    assert_whole(world)
    return world.passed


LENGTH = whole_length()


@pytest.mark.parametrize(("chunk", "step"), [(0, 1), (1, 11)])
def test_cut_at_every_byte(chunk: int, step: int) -> None:
    for offset in range(0, LENGTH + 1, step):
        world = World(make_link(), chunk=chunk, cut_after=offset)
        converse(world)
        world.run_until(60 * SECOND)
        assert_whole(world)


@pytest.mark.parametrize("offset", range(0, LENGTH, 97))
def test_cut_where_the_gateway_commits_late(offset: int) -> None:
    world = World(make_link(), cut_after=offset, commit=False)
    converse(world)
    world.run_until(10 * SECOND)
    assert world.server is not None
    assert world.store.rows == []
    world.server.commit(now=world.now)
    world.settle()
    world.run_until(60 * SECOND)
    assert_whole(world)


class JitteryIds(CountingIds):
    """Jitter as hypothesis wants it."""

    def __init__(self, units: list[float]) -> None:
        super().__init__()
        self._units = units

    def unit(self) -> float:
        return self._units.pop() if self._units else 0.5


Step = st.one_of(
    st.tuples(st.just("report"), st.integers(0, 3)),
    st.tuples(st.just("samples"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.integers(0, 70)),
    st.tuples(st.just("cut"), st.just(0)),
    st.tuples(st.just("cut_after"), st.integers(0, 2000)),
    st.tuples(st.just("commit"), st.booleans()),
    st.tuples(st.just("vanish"), st.just(0)),
    st.tuples(st.just("status"), st.sampled_from([101, 101, 401, 503])),
    st.tuples(st.just("command"), st.integers(0, 5)),
)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(Step, max_size=25),
    chunk=st.sampled_from([0, 1, 13, 300]),
    units=st.lists(st.floats(0, 0.999), max_size=10),
)
def test_whatever_happens_every_report_arrives_once(
    steps: list[tuple[str, int]], chunk: int, units: list[float]
) -> None:
    world = World(make_link(ids=JitteryIds(units)), chunk=chunk)
    world.link.start(now=0)
    world.settle()
    reported = 0
    commands: set[str] = set()
    for what, value in steps:
        reported += _take_step(world, what, value, commands)
        world.settle()
    world.commit, world.status, world.cut_after = True, 101, None
    if world.server is not None:
        world.server.commit(now=world.now)
    world.run_until(world.now + 300 * SECOND)
    assert [seq for _, seq, _ in world.store.rows] == list(range(1, reported + 1))
    assert world.link.pending == 0
    assert sorted(world.carried_out) == sorted(commands)
    gaps = [later - sooner for sooner, later in zip(world.dials, world.dials[1:], strict=False)]
    assert all(gap >= SECOND // 2 for gap in gaps)


def _take_step(world: World, what: str, value: int, commands: set[str]) -> int:
    """Do one step; return how many reports it made."""
    if what == "report":
        for _ in range(value):
            world.link.report("endpoint", "run-1", {"x": "y" * value}, now=world.now)
        return value
    if what == "samples":
        return len(world.link.send_samples(make_batch(value), now=world.now))
    if what == "wait":
        world.run_until(world.now + value * SECOND)
    elif what == "cut":
        world.cut()
    elif what == "cut_after":
        world.cut_after = world.passed + value
    elif what == "vanish":
        world.server = None
    elif what == "status":
        world.status = value
    elif what == "commit":
        world.commit = bool(value)
        if value and world.server is not None:
            world.server.commit(now=world.now)
    elif f"c-{value}" not in commands and world.server is not None:
        commands.add(f"c-{value}")
        world.server.link.send_command(f"c-{value}", "start_run", "run-1", now=world.now)
    return 0
