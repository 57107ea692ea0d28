"""Sound from packets: each at its place in time, whatever order they came in."""

from __future__ import annotations

import random
from array import array

from cmw.rtp import g711
from cmw.rtp.packet import RtpHeader
from cmw.rtp.recording import RATE_HZ, Track
from cmw.rtp.wav import HEAD_BYTES, parse_wav, serialize_wav

MS = 1_000_000
START_NS = 1_700_000_000_000 * MS
TONE = [array("h", [100 * number + 8] * 160) for number in range(1, 50)]
SAID = [g711.encode(each, "PCMU") for each in TONE]
HEARD = [g711.decode(each, "PCMU") for each in SAID]


def header(number: int, *, timestamp: int | None = None, ssrc: int = 7) -> RtpHeader:
    stamp = (0xFFFFFF00 + 160 * number if timestamp is None else timestamp) % (1 << 32)  # wraps on the way
    return RtpHeader(0, False, number, stamp, ssrc, 12, 160)


def track(most: int = 10 * RATE_HZ) -> Track:
    return Track(START_NS, most)


def joined(*parts: array[int]) -> list[int]:
    return [sample for part in parts for sample in part]


SILENCE = array("h", bytes(320))


def test_order_jitter_and_duplicates_do_not_show() -> None:
    heard, order = track(), [*range(40), 5, 17]
    rng = random.Random(3)
    order[1:] = sorted(order[1:], key=lambda number: number + rng.uniform(0, 3))
    for number in order:
        heard.add(
            header(number), SAID[number], "PCMU", START_NS + (20 * number + rng.randrange(60)) * MS * (number > 0)
        )
    assert list(heard.samples) == joined(*HEARD[:40])


def test_what_is_lost_is_silence() -> None:
    heard = track()
    for number in (0, 1, 4):
        heard.add(header(number), SAID[number], "PCMU", START_NS + 20 * number * MS)
    assert list(heard.samples) == joined(HEARD[0], HEARD[1], SILENCE, SILENCE, HEARD[4])


def test_a_stream_that_begins_later_lies_later() -> None:
    heard = track()
    heard.add(header(0), SAID[0], "PCMU", START_NS + 40 * MS)
    heard.add(header(1), SAID[1], "PCMU", START_NS + 75 * MS)
    assert list(heard.samples) == joined(SILENCE, SILENCE, HEARD[0], HEARD[1])


def test_another_source_and_a_clock_that_jumps_are_placed_by_their_arrival() -> None:
    heard = track()
    heard.add(header(0), SAID[0], "PCMU", START_NS)
    heard.add(header(1, timestamp=5, ssrc=8), SAID[1], "PCMU", START_NS + 40 * MS)
    heard.add(header(2, timestamp=1 << 31, ssrc=8), SAID[2], "PCMU", START_NS + 80 * MS)
    assert list(heard.samples) == joined(HEARD[0], SILENCE, HEARD[1], SILENCE, HEARD[2])


def test_length_is_bounded_and_nothing_lies_before_the_beginning() -> None:
    heard = track(320)
    heard.add(header(0), SAID[0], "PCMU", START_NS - 20 * MS)
    assert not heard.samples
    for number in range(5):
        heard.add(header(number, ssrc=9), SAID[number], "PCMU", START_NS + 20 * number * MS)
    assert list(heard.samples) == joined(HEARD[0], HEARD[1])


def test_two_channels_make_a_file_that_is_read_again() -> None:
    left, right = array("h", [1000, 2000, -32768]), array("h", [500, -2000])
    data = serialize_wav(left, right)
    assert len(data) == HEAD_BYTES + 2 * 2 * 3
    assert data[HEAD_BYTES:] == array("h", [1000, 500, 2000, -2000, -32768, 0]).tobytes()
    assert list(parse_wav(data)) == [750, 0, -16384]
    assert list(parse_wav(serialize_wav(left))) == list(left)
