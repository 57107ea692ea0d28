"""Messages by Call-ID: all that belong together, never more than there is room for."""

from __future__ import annotations

import itertools

import pytest

from cmw.sip import Hop
from cmw.worker import sip_recorder
from cmw.worker.sip_recorder import MAX_MESSAGES, SipRecorder

PEER = Hop("10.0.0.2", 5060)
INVITE = b"INVITE sip:x SIP/2.0\r\nVia: y\r\nCall-ID: c1@x\r\n\r\n"


def make() -> SipRecorder:
    return SipRecorder(itertools.count().__next__)


@pytest.mark.parametrize("field", [b"Call-ID: c1@x", b"Call-ID:c1@x ", b"i: c1@x", b"CALL-ID : c1@x", b"I:c1@x"])
def test_a_message_is_found_by_its_call_id_however_that_is_written(field: bytes) -> None:
    recorder = make()
    recorder.note("out", b"INVITE sip:x SIP/2.0\r\nVia: y\r\n" + field + b"\r\n\r\nbody", PEER)
    messages, left_out = recorder.look("c1@x")
    assert [(message.is_sent, message.peer, message.at) for message in messages] == [(True, PEER, 0)]
    assert left_out == 0
    recorder.forget("c1@x")
    assert recorder.look("c1@x") == ([], 0)
    recorder.forget("c1@x")


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", b"\0" * 50, b"INVITE sip:x SIP/2.0\r\n\r\n", b"x\nCall-ID: c"])
def test_what_has_no_call_id_is_not_kept(data: bytes) -> None:
    recorder = make()
    recorder.note("in", data, PEER)
    assert len(recorder) == 0


def test_the_first_messages_are_kept_and_the_others_counted() -> None:
    recorder = make()
    for _ in range(MAX_MESSAGES + 5):
        recorder.note("in", b"x\r\nCall-ID: c\r\n\r\n", PEER)
    messages, left_out = recorder.look("c")
    assert (len(messages), messages[0].at, left_out) == (MAX_MESSAGES, 0, 5)


def test_the_oldest_calls_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_recorder, "MAX_DIALOGS", 3)
    recorder = make()
    for number in range(5):
        recorder.note("in", b"x\r\nCall-ID: c%d\r\n\r\n" % number, PEER)
    assert len(recorder) == 3
    assert [bool(recorder.look(f"c{number}")[0]) for number in range(5)] == [False, False, True, True, True]
    recorder.note("in", b"x\r\nCall-ID: c\r\n\r\n", PEER)
    recorder.clear()
    assert len(recorder) == 0


def test_a_call_with_both_ends_here_is_forgotten_by_the_second() -> None:
    recorder = make()
    recorder.note("out", INVITE, PEER)
    recorder.forget("c1@x", is_shared=True)
    assert len(recorder.look("c1@x")[0]) == 1
    recorder.forget("c1@x", is_shared=True)
    assert len(recorder) == 0


def test_of_calls_whose_other_end_never_forgets_only_the_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_recorder, "MAX_HALF_DONE", 3)
    recorder = make()
    for number in range(10):
        recorder.note("out", INVITE.replace(b"c1@x", b"c%d@x" % number), PEER)
        recorder.forget(f"c{number}@x", is_shared=True)
    assert [bool(recorder.look(f"c{number}@x")[0]) for number in range(10)] == [False] * 7 + [True] * 3
