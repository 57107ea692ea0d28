"""The client's end of a WebSocket: whatever bytes come, nothing is raised and nothing grows without bound."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto import events as ws

from cmw.link.client_stream import (
    Broken,
    ClientStream,
    CloseReceived,
    PingReceived,
    StreamEvent,
    TextReceived,
    Upgraded,
)
from cmw.link.limits import SUBPROTOCOL


def upgraded(limit: int = 1000) -> tuple[ClientStream, WSConnection]:
    stream = ClientStream(max_message_bytes=limit)
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(stream.request(host="h", path="/link/v1", headers=[]))
    list(server.events())
    assert stream.receive(server.send(ws.AcceptConnection(subprotocol=SUBPROTOCOL))) == [Upgraded()]
    return stream, server


def feed(stream: ClientStream, data: bytes, chunk: int) -> list[StreamEvent]:
    received: list[StreamEvent] = []
    for start in range(0, len(data), chunk):
        received += stream.receive(data[start : start + chunk])
    return received


@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_fragments_with_pings_between_are_one_message(chunk: int) -> None:
    stream, server = upgraded()
    data = server.send(ws.TextMessage(data='{"a', message_finished=False))
    data += server.send(ws.Ping(payload=b"p"))
    data += server.send(ws.TextMessage(data="é", message_finished=False))
    data += server.send(ws.TextMessage(data='":1}'))
    data += server.send(ws.CloseConnection(code=1001, reason="bye"))
    expected = [PingReceived(b"p"), TextReceived('{"aé":1}'), CloseReceived(1001, "bye")]
    assert feed(stream, bytes(data), chunk) == expected


def test_what_comes_with_the_answer_to_the_upgrade_is_not_lost() -> None:
    stream = ClientStream(max_message_bytes=100)
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(stream.request(host="h", path="/", headers=[]))
    list(server.events())
    data = server.send(ws.AcceptConnection(subprotocol=SUBPROTOCOL)) + server.send(ws.TextMessage(data="{}"))
    assert stream.receive(data) == [Upgraded(), TextReceived("{}")]


@pytest.mark.parametrize("subprotocol", [None, "cmw.link.v2"])
def test_another_subprotocol_is_refused(subprotocol: str | None) -> None:
    stream = ClientStream(max_message_bytes=100)
    server = WSConnection(ConnectionType.SERVER)
    request = stream.request(host="h", path="/", headers=[]).replace(b"cmw.link.v1", b"cmw.link.v1, cmw.link.v2")
    server.receive_data(request)
    list(server.events())
    (event,) = stream.receive(server.send(ws.AcceptConnection(subprotocol=subprotocol)))
    assert isinstance(event, Broken)


def test_messages_above_the_limit_are_broken_off_before_their_end() -> None:
    stream, server = upgraded(limit=10)
    assert stream.receive(server.send(ws.TextMessage(data="x" * 10))) == [TextReceived("x" * 10)]
    (event,) = stream.receive(server.send(ws.TextMessage(data="x" * 6, message_finished=False)) + b"\x80\x06xxxxx")
    assert isinstance(event, Broken)
    assert event.code == 1009


def test_after_the_close_nothing_is_sent_or_received() -> None:
    stream, server = upgraded()
    assert stream.receive(server.send(ws.CloseConnection(code=1001)) + b"\x81\x01x") == [CloseReceived(1001, "")]
    assert stream.receive(b"more") == []
    assert stream.close(1001, "") != b""
    assert stream.close(1000, "") == b""
    assert stream.text("x") == stream.binary(b"x") == stream.pong(b"x") == b""


def test_before_the_upgrade_nothing_is_sent() -> None:
    assert ClientStream(max_message_bytes=10).text("x") == b""


@settings(max_examples=200)
@given(data=st.binary(max_size=300), chunk=st.sampled_from([1, 7, 1000]), is_upgraded=st.booleans())
def test_random_bytes_raise_nothing(data: bytes, chunk: int, is_upgraded: bool) -> None:
    if is_upgraded:
        stream, _ = upgraded()
    else:
        stream = ClientStream(max_message_bytes=1000)
        stream.request(host="h", path="/", headers=[])
    for event in feed(stream, data, chunk):
        assert isinstance(event, StreamEvent)


HEADER = st.sampled_from(
    [b"Upgrade: websocket", b"Connection: Upgrade", b"Content-Length: 5", b"Transfer-Encoding: chunked"]
)


@given(
    status=st.integers(100, 599),
    headers=st.lists(HEADER | st.binary(max_size=20), max_size=5),
    rest=st.binary(max_size=30),
)
def test_any_answer_to_the_upgrade_raises_nothing(status: int, headers: list[bytes], rest: bytes) -> None:
    stream = ClientStream(max_message_bytes=1000)
    stream.request(host="h", path="/", headers=[])
    stream.receive(b"HTTP/1.1 %d X\r\n" % status + b"\r\n".join(headers) + b"\r\n\r\n" + rest)
    stream.receive(rest)
