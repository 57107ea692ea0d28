"""What was heard and said in a call, and what came when, from its packets."""

from __future__ import annotations

import struct
from xml.etree.ElementTree import fromstring

from cmw.cli.call_sound import call_sounds
from cmw.cli.packet_chart import arrivals_of, lost_of, packet_chart
from cmw.load.packets import CallPacket, EvidencePackets
from cmw.rtp.wav import HEAD_BYTES
from tests.load.test_packets import AT_NS, packet, part
from tests.support.captures import rtp

MS = 1_000_000
SVG = "{http://www.w3.org/2000/svg}"


def audio(number: int, at_ms: float, *, is_sent: bool = False, byte: int = 0x80, **changes: object) -> CallPacket:
    data = rtp(number, payload=bytes([byte]) * 160)
    made = packet(at_unix_ns=AT_NS + int(at_ms * MS), is_sent=is_sent, data=data, size=len(data))
    return made._replace(**changes)  # type: ignore[arg-type]


def channels(sound: bytes) -> tuple[list[int], list[int]]:
    samples = struct.unpack(f"<{(len(sound) - HEAD_BYTES) // 2}h", sound[HEAD_BYTES:])
    return list(samples[::2]), list(samples[1::2])


def test_heard_is_left_and_said_is_right_in_step() -> None:
    loud, quiet = 32124, 0  # 0x80 and 0xff of mu-law
    (sound,) = call_sounds([part(audio(0, 0, is_sent=True), audio(9, 40), audio(11, 80.4), audio(10, 80.5))])
    left, right = channels(sound)
    assert left == [quiet] * 320 + [loud] * 480
    assert right == [loud] * 160 + [quiet] * 640


def test_a_gap_in_what_was_kept_begins_another_file() -> None:
    late = audio(500, 10_000, is_after_gap=True)
    sounds = call_sounds([part(audio(0, 0), audio(1, 20)), part(late, audio(501, 10_020), audio(502, 10_040), part=1)])
    assert [len(channels(sound)[0]) for sound in sounds] == [320, 480]


def test_a_second_call_has_a_sound_and_a_span_of_its_own() -> None:
    own = [audio(number, 20 * number) for number in range(5)]
    beside = [audio(number, 40 + 20 * number, is_beside=True) for number in range(3)]
    parts = [part(*own), part(*beside, part=1)]
    assert [len(channels(sound)[0]) for sound in call_sounds(parts)] == [800, 480]
    assert [len(span) for span in arrivals_of(parts)] == [5, 3]
    assert [lost_of(span) for span in arrivals_of(parts)] == [[], []]


def test_digits_reports_and_cut_packets_are_no_sound() -> None:
    digit = audio(0, 0, data=rtp(0, payload_type=101, payload=bytes(4)), size=16)
    report = audio(0, 0, is_control=True, data=b"\x80\xc8" + bytes(26), size=28)
    cut = audio(0, 0, size=9000)
    assert call_sounds([part(digit, report, cut, audio(0, 0, data=b"junk", size=4))]) == []
    assert call_sounds([]) == []


def received(*packets: CallPacket) -> list[EvidencePackets]:
    return [part(*packets)]


def test_every_arrival_and_every_loss_is_drawn() -> None:
    parts = received(*[audio(65530 + number, 20 * number) for number in range(20) if number not in (4, 5, 11)])
    (span,) = arrivals_of(parts)
    assert [arrival.seq for arrival in span] == [65530 + number for number in range(20) if number not in (4, 5, 11)]
    assert lost_of(span) == [AT_NS + at * MS for at in (80, 100, 220)]
    assert max(arrival.jitter_ms for arrival in span) == 0
    drawn = fromstring(packet_chart(parts))
    paths = {path.get("class"): path.get("d") or "" for path in drawn.iter(f"{SVG}path")}
    assert (paths["dots"].count("M"), paths["lost"].count("M")) == (16, 3)
    assert any(text.text and "17 packets received, 3 lost" in text.text for text in drawn.iter(f"{SVG}text"))


def test_late_and_early_packets_are_no_loss_and_their_jitter_shows() -> None:
    parts = received(audio(0, 0), audio(2, 30), audio(1, 32), audio(3, 60), audio(3, 61), audio(4, 80, is_sent=True))
    (span,) = arrivals_of(parts)
    assert lost_of(span) == []
    assert span[-1].jitter_ms > 0
    assert 'class="lost"' not in packet_chart(parts)


def test_a_gap_in_what_was_kept_is_shaded_and_no_loss() -> None:
    parts = received(audio(0, 0), audio(1, 20), audio(900, 18_000, is_after_gap=True), audio(901, 18_020))
    assert [len(span) for span in arrivals_of(parts)] == [2, 2]
    drawn = fromstring(packet_chart(parts))
    assert len(list(drawn.iter(f"{SVG}rect"))) == 1
    (jitter,) = [path.get("d") or "" for path in drawn.iter(f"{SVG}path") if path.get("class") == "jitter"]
    assert jitter.count("M") == 2
    assert "4 packets received, 0 lost" in packet_chart(parts)
    assert packet_chart([]) == ""
