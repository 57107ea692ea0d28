"""The deadlines of many machines: whatever the order and the span, each is woken once, when it is due."""

from __future__ import annotations

from random import Random

from cmw.core.clock import Nanos
from cmw.core.timers import DeadlineQueues

SPANS = (5, 50)


class Machine:
    """Something that sleeps."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.due_at: Nanos | None = None


def woken(queues: DeadlineQueues[Machine], now: Nanos) -> list[str]:
    return [machine.name for machine in queues.expired(now)]


def test_machines_are_woken_in_the_order_of_their_deadlines() -> None:
    queues: DeadlineQueues[Machine] = DeadlineQueues(SPANS)
    for name, at in (("late", 50), ("soon", 5), ("other", 7)):
        queues.set(Machine(name), at, now=0)
    assert (queues.soonest(), len(queues)) == (5, 3)
    assert woken(queues, 4) == []
    assert woken(queues, 7) == ["soon", "other"]
    assert (queues.soonest(), len(queues)) == (50, 1)


def test_a_deadline_takes_the_place_of_the_one_before() -> None:
    queues: DeadlineQueues[Machine] = DeadlineQueues(SPANS)
    machine = Machine("a")
    queues.set(machine, 5, now=0)
    queues.set(machine, 51, now=1)
    assert (queues.soonest(), len(queues)) == (51, 1)
    queues.set(machine, None, now=2)
    assert (queues.soonest(), len(queues)) == (None, 0)
    queues.set(machine, 51, now=3)
    assert woken(queues, 60) == ["a"]
    assert woken(queues, 60) == []


def test_a_clock_that_lags_loses_nobody() -> None:
    queues: DeadlineQueues[Machine] = DeadlineQueues(SPANS)
    queues.set(Machine("second"), 15, now=10)
    queues.set(Machine("first"), 13, now=8)
    assert woken(queues, 15) == ["first", "second"]


def test_what_was_replaced_does_not_pile_up() -> None:
    queues: DeadlineQueues[Machine] = DeadlineQueues(SPANS)
    machine = Machine()
    for now in range(10_000):
        queues.set(machine, now + 50 + now % 2, now=now)
    assert queues._entries <= 65


def test_any_order_of_orders_wakes_each_when_it_is_due() -> None:
    chance = Random(1)
    queues: DeadlineQueues[Machine] = DeadlineQueues(SPANS)
    machines = [Machine(str(number)) for number in range(20)]
    due: dict[Machine, Nanos] = {}
    for now in range(0, 6000, 3):
        machine = chance.choice(machines)
        at = chance.choice((None, now + 5, now + 50, now + chance.randrange(80)))
        queues.set(machine, at, now=now)
        due.pop(machine, None)
        if at is not None:
            due[machine] = at
        if chance.random() < 0.3:
            expected = {each for each, when in due.items() if when <= now}
            found = list(queues.expired(now))
            assert set(found) == expected
            assert len(found) == len(expected)
            assert [due[each] for each in found] == sorted(due[each] for each in found)
            for each in found:
                del due[each]
        assert queues.soonest() == min(due.values(), default=None)
        assert len(queues) == len(due)
