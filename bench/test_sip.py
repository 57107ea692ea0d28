"""Cost of reading and writing SIP: one INVITE with SDP, as every call of a test carries it.

Each bench asserts its result before it is timed; under `--benchmark-disable` it runs once, untimed.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

from cmw.sip import (
    PCMA,
    PCMU,
    Credentials,
    Request,
    authorize,
    make_offer,
    make_response,
    negotiate,
    parse_challenges,
    parse_message,
    parse_sdp,
    serialize_message,
)

OFFER = make_offer(address="192.0.2.1", rtp_port=4000, codecs=(PCMU, PCMA), session_id=3723423, session_version=1)
INVITE = (
    b"INVITE sip:callees-0001@192.0.2.2:5060 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK5f3c9a0be1d24f7a;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b'From: "callers-0001" <sip:callers-0001@192.0.2.2>;tag=8d1f0c2e6b7a\r\n'
    b"To: <sip:callees-0001@192.0.2.2>\r\n"
    b"Call-ID: 7c1a2f8e9d3b4c5a6f7e8d9c0b1a2f3e@192.0.2.1\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Contact: <sip:callers-0001@192.0.2.1:5062>\r\n"
    b"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n"
    b"Supported: replaces, timer\r\n"
    b"User-Agent: cmw\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: %d\r\n\r\n" % len(OFFER)
) + OFFER
CALLS = [INVITE.replace(b"5f3c9a0be1d24f7a", b"%016x" % n).replace(b"0001", b"%04d" % n) for n in range(2000)]
"""The INVITEs of many calls: more than the parser remembers the values of."""

Benchmark = Callable[..., Any]


def read_invite() -> Request:
    message = parse_message(INVITE)
    assert isinstance(message, Request)
    return message


def test_parse_invite(benchmark: Benchmark) -> None:
    assert read_invite().body == OFFER
    calls = cycle(CALLS)
    benchmark(lambda: parse_message(next(calls)))


def test_parse_invite_again(benchmark: Benchmark) -> None:
    assert read_invite().body == OFFER
    benchmark(parse_message, INVITE)


def test_parse_invite_and_sdp(benchmark: Benchmark) -> None:
    calls = cycle(CALLS)

    def read() -> int:
        return len(parse_sdp(parse_message(next(calls)).body).media)

    assert benchmark(read) == 1


def test_serialize_invite(benchmark: Benchmark) -> None:
    message = read_invite()
    assert serialize_message(message) == INVITE
    benchmark(serialize_message, message)


def test_answer_invite(benchmark: Benchmark) -> None:
    message = read_invite()

    def answer() -> bytes:
        return serialize_message(make_response(message, 180, to_tag="a1b2c3", headers=[("Contact", "<sip:192.0.2.2>")]))

    assert benchmark(answer).startswith(b"SIP/2.0 180 Ringing\r\n")


def test_negotiate(benchmark: Benchmark) -> None:
    def agree() -> str:
        return negotiate(OFFER, address="192.0.2.2", rtp_port=4002, codecs=(PCMA,))[1].codec

    assert benchmark(agree) == "PCMA"


def test_authorize(benchmark: Benchmark) -> None:
    (challenge,) = parse_challenges(['Digest realm="lab", nonce="abc", algorithm=SHA-256, qop="auth"'])
    user = Credentials("alice", "wonder")
    header = benchmark(authorize, challenge, user, "REGISTER", "sip:lab", cnonce="0123456789abcdef")
    assert header.startswith("Digest username=")
