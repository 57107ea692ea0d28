"""The client's role against our conformance set; the gateway's is in tests/gateway/test_rfc6455.py."""

from __future__ import annotations

import pytest

from cmw.link.client_stream import Broken, ClientStream, CloseReceived, PingReceived, StreamEvent, TextReceived
from tests.link.test_client_stream import upgraded
from tests.support.rfc6455 import BINARY, CASES, MASKING, Case, Frame, read_frames


def outcome(stream: ClientStream, events: list[StreamEvent]) -> tuple[list[str], list[bytes], int | None]:
    """Return the texts, the payloads to pong, and the code that we close with."""
    texts = [event.text for event in events if isinstance(event, TextReceived)]
    pings = [event.payload for event in events if isinstance(event, PingReceived)]
    for event in events:
        if isinstance(event, Broken | CloseReceived):
            sent = read_frames(stream.close(event.code, ""))
            assert sent.masked == {True}
            return texts, pings, sent.code
    return texts, pings, None


@pytest.mark.parametrize("way", ["whole", "byte by byte", "with something after"])
@pytest.mark.parametrize("case", [*CASES, MASKING[False]], ids=lambda case: case.name)
def test_the_client(case: Case, way: str) -> None:
    stream, _ = upgraded(1 << 20)
    wire = case.wire(from_client=False)
    if way == "byte by byte":
        events = [event for at in range(len(wire)) for event in stream.receive(wire[at : at + 1])]
    else:
        events = stream.receive(wire + (b"\x89\x01z" if way == "with something after" else b""))
    after = (b"z",) if way == "with something after" and case.code is None else ()
    code = 1000 if case.code == 1005 else case.code  # a close without a code is answered as a normal one
    assert outcome(stream, events) == (list(case.texts), [*case.pongs, *after], code)


def test_a_binary_message_is_none_that_a_worker_takes() -> None:
    stream, _ = upgraded(1 << 20)
    events = stream.receive(Frame(BINARY, b"\x00").wire(from_client=False))
    assert outcome(stream, events) == ([], [], 1003)


def test_everything_that_we_send_is_masked_anew() -> None:
    stream, _ = upgraded(1 << 20)
    sent = [stream.text("same"), stream.text("same"), stream.binary(b"b"), stream.pong(b"p"), stream.close(1000, "")]
    assert read_frames(b"".join(sent)).masked == {True}
    assert sent[0] != sent[1]
