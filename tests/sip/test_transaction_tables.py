"""The transaction tables are total, and every state reaches the end."""

from __future__ import annotations

import pytest

from cmw.sip.timing import Timer
from cmw.sip.transaction_tables import RELIABLE_TABLES, TABLES, Action, State, Table

ALL = TABLES + RELIABLE_TABLES
NAMES = [table.name for table in ALL]


def states_of(table: Table) -> set[State]:
    return {table.start[0], *(state for state, _ in table.rows.values())}


def timers_started(actions: tuple[Action, ...]) -> set[Timer]:
    started = {Timer[action.name[-1]] for action in actions if action.name.startswith(("START_", "DOUBLE_"))}
    return started | ({Timer.E} if Action.E_AT_T2 in actions else set())


@pytest.mark.parametrize("table", ALL, ids=NAMES)
def test_every_state_and_input_has_a_row(table: Table) -> None:
    living = states_of(table) - {State.TERMINATED}
    assert set(table.rows) == {(state, each) for state in living for each in table.inputs}


@pytest.mark.parametrize("table", ALL, ids=NAMES)
def test_every_state_reaches_the_end(table: Table) -> None:
    ending = {State.TERMINATED}
    for _ in State:
        ending |= {state for (state, _), (following, _) in table.rows.items() if following in ending}
    assert states_of(table) <= ending


@pytest.mark.parametrize("table", ALL, ids=NAMES)
def test_every_state_is_reachable(table: Table) -> None:
    reached = {table.start[0]}
    for _ in State:
        reached |= {following for (state, _), (following, _) in table.rows.items() if state in reached}
    assert states_of(table) == reached


@pytest.mark.parametrize("table", ALL, ids=NAMES)
def test_every_timer_that_is_armed_is_an_input(table: Table) -> None:
    armed = timers_started(table.start[1])
    for _, actions in table.rows.values():
        armed |= timers_started(actions)
    assert armed == {each for each in table.inputs if isinstance(each, Timer)}


@pytest.mark.parametrize("table", ALL, ids=NAMES)
def test_waiting_for_ever_is_impossible_in_a_state_that_only_time_ends(table: Table) -> None:
    """Whoever enters COMPLETED, CONFIRMED or ACCEPTED arms the timer that leaves it."""
    for (state, _), (following, actions) in table.rows.items():
        if following is state or following not in (State.COMPLETED, State.CONFIRMED, State.ACCEPTED):
            continue
        leaving = {
            each
            for (source, each), (target, _) in table.rows.items()
            if source is following and target is State.TERMINATED and isinstance(each, Timer)
        }
        assert leaving & timers_started(actions)


def test_every_transaction_timer_is_used_by_one_table_only() -> None:
    used = [each for table in TABLES for each in table.inputs if isinstance(each, Timer)]
    assert sorted(timer.name for timer in used) == sorted(timer.name for timer in Timer if timer is not Timer.C)


def test_over_a_reliable_transport_only_silence_is_timed() -> None:
    """RFC 3261 table 4, RFC 6026 8: B, F and H give up, L and M wait for what crosses; the others are never armed."""
    used = [each.name for table in RELIABLE_TABLES for each in table.inputs if isinstance(each, Timer)]
    assert sorted(used) == ["B", "F", "H", "L", "M"]
    sent = [action for table in RELIABLE_TABLES for _, actions in table.rows.values() for action in actions]
    assert not {Action.DOUBLE_A, Action.DOUBLE_E, Action.DOUBLE_G} & set(sent)
