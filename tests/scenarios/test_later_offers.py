"""What happens to a session after its first offer: holds, moves, refusals. Source: RFC 3264 8, RFC 6337 5.3."""

from __future__ import annotations

import pytest

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.audio_format import PCMA, PCMU, AudioCodec
from cmw.sip.audio_policy import AudioPolicy
from cmw.sip.negotiated_audio import AudioChange, find_changes
from cmw.sip.negotiator import Negotiator
from cmw.sip.sdp_attributes import Direction
from cmw.sip.sdp_parser import parse_sdp
from cmw.sip.session_refusal import SessionRefusedError
from tests.support.descriptions import PEER, US, lines_of, origin_of, ports_of, sdp

OPUS = AudioCodec("opus", 96, 48000, 2)
PLAIN = AudioPolicy((PCMU, PCMA))
AUDIO = "m=audio 5004 RTP/AVP 0"


def ours(policy: AudioPolicy = PLAIN, **settings: int) -> Negotiator:
    return Negotiator(policy, address=US, rtp_port=4000, session_id=5, **settings)


def theirs() -> Negotiator:
    return Negotiator(PLAIN, address=PEER, rtp_port=5004, session_id=7)


def exchange(offerer: Negotiator, answerer: Negotiator, direction: Direction | None = None) -> None:
    offerer.read_answer(answerer.make_answer(offerer.make_offer(direction)))


def directions(*sides: Negotiator) -> list[str | None]:
    return [side.audio.direction.value if side.audio is not None else None for side in sides]


def test_the_version_grows_when_something_changed_and_only_then() -> None:
    """RFC 3264 8."""
    side = ours(session_version=10)
    side.make_offer()
    side.read_answer(sdp(AUDIO))
    assert origin_of(side.local) == ("5", "10")
    first = side.local
    assert side.make_offer() == first
    side.read_answer(sdp(AUDIO))
    assert origin_of(side.make_offer(Direction.SENDONLY)) == ("5", "11")
    side.read_answer(sdp(AUDIO))
    side.rtp_port = 4010
    assert origin_of(side.make_answer(sdp(AUDIO))) == ("5", "12")
    side.address = "192.0.2.77"
    moved = side.make_offer()
    assert "o=- 5 13 IN IP4 192.0.2.1" in lines_of(moved)  # all but the version stays
    assert "c=IN IP4 192.0.2.77" in lines_of(moved)


def test_a_refused_offer_leaves_what_was_agreed() -> None:
    side = ours()
    with pytest.raises(LocalProtocolError):
        side.roll_back()
    side.make_answer(sdp(AUDIO))
    before = side.audio
    held = side.make_offer(Direction.INACTIVE)
    assert side.direction is Direction.INACTIVE
    side.roll_back()
    assert (side.audio, side.direction, side.is_open) == (before, Direction.SENDRECV, False)
    again = side.make_answer(sdp(AUDIO))
    assert "a=sendrecv" in lines_of(again)
    assert int(origin_of(again)[1]) == int(origin_of(held)[1]) + 1  # it differs from what was said last


def test_an_offer_of_the_peers_is_undone_too() -> None:
    side = ours()
    side.make_answer(sdp(AUDIO))
    before = side.audio
    side.make_answer(sdp("m=audio 6000 RTP/AVP 8"))
    side.roll_back()
    assert side.audio is before


def test_no_offer_is_made_or_taken_while_ours_is_open() -> None:
    """RFC 3264 4; the SIP side answers 491."""
    side = ours()
    side.make_offer()
    with pytest.raises(LocalProtocolError):
        side.make_offer()
    with pytest.raises(RemoteProtocolError) as caught:
        side.make_answer(sdp(AUDIO))
    assert caught.value.hint == 491
    assert side.is_open
    fresh = ours()
    fresh.make_answer(sdp(AUDIO))
    with pytest.raises(LocalProtocolError):
        fresh.read_answer(sdp(AUDIO))


def test_sections_are_never_taken_away() -> None:
    """RFC 3264 8: refused ones stay, with port 0, and their places may be used again."""
    side = ours(AudioPolicy((PCMU,), needs_audio=False))
    side.make_answer(sdp("m=video 9 RTP/AVP 31", AUDIO))
    offer = side.make_offer()
    assert [(m.kind, m.port) for m in parse_sdp(offer).media] == [("video", 0), ("audio", 4000)]
    side.read_answer(sdp("m=video 0 RTP/AVP 31", "m=audio 0 RTP/AVP 0"))
    assert side.audio is None
    offer = side.make_offer()
    assert [(m.kind, m.port) for m in parse_sdp(offer).media] == [("video", 0), ("audio", 4000)]
    assert side.read_answer(sdp("m=video 0 RTP/AVP 31", AUDIO)) is not None


def test_an_offer_with_fewer_sections_is_refused_unless_the_session_is_another() -> None:
    """RFC 3264 8; a third party that controls the call may connect another peer, with a session of its own."""
    side = ours()
    side.make_answer(sdp("m=video 9 RTP/AVP 31", AUDIO))
    with pytest.raises(SessionRefusedError) as caught:
        side.make_answer(sdp(AUDIO))
    assert caught.value.hint == 488
    assert ports_of(side.make_answer(sdp(AUDIO, origin=f"- 8 1 IN IP4 {PEER}"))) == [4000]


def test_the_section_in_use_is_kept_and_the_peer_may_move_the_stream() -> None:
    side = ours()
    side.make_answer(sdp("m=audio 5004 RTP/AVP 18", AUDIO))
    assert ports_of(side.make_answer(sdp(AUDIO, AUDIO))) == [0, 4000]
    assert ports_of(side.make_answer(sdp(AUDIO, "m=audio 0 RTP/AVP 0"))) == [4000, 0]


def test_a_payload_type_keeps_its_meaning() -> None:
    """RFC 3264 8.3.2."""
    side = ours(AudioPolicy((OPUS, PCMU)))
    side.make_answer(
        sdp(
            "m=audio 5004 RTP/AVP 101 96",
            "a=rtpmap:101 opus/48000/2",
            "a=rtpmap:96 telephone-event/48000",
        )
    )
    (media,) = parse_sdp(side.make_offer()).media
    assert media.attributes.every("rtpmap") == (
        "101 opus/48000/2",
        "0 PCMU/8000",
        "96 telephone-event/48000",
        "102 telephone-event/8000",
    )


def test_what_a_later_exchange_changes_is_told() -> None:
    side = ours()
    side.make_answer(sdp("m=audio 5004 RTP/AVP 0"))
    first = side.audio

    def change(*lines: str) -> AudioChange:
        before = side.audio
        side.make_answer(sdp(*lines))
        return find_changes(before, side.audio)

    assert find_changes(None, first) is find_changes(first, None) is AudioChange.PRESENCE
    assert change("m=audio 5004 RTP/AVP 0") is AudioChange.NOTHING
    assert change("m=audio 5010 RTP/AVP 0") is AudioChange.ADDRESS
    assert change("m=audio 5010 RTP/AVP 0", "a=rtcp:7000") is AudioChange.ADDRESS
    assert change("m=audio 5010 RTP/AVP 0", "a=rtcp:7000", "a=ptime:30") is AudioChange.PTIME
    assert change("m=audio 5010 RTP/AVP 8", "a=rtcp:7000", "a=ptime:30") == (
        AudioChange.CODEC | AudioChange.RECEIVED_FORMATS
    )
    assert change("m=audio 5010 RTP/AVPF 8", "a=rtcp:7000", "a=ptime:30", "a=sendonly") == (
        AudioChange.TRANSPORT | AudioChange.DIRECTION
    )


# Hold. Source: RFC 3264 8.4, RFC 6337 5.3.


def test_hold_and_resume() -> None:
    us, peer = ours(), theirs()
    exchange(us, peer)
    exchange(us, peer, Direction.SENDONLY)
    assert directions(us, peer) == ["sendonly", "recvonly"]
    assert peer.audio is not None
    assert peer.audio.is_held
    exchange(us, peer, Direction.SENDRECV)
    assert directions(us, peer) == ["sendrecv", "sendrecv"]


def test_each_side_ends_its_own_hold() -> None:
    us, peer = ours(), theirs()
    exchange(us, peer)
    exchange(us, peer, Direction.SENDONLY)
    exchange(peer, us, Direction.SENDONLY)
    assert directions(us, peer) == ["inactive", "inactive"]
    exchange(us, peer, Direction.SENDRECV)
    assert directions(us, peer) == ["recvonly", "sendonly"]  # the peer still holds us
    exchange(peer, us)
    assert directions(us, peer) == ["recvonly", "sendonly"]  # an offer for another reason does not end a hold
    exchange(peer, us, Direction.SENDRECV)
    assert directions(us, peer) == ["sendrecv", "sendrecv"]


def test_hold_without_music() -> None:
    us, peer = ours(), theirs()
    exchange(us, peer)
    exchange(us, peer, Direction.INACTIVE)
    assert directions(us, peer) == ["inactive", "inactive"]
    exchange(us, peer, Direction.SENDRECV)
    assert directions(us, peer) == ["sendrecv", "sendrecv"]


@pytest.mark.parametrize(
    ("said", "ours_then"), [("sendrecv", "recvonly"), ("sendonly", "recvonly"), ("recvonly", "inactive")]
)
def test_an_address_of_zeros_is_hold_in_the_old_manner(said: str, ours_then: str) -> None:
    side = ours()
    answer = side.make_answer(sdp(AUDIO, f"a={said}", session="c=IN IP4 0.0.0.0"))
    assert f"a={ours_then}" in lines_of(answer)
    assert side.audio is not None
    assert side.audio.is_held
    assert side.audio.remote_rtcp.port == 0
    side.make_answer(sdp(AUDIO))
    assert directions(side) == ["sendrecv"]
