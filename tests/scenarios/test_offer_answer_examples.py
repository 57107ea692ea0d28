"""The worked examples of RFC 3264 10 and RFC 4317, told as exchanges between Alice and Bob.

Names that the examples give as addresses are let pass. Where an example accepts video, a stand-in for a video engine
does; streams of telephone events alone, which some examples have beside the audio, are refused: our events go with the
audio.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cmw.sip.audio_format import PCMA, PCMU, AudioCodec
from cmw.sip.audio_policy import AudioPolicy, MediaAnswerer
from cmw.sip.negotiated_audio import NegotiatedAudio
from cmw.sip.negotiator import Negotiator
from cmw.sip.sdp import MediaDescription, SessionDescription
from cmw.sip.sdp_attributes import Direction
from cmw.sip.sdp_parser import parse_sdp
from cmw.sip.session_refusal import SdpWarning, SessionRefusedError
from tests.support.descriptions import origin_of, ports_of, sdp

ALICE, BOB = "host.atlanta.example.com", "host.biloxi.example.com"
ILBC = AudioCodec("iLBC", 97)
MAPS = {"0": "PCMU/8000", "8": "PCMA/8000", "31": "H261/90000", "32": "MPV/90000"}


def description(
    who: str, host: str, *media: tuple[str, int, str], version: int = 1, extra: dict[int, list[str]] | None = None
) -> bytes:
    """Return a description as the examples write them: kind, port and formats of each section, with their rtpmaps."""
    lines = []
    for at, (kind, port, formats) in enumerate(media):
        numbers = [text.partition("=")[0] for text in formats.split()]
        lines.append(f"m={kind} {port} RTP/AVP {' '.join(numbers)}")
        for text in formats.split():
            number, _, name = text.partition("=")
            lines.append(f"a=rtpmap:{number} {name or MAPS[number]}")
        lines += (extra or {}).get(at, [])
    return sdp(*lines, session=f"c=IN IP4 {host}", origin=f"{who} 2890844526 {version} IN IP4 {host}")


def takes(*formats: str) -> MediaAnswerer:
    """Return a stand-in for a video engine that takes some formats."""

    def answer(session: SessionDescription, media: MediaDescription) -> MediaDescription | None:
        kept = tuple([text for text in media.formats if text in formats])
        return MediaDescription(media.kind, 49170, media.protocol, kept) if kept else None

    return answer


def side(host: str, *codecs: AudioCodec, port: int = 49174, **settings: object) -> Negotiator:
    policy = AudioPolicy(codecs, **({"names": True} | settings))  # type: ignore[arg-type]
    return Negotiator(policy, address=host, rtp_port=port, session_id=2808844564)


def agreed(negotiator: Negotiator) -> NegotiatedAudio:
    assert negotiator.audio is not None
    return negotiator.audio


def accepted(body: bytes) -> list[tuple[str, tuple[str, ...]]]:
    """Return kind and formats of each section that is not refused."""
    return [(media.kind, media.formats) for media in parse_sdp(body).media if media.port]


# RFC 3264 10.


def test_rfc_3264_10_1_basic_exchange() -> None:
    """Audio and two video streams are offered; Bob takes the audio and the second video, then moves his audio port."""
    bob = side(BOB, PCMU, port=49920, answer_other=lambda _, media: media if "32" in media.formats else None)
    offer = description("alice", ALICE, ("audio", 49170, "0"), ("video", 51372, "31"), ("video", 53000, "32"))
    answer = bob.make_answer(offer)
    assert ports_of(answer) == [49920, 0, 53000]
    assert agreed(bob).codec == "PCMU"
    bob.rtp_port = 65422
    moved = bob.make_offer()
    assert ports_of(moved) == [65422, 0, 53000]
    assert int(origin_of(moved)[1]) == int(origin_of(answer)[1]) + 1
    alice = description("alice", ALICE, ("audio", 49170, "0"), ("video", 0, "31"), ("video", 53000, "32"))
    bob.read_answer(alice)
    assert agreed(bob).remote == (ALICE, 49170)


def test_rfc_3264_10_1_a_stream_of_events_is_added_by_the_answerer() -> None:
    """Bob adds a second audio stream, receive-only events; we keep the audio and decline it."""
    alice = side(ALICE, PCMU, port=49170)
    alice.make_offer()
    alice.read_answer(description("bob", BOB, ("audio", 49920, "0")))
    answer = alice.make_answer(
        description(
            "bob",
            BOB,
            ("audio", 65422, "0"),
            ("audio", 51434, "110=telephone-event/8000"),
            version=2,
            extra={1: ["a=recvonly"]},
        )
    )
    assert ports_of(answer) == [49170, 0]
    assert agreed(alice).remote.port == 65422


def test_rfc_3264_10_2_one_of_n_codecs() -> None:
    """Several codecs are offered inactive; the answer names those in common, and a second offer picks one."""
    alice = side(ALICE, PCMU, AudioCodec("G723", 4), AudioCodec("G729", 18), port=62986)
    offer = alice.make_offer(Direction.INACTIVE)
    assert parse_sdp(offer).media[0].formats[:3] == ("0", "4", "18")
    alice.read_answer(description("bob", BOB, ("audio", 54344, "0 4=G723/8000"), extra={0: ["a=inactive"]}))
    assert agreed(alice).direction is Direction.INACTIVE
    assert agreed(alice).receive_payload_types == (0, 4)
    alice.policy = AudioPolicy((AudioCodec("G723", 4),), names=True)
    second = alice.make_offer(Direction.SENDRECV)
    assert parse_sdp(second).media[0].formats[:1] == ("4",)
    assert int(origin_of(second)[1]) == int(origin_of(offer)[1]) + 1
    alice.read_answer(description("bob", BOB, ("audio", 54344, "4=G723/8000"), version=2))
    assert (agreed(alice).codec, agreed(alice).direction) == ("G723", Direction.SENDRECV)


# RFC 4317 2: codec negotiation and selection.

AUDIO_AND_VIDEO = (("audio", 49170, "0 8 97=iLBC/8000"), ("video", 51372, "31 32"))


def test_rfc_4317_2_1_one_codec_of_each_is_taken() -> None:
    bob = side(BOB, PCMU, answer_other=takes("32"))
    answer = bob.make_answer(description("alice", ALICE, *AUDIO_AND_VIDEO))
    assert accepted(answer) == [("audio", ("0",)), ("video", ("32",))]
    assert agreed(bob).codec == "PCMU"


def test_rfc_4317_2_2_video_is_declined_and_audio_narrowed_by_a_second_offer() -> None:
    alice = side(ALICE, PCMU, PCMA, ILBC, port=49170, events="")
    video = MediaDescription("video", 51372, "RTP/AVP", ("31", "32"))
    alice.make_offer(others=[video])
    alice.read_answer(description("bob", BOB, ("audio", 49172, "0 8"), ("video", 0, "31")))
    assert agreed(alice).receive_payload_types == (0, 8)
    alice.policy = AudioPolicy((PCMU,), names=True, events="")
    second = alice.make_offer()
    assert [(m.kind, m.port) for m in parse_sdp(second).media] == [("audio", 49170), ("video", 0)]
    alice.read_answer(description("bob", BOB, ("audio", 49172, "0"), ("video", 0, "31"), version=2))
    assert agreed(alice).receive_payload_types == (0,)


def test_rfc_4317_2_3_the_answer_may_number_a_codec_anew() -> None:
    alice = side(ALICE, PCMU, PCMA, ILBC, port=49170)
    alice.make_offer()
    alice.read_answer(description("bob", BOB, ("audio", 49172, "99=iLBC/8000")))
    assert (agreed(alice).codec, agreed(alice).payload_type, agreed(alice).receive_payload_type) == ("ILBC", 99, 97)


def test_rfc_4317_2_4_of_two_audio_streams_the_one_with_sound_is_taken() -> None:
    bob = side(BOB, ILBC)
    offer = description(
        "alice",
        ALICE,
        ("audio", 49170, "0 8 97=iLBC/8000"),
        ("audio", 51372, "97=iLBC/8000 98=telephone-event/8000"),
        extra={1: ["a=sendonly"]},
    )
    assert ports_of(bob.make_answer(offer)) == [49174, 0]
    assert agreed(bob).codec == "ILBC"


def test_rfc_4317_2_5_the_answerer_moves_and_the_offerer_repeats_itself() -> None:
    alice = side(ALICE, PCMU, PCMA, ILBC, port=49170)
    first = alice.make_offer()
    alice.read_answer(description("bob", BOB, ("audio", 49174, "0")))
    assert agreed(alice).remote == (BOB, 49174)
    alice.policy = AudioPolicy((PCMU, PCMA, ILBC), names=True, several=True)
    answer = alice.make_answer(
        description(
            "bob",
            "newhost.biloxi.example.com",
            ("audio", 49178, "0 8 97=iLBC/8000 101=telephone-event/8000"),
            version=2,
            extra={0: ["a=fmtp:101 0-15"]},
        )
    )
    assert agreed(alice).remote == ("newhost.biloxi.example.com", 49178)
    assert answer == first  # with its version: nothing changed on her side


def test_rfc_4317_2_6_the_first_stream_is_declined_for_the_second() -> None:
    bob = side(BOB, ILBC)
    offer = description(
        "alice", ALICE, ("audio", 49170, "0"), ("audio", 51372, "97=iLBC/8000 101=telephone-event/8000")
    )
    assert ports_of(bob.make_answer(offer)) == [0, 49174]
    assert (agreed(bob).codec, agreed(bob).telephone_event, agreed(bob).section) == ("ILBC", 101, 1)


def test_rfc_4317_2_7_a_codec_is_added_by_a_second_offer() -> None:
    bob = side(BOB, PCMU, answer_other=takes("31", "32"))
    first = bob.make_answer(description("alice", ALICE, ("audio", 49170, "0"), ("video", 51372, "31")))
    assert accepted(first)[1] == ("video", ("31",))
    second = bob.make_answer(description("alice", ALICE, ("audio", 49170, "0"), ("video", 51372, "31 32"), version=2))
    assert accepted(second)[1] == ("video", ("31", "32"))
    assert int(origin_of(second)[1]) == int(origin_of(first)[1]) + 1


def test_rfc_4317_2_8_media_may_go_to_different_hosts() -> None:
    alice = side(ALICE, PCMU, port=49170)
    alice.make_offer(others=[MediaDescription("video", 51372, "RTP/AVP", ("31",))])
    answer = description(
        "bob",
        BOB,
        ("audio", 49172, "0"),
        ("video", 49174, "31"),
        extra={1: ["c=IN IP4 otherhost.biloxi.example.com"]},
    )
    alice.read_answer(answer)
    assert agreed(alice).remote == (BOB, 49172)
    assert alice.remote is not None
    elsewhere = alice.remote.media_connection(alice.remote.media[1])
    assert elsewhere is not None
    assert elsewhere.host == "otherhost.biloxi.example.com"


# RFC 4317 3: hold and resume.


def test_rfc_4317_3_1_bob_answers_on_hold_and_resumes_by_an_offer() -> None:
    alice = side(ALICE, PCMU, ILBC, port=49170)
    alice.make_offer()
    alice.read_answer(
        description(
            "bob", "placeholder.biloxi.example.com", ("audio", 49172, "97=iLBC/8000"), extra={0: ["a=sendonly"]}
        )
    )
    assert agreed(alice).direction is Direction.RECVONLY
    assert agreed(alice).is_held
    alice.rtp_port = 49178
    answer = alice.make_answer(description("bob", BOB, ("audio", 49170, "97=iLBC/8000"), version=2))
    assert ports_of(answer) == [49178]
    assert agreed(alice).direction is Direction.SENDRECV
    assert agreed(alice).remote == (BOB, 49170)


def test_rfc_4317_3_2_one_of_two_streams_is_held() -> None:
    alice = side(ALICE, ILBC, port=49170)
    events = MediaDescription("audio", 49172, "RTP/AVP", ("98",))
    alice.make_offer(others=[events])
    both = (("audio", 49174, "97=iLBC/8000"), ("audio", 49176, "98=telephone-event/8000"))
    alice.read_answer(description("bob", BOB, *both, extra={1: ["a=recvonly"]}))
    held = description("bob", BOB, *both, version=2, extra={0: ["a=sendonly"], 1: ["a=recvonly"]})
    answer = alice.make_answer(held)
    # The example answers sendrecv, against RFC 3264 6.1; ours may only receive.
    assert parse_sdp(answer).media[0].attribute("recvonly") == ""
    assert agreed(alice).direction is Direction.RECVONLY


# RFC 4317 4: addition and deletion of media.


def test_rfc_4317_4_1_a_second_audio_stream_is_added_elsewhere() -> None:
    alice = side(ALICE, PCMU, ILBC, port=49170)
    alice.make_offer()
    alice.read_answer(description("bob", BOB, ("audio", 49172, "97=iLBC/8000")))
    answer = alice.make_answer(
        description(
            "bob",
            BOB,
            ("audio", 49172, "97=iLBC/8000"),
            ("audio", 49174, "98=telephone-event/8000"),
            version=2,
            extra={1: ["c=IN IP4 mediaserver.biloxi.example.com", "a=recvonly"]},
        )
    )
    assert ports_of(answer) == [49170, 0]
    assert agreed(alice).codec == "ILBC"


def test_rfc_4317_4_2_video_is_added() -> None:
    bob = side(BOB, PCMU, answer_other=takes("31"))
    assert ports_of(bob.make_answer(description("alice", ALICE, ("audio", 49170, "0")))) == [49174]
    second = description("alice", ALICE, ("audio", 49170, "0"), ("video", 49172, "31"), version=2)
    assert ports_of(bob.make_answer(second)) == [49174, 49170]


def test_rfc_4317_4_3_video_is_deleted_and_its_section_stays() -> None:
    alice = side(ALICE, ILBC, port=49170, answer_other=takes("31"))
    alice.make_offer(others=[MediaDescription("video", 51372, "RTP/AVP", ("31",))])
    alice.read_answer(description("bob", BOB, ("audio", 49174, "97=iLBC/8000"), ("video", 49170, "31")))
    answer = alice.make_answer(description("bob", BOB, ("audio", 49174, "97=iLBC/8000"), ("video", 0, "31"), version=2))
    assert ports_of(answer) == [49170, 0]
    assert agreed(alice).codec == "ILBC"


# RFC 4317 5: third party call control.


def test_rfc_4317_5_1_no_media_at_first_then_audio() -> None:
    bob = side(BOB, ILBC, needs_audio=False)
    nothing = bob.make_answer(description("alice", ALICE))
    assert ports_of(nothing) == []
    assert bob.audio is None
    answer = bob.make_answer(description("alice", ALICE, ("audio", 49170, "8 97=iLBC/8000"), version=2))
    assert ports_of(answer) == [49174]
    assert agreed(bob).codec == "ILBC"


@pytest.mark.parametrize("zeros", ["0.0.0.0"])
def test_rfc_4317_5_2_the_offer_has_no_address_yet(zeros: str) -> None:
    bob = side(BOB, ILBC)
    bob.make_answer(description("alice", zeros, ("audio", 49170, "97=iLBC/8000")))
    assert agreed(bob).direction is Direction.RECVONLY
    bob.make_answer(description("alice", ALICE, ("audio", 49170, "97=iLBC/8000"), version=2))
    assert (agreed(bob).direction, agreed(bob).remote) == (Direction.SENDRECV, (ALICE, 49170))


def test_rfc_4317_5_3_the_answer_has_no_address_yet() -> None:
    alice = side(ALICE, PCMU, ILBC, port=49170)
    alice.make_offer()
    alice.read_answer(description("bob", "0.0.0.0", ("audio", 9322, "97=iLBC/8000")))
    assert agreed(alice).direction is Direction.RECVONLY
    alice.make_answer(description("bob", BOB, ("audio", 49172, "97=iLBC/8000"), version=2))
    assert agreed(alice).direction is Direction.SENDRECV


# RFC 6337 2.2: who offers and who answers, whatever message carries it.


def ask(offerer: Negotiator, answerer: Negotiator) -> None:
    offerer.read_answer(answerer.make_answer(offerer.make_offer()))


@pytest.mark.parametrize(
    "steps",
    [
        [("alice", "INVITE", "2xx")],
        [("bob", "2xx", "ACK")],
        [("alice", "INVITE", "reliable 1xx")],
        [("bob", "reliable 1xx", "PRACK")],
        [("alice", "INVITE", "reliable 1xx"), ("alice", "PRACK", "2xx PRACK")],
        [("alice", "INVITE", "reliable 1xx"), ("bob", "UPDATE", "2xx UPDATE"), ("alice", "UPDATE", "2xx UPDATE")],
    ],
    ids=lambda steps: ", ".join([f"{offer} - {answer}" for _, offer, answer in steps]),
)
def test_rfc_6337_every_pattern_ends_in_agreement(steps: list[tuple[str, str, str]]) -> None:
    alice, bob = side(ALICE, PCMU, PCMA, port=49170), side(BOB, PCMA)
    for who, _, _ in steps:
        ask(*((alice, bob) if who == "alice" else (bob, alice)))
    assert (agreed(alice).codec, agreed(bob).codec) == ("PCMA", "PCMA")
    assert (agreed(alice).remote, agreed(bob).remote) == ((BOB, 49174), (ALICE, 49170))


def refuse_with(offer: Callable[[], bytes], answerer: Negotiator) -> SessionRefusedError:
    with pytest.raises(SessionRefusedError) as caught:
        answerer.make_answer(offer())
    return caught.value


def test_rfc_6337_a_refused_change_leaves_both_sides_as_they_were() -> None:
    """RFC 6337 3.4: after a 488 the session parameters stay."""
    alice, bob = side(ALICE, PCMU, port=49170), side(BOB, PCMU)
    ask(alice, bob)
    before = alice.audio, bob.audio
    alice.policy = AudioPolicy((ILBC,), names=True)
    assert refuse_with(alice.make_offer, bob).warnings == (SdpWarning.MEDIA_FORMAT,)
    alice.roll_back()
    assert (alice.audio, bob.audio) == before
