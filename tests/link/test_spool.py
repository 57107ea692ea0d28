"""What waits for the gateway: in order, bounded, the least worth first."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cmw.errors import LocalProtocolError
from cmw.link.spool import OVERHEAD_BYTES, Spool, Worth, worth_of


def filled(*worths: Worth, max_bytes: int = 1 << 20, size: int = 1000) -> Spool:
    spool = Spool(max_bytes=max_bytes)
    for worth in worths:
        spool.append(spool.next_seq, worth, b"x" * (size - OVERHEAD_BYTES))
    return spool


def numbers(spool: Spool) -> list[int]:
    return [entry.seq for entry in spool.unacknowledged()]


S, P, O = Worth.SAMPLES, Worth.PROGRESS, Worth.OUTCOME  # noqa: E741


def test_the_oldest_samples_go_first_then_progress_never_outcomes() -> None:
    spool = filled(O, S, P, S, O, S, P, max_bytes=5000)
    assert numbers(spool) == [1, 3, 5, 6, 7]
    assert spool.dropped_samples == 2
    for _ in range(3):
        spool.append(spool.next_seq, O, b"x" * (1000 - OVERHEAD_BYTES))
    assert numbers(spool) == [1, 5, 8, 9, 10]
    assert (spool.dropped_samples, spool.dropped_progress) == (3, 2)
    spool.append(spool.next_seq, O, b"x")
    assert len(spool) == 6
    spool.append(spool.next_seq, S, b"x")
    assert numbers(spool)[-1] == 11
    assert spool.dropped_samples == 4


def test_what_is_in_flight_is_not_dropped() -> None:
    spool = filled(S, S, max_bytes=2000)
    first = spool.next_to_send()
    assert first is not None
    spool.append(3, S, b"x" * (1000 - OVERHEAD_BYTES))
    assert numbers(spool) == [1, 3]
    spool.rewind()
    spool.append(4, S, b"x" * (1000 - OVERHEAD_BYTES))
    assert numbers(spool) == [3, 4]


def test_the_window_opens_with_acknowledgements() -> None:
    spool = Spool(window_bytes=2500)
    for seq in range(1, 6):
        spool.append(seq, O, "x" * (1000 - OVERHEAD_BYTES))
    sent = [spool.next_to_send(), spool.next_to_send(), spool.next_to_send()]
    assert [entry.seq if entry else None for entry in sent] == [1, 2, None]
    assert spool.acknowledge(1) == 1
    entry = spool.next_to_send()
    assert entry is not None
    assert entry.seq == 3


def test_an_entry_above_the_window_travels_alone() -> None:
    spool = Spool(window_bytes=1000)
    spool.append(1, O, "x" * 5000)
    spool.append(2, O, "x")
    assert spool.next_to_send() is not None
    assert spool.next_to_send() is None


def test_rewound_entries_come_again_in_order() -> None:
    spool = filled(S, O, S)
    assert [spool.next_to_send() for _ in range(3)][-1] is not None
    assert spool.acknowledge(1) == 1
    spool.rewind()
    again = [spool.next_to_send(), spool.next_to_send(), spool.next_to_send()]
    assert [entry.seq if entry else None for entry in again] == [2, 3, None]


def test_what_was_in_flight_survives_a_rewind_until_something_new_needs_its_room() -> None:
    spool = filled(S, max_bytes=2000)
    spool.next_to_send()
    spool.append(2, O, b"x" * (1000 - OVERHEAD_BYTES))
    spool.append(3, O, b"x" * (1000 - OVERHEAD_BYTES))
    spool.rewind()
    assert (numbers(spool), spool.dropped_samples) == ([1, 2, 3], 0)
    spool.append(4, O, b"x")
    assert (numbers(spool), spool.dropped_samples) == ([2, 3, 4], 1)


def test_a_number_that_was_sent_before_may_be_acknowledged_after_a_rewind() -> None:
    spool = filled(S, O, S)
    spool.next_to_send()
    spool.next_to_send()
    spool.rewind()
    assert spool.acknowledge(2) == 2
    assert numbers(spool) == [3]


def test_illegal_numbers_change_nothing() -> None:
    spool = filled(S)
    with pytest.raises(LocalProtocolError):
        spool.append(1, S, b"")
    with pytest.raises(LocalProtocolError):
        spool.acknowledge(1)
    assert len(spool) == 1


def test_a_long_absence_leaves_no_trace_of_what_was_dropped() -> None:
    spool = Spool(max_bytes=2000)
    for seq in range(1, 10_000):
        spool.append(seq, S, b"x" * 500)
    assert len(spool._unsent) < 200
    entry = spool.next_to_send()
    assert entry is not None
    assert entry.seq == numbers(spool)[0]


@pytest.mark.parametrize(("kind", "worth"), [("progress", P), ("endpoint", O), ("run_done", O), ("event", O)])
def test_worth_of_kinds(kind: str, worth: Worth) -> None:
    assert worth_of(kind) is worth


class SpoolMachine(RuleBasedStateMachine):
    """Whatever is done to a spool, a plain model agrees."""

    def __init__(self) -> None:
        super().__init__()
        self.spool = Spool(max_bytes=4000, window_bytes=1500)
        self.outcomes: set[int] = set()
        self.sent: list[int] = []
        self.spared: list[int] = []
        self.acknowledged = 0

    @rule(worth=st.sampled_from(list(Worth)), size=st.integers(0, 900))
    def append(self, worth: Worth, size: int) -> None:
        seq = self.spool.next_seq
        self.spool.append(seq, worth, b"x" * size)
        self.spared.clear()
        if worth is Worth.OUTCOME:
            self.outcomes.add(seq)

    @rule()
    def send(self) -> None:
        entry = self.spool.next_to_send()
        if entry is not None:
            assert not self.sent or entry.seq > self.sent[-1]
            assert entry.seq > self.acknowledged
            self.sent.append(entry.seq)

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 100))
    def acknowledge(self, which: int) -> None:
        seq = self.sent[which % len(self.sent)]
        self.acknowledged = max(self.acknowledged, seq)
        self.spool.acknowledge(seq)
        self.sent = [sent for sent in self.sent if sent > seq]
        self.outcomes = {outcome for outcome in self.outcomes if outcome > seq}

    @rule()
    def rewind(self) -> None:
        self.spool.rewind()
        self.spared += self.sent
        self.sent.clear()

    @invariant()
    def holds_together(self) -> None:
        entries = self.spool.unacknowledged()
        kept = [entry.seq for entry in entries]
        assert self.outcomes <= set(kept)
        assert set(self.sent) <= set(kept)
        assert all(seq > self.acknowledged for seq in kept)
        assert self.spool.size_bytes == sum(entry.size_bytes for entry in entries)
        assert self.spool.in_flight_bytes == sum(entry.size_bytes for entry in entries if entry.seq in self.sent)
        kept_for_good = {*self.outcomes, *self.sent, *self.spared}
        droppable = [entry for entry in entries if entry.seq not in kept_for_good]
        assert self.spool.size_bytes <= 4000 or not droppable


SpoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSpoolMachine = SpoolMachine.TestCase
