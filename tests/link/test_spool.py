"""What waits for the gateway: in order, bounded, the least worth first."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cmw.errors import LocalProtocolError
from cmw.link.messages import Report, parse_worker_message
from cmw.link.spool import OVERHEAD_BYTES, Entry, Place, Spool, Worth, worth_of
from cmw.load.evidence import KIND as EVIDENCE
from cmw.load.packets import KIND as PACKETS


def filled(*worths: Worth, max_bytes: int = 1 << 20, size: int = 1000) -> Spool:
    spool = Spool(max_bytes=max_bytes)
    for worth in worths:
        spool.append(spool.next_seq, worth, b"x" * (size - OVERHEAD_BYTES))
    return spool


def numbers(spool: Spool) -> list[int]:
    return [entry.seq for entry in spool.unacknowledged()]


S, P, O = Worth.SAMPLES, Worth.PROGRESS, Worth.OUTCOME  # noqa: E741


def notes(spool: Spool) -> dict[int, dict[str, object]]:
    """Return what stands in place of what was dropped, by number."""
    found = {}
    for entry in spool.unacknowledged():
        if isinstance(entry.payload, str) and "spool_dropped" in entry.payload:
            message = parse_worker_message(entry.payload)
            assert isinstance(message, Report)
            assert message.seq == entry.seq
            found[entry.seq] = message.data | {"run": message.run_id}
    return found


def test_the_oldest_samples_go_first_then_progress_never_outcomes() -> None:
    spool = filled(O, S, P, S, O, S, P, max_bytes=5600)
    assert numbers(spool) == [1, 2, 3, 5, 6, 7]
    assert spool.dropped_samples == 2
    assert list(notes(spool)) == [2]
    for _ in range(3):
        spool.append(spool.next_seq, O, b"x" * (1000 - OVERHEAD_BYTES))
    assert numbers(spool) == [1, 2, 5, 8, 9, 10]
    assert (spool.dropped_samples, spool.dropped_progress) == (3, 2)
    spool.append(spool.next_seq, O, b"x")
    assert len(spool) == 7
    spool.append(spool.next_seq, S, b"x")
    assert numbers(spool)[-1] == 11
    assert spool.dropped_samples == 4


def test_one_note_for_each_run_stands_in_place_of_what_was_dropped() -> None:
    spool = Spool(max_bytes=3500)
    for second in range(4):
        for run in ("a", "b"):
            spool.append(spool.next_seq, S, b"x" * 744, run_id=run, second=second)
    lost = {"kind": "spool_dropped", "reports": 0, "first_second": 0}
    assert notes(spool) == {
        1: lost | {"sample_batches": 3, "last_second": 2, "run": "a"},
        2: lost | {"sample_batches": 3, "last_second": 2, "run": "b"},
    }
    assert numbers(spool) == [1, 2, 7, 8]
    assert (spool.dropped_of("a"), spool.dropped_of("b"), spool.dropped_of("c")) == (3, 3, 0)


def test_a_note_that_was_sent_is_not_rewritten() -> None:
    spool = Spool(max_bytes=2500)
    for second in range(3):
        spool.append(spool.next_seq, S, b"x" * 744, run_id="a", second=second)
    first = spool.next_to_send()
    assert first is not None
    assert "spool_dropped" in str(first.payload)
    spool.append(spool.next_seq, S, b"x" * 744, run_id="a", second=3)
    assert [note["sample_batches"] for note in notes(spool).values()] == [1, 2]
    spool.rewind()
    again = spool.next_to_send()
    assert again == first


def test_what_is_in_flight_is_not_dropped() -> None:
    spool = filled(S, S, max_bytes=2500)
    first = spool.next_to_send()
    assert first is not None
    spool.append(3, S, b"x" * (1000 - OVERHEAD_BYTES))
    assert numbers(spool) == [1, 2, 3]
    assert list(notes(spool)) == [2]
    spool.rewind()
    spool.append(4, S, b"x" * (1000 - OVERHEAD_BYTES))
    assert list(notes(spool)) == [1, 2]


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
    assert (numbers(spool), spool.dropped_samples) == ([1, 2, 3, 4], 1)
    assert list(notes(spool)) == [1]


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


class Shelf:
    """A shelf in memory, whose places are numbers; what is in `lost` cannot be read."""

    def __init__(self) -> None:
        self.records: dict[Place, str | bytes] = {}
        self.lost: set[Place] = set()

    def read(self, place: Place) -> str | bytes | None:
        return None if place in self.lost else self.records[place]

    def put(self, spool: Spool, up_to: int) -> list[int]:
        taken = spool.take_unshelved(up_to)
        for entry in taken:
            assert entry.payload is not None
            place = (0, len(self.records), 0)
            self.records[place] = entry.payload
            spool.shelved(entry, entry.payload, place)
        return [entry.seq for entry in taken]


def shelved_spool(shelf: Shelf, **bounds: int) -> Spool:
    spool = Spool(shelf=shelf, **bounds)
    for seq in range(1, 6):
        spool.append(seq, O, f"{seq}" + "x" * 800, run_id="a")
    return spool


def test_what_is_on_the_shelf_leaves_memory_and_is_sent_from_there() -> None:
    shelf = Shelf()
    spool = shelved_spool(shelf, memory_bytes=2500)
    assert shelf.put(spool, up_to=4) == [1, 2, 3, 4]
    assert shelf.put(spool, up_to=4) == []
    assert [entry.payload is None for entry in spool.unacknowledged()] == [True, True, True, False, False]
    assert spool.payload_bytes <= 2500
    sent = [spool.next_to_send() for _ in range(5)]
    assert [(frame.seq, str(frame.payload)[0]) for frame in sent if frame] == [(n, str(n)) for n in range(1, 6)]
    spool.acknowledge(5)
    assert sorted(spool.take_gone()) == sorted(shelf.records)
    assert (spool.size_bytes, spool.payload_bytes) == (0, 0)


def test_what_was_acknowledged_while_it_was_put_on_the_shelf_is_not_wanted_there() -> None:
    spool = shelved_spool(Shelf())
    taken = spool.take_unshelved(5)
    spool.next_to_send()
    spool.acknowledge(1)
    assert taken[0].payload is not None
    spool.shelved(taken[0], taken[0].payload, (7, 7, 7))
    assert spool.take_gone() == [(7, 7, 7)]


def test_a_shelf_without_room_gets_the_same_again() -> None:
    shelf = Shelf()
    spool = shelved_spool(shelf)
    spool.not_shelved(spool.take_unshelved(3))
    assert shelf.put(spool, up_to=5) == [1, 2, 3, 4, 5]


def test_what_the_shelf_cannot_give_back_is_counted_and_told() -> None:
    shelf = Shelf()
    spool = shelved_spool(shelf, memory_bytes=0)
    shelf.put(spool, up_to=5)
    shelf.lost.add((0, 1, 0))
    sent = [spool.next_to_send() for _ in range(5)]
    assert [frame.seq for frame in sent if frame] == [1, 2, 3, 4, 5]
    assert sent[1] is not None
    assert '"reports":1' in str(sent[1].payload)
    assert spool.unreadable == 1


def test_what_moved_on_the_shelf_is_read_where_it_is_now() -> None:
    shelf = Shelf()
    spool = shelved_spool(shelf, memory_bytes=0)
    shelf.put(spool, up_to=5)
    shelf.records[1, 1, 1] = "moved"
    spool.moved(1, (0, 0, 0), (1, 1, 1))
    frame = spool.next_to_send()
    assert frame is not None
    assert frame.payload == "moved"
    spool.acknowledge(1)
    spool.moved(1, (1, 1, 1), (2, 2, 2))
    assert spool.take_gone() == [(1, 1, 1), (2, 2, 2)]


def test_a_restored_spool_takes_any_acknowledgement_and_the_later_of_two_entries() -> None:
    shelf = Shelf()
    shelf.records = {(0, n, 0): f"{n}" for n in range(5)}
    entries = [Entry(seq, O, None, 300, "a", None, (0, n, 0)) for n, seq in enumerate([3, 1, 2, 2, 4])]
    spool = Spool.restored(entries, acknowledged=1, shelf=shelf)
    assert numbers(spool) == [2, 3, 4]
    first = spool.next_to_send()
    assert first == (2, "3")
    spool.acknowledge(1_000_000)
    assert len(spool) == 0


@pytest.mark.parametrize(("kind", "worth"), [("progress", P), ("endpoint", O), ("run_done", O), ("event", O)])
def test_worth_of_kinds(kind: str, worth: Worth) -> None:
    assert worth_of(kind, {}) is worth


def test_packets_of_calls_are_worth_no_more_than_progress() -> None:
    assert worth_of("event", {"kind": PACKETS}) is P
    assert worth_of("event", {"kind": EVIDENCE}) is O


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
        kept_for_good = {*self.outcomes, *self.sent, *self.spared, *notes(self.spool)}
        droppable = [entry for entry in entries if entry.seq not in kept_for_good]
        assert self.spool.size_bytes <= 4000 or not droppable


SpoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSpoolMachine = SpoolMachine.TestCase
