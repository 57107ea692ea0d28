"""SIP in the TCP segments of a capture: however it was cut, sent again, mixed up or lost."""

from __future__ import annotations

import random

import pytest

from cmw.capture import Datagram
from cmw.cli.tcp_messages import MOST_CONNECTIONS, MOST_WAITING, TcpMessages
from cmw.core.address import Address

ALICE, BOB = Address("10.0.0.1", 5060), Address("10.0.0.2", 40000)


def message(number: int, body: bytes = b"") -> bytes:
    return b"OPTIONS sip:bob@10.0.0.2 SIP/2.0\r\nCSeq: %d OPTIONS\r\nContent-Length: %d\r\n\r\n%s" % (
        number,
        len(body),
        body,
    )


def segment(data: bytes, sequence: int, *, size: int | None = None, opens: bool = False, port: int = 5060) -> Datagram:
    source = Address(ALICE.host, port)
    return Datagram(0, source, BOB, data, len(data) if size is None else size, True, sequence % (1 << 32), opens)


def cut(data: bytes, size: int, sequence: int = 1) -> list[Datagram]:
    return [segment(data[at : at + size], sequence + at) for at in range(0, len(data), size)]


def read(segments: list[Datagram]) -> list[bytes]:
    reader = TcpMessages()
    return [found for each in segments for found in reader.read(each)] + reader.finish()


MESSAGES = [message(n, b"x" * (37 * n)) for n in range(5)]
WHOLE = b"".join(MESSAGES)


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_messages_are_found_however_they_are_cut(size: int) -> None:
    assert read(cut(WHOLE, size)) == MESSAGES


def test_numbers_wrap() -> None:
    assert read(cut(WHOLE, 50, (1 << 32) - 120)) == MESSAGES


@pytest.mark.parametrize("seed", range(5))
def test_order_repetition_and_overlap_do_not_matter(seed: int) -> None:
    chance = random.Random(seed)
    first, *rest = cut(WHOLE, 40)
    again = [segment(WHOLE[at : at + 90], 1 + at) for at in range(0, len(WHOLE), 73)]
    rest += again
    chance.shuffle(rest)
    assert read([first, *rest[:MOST_WAITING]][: MOST_WAITING - 1] + rest) == MESSAGES


def test_after_a_gap_the_next_message_is_read() -> None:
    before, lost, after = MESSAGES[1], MESSAGES[2], message(9) * (MOST_WAITING + 1)
    segments = cut(before, 30) + cut(after, len(message(9)), 1 + len(before) + len(lost))
    assert read(segments) == [before] + [message(9)] * (MOST_WAITING + 1)


def test_behind_a_gap_that_stays_a_short_capture_is_read_too() -> None:
    before, lost, after = MESSAGES[1:4]
    assert read(cut(before, 30) + cut(after, 50, 1 + len(before) + len(lost))) == [before, after]


def test_a_connection_that_begins_in_the_middle_of_a_message() -> None:
    assert read(cut(b"tail of a body" + b"\r\n", 8) + cut(MESSAGES[1], 4000, 17))[-1] == MESSAGES[1]


def test_the_same_ports_may_be_used_again() -> None:
    opened = [segment(b"", 500, opens=True), *cut(MESSAGES[1], 60, 500)]
    assert read(cut(MESSAGES[0], 20, 90000) + opened + cut(MESSAGES[2], 60, 900_000_000)) == MESSAGES[:3]


def test_what_the_capture_cut_is_given_as_it_is() -> None:
    start = MESSAGES[3][:60]
    assert read([segment(start, 1, size=len(MESSAGES[3])), *cut(MESSAGES[4], 80, 1 + len(MESSAGES[3]))]) == [
        start,
        MESSAGES[4],
    ]


def test_a_message_without_a_length_is_given_as_its_segment() -> None:
    plain = b"SIP/2.0 200 OK\r\n\r\nv=0"
    assert read([segment(plain, 1), *cut(MESSAGES[0], 9, 1 + len(plain))]) == [plain, MESSAGES[0]]


def test_other_protocols_and_many_connections_keep_nothing() -> None:
    reader = TcpMessages()
    for number in range(MOST_CONNECTIONS + 10):
        reader.read(segment(b"\x16\x03\x01" + bytes(1400), number, port=number % 60000 + 1))
    assert len(reader._directions) == MOST_CONNECTIONS
    for number in range(10_000):
        reader.read(segment(b"GET / HTTP/1.1\r\n", 1 + 16 * number))
    assert not any(each._stream.is_inside_message for each in reader._directions.values())
