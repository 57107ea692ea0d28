"""Agreeing on one audio stream; examples follow RFC 3264 10 and RFC 4317."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.core.address import Address
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.audio_format import PCMA, PCMU, AudioCodec
from cmw.sip.negotiated_audio import NegotiatedAudio
from cmw.sip.offer_answer import make_offer, negotiate, read_answer
from cmw.sip.sdp_attributes import Direction
from cmw.sip.sdp_parser import parse_sdp

US, PEER = "192.0.2.1", "192.0.2.2"
OUR_CODECS = (PCMU, PCMA)


def sdp(*media: str, session: str = f"c=IN IP4 {PEER}") -> bytes:
    lines = ["v=0", f"o=- 7 7 IN IP4 {PEER}", "s=-", *([session] if session else []), "t=0 0", *media]
    return ("\r\n".join(lines) + "\r\n").encode()


def answer_to(offer: bytes, **changes: object) -> tuple[bytes, NegotiatedAudio]:
    settings: dict[str, object] = {"address": US, "rtp_port": 4000, "codecs": OUR_CODECS} | changes
    return negotiate(offer, **settings)  # type: ignore[arg-type]


def lines_of(body: bytes) -> list[str]:
    return body.decode().split("\r\n")


def test_an_offer_is_what_it_says() -> None:
    assert lines_of(make_offer(address=US, rtp_port=4000, codecs=OUR_CODECS, session_id=9, session_version=3)) == [
        "v=0",
        "o=- 9 3 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "m=audio 4000 RTP/AVP 0 8 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
        "",
    ]
    assert b"IN IP6 ::1\r\n" in make_offer(address="::1", rtp_port=4000, codecs=OUR_CODECS)
    with pytest.raises(LocalProtocolError):
        make_offer(address=US, rtp_port=4000, codecs=())


def test_both_sides_agree() -> None:
    offer = make_offer(address=PEER, rtp_port=5004, codecs=OUR_CODECS)
    answer, ours = answer_to(offer, codecs=(PCMA,))
    theirs = read_answer(offer, answer)
    assert (ours.codec, ours.payload_type, ours.clock_hz, ours.ptime_ms) == ("PCMA", 8, 8000, 20)
    assert (ours.remote, ours.remote_rtcp) == (Address(PEER, 5004), Address(PEER, 5005))
    assert (theirs.remote, theirs.remote_rtcp) == (Address(US, 4000), Address(US, 4001))
    assert (theirs.codec, theirs.payload_type, theirs.receive_payload_type) == ("PCMA", 8, 8)
    assert ours.direction is theirs.direction is Direction.SENDRECV
    assert ours.telephone_event == theirs.telephone_event == 101


def test_sections_keep_their_places_and_what_we_cannot_is_refused() -> None:
    """RFC 3264 6: as many sections in the answer as in the offer, in the same order."""
    offer = sdp(
        "m=video 9 RTP/AVP 31",
        "m=audio 9 RTP/SAVP 0",
        "m=audio 0 RTP/AVP 0",
        "m=audio 9 RTP/AVP 18",
        "m=audio 5004 RTP/AVP 8",
        "m=audio 5006 RTP/AVP 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    )
    answer, audio = answer_to(offer)
    media = parse_sdp(answer).media
    assert [m.port for m in media] == [0, 0, 0, 0, 4000, 0, 0]
    assert [(m.kind, m.protocol, m.formats) for m in media] == [
        (m.kind, m.protocol, m.formats) for m in parse_sdp(offer).media
    ]
    assert audio.remote.port == 5004


def test_the_peers_order_and_payload_types_count() -> None:
    offer = sdp(
        "m=audio 5004 RTP/AVP 96 97 0", "a=rtpmap:96 L16/8000", "a=rtpmap:97 pcma/8000/1", "a=rtpmap:0 PCMU/8000"
    )
    answer, audio = answer_to(offer)
    assert (audio.payload_type, audio.codec) == (97, "PCMA")
    assert "m=audio 4000 RTP/AVP 97" in lines_of(answer)
    offer = sdp("m=audio 5004 RTP/AVP 0", "a=rtpmap:0 speex/8000")  # what it says, not what the table says
    with pytest.raises(RemoteProtocolError):
        answer_to(offer)


def test_telephone_events_are_carried_when_offered() -> None:
    offer = sdp(
        "m=audio 5004 RTP/AVP 0 100 101",
        "a=rtpmap:100 telephone-event/16000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
    )
    answer, audio = answer_to(offer)
    assert audio.telephone_event == 101
    assert "m=audio 4000 RTP/AVP 0 101" in lines_of(answer)
    assert "a=fmtp:101 0-15" in lines_of(answer)
    only_events = sdp("m=audio 5004 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000")
    with pytest.raises(RemoteProtocolError):
        answer_to(only_events)


@pytest.mark.parametrize(
    ("lines", "rtp", "rtcp"),
    [
        (["m=audio 5004 RTP/AVP 0"], (PEER, 5004), (PEER, 5005)),
        (["m=audio 5004 RTP/AVP 0", "c=IN IP4 192.0.2.9"], ("192.0.2.9", 5004), ("192.0.2.9", 5005)),
        (["m=audio 5004 RTP/AVP 0", "a=rtcp:7000"], (PEER, 5004), (PEER, 7000)),
        (["m=audio 5004 RTP/AVP 0", "a=rtcp:7000 IN IP4 192.0.2.8"], (PEER, 5004), ("192.0.2.8", 7000)),
        (["m=audio 65535 RTP/AVP 0"], (PEER, 65535), (PEER, 65535)),
    ],
)
def test_where_packets_go(lines: list[str], rtp: tuple[str, int], rtcp: tuple[str, int]) -> None:
    """RFC 3605 for a=rtcp."""
    _, audio = answer_to(sdp(*lines))
    assert (audio.remote, audio.remote_rtcp) == (rtp, rtcp)


@pytest.mark.parametrize(
    ("offered", "wish", "ours"),
    [
        ("sendrecv", "sendrecv", "sendrecv"),
        ("sendonly", "sendrecv", "recvonly"),
        ("recvonly", "sendrecv", "sendonly"),
        ("inactive", "sendrecv", "inactive"),
        ("sendrecv", "recvonly", "recvonly"),
        ("sendonly", "sendonly", "inactive"),
        ("recvonly", "sendonly", "sendonly"),
        ("recvonly", "recvonly", "inactive"),
        ("sendrecv", "inactive", "inactive"),
    ],
)
def test_directions(offered: str, wish: str, ours: str) -> None:
    """RFC 3264 6.1."""
    for session, lines in (("c=IN IP4 " + PEER, [f"a={offered}"]), (f"c=IN IP4 {PEER}\r\na={offered}", [])):
        answer, audio = answer_to(sdp("m=audio 5004 RTP/AVP 0", *lines, session=session), direction=Direction(wish))
        assert audio.direction == ours
        assert f"a={ours}" in lines_of(answer)


@pytest.mark.parametrize("connection", ["IN IP4 0.0.0.0", "IN IP6 ::"])
def test_an_address_of_zeros_is_hold(connection: str) -> None:
    """RFC 3264 8.4: nothing is sent to the peer."""
    _, audio = answer_to(sdp("m=audio 5004 RTP/AVP 0", session=f"c={connection}"))
    assert audio.direction is Direction.RECVONLY
    assert audio.remote_rtcp.port == 0


@pytest.mark.parametrize(
    "lines",
    [
        ["m=audio 5004 RTP/AVP 0", "c=IN IP4 224.2.1.1/127"],
        ["m=audio 5004 RTP/AVP 0", "c=IN IP6 ff02::1"],
        ["m=audio 5004 RTP/AVP 0", "c=IN IP6 ::ffff:224.0.0.1"],
        ["m=audio 5004 RTP/AVP 0", "c=IN IP4 255.255.255.255"],
        ["m=audio 5004 RTP/AVP 0", "a=rtcp:5005 IN IP4 239.1.1.1"],
    ],
)
def test_groups_of_hosts_are_refused(lines: list[str]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        answer_to(sdp(*lines))
    assert caught.value.hint == 488


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (sdp("m=audio 5004 RTP/AVP 18 3"), 488),
        (sdp("m=video 5004 RTP/AVP 0"), 488),
        (sdp("m=audio 5004 RTP/SAVPF 0"), 488),
        (sdp(), 488),
        (sdp("m=audio 5004 RTP/AVP 0", session=""), 400),
        (sdp("m=audio 5004 RTP/AVP 0", session="c=IN IP4 pbx.example"), 488),
        (sdp("m=audio 5004 RTP/AVP 0", "a=rtcp:x"), 400),
        (sdp("m=audio 5004 RTP/AVP 0", "a=rtcp:0"), 400),
        (b"hello", 400),
    ],
)
def test_offers_that_cannot_be_taken(body: bytes, hint: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        answer_to(body)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (sdp("m=audio 0 RTP/AVP 0"), 488),
        (sdp("m=audio 5004 RTP/AVP 18"), 488),
        (sdp("m=audio 5004 RTP/SAVP 0"), 488),
        (sdp("m=audio 5004 RTP/AVP 0", "m=video 0 RTP/AVP 31"), 488),
        (sdp(), 488),
        (b"", 400),
    ],
)
def test_answers_that_do_not_fit(body: bytes, hint: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read_answer(make_offer(address=US, rtp_port=4000, codecs=OUR_CODECS), body)
    assert caught.value.hint == hint


def test_an_answer_may_number_its_formats_differently() -> None:
    """RFC 3264 5.1: each side sends with the numbers that the other one described."""
    offer = make_offer(address=US, rtp_port=4000, codecs=(AudioCodec("L16", 96), PCMU))
    audio = read_answer(offer, sdp("m=audio 5004 RTP/AVP 110 0", "a=rtpmap:110 L16/8000", "a=ptime:30"))
    assert (audio.payload_type, audio.receive_payload_type) == (110, 96)
    assert (audio.ptime_ms, audio.remote_ptime_ms) == (30, 30)


@given(
    st.lists(
        st.sampled_from(
            [
                "m=audio 5004 RTP/AVP 0 8 101",
                "m=video 1 RTP/AVP 9",
                "m=audio 0 RTP/AVP 0",
                "a=rtpmap:0 ",
                "a=rtpmap:",
                "a=rtpmap:99999999 x/1/2/3",
                "a=rtpmap:8 PCMA",
                "a=rtpmap:101 telephone-event/8000",
                "a=rtcp",
                "a=rtcp:",
                "a=rtcp:9 IN",
                "a=ptime:",
                "a=ptime:20.5",
                "a=ptime:x",
                "c=IN IP4 1.2.3.4",
                "c=IN IP6 ::",
                "c=IN IP4 h",
                "a=sendonly",
                "a=sendonly:x",
                "a=inactive",
                "a=rtpmap:0 /8000",
                "a=rtpmap:0 PCMU/٣",
            ]
        ),
        max_size=12,
    )
)
def test_any_description_is_agreed_on_or_refused(lines: list[str]) -> None:
    offer = make_offer(address=US, rtp_port=4000, codecs=OUR_CODECS)
    with contextlib.suppress(RemoteProtocolError):
        answer, audio = answer_to(sdp(*lines))
        assert len(parse_sdp(answer).media) == len(parse_sdp(sdp(*lines)).media)
        assert audio.remote.port
    with contextlib.suppress(RemoteProtocolError):
        read_answer(offer, sdp(*lines))
