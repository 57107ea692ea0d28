"""Reliable provisional responses: their numbers, their order, and how long they are repeated."""

from __future__ import annotations

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.errors import RemoteProtocolError
from cmw.sip.headers import Headers
from cmw.sip.reliable_provisional import (
    MAX_WAITING,
    Arrival,
    RAck,
    ReliableReceiver,
    ReliableSender,
    Repeat,
    parse_rack,
    parse_rseq,
)
from cmw.sip.timing import Timing


@pytest.fixture
def sender() -> ReliableSender[str]:
    return ReliableSender(7, 100, Timing())


def test_rack_is_read_and_written() -> None:
    assert parse_rack("776656 1 INVITE") == RAck(776656, 1, "INVITE")
    assert parse_rack("1\t 2  INVITE") == RAck(1, 2)
    assert str(RAck(1, 2)) == "1 2 INVITE"


@pytest.mark.parametrize("text", ["", "1 INVITE", "1 2", "x 2 INVITE", "4294967296 1 INVITE", "1 2147483648 INVITE"])
def test_a_broken_rack_is_refused_with_400(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_rack(text)
    assert caught.value.hint == 400


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("4294967295", 2**32 - 1), ("0", None), ("x", None)])
def test_rseq_is_read(text: str, value: int | None) -> None:
    assert parse_rseq(Headers([("RSeq", text)])) == value
    assert parse_rseq(Headers()) is None


def test_a_response_is_repeated_at_doubling_intervals_and_given_up_after_64_t1(sender: ReliableSender[str]) -> None:
    assert sender.submit("183", now=0) == "183"
    assert sender.rseq == 7
    instants = []
    while (at := sender.next_at()) is not None:
        due = sender.take_due(now=at)
        instants.append(at)
        if due is Repeat.GIVE_UP:
            break
    assert [at // (500 * MILLISECOND) for at in instants] == [1, 3, 7, 15, 31, 63, 64]
    assert instants[-1] == 32 * SECOND


def test_the_second_waits_for_the_prack_of_the_first(sender: ReliableSender[str]) -> None:
    sender.submit("183", now=0)
    assert sender.submit("180", now=SECOND) is None
    assert sender.matches(RAck(7, 100))
    assert sender.acknowledge(now=2 * SECOND) == "180"
    assert sender.rseq == 8
    assert sender.next_at() == 2 * SECOND + 500 * MILLISECOND
    assert sender.acknowledge(now=3 * SECOND) is None
    assert sender.current is None
    assert sender.next_at() is None


def test_a_prack_of_something_else_does_not_match(sender: ReliableSender[str]) -> None:
    assert not sender.matches(RAck(7, 100)), "nothing is out"
    sender.submit("183", now=0)
    for rack in (RAck(6, 100), RAck(8, 100), RAck(7, 101), RAck(7, 100, "UPDATE")):
        assert not sender.matches(rack)


def test_the_prack_of_what_was_out_at_the_final_response_is_taken_once(sender: ReliableSender[str]) -> None:
    sender.stop()
    assert not sender.matches(RAck(6, 100)), "nothing was out"
    sender.submit("180", now=0)
    sender.submit("183", now=0)
    sender.stop()
    assert sender.matches(RAck(7, 100))
    assert sender.acknowledge(now=SECOND) is None
    assert not sender.matches(RAck(7, 100))


def test_nothing_is_repeated_after_a_final_response(sender: ReliableSender[str]) -> None:
    sender.submit("183", now=0)
    sender.submit("180", now=0)
    sender.stop()
    assert sender.take_due(now=SECOND) is None
    assert sender.submit("x", now=SECOND) == "x"


def test_what_waits_is_bounded(sender: ReliableSender[str]) -> None:
    for _ in range(MAX_WAITING + 1):
        assert not sender.is_full
        sender.submit("183", now=0)
    assert sender.is_full


def test_a_late_tick_repeats_once(sender: ReliableSender[str]) -> None:
    sender.submit("183", now=0)
    assert sender.take_due(now=20 * SECOND) is Repeat.AGAIN


def test_responses_are_taken_in_order_and_once() -> None:
    receiver = ReliableReceiver()
    numbers = [
        (988, "new"),
        (988, "repeated"),
        (990, "out of order"),
        (989, "new"),
        (990, "new"),
        (988, "out of order"),
    ]
    for rseq, arrival in numbers:
        assert receiver.receive(rseq) is Arrival(arrival)
