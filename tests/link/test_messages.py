"""Control messages: read strictly, written as they are read."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.link import messages
from cmw.link.messages import (
    Ack,
    Command,
    Heartbeat,
    Hello,
    Load,
    Message,
    Report,
    UnknownMessage,
    make_message,
    parse_gateway_message,
    parse_worker_message,
    serialize_message,
)

SESSION = "0123456789abcdef" * 2

FROM_WORKER = [
    Hello(protocol=1, session=SESSION, capacity=5, name="Köln", runs=["a", "b"]),
    Heartbeat(sent_at_unix_ns=1_767_225_604_123_456_789, capacity=5, load=Load(endpoints=1, calls=1), loop_lag_ms=0.5),
    Report(seq=1, kind="endpoint", run_id="r", data={"a": [1, {"b": None}]}),
    Report(seq=messages.MAX_SEQ, kind="event", data={}),
    messages.CommandAccepted(id="c"),
    messages.CommandDone(id="c", result={"x": 1}),
    messages.CommandRejected(id="c", code="BUSY", detail="x"),
    messages.Error(code="X"),
]
FROM_GATEWAY = [
    messages.Welcome(protocol=1, worker_id="w", name="", acknowledged=0),
    messages.HeartbeatReply(sent_at_unix_ns=1, received_at_unix_ns=2, replied_at_unix_ns=3),
    Ack(seq=9),
    Command(id="c", name="drain", run_id=None, data={"deep": {"deeper": [1.5]}}),
    messages.Error(code="X", detail="y"),
]


@pytest.mark.parametrize("message", FROM_WORKER, ids=lambda message: message.type)
def test_a_workers_message_is_read_as_written(message: messages.WorkerMessage) -> None:
    assert parse_worker_message(serialize_message(message)) == message


@pytest.mark.parametrize("message", FROM_GATEWAY, ids=lambda message: message.type)
def test_a_gateways_message_is_read_as_written(message: messages.GatewayMessage) -> None:
    assert parse_gateway_message(serialize_message(message)) == message


@pytest.mark.parametrize("message", FROM_GATEWAY[:-1], ids=lambda message: message.type)
def test_the_other_sides_types_are_unknown(message: messages.GatewayMessage) -> None:
    assert parse_worker_message(serialize_message(message)) == UnknownMessage(message.type)


def test_unknown_fields_are_ignored_and_long_types_cut() -> None:
    assert parse_gateway_message('{"type":"ack","seq":1,"new":{"a":1}}') == Ack(seq=1)
    assert parse_gateway_message('{"type":"' + "x" * 1000 + '"}') == UnknownMessage("x" * 64)


@pytest.mark.parametrize(
    "text",
    [
        *("[]", "1", "null", '"hello"', "{}", '{"type":1}', '{"type":null}'),
        '{"type":"report","seq":0,"kind":"event","data":{}}',
        '{"type":"report","seq":9007199254740992,"kind":"event","data":{}}',
        '{"type":"report","seq":"1","kind":"event","data":{}}',
        '{"type":"report","seq":1.0,"kind":"event","data":{}}',
        '{"type":"report","seq":true,"kind":"event","data":{}}',
        '{"type":"report","seq":1,"kind":"gossip","data":{}}',
        '{"type":"report","seq":1,"kind":"event","data":[]}',
        '{"type":"report","seq":1,"kind":"event","run_id":"a/b","data":{}}',
        '{"type":"report","seq":1,"kind":"event","run_id":"a\\n","data":{}}',
        '{"type":"hello","protocol":1,"session":"0123456789ABCDEF0123456789ABCDEF","capacity":1}',
        '{"type":"hello","protocol":1,"session":"' + SESSION + '\\n","capacity":1}',
        '{"type":"hello","protocol":1,"session":"' + SESSION + '","capacity":-1}',
        '{"type":"hello","protocol":1,"session":"' + SESSION + '","capacity":1,"name":"' + "x" * 256 + '"}',
        '{"type":"heartbeat","sent_at_unix_ns":-1,"capacity":1}',
        '{"type":"heartbeat","sent_at_unix_ns":1,"capacity":1,"load":null}',
        '{"type":"command_accepted","id":""}',
        '{"type":"command_accepted"}',
    ],
)
def test_fields_that_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_worker_message(text)
    assert caught.value.hint == 1007


def test_the_fault_names_the_field_but_not_its_value() -> None:
    with pytest.raises(RemoteProtocolError, match=r"command_accepted\.id") as caught:
        parse_worker_message('{"type":"command_accepted","id":"secret value"}')
    assert "secret" not in str(caught.value)
    with pytest.raises(LocalProtocolError, match=r"CommandAccepted\.id") as ours:
        make_message(messages.CommandAccepted, id="secret value")
    assert "secret" not in str(ours.value)


def test_free_form_parts_are_in_no_repr() -> None:
    command = Command(id="c", name="prepare_run", data={"password": "hunter2"})
    assert "hunter2" not in repr(command) + str(command)


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    for parse in (parse_worker_message, parse_gateway_message):
        with contextlib.suppress(RemoteProtocolError):
            assert isinstance(parse(text), Message | UnknownMessage)


@pytest.mark.parametrize("field", ["name", "host", "version", "engine"])
def test_lines_of_the_hello_have_no_control_characters(field: str) -> None:
    hello = {"type": "hello", "protocol": 1, "session": "0" * 32, "capacity": 1}
    assert isinstance(parse_worker_message(json.dumps(hello | {field: "wörker 1"})), Hello)
    for text in ("\x1b[31m", "a\n", "\x00", "\x9b1m"):
        with pytest.raises(RemoteProtocolError):
            parse_worker_message(json.dumps(hello | {field: text}))
