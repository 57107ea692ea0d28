"""Whatever a peer describes, offers or answers, we agree to it or refuse it."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest

from cmw.errors import RemoteProtocolError
from cmw.sip.audio_format import PCMA, PCMU, AudioCodec
from cmw.sip.audio_policy import AudioPolicy
from cmw.sip.negotiator import Negotiator
from cmw.sip.sdp import serialize_sdp
from cmw.sip.sdp_attributes import (
    Direction,
    parse_candidate,
    parse_crypto,
    parse_fingerprint,
    parse_group,
    parse_setup,
)
from cmw.sip.sdp_parser import parse_sdp
from cmw.sip.session_refusal import serialize_warnings
from tests.fuzz.harness import fuzz

OPUS = AudioCodec("opus", 96, 48000, 2, "useinbandfec=1")
POLICIES = [
    AudioPolicy((PCMU, PCMA)),
    AudioPolicy((OPUS, PCMU, AudioCodec("G722", 9)), several=True, comfort_noise=True, rtcp_mux=True, names=True),
    AudioPolicy((PCMA, OPUS), 30, (10, 20), own_order=True, max_ptime_ms=40, events="", needs_audio=False),
]
LINES = [
    b"v=0",
    b"o=- 1 1 IN IP4 192.0.2.2",
    b"o=my pbx 18446744073709551615 99999999999999999999 IN IP6 ::1",
    b"s=-",
    b"i=what",
    b"c=IN IP4 192.0.2.2",
    b"c=IN IP4 0.0.0.0",
    b"c=IN IP4 224.2.1.1/127/3",
    b"c=IN IP6 2001:db8::2",
    b"c=TN RFC2543 +15550100",
    b"b=AS:64",
    b"t=0 0",
    b"r=7d 1h 0 25h",
    b"z=1 -1h",
    b"k=prompt",
    b"m=audio 5004 RTP/AVP 0 8 101",
    b"m=audio 5004/2 RTP/AVPF 96 97 13",
    b"m=audio 5004 RTP/SAVP 0",
    b"m=audio 0 RTP/AVP 0",
    b"m=video 5006 RTP/AVP 31",
    b"m=image 5008 udptl t38",
    b"m=message 2855 TCP/MSRP *",
    b"a=rtpmap:96 opus/48000/2",
    b"a=rtpmap:97 telephone-event/8000",
    b"a=rtpmap:101 telephone-event/8000",
    b"a=fmtp:101 0-15,66",
    b"a=ptime:20",
    b"a=maxptime:150",
    b"a=sendrecv",
    b"a=sendonly",
    b"a=inactive",
    b"a=rtcp:5005 IN IP4 192.0.2.2",
    b"a=rtcp-mux",
    b"a=rtcp-mux-only",
    b"a=mid:0",
    b"a=group:BUNDLE 0 1",
    b"a=setup:actpass",
    b"a=fingerprint:sha-256 4A:AD",
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA|2^20",
    b"a=candidate:1 1 UDP 2130706431 192.0.2.1 8998 typ host",
    b"x=unknown",
]
SCRAPS = [b"", b" ", b":", b"/", b"=", b"-", b"0", b"65536", b"9" * 30, b"\xff", b"\xd9\xa3", b"\0", b"\r", b"a" * 300]
READERS = (parse_candidate, parse_crypto, parse_fingerprint, parse_group, parse_setup)


def make_description(chance: random.Random) -> bytes:
    """Return a description that is mostly right."""
    lines = [b"v=0", b"o=- 1 1 IN IP4 192.0.2.2", b"s=-", b"c=IN IP4 192.0.2.2", b"t=0 0"]
    if chance.random() < 0.3:
        lines = chance.sample(lines, chance.randrange(len(lines) + 1))
    if chance.random() < 0.7:
        lines.append(chance.choice(LINES[15:19]))
    lines += chance.choices(LINES, k=chance.randrange(10))
    body = chance.choice((b"\r\n", b"\r\n", b"\n")).join(lines) + chance.choice((b"", b"\r\n", b"\r\n\r\n"))
    return damage(chance, body) if chance.random() < 0.6 else body


def damage(chance: random.Random, body: bytes) -> bytes:
    """Return a description with a few places written over."""
    data = bytearray(body)
    for _ in range(chance.randrange(1, 5)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice((0, 0, 1, 1, 4, 30)))
        data[start:end] = chance.choice((*SCRAPS, chance.randbytes(chance.randrange(4))))
    return bytes(data)


def refusal(call: Callable[[], object]) -> RemoteProtocolError | None:
    """Return what a call refuses with, which must have a status to answer; None when it does not refuse."""
    try:
        call()
    except RemoteProtocolError as error:
        return error if error.hint in (400, 488) else pytest.fail(f"hint {error.hint}: {error}")
    return None


def describe(chance: random.Random) -> None:
    body = make_description(chance)
    if refusal(lambda: parse_sdp(body)) is not None:
        return
    session = parse_sdp(body)
    assert parse_sdp(serialize_sdp(session)) == session
    for name, value in [*session.attributes, *[row for media in session.media for row in media.attributes]]:
        for read in READERS:
            refusal(partial(read, value or name))


def negotiate(chance: random.Random) -> None:
    """Let offers and answers of a session come as they may."""
    side = Negotiator(chance.choice(POLICIES), address="192.0.2.1", rtp_port=4000, session_id=1)
    for _ in range(chance.randrange(1, 6)):
        body = make_description(chance)
        if chance.random() < 0.3:
            side.make_offer(chance.choice((None, *Direction)))
            if refusal(partial(side.read_answer, body)) is not None:
                side.roll_back()
        else:
            make_answer(side, body)


def make_answer(side: Negotiator, body: bytes) -> None:
    before = side.audio
    error = refusal(partial(side.make_answer, body))
    if error is not None:
        assert side.audio is before
        assert serialize_warnings(error, "cmw").isascii()
        return
    theirs, ours = parse_sdp(body).media, parse_sdp(side.local).media
    assert [(m.kind, m.protocol) for m in ours] == [(m.kind, m.protocol) for m in theirs]
    assert [m.port for m in ours if m.port] == ([4000] if side.audio is not None else [])


def test_descriptions() -> None:
    assert fuzz(describe)


def test_negotiations() -> None:
    assert fuzz(negotiate)
