"""One exchange, and what comes of any. Source: RFC 3264. Later ones: `tests/scenarios/test_later_offers.py`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.core.address import Address
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.audio_format import PCMA, PCMU, AudioCodec
from cmw.sip.audio_policy import AudioPolicy
from cmw.sip.negotiated_audio import CommonFormat
from cmw.sip.negotiator import Negotiator
from cmw.sip.sdp import Attributes, MediaDescription, SessionDescription
from cmw.sip.sdp_attributes import AttributeRow, Direction
from cmw.sip.sdp_parser import parse_sdp
from cmw.sip.session_refusal import SdpWarning, SessionRefusedError, serialize_warnings
from tests.support.descriptions import PEER, US, lines_of, ports_of, sdp

OPUS = AudioCodec("opus", 96, 48000, 2)
G722 = AudioCodec("G722", 9)
PLAIN = AudioPolicy((PCMU, PCMA))
AUDIO = "m=audio 5004 RTP/AVP 0"
T38 = ("m=image 5006 udptl t38", "a=T38FaxVersion:0")


def ours(policy: AudioPolicy = PLAIN, **settings: int) -> Negotiator:
    return Negotiator(policy, address=US, rtp_port=4000, session_id=5, **settings)


def theirs(policy: AudioPolicy = PLAIN) -> Negotiator:
    return Negotiator(policy, address=PEER, rtp_port=5004, session_id=7)


def exchange(offerer: Negotiator, answerer: Negotiator, direction: Direction | None = None) -> None:
    offerer.read_answer(answerer.make_answer(offerer.make_offer(direction)))


def directions(*sides: Negotiator) -> list[str | None]:
    return [side.audio.direction.value if side.audio is not None else None for side in sides]


def refusal_of(policy: AudioPolicy, *lines: str, session: str = f"c=IN IP4 {PEER}") -> SessionRefusedError:
    with pytest.raises(SessionRefusedError) as caught:
        ours(policy).make_answer(sdp(*lines, session=session))
    assert caught.value.hint == 488
    return caught.value


# The first exchange.


def test_both_sides_know_the_same() -> None:
    caller, callee = ours(), theirs()
    exchange(caller, callee)
    assert caller.audio is not None
    assert callee.audio is not None
    assert (caller.audio.remote, callee.audio.remote) == (Address(PEER, 5004), Address(US, 4000))
    assert (caller.audio.codec, callee.audio.codec) == ("PCMU", "PCMU")
    assert caller.audio.receivable == callee.audio.receivable == {0, 101}
    assert caller.remote == parse_sdp(callee.local)
    assert callee.remote == parse_sdp(caller.local)
    assert directions(caller, callee) == ["sendrecv", "sendrecv"]


def test_an_answer_may_be_read_again_and_the_last_holds() -> None:
    """A 183 and the 200, or the branches of a fork."""
    caller = ours()
    caller.make_offer()
    first = sdp(AUDIO)
    assert caller.read_answer(first) == caller.read_answer(first) == caller.audio
    other = caller.read_answer(sdp("m=audio 6000 RTP/AVP 8"))
    assert other is caller.audio
    assert other is not None
    assert (other.remote.port, other.codec) == (6000, "PCMA")


def test_a_branch_without_audio_does_not_spoil_the_next() -> None:
    caller = ours(AudioPolicy((PCMU,), needs_audio=False))
    caller.make_offer()
    assert caller.read_answer(sdp("m=audio 0 RTP/AVP 0")) is None
    assert caller.read_answer(sdp(AUDIO)) is not None


def test_one_codec_is_answered_or_several() -> None:
    offer = sdp("m=audio 5004 RTP/AVP 8 0 13 101", "a=rtpmap:101 telephone-event/8000")
    answer = parse_sdp(ours().make_answer(offer)).media[0]
    assert answer.formats == ("8", "101")
    generous = ours(AudioPolicy((PCMU, PCMA), several=True, comfort_noise=True))
    assert parse_sdp(generous.make_answer(offer)).media[0].formats == ("8", "0", "13", "101")
    assert generous.audio is not None
    assert (generous.audio.codec, generous.audio.receive_payload_types) == ("PCMA", (8, 0))
    assert (generous.audio.comfort_noise, sorted(generous.audio.receivable)) == (13, [0, 8, 13, 101])
    stubborn = ours(AudioPolicy((PCMU, PCMA), own_order=True))
    assert parse_sdp(stubborn.make_answer(offer)).media[0].formats == ("0", "101")


def test_an_answer_that_names_several_codecs_lets_any_come() -> None:
    """RFC 3264 7: the offerer must be prepared for all of them."""
    caller = ours(AudioPolicy((OPUS, PCMU, PCMA)))
    caller.make_offer()
    audio = caller.read_answer(sdp("m=audio 5004 RTP/AVP 8 111", "a=rtpmap:111 OPUS/48000/2", "a=fmtp:111 stereo=1"))
    assert audio is not None
    assert (audio.codec, audio.payload_type) == ("PCMA", 8)
    assert audio.receive_payload_types == (8, 96)
    audio = caller.read_answer(sdp("m=audio 5004 RTP/AVP 111", "a=rtpmap:111 OPUS/48000/2", "a=fmtp:111 stereo=1"))
    assert audio is not None
    assert (audio.codec, audio.clock_hz, audio.channels, audio.parameters) == ("OPUS", 48000, 2, "stereo=1")
    assert (audio.payload_type, audio.receive_payload_type) == (111, 96)


def test_each_side_has_its_own_numbers_of_what_may_come() -> None:
    caller = ours(AudioPolicy((PCMA, AudioCodec("G722", 9), PCMU)))
    assert caller.offered == ()
    caller.make_offer()
    assert [codec.payload_type for codec in caller.offered] == [8, 9, 0, 101]
    caller.read_answer(sdp("m=audio 5004 RTP/AVP 110 0", "a=rtpmap:110 PCMA/8000", session=f"c=IN IP4 {PEER}"))
    assert caller.offered == ()
    assert caller.audio is not None
    assert caller.audio.formats == (CommonFormat("PCMA", 8000, 110, 8), CommonFormat("PCMU", 8000, 0, 0))
    caller.make_offer()
    caller.roll_back()
    assert caller.offered == ()


def test_events_and_noise_are_offered_for_each_clock() -> None:
    """RFC 4733 2.1: events share the clock of the audio."""
    offer = ours(AudioPolicy((OPUS, G722, PCMU), events="0-16", comfort_noise=True)).make_offer()
    (media,) = parse_sdp(offer).media
    assert media.formats == ("96", "9", "0", "13", "101", "102")
    assert media.attributes.every("rtpmap")[-2:] == ("101 telephone-event/48000", "102 telephone-event/8000")
    assert media.attributes.every("fmtp") == ("101 0-16", "102 0-16")
    quiet = ours(AudioPolicy((PCMU,), events=""))
    assert parse_sdp(quiet.make_offer()).media[0].formats == ("0",)
    quiet = ours(AudioPolicy((PCMU,), events=""))
    quiet.make_answer(sdp("m=audio 5004 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000"))
    assert quiet.audio is not None
    assert quiet.audio.telephone_event is None


def test_events_have_numbers_and_a_range_of_each_side() -> None:
    caller = ours()
    caller.make_offer()
    audio = caller.read_answer(
        sdp("m=audio 5004 RTP/AVP 0 96", "a=rtpmap:96 telephone-event/8000", "a=fmtp:96 0-11,16")
    )
    assert audio is not None
    assert (audio.telephone_event, audio.receive_telephone_event) == (96, 101)
    assert [event for event in range(20) if audio.takes_event(event)] == [*range(12), 16]


@pytest.mark.parametrize(
    ("lines", "ptime_ms"),
    [
        ([], 20),
        (["a=ptime:30"], 30),
        (["a=ptime:25"], 20),
        (["a=ptime:200"], 60),
        (["a=ptime:5"], 10),
        (["a=ptime:0"], 20),
        (["a=ptime:x"], 20),
        (["a=ptime:20.5"], 20),
        (["a=ptime:99999"], 20),
        (["a=maxptime:10"], 10),
        (["a=maxptime:5"], 10),
        (["a=ptime:40", "a=maxptime:30"], 30),
        (["a=maxptime:150"], 20),
    ],
)
def test_the_peers_packet_time_is_a_wish_and_its_longest_a_bound(lines: list[str], ptime_ms: int) -> None:
    side = ours()
    answer = side.make_answer(sdp(AUDIO, *lines))
    assert side.audio is not None
    assert side.audio.ptime_ms == ptime_ms
    assert f"a=ptime:{ptime_ms}" in lines_of(answer)


def test_a_plan_may_fix_the_packet_time_and_bound_what_comes() -> None:
    side = ours(AudioPolicy((PCMU,), 30, ptimes_ms=(), max_ptime_ms=40))
    answer = side.make_answer(sdp(AUDIO, "a=ptime:60"))
    assert side.audio is not None
    assert (side.audio.ptime_ms, side.audio.remote_ptime_ms) == (30, 60)
    assert "a=maxptime:40" in lines_of(answer)


@pytest.mark.parametrize(
    ("willing", "lines", "muxed"),
    [
        (True, ["a=rtcp-mux"], True),
        (True, [], False),
        (False, ["a=rtcp-mux"], False),
        (True, ["a=rtcp-mux", "a=rtcp:9"], True),
        (True, ["a=rtcp-mux-only"], True),
    ],
)
def test_rtp_and_rtcp_share_a_port_if_both_want_it(willing: bool, lines: list[str], muxed: bool) -> None:
    """RFC 5761 5.1.1."""
    policy = AudioPolicy((PCMU,), rtcp_mux=willing)
    callee, caller = ours(policy), ours(policy)
    answer = callee.make_answer(sdp(AUDIO, *lines))
    offer = caller.make_offer()
    caller.read_answer(sdp(AUDIO, *lines))
    assert (("a=rtcp-mux" in lines_of(answer)), ("a=rtcp-mux" in lines_of(offer))) == (muxed, willing)
    for side in (callee, caller):
        assert side.audio is not None
        assert side.audio.rtcp_mux == muxed
        assert side.audio.remote_rtcp.port == (5004 if muxed else 5005)


def test_numbers_that_look_like_rtcp_keep_the_ports_apart() -> None:
    """RFC 5761 4."""
    side = ours(AudioPolicy((PCMU,), rtcp_mux=True))
    side.make_answer(sdp("m=audio 5004 RTP/AVP 72", "a=rtpmap:72 PCMU/8000", "a=rtcp-mux"))
    assert side.audio is not None
    assert not side.audio.rtcp_mux


def test_who_takes_rtcp_elsewhere_says_so() -> None:
    """RFC 3605."""
    side = ours(rtcp_port=4100)
    assert "a=rtcp:4100" in lines_of(side.make_offer())
    audio = side.read_answer(sdp(AUDIO, "a=rtcp:9 IN IP4 0.0.0.0"))  # as browsers write for nowhere
    assert audio is not None
    assert (audio.remote.port, audio.remote_rtcp.port) == (5004, 0)


# What is refused.


@pytest.mark.parametrize(
    ("lines", "session", "warning"),
    [
        (["m=video 5004 RTP/AVP 31"], f"c=IN IP4 {PEER}", SdpWarning.MEDIA_TYPE),
        (list(T38), f"c=IN IP4 {PEER}", SdpWarning.MEDIA_TYPE),
        ([], f"c=IN IP4 {PEER}", SdpWarning.MEDIA_TYPE),
        (["m=audio 0 RTP/AVP 0"], f"c=IN IP4 {PEER}", SdpWarning.MEDIA_TYPE),
        (["m=audio 5004 RTP/AVP 18 3"], f"c=IN IP4 {PEER}", SdpWarning.MEDIA_FORMAT),
        (["m=audio 5004 RTP/AVP 96"], f"c=IN IP4 {PEER}", SdpWarning.MEDIA_FORMAT),
        (["m=audio 5004 RTP/SAVP 0"], f"c=IN IP4 {PEER}", SdpWarning.TRANSPORT),
        (["m=audio 5004 UDP/TLS/RTP/SAVPF 0"], f"c=IN IP4 {PEER}", SdpWarning.TRANSPORT),
        (["m=audio 5004 udp 0"], f"c=IN IP4 {PEER}", SdpWarning.TRANSPORT),
        ([AUDIO], "c=IN IP6 2001:db8::1", SdpWarning.ADDRESS_FORMAT),
        ([AUDIO], "c=IN IP4 pbx.example", SdpWarning.ADDRESS_FORMAT),
        ([AUDIO], "c=IN IP4 224.2.1.1/127", SdpWarning.MULTICAST),
        ([AUDIO], "c=IN IP4 255.255.255.255", SdpWarning.MULTICAST),
        ([AUDIO], "c=TN RFC2543 +15550100", SdpWarning.NETWORK_PROTOCOL),
        ([AUDIO, "a=rtcp:5005 IN IP4 239.1.1.1"], f"c=IN IP4 {PEER}", SdpWarning.MULTICAST),
        ([AUDIO, "a=rtcp-mux-only"], f"c=IN IP4 {PEER}", SdpWarning.ATTRIBUTE),
    ],
)
def test_a_refusal_says_what_is_in_the_way(lines: list[str], session: str, warning: SdpWarning) -> None:
    """RFC 3261 20.43, 21.4.26."""
    error = refusal_of(PLAIN, *lines, session=session)
    assert error.warnings == (warning,)
    assert serialize_warnings(error, "cmw") == f'{warning.value} cmw "{warning.text}"'


def test_several_hindrances_are_told_in_order() -> None:
    error = refusal_of(PLAIN, *T38, "m=audio 5004 RTP/SAVP 0", "m=video 1 RTP/AVP 31", "m=audio 5004 RTP/AVP 18")
    assert error.warnings == (SdpWarning.MEDIA_TYPE, SdpWarning.TRANSPORT, SdpWarning.MEDIA_FORMAT)


def test_fax_is_refused_while_the_call_goes_on() -> None:
    """T.38 beside audio is declined; T.38 in place of audio leaves the call as it was."""
    side = ours()
    answer = side.make_answer(sdp(AUDIO, *T38))
    assert [(m.kind, m.port, m.protocol, m.formats) for m in parse_sdp(answer).media] == [
        ("audio", 4000, "RTP/AVP", ("0",)),
        ("image", 0, "udptl", ("t38",)),
    ]
    before = side.audio
    with pytest.raises(SessionRefusedError):
        side.make_answer(sdp("m=audio 0 RTP/AVP 0", *T38))
    assert side.audio is before
    assert side.make_answer(sdp(AUDIO, *T38)) == answer


def test_a_name_is_let_pass_if_somebody_looks_it_up() -> None:
    side = ours(AudioPolicy((PCMU,), names=True))
    side.make_answer(sdp(AUDIO, session="c=IN IP4 pbx.example"))
    assert side.audio is not None
    assert side.audio.remote == Address("pbx.example", 5004)


def test_a_session_without_audio_is_agreed_to_if_none_is_needed() -> None:
    side = ours(AudioPolicy((PCMU,), needs_audio=False))
    assert ports_of(side.make_answer(sdp())) == []
    assert ports_of(side.make_answer(sdp("m=audio 0 RTP/AVP 0", "m=video 9 RTP/AVP 31"))) == [0, 0]
    assert side.audio is None


@pytest.mark.parametrize(
    ("lines", "hint"),
    [
        (["m=audio 0 RTP/AVP 0"], 488),
        (["m=video 5004 RTP/AVP 0"], 488),
        (["m=audio 5004 RTP/AVP 18"], 488),
        (["m=audio 5004 RTP/SAVP 0"], 488),
        ([AUDIO, AUDIO], 488),
        ([], 488),
        ([AUDIO, "c=IN IP6 ::1"], 488),
        ([AUDIO, "a=rtcp:x"], 400),
    ],
)
def test_an_answer_that_cannot_be_used_changes_nothing(lines: list[str], hint: int) -> None:
    side = ours()
    side.make_offer()
    with pytest.raises(RemoteProtocolError) as caught:
        side.read_answer(sdp(*lines))
    assert caught.value.hint == hint
    assert side.is_open
    assert side.audio is None
    assert side.read_answer(sdp(AUDIO)) is not None


def test_answers_may_differ_in_the_feedback_profile() -> None:
    """Many answer RTP/AVP with RTP/AVPF and the other way round; what is on the wire is the same."""
    side = ours()
    side.make_offer()
    audio = side.read_answer(sdp("m=audio 5004 RTP/AVPF 0"))
    assert audio is not None
    assert audio.protocol == "RTP/AVPF"


# What others may add.


class Keys:
    """Keys that are words."""

    def offer(self) -> Sequence[AttributeRow]:
        return [("crypto", "1 SUITE inline:ours")]

    def answer(self, session: SessionDescription, media: MediaDescription) -> Sequence[AttributeRow] | None:
        assert media in session.media
        return [("crypto", "1 SUITE inline:mine")] if media.attribute("crypto") is not None else None


def test_keys_come_from_whoever_makes_them() -> None:
    policy = AudioPolicy((PCMU,), protocols=("RTP/SAVP", "RTP/AVP"), keying=Keys())
    offer = ours(policy).make_offer()
    assert "a=crypto:1 SUITE inline:ours" in lines_of(offer)
    answer = ours(policy).make_answer(offer)
    assert lines_of(answer)[5] == "m=audio 4000 RTP/SAVP 0 101"
    assert "a=crypto:1 SUITE inline:mine" in lines_of(answer)
    assert refusal_of(policy, "m=audio 5004 RTP/SAVP 0").warnings == (SdpWarning.TRANSPORT,)
    assert "crypto" not in ours(policy).make_answer(sdp(AUDIO)).decode()
    caller = ours(policy)
    caller.make_offer()
    with pytest.raises(SessionRefusedError):  # a plain answer to an offer with keys would speak in clear
        caller.read_answer(sdp(AUDIO))


def take_video(session: SessionDescription, media: MediaDescription) -> MediaDescription | None:
    assert media in session.media
    mid = media.attribute("mid")
    rows: list[AttributeRow] = [("rtpmap", "31 H261/90000"), ("rtcp-mux", None)]
    attributes = Attributes([*rows, *([("mid", mid)] if mid is not None else [])])
    return (
        MediaDescription("video", 4002, media.protocol, ("31",), attributes=attributes)
        if media.kind == "video"
        else None
    )


def test_other_media_are_answered_by_whoever_knows_them() -> None:
    side = ours(AudioPolicy((PCMU,), answer_other=take_video))
    assert ports_of(side.make_answer(sdp("m=video 9 RTP/AVP 31 32", AUDIO, "m=image 9 udptl t38"))) == [4002, 4000, 0]
    offer = side.make_offer(Direction.SENDONLY)
    assert ports_of(offer) == [4002, 4000, 0]  # the video goes on
    side.read_answer(sdp("m=video 0 RTP/AVP 31", AUDIO, "m=image 0 udptl t38"))
    assert [(m.port, m.formats) for m in parse_sdp(side.make_offer()).media][::2] == [(0, ("31",)), (0, ("t38",))]


def test_other_media_are_offered_after_what_there_is() -> None:
    side = ours()
    video = MediaDescription("video", 4002, "RTP/AVP", ("31",))
    assert ports_of(side.make_offer(others=[video])) == [4000, 4002]
    side.read_answer(sdp(AUDIO, "m=video 0 RTP/AVP 31"))
    assert ports_of(side.make_offer()) == [4000, 0]


def test_a_bundle_is_answered_with_what_shares_the_port() -> None:
    """RFC 9143 7.3, RFC 5888 9."""
    offer = sdp(
        *("m=audio 5004 RTP/AVP 0", "a=mid:a", "a=rtcp-mux", "m=video 5004 RTP/AVP 31", "a=mid:v", "a=rtcp-mux"),
        session=f"c=IN IP4 {PEER}\r\na=group:LS a v\r\na=group:BUNDLE a v",
    )
    both = ours(AudioPolicy((PCMU,), rtcp_mux=True, answer_other=take_video)).make_answer(offer)
    assert lines_of(both)[5:7] == ["a=group:BUNDLE a v", "m=audio 4000 RTP/AVP 0"]
    one = ours(AudioPolicy((PCMU,), rtcp_mux=True)).make_answer(offer)
    assert "a=group:BUNDLE a" in lines_of(one)
    assert "a=mid:a" in lines_of(one)
    apart = ours().make_answer(offer)
    assert "group" not in apart.decode()
    assert "a=mid:a" in lines_of(apart)


def test_the_times_of_the_offer_are_answered() -> None:
    """RFC 3264 6."""
    offer = sdp(AUDIO).replace(b"t=0 0\r\n", b"t=3034423619 3042462419\r\nr=7d 1h 0 25h\r\n")
    assert lines_of(ours().make_answer(offer))[4:6] == ["t=3034423619 3042462419", "r=7d 1h 0 25h"]


def test_policies_that_cannot_be_are_refused() -> None:
    for codecs in ((), (PCMU, PCMU), (AudioCodec("x", 128),), (AudioCodec("telephone-event", 101),)):
        with pytest.raises(LocalProtocolError):
            AudioPolicy(codecs)


# Whatever comes.

POLICIES = [
    PLAIN,
    AudioPolicy((PCMA, OPUS, G722), several=True, comfort_noise=True, rtcp_mux=True),
    AudioPolicy((AudioCodec("opus", 101, 48000, 2), PCMU, AudioCodec("iLBC", 102)), own_order=True, max_ptime_ms=30),
    AudioPolicy((G722, PCMU), 40, events="", needs_audio=False, names=True, answer_other=take_video),
]


@given(st.sampled_from(POLICIES), st.sampled_from(POLICIES), st.lists(st.booleans(), max_size=5), st.data())
def test_two_of_us_always_agree(mine: AudioPolicy, other: AudioPolicy, turns: list[bool], data: st.DataObject) -> None:
    us, peer = ours(mine), theirs(other)
    for turn in (True, *turns):
        offerer, answerer = (us, peer) if turn else (peer, us)
        offer = offerer.make_offer(data.draw(st.sampled_from(Direction)))
        try:
            answer = answerer.make_answer(offer)
        except SessionRefusedError:
            offerer.roll_back()
            continue
        assert len(ports_of(answer)) == len(ports_of(offer))
        try:
            offerer.read_answer(answer)
        except SessionRefusedError:  # a side that needs no audio may have left none
            offerer.roll_back()
            answerer.roll_back()
            continue
        a, b = us.audio, peer.audio
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert (a.codec, a.clock_hz, a.channels) == (b.codec, b.clock_hz, b.channels)
            assert (a.payload_type, b.payload_type) == (b.receive_payload_type, a.receive_payload_type)
            assert (a.telephone_event, b.telephone_event) == (b.receive_telephone_event, a.receive_telephone_event)
            assert (a.direction.sends, a.direction.receives) == (b.direction.receives, b.direction.sends)
            assert a.rtcp_mux == b.rtcp_mux


OFFERED = [
    *("m=audio 5004 RTP/AVP 0 8 101", "m=audio 0 RTP/AVP 0", "m=audio 5004 RTP/AVP 96 97", "m=video 1 RTP/AVP 9"),
    *("m=image 9 udptl t38", "m=audio 9 RTP/SAVP 0", "c=IN IP4 1.2.3.4", "c=IN IP6 ::", "c=IN IP4 h", "a=rtpmap:0 "),
    *("a=rtpmap:", "a=rtpmap:96 opus/48000/2", "a=rtpmap:97 iLBC/8000", "a=rtpmap:101 telephone-event/8000"),
    *("a=fmtp:101 ", "a=fmtp:101 0-16", "a=fmtp", "a=rtcp", "a=rtcp:", "a=rtcp:9 IN", "a=rtcp:9 IN IP4 1.2.3.4"),
    *("a=ptime:", "a=ptime:20.5", "a=maxptime:10", "a=sendonly", "a=sendonly:x", "a=inactive", "a=rtcp-mux"),
    *("a=group:BUNDLE x", "a=group:", "a=mid:x", "a=mid:", "t=1 2", "r=1"),
]


@given(st.sampled_from(POLICIES), st.lists(st.lists(st.sampled_from(OFFERED), max_size=10), max_size=4))
def test_any_description_is_agreed_to_or_refused(policy: AudioPolicy, descriptions: list[list[str]]) -> None:
    side, caller = ours(policy), ours(policy)
    caller.make_offer()
    for lines in descriptions:
        body = sdp(*lines)
        try:
            answer = side.make_answer(body)
        except RemoteProtocolError as error:
            known = error.hint in (400, 488)
        else:
            known = [m.kind for m in parse_sdp(answer).media] == [m.kind for m in parse_sdp(body).media]
        assert known
        try:
            caller.read_answer(body)
        except RemoteProtocolError as error:
            known = error.hint in (400, 488)
        assert known
