"""Messages cut out of a stream: however its bytes arrive, and whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.sip.message import Response, parse_message
from cmw.sip.stream import (
    PING,
    MessageReceived,
    MessageStream,
    PingReceived,
    PongReceived,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamFault,
)

HEAD = (
    b"OPTIONS sip:b@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1\r\n"
    b"From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:b@192.0.2.2>\r\nCall-ID: 1@a\r\nCSeq: 1 OPTIONS\r\n"
)


def message(body: bytes = b"", length: bytes | None = None, name: bytes = b"Content-Length") -> bytes:
    return HEAD + name + b": " + (length or b"%d" % len(body)) + b"\r\n\r\n" + body


def events(stream: MessageStream) -> list[StreamEvent]:
    found = []
    while (event := stream.next_event()) is not None:
        found.append(event)
    return found


def read(*pieces: bytes, eof: bool = False) -> tuple[list[StreamEvent], bytes, bool]:
    stream = MessageStream()
    for piece in pieces:
        stream.receive_data(piece)
    if eof:
        stream.receive_eof()
    return events(stream), stream.data_to_send(), stream.close_expected


MESSAGES = [message(b"hello"), message(), message(b"\r\n\r\nINVITE\r\n\r\n"), message(b"x" * 3000)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 10**6])
def test_messages_come_out_whole_however_they_are_cut(size: int) -> None:
    data = b"".join(MESSAGES)
    found, out, is_over = read(*(data[at : at + size] for at in range(0, len(data), size)))
    assert found == [MessageReceived(each) for each in MESSAGES]
    assert (out, is_over) == (b"", False)


@pytest.mark.parametrize(
    "head",
    [
        b"l: 5",
        b"L:5",
        b"content-length : 5",
        b"CONTENT-LENGTH:\t0005",
        b"Content-Length:\r\n 5",
        b"Content-Length: 5\r\nl: 5",
    ],
)
def test_the_length_in_every_spelling(head: bytes) -> None:
    data = HEAD + head + b"\r\n\r\nhello"
    assert read(data + MESSAGES[0])[0] == [MessageReceived(data), MessageReceived(MESSAGES[0])]


def test_bare_line_feeds_end_lines_too() -> None:
    data = message(b"hello").replace(b"\r\n", b"\n")
    assert read(data, data)[0] == [MessageReceived(data)] * 2


@pytest.mark.parametrize("pieces", [(PING,), (b"\r", b"\n", b"\r", b"\n"), (b"\r\n", b"\r\n")])
def test_a_ping_is_answered(pieces: tuple[bytes, ...]) -> None:
    assert read(*pieces) == ([PingReceived()], b"\r\n", False)


def test_empty_lines_before_a_message_are_skipped() -> None:
    found, _, _ = read(b"\r\n" + MESSAGES[0] + b"\r\n" + MESSAGES[1])
    assert found == [MessageReceived(MESSAGES[0]), MessageReceived(MESSAGES[1])]


def test_a_pong_is_told_when_it_is_awaited() -> None:
    stream = MessageStream()
    stream.receive_data(b"\r\n")
    assert events(stream) == []
    for _ in range(3):
        assert stream.frame_ping() == PING
        stream.receive_data(b"\r\n")
        assert events(stream) == [PongReceived()]
    assert stream.data_to_send() == b""


def test_pings_from_both_ends_at_once_are_both_answered() -> None:
    stream = MessageStream()
    stream.frame_ping()
    stream.receive_data(PING)
    assert (events(stream), stream.data_to_send()) == ([PingReceived()], b"\r\n")
    stream.receive_data(b"\r\n")
    assert events(stream) == [PongReceived()]


def test_a_pong_and_then_a_ping() -> None:
    stream = MessageStream()
    stream.frame_ping()
    stream.receive_data(b"\r\n" + MESSAGES[1])
    stream.receive_data(PING)
    assert events(stream) == [PongReceived(), MessageReceived(MESSAGES[1]), PingReceived()]


@pytest.mark.parametrize(
    ("data", "fault", "status"),
    [
        (HEAD + b"\r\n", StreamFault.NO_CONTENT_LENGTH, 400),
        (message(b"", b"-1"), StreamFault.BAD_CONTENT_LENGTH, 400),
        (message(b"", b"+5"), StreamFault.BAD_CONTENT_LENGTH, 400),
        (message(b"", b"1_0"), StreamFault.BAD_CONTENT_LENGTH, 400),
        (message(b"", "\u0665".encode()), StreamFault.BAD_CONTENT_LENGTH, 400),
        (message(b"", b" "), StreamFault.BAD_CONTENT_LENGTH, 400),
        (message(b"", b"5\r\nContent-Length: 6"), StreamFault.BAD_CONTENT_LENGTH, 400),
        (message(b"", b"70000"), StreamFault.MESSAGE_TOO_LONG, 413),
        (message(b"", b"9" * 5000), StreamFault.MESSAGE_TOO_LONG, 413),
    ],
    ids=range(9),
)
def test_a_request_without_an_end_is_answered_and_nothing_read_behind_it(
    data: bytes, fault: StreamFault, status: int
) -> None:
    found, out, is_over = read(data + MESSAGES[0])
    assert [type(event) for event in found] == [StreamFailed]
    assert isinstance(found[0], StreamFailed)
    assert found[0].fault is fault
    assert is_over
    answer = parse_message(out)
    assert isinstance(answer, Response)
    assert answer.status == status
    assert answer.to.tag
    assert out == read(data)[1]  # the same request gets the same answer


@pytest.mark.parametrize(
    "data",
    [
        HEAD.replace(b"OPTIONS", b"ACK") + b"\r\n",
        HEAD.replace(b"OPTIONS sip:b@192.0.2.2 SIP/2.0", b"SIP/2.0 200 OK") + b"\r\n",
        b"INVITE sip:b@192.0.2.2 SIP/2.0\r\n\r\n",
    ],
)
def test_what_cannot_be_answered_is_not(data: bytes) -> None:
    found, out, is_over = read(data)
    assert isinstance(found[0], StreamFailed)
    assert found[0].fault is StreamFault.NO_CONTENT_LENGTH
    assert (out, is_over) == (b"", True)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02", b"hello\n", b"\0", b"\xff" * 70000])
def test_what_is_no_sip_is_known_at_once(data: bytes) -> None:
    found, out, is_over = read(data)
    assert isinstance(found[0], StreamFailed)
    assert found[0].fault is StreamFault.NOT_SIP
    assert (out, is_over) == (b"", True)


def test_a_head_without_end() -> None:
    found, _, is_over = read(HEAD, *[b"X: " + b"y" * 997] * 70)
    assert isinstance(found[0], StreamFailed)
    assert found[0].fault is StreamFault.HEAD_TOO_LONG
    assert is_over


@pytest.mark.parametrize("data", [b"OPT", HEAD, message(b"hello")[:-1]])
def test_an_end_inside_a_message(data: bytes) -> None:
    found, _, is_over = read(MESSAGES[0], data, eof=True)
    assert isinstance(found[1], StreamFailed)
    assert found[1].fault is StreamFault.ENDED_INSIDE_MESSAGE
    assert is_over


@pytest.mark.parametrize("data", [b"", b"\r\n", MESSAGES[0]])
def test_an_end_between_messages(data: bytes) -> None:
    found, _, is_over = read(data, eof=True)
    assert found[-1] == StreamEnded()
    assert is_over


def test_a_long_message_one_byte_at_a_time_leaves_nothing_behind() -> None:
    stream = MessageStream()
    data = message(b"z" * 60000)
    for at in range(len(data)):
        stream.receive_data(data[at : at + 1])
    assert events(stream) == [MessageReceived(data)]
    assert not stream._buffer


@given(st.lists(st.sampled_from([*MESSAGES, PING, b"\r\n", HEAD, b"\0"]), max_size=6), st.integers(1, 50))
def test_bytes_give_the_same_messages_whole_and_in_pieces(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    whole, _, over = read(data)
    cut, _, over_too = read(*(data[at : at + size] for at in range(0, len(data), size)))
    kept = (MessageReceived, StreamFailed)
    assert over == over_too
    assert [type(e) for e in whole if isinstance(e, kept)] == [type(e) for e in cut if isinstance(e, kept)]
    messages = [e for e in whole if isinstance(e, MessageReceived)]
    assert messages == [e for e in cut if isinstance(e, MessageReceived)]


@given(st.binary(max_size=400))
def test_any_bytes_end_in_an_event_or_in_waiting(data: bytes) -> None:
    stream = MessageStream()
    stream.receive_data(data)
    stream.receive_eof()
    assert stream.close_expected
    assert events(stream)
