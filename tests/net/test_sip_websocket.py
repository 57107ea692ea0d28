"""Both ends of a WebSocket that carries SIP, without a network between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto import events as ws
from wsproto.connection import Connection

from cmw.net.sip_websocket import WebSocketStream
from cmw.sip.stream import (
    PING,
    MessageReceived,
    PingReceived,
    PongReceived,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamFault,
    StreamOpened,
)


def events(stream: WebSocketStream) -> list[StreamEvent]:
    found = []
    while (event := stream.next_event()) is not None:
        found.append(event)
    return found


def pair(**keywords: int) -> tuple[WebSocketStream, WebSocketStream]:
    """Return both ends after the upgrade."""
    client = WebSocketStream.client(host="pbx.example", **keywords)  # type: ignore[arg-type]
    server = WebSocketStream.server(**keywords)
    assert not client.is_open
    server.receive_data(client.data_to_send())
    client.receive_data(server.data_to_send())
    assert events(client) == events(server) == [StreamOpened()]
    return client, server


@pytest.mark.parametrize(
    "message", [b"INVITE sip:b@c SIP/2.0\r\n\r\n", "caf\u00e9".encode(), b"\xff\xfe binary", b"x" * 65535]
)
@pytest.mark.parametrize("size", [1, 100, 10**6])
def test_a_message_is_a_frame(message: bytes, size: int) -> None:
    client, server = pair()
    for sender, receiver in ((client, server), (server, client)):
        data = sender.frame_message(message)
        for at in range(0, len(data), size):
            receiver.receive_data(data[at : at + size])
        assert events(receiver) == [MessageReceived(message)]


def test_a_message_may_come_in_fragments() -> None:
    _, server = pair()
    peer = Connection(ConnectionType.CLIENT)
    server.receive_data(peer.send(ws.TextMessage(data="INVITE", message_finished=False)))
    server.receive_data(peer.send(ws.Ping()))
    server.receive_data(peer.send(ws.TextMessage(data=" sip:")))
    assert events(server) == [PingReceived(), MessageReceived(b"INVITE sip:")]


def test_empty_fragments_take_no_room() -> None:
    _, server = pair()
    wire = Connection(ConnectionType.CLIENT)
    for _ in range(1000):
        server.receive_data(wire.send(ws.TextMessage(data="", message_finished=False)))
    assert server._pieces == []
    assert server.is_inside_message
    server.receive_data(wire.send(ws.TextMessage(data="x")))
    assert events(server) == [MessageReceived(b"x")]
    assert not server.is_inside_message


def test_pings_of_frames_and_of_browsers() -> None:
    client, server = pair()
    server.receive_data(client.frame_ping())
    client.receive_data(server.data_to_send())
    assert (events(server), events(client)) == ([PingReceived()], [PongReceived()])
    server.receive_data(client.frame_message(PING))
    client.receive_data(server.data_to_send())
    assert (events(server), events(client)) == ([PingReceived()], [PongReceived()])


def test_a_message_that_is_too_long() -> None:
    client, server = pair(max_message_bytes=100)
    server.receive_data(client.frame_message(b"x" * 101))
    (failed,) = events(server)
    assert isinstance(failed, StreamFailed)
    assert failed.fault is StreamFault.MESSAGE_TOO_LONG
    client.receive_data(server.data_to_send())
    assert events(client) == [StreamEnded("code 1009")]


def test_a_close_is_answered() -> None:
    _, server = pair()
    server.receive_data(Connection(ConnectionType.CLIENT).send(ws.CloseConnection(code=1000)))
    assert events(server) == [StreamEnded("code 1000")]
    assert server.data_to_send()[:1] == b"\x88"
    assert server.frame_message(b"late") == b""


@pytest.mark.parametrize("is_server", [True, False])
def test_an_end_before_the_upgrade(is_server: bool) -> None:
    stream = WebSocketStream.server() if is_server else WebSocketStream.client(host="x")
    stream.receive_eof()
    (failed,) = events(stream)
    assert isinstance(failed, StreamFailed)
    assert failed.fault is StreamFault.NOT_WEBSOCKET


@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_any_bytes_are_borne(data: bytes, is_upgraded: bool, is_server: bool) -> None:
    if is_upgraded:
        stream = pair()[is_server]
    else:
        stream = WebSocketStream.server() if is_server else WebSocketStream.client(host="x")
    stream.receive_data(data)
    stream.receive_eof()
    events(stream)
    stream.data_to_send()
    assert stream.close_expected


@given(st.binary(max_size=200))
def test_any_headers_are_borne(data: bytes) -> None:
    server = WebSocketStream.server()
    server.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n" + data + b"\r\n\r\n")
    client = WebSocketStream.client(host="x")
    client.receive_data(b"HTTP/1.1 101 Switching Protocols\r\n" + data + b"\r\n\r\n")
    for stream in (server, client):
        stream.receive_eof()
        assert stream.close_expected
