"""The gateway's end of one connection, message by message."""

from __future__ import annotations

import json

import pytest

from cmw.core.clock import SECOND, WallClock
from cmw.errors import LocalProtocolError
from cmw.link import events
from cmw.link.commands import CommandOutbox
from cmw.link.gateway_link import MAX_QUEUED_FRAMES, Close, GatewayLink
from cmw.link.gateway_states import TRANSITIONS, GatewayAction, GatewayInput, GatewayState
from cmw.link.limits import MAX_TO_GATEWAY_BYTES
from cmw.link.messages import CommandAccepted, CommandDone, CommandRejected, Heartbeat, Hello, Report, serialize_message
from cmw.link.refusal import CloseCode, Refusal
from cmw.link.samples import encode_samples
from tests.link.world import drain, make_batch

HELLO = serialize_message(Hello(protocol=1, session="ab" * 16, capacity=5))


def greeted(**settings: object) -> GatewayLink:
    link = GatewayLink(wall=WallClock(0, 10**18), now=0, **settings)  # type: ignore[arg-type]
    link.receive_text(HELLO, now=0)
    assert [type(event) for event in drain(link)] == [events.HelloReceived]
    return link


def opened(*, acknowledged: int = 0, **settings: object) -> GatewayLink:
    link = greeted(**settings)
    link.welcome(worker_id="w", name="n", acknowledged=acknowledged, now=0)
    return link


def report(seq: int, **data: object) -> str:
    return serialize_message(Report(seq=seq, kind="endpoint", run_id="r", data=data))


def frames(link: GatewayLink) -> list[dict[str, object]]:
    return [json.loads(frame) for frame in link.frames_to_send()]


def test_the_welcome_comes_first_then_the_outstanding_commands() -> None:
    link = greeted()
    link.send_command("c-1", "drain", now=0)
    assert frames(link) == []
    link.welcome(worker_id="w", name="n", acknowledged=3, now=0)
    link.send_command("c-2", "drain", now=0)
    assert [(frame["type"], frame.get("id")) for frame in frames(link)] == [
        ("welcome", None),
        ("command", "c-1"),
        ("command", "c-2"),
    ]


def test_numbers_that_were_committed_before_are_dropped_and_acknowledged_again() -> None:
    link = opened(acknowledged=5)
    frames(link)
    link.receive_text(report(4), now=1)
    link.receive_bytes(encode_samples(make_batch(), 5), now=1)
    link.receive_text(report(6, n=6), now=1)
    assert drain(link) == [events.ReportReceived(6, "endpoint", "r", {"n": 6})]
    assert link.duplicates == 2
    assert frames(link) == [{"type": "ack", "seq": 5}]


def test_gaps_are_what_the_worker_dropped() -> None:
    link = opened()
    link.receive_text(report(2), now=1)
    link.receive_bytes(encode_samples(make_batch(), 9), now=1)
    assert [getattr(event, "seq", None) for event in drain(link)] == [2, 9]


def test_a_number_that_does_not_rise_is_dropped() -> None:
    link = opened()
    frames(link)
    for seq in (2, 2, 1):
        link.receive_text(report(seq), now=1)
    assert len(drain(link)) == 1
    assert frames(link) == []  # nothing is committed


def test_only_what_is_committed_is_acknowledged_once() -> None:
    link = opened()
    frames(link)
    for seq in (1, 2, 3):
        link.receive_text(report(seq), now=1)
    assert frames(link) == []
    link.committed(1, now=1)
    link.committed(2, now=1)
    link.committed(1, now=1)
    assert frames(link) == [{"type": "ack", "seq": 2}]
    assert frames(link) == []
    with pytest.raises(LocalProtocolError):
        link.committed(4, now=1)


def test_samples_come_with_their_frame() -> None:
    link = opened()
    data = encode_samples(make_batch(), 1)
    link.receive_bytes(data, now=1)
    (event,) = drain(link)
    assert isinstance(event, events.SamplesReceived)
    assert event.data == data
    assert event.batch.run_id == "run-1"


def test_heartbeats_are_answered_with_the_gateways_clock() -> None:
    link = opened()
    frames(link)
    link.receive_text(serialize_message(Heartbeat(sent_at_unix_ns=7, capacity=1)), now=5)
    assert frames(link) == [
        {
            "type": "heartbeat_reply",
            "sent_at_unix_ns": 7,
            "received_at_unix_ns": 10**18 + 5,
            "replied_at_unix_ns": 10**18 + 5,
        }
    ]
    assert [type(event) for event in drain(link)] == [events.HeartbeatReceived]


def test_answers_settle_commands_once() -> None:
    outbox = CommandOutbox()
    link = opened(outbox=outbox)
    for command_id in ("c-1", "c-2"):
        link.send_command(command_id, "drain", now=0)
    with pytest.raises(LocalProtocolError):
        link.send_command("c-1", "drain", now=0)
    for _ in range(2):
        link.receive_text(serialize_message(CommandAccepted(id="c-1")), now=1)
        link.receive_text(serialize_message(CommandDone(id="c-1", result={"a": 1})), now=1)
        link.receive_text(serialize_message(CommandRejected(id="c-2", code="NO", detail="why")), now=1)
    assert drain(link) == [
        events.CommandWasAccepted("c-1"),
        events.CommandWasDone("c-1", {"a": 1}),
        events.CommandWasRejected("c-2", "NO", "why"),
    ]
    assert outbox.outstanding() == []


@pytest.mark.parametrize("refusal", list(Refusal))
@pytest.mark.parametrize("is_open", [True, False])
def test_refusals_close_with_code_and_text(refusal: Refusal, is_open: bool) -> None:
    link = opened() if is_open else greeted()
    link.refuse(refusal, now=1)
    assert link.close == Close(refusal.close_code, refusal.message)
    assert link.state is GatewayState.CLOSED
    link.end(CloseCode.GOING_AWAY, "later", now=2)
    assert link.close.code == refusal.close_code


class TestHostileWorker:
    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("", CloseCode.INVALID_DATA),
            ("[]", CloseCode.INVALID_DATA),
            ("[" * 100_000, CloseCode.INVALID_DATA),
            ('{"type":"report","seq":1,"kind":"endpoint","data":{"a":NaN}}', CloseCode.INVALID_DATA),
            ('{"type":"report","seq":1,"kind":"endpoint","data":{"a":1,"a":2}}', CloseCode.INVALID_DATA),
            (" " * (MAX_TO_GATEWAY_BYTES + 1), CloseCode.TOO_BIG),
            (HELLO, CloseCode.POLICY_VIOLATION),
        ],
    )
    def test_is_closed_with_the_right_code(self, text: str, code: CloseCode) -> None:
        link = opened()
        link.receive_text(text, now=1)
        assert link.close is not None
        assert link.close.code == code
        assert len(link.close.reason.encode()) <= 123
        assert [type(event) for event in drain(link)] == [events.LinkLost]
        assert link.next_timeout() is None
        link.receive_text(report(1), now=2)
        link.receive_bytes(b"", now=2)
        assert drain(link) == []

    @pytest.mark.parametrize("data", [b"", b"CMWS" + b"\x00" * 100, encode_samples(make_batch(), 1)[:-1]])
    def test_torn_samples_close(self, data: bytes) -> None:
        link = opened()
        link.receive_bytes(data, now=1)
        assert link.close is not None
        assert link.close.code == CloseCode.INVALID_DATA

    def test_samples_above_the_limit_close(self) -> None:
        link = opened()
        link.receive_bytes(b"x" * (MAX_TO_GATEWAY_BYTES + 1), now=1)
        assert link.close is not None
        assert link.close.code == CloseCode.TOO_BIG

    @pytest.mark.parametrize("is_greeted", [True, False])
    def test_nothing_may_come_before_the_welcome(self, is_greeted: bool) -> None:
        for send in (lambda link: link.receive_text(report(1), now=1), lambda link: link.receive_bytes(b"x", now=1)):
            link = greeted() if is_greeted else GatewayLink(wall=WallClock(0, 0), now=0)
            send(link)
            assert link.close is not None
            assert link.close.code == CloseCode.POLICY_VIOLATION

    def test_another_version_is_told_so(self) -> None:
        link = GatewayLink(wall=WallClock(0, 0), now=0)
        link.receive_text(HELLO.replace('"protocol":1', '"protocol":2'), now=0)
        assert link.close == Close(CloseCode.UNSUPPORTED_PROTOCOL, "expected protocol 1, found 2")

    def test_unknown_types_are_answered_a_hundred_times(self) -> None:
        link = opened()
        frames(link)
        for _ in range(100):
            link.receive_text('{"type":"weather"}', now=1)
        answers = frames(link)
        assert len(answers) == 100
        assert answers[0]["code"] == "UNKNOWN_TYPE"
        link.receive_text('{"type":"weather"}', now=1)
        assert link.close is not None

    def test_an_error_is_not_answered(self) -> None:
        link = opened()
        frames(link)
        link.receive_text('{"type":"error","code":"X","detail":"y"}', now=1)
        assert drain(link) == [events.ErrorReceived("X", "y")]
        assert frames(link) == []


class TestSilence:
    def test_a_hello_has_ten_seconds(self) -> None:
        link = GatewayLink(wall=WallClock(0, 0), now=0)
        link.handle_timeout(now=10 * SECOND - 1)
        assert link.close is None
        link.handle_timeout(now=10 * SECOND)
        assert link.close == Close(CloseCode.SILENCE, "no hello within 10 s")

    def test_45_seconds_without_a_message_are_the_end(self) -> None:
        link = opened()
        link.receive_text(serialize_message(Heartbeat(sent_at_unix_ns=7, capacity=1)), now=15 * SECOND)
        deadline = link.next_timeout()
        assert deadline is not None
        assert deadline.at == 60 * SECOND
        link.handle_timeout(now=60 * SECOND - 1)
        assert link.close is None
        link.handle_timeout(now=60 * SECOND)
        assert link.close == Close(CloseCode.SILENCE, "nothing heard for 45 s")

    @pytest.mark.parametrize(
        ("code", "said"),
        [(1000, "closed by the worker"), (1001, "closed by the worker"), (None, "connection lost (no close)")],
    )
    def test_the_end_of_the_connection_is_told_once(self, code: int | None, said: str) -> None:
        link = opened()
        link.receive_close(code, now=1)
        link.receive_close(code, now=2)
        assert drain(link) == [events.LinkLost(said, None)]
        assert link.close is None


def test_time_never_runs_backwards() -> None:
    link = opened()
    link.receive_text(report(1), now=10)
    link.receive_text(report(2), now=5)
    assert link.last_heard_at == 10


def test_a_second_welcome_is_illegal() -> None:
    link = opened()
    with pytest.raises(LocalProtocolError):
        link.welcome(worker_id="w", name="n", acknowledged=0, now=0)


def test_a_connection_that_takes_nothing_is_given_up() -> None:
    link = opened()
    heartbeat = serialize_message(Heartbeat(sent_at_unix_ns=1, capacity=5))
    for _ in range(MAX_QUEUED_FRAMES + 1):
        link.receive_text(heartbeat, now=1)
    assert link.close == Close(CloseCode.POLICY_VIOLATION, "the connection takes nothing")
    assert link.frames_to_send() == []


class TestTable:
    """Every pair has a row, but for a welcome that nobody waits for."""

    @pytest.mark.parametrize("state", list(GatewayState))
    @pytest.mark.parametrize("given", list(GatewayInput))
    def test_is_total(self, state: GatewayState, given: GatewayInput) -> None:
        is_illegal = given is GatewayInput.WELCOME and state is not GatewayState.AWAITING_WELCOME
        assert ((state, given) in TRANSITIONS) is not is_illegal

    def test_every_state_reaches_the_end(self) -> None:
        for state in set(GatewayState) - {GatewayState.CLOSED}:
            assert TRANSITIONS[state, GatewayInput.END] == (GatewayState.CLOSED, GatewayAction.CLOSE)
            assert TRANSITIONS[state, GatewayInput.LOST] == (GatewayState.CLOSED, GatewayAction.FORGET)

    def test_what_is_closed_stays_closed(self) -> None:
        rows = {row for (state, _), row in TRANSITIONS.items() if state is GatewayState.CLOSED}
        assert rows == {(GatewayState.CLOSED, GatewayAction.IGNORE)}

    def test_only_a_hello_may_come_before_the_welcome(self) -> None:
        early = {GatewayState.AWAITING_HELLO, GatewayState.AWAITING_WELCOME}
        allowed = {given for (state, given), (_, action) in TRANSITIONS.items() if state in early and action in TALK}
        assert allowed == {GatewayInput.HELLO, GatewayInput.ERROR, GatewayInput.UNKNOWN}


TALK = {GatewayAction.GREET, GatewayAction.TELL, GatewayAction.ANSWER_ERROR}
