"""Messages after an accident: what a generator of random numbers makes of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

MOST_BYTES = 70_000
"""Longest case: a little more than a datagram holds."""

TOKENS = tuple(
    b'"|<|>|,|;|:|=|@|?|&|%|%00|%zz|[|]|[::1]|(|)|\\|\\"|/|//|*| |\t|\r|\n|\r\n|\r\n |\r\n\r\n|\n\n|\0|\xff|'
    b"\xc3\xa9|\x7f|"
    b"-1|0|00|1|255|256|65535|65536|2147483647|2147483648|4294967296|18446744073709551616|+1|1e9|0x10|\xd9\xa3|"
    b"SIP/2.0|sip:|sips:|tel:|SIP/2.0/UDP|z9hG4bK|tag=|branch=|rport|received=|maddr=|lr|expires=|q=0.5|"
    b"v: |f: |t: |i: |m: |l: |c: |Via: |Route: |Record-Route: |Content-Length: |Content-Type: |Require: 100rel\r\n|"
    b"INVITE|ACK|BYE|CANCEL|OPTIONS|REGISTER|PRACK|UPDATE|REFER|NOTIFY|INFO|--|--seam|--seam--|multipart/mixed|"
    b"m=audio 4000 RTP/AVP 0\r\n|a=rtpmap:0 PCMU/8000\r\n|c=IN IP4 |a=sendonly\r\n".split(b"|")
)


def make_case(corpus: Sequence[bytes], random: Random) -> bytes:
    """Return a message of the corpus after one to six damages."""
    data = random.choice(corpus)
    for _ in range(1 + int(random.expovariate(0.7)) % 6):
        data = random.choice(_DAMAGES)(data, corpus, random)
    return data[:MOST_BYTES]


def _flip(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]


def _cut(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    return data[:start] + data[start + random.choice((1, 1, 2, 8, 64, 1 << 20)) :]


def _insert(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(TOKENS) + data[at:]


def _insert_many(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    count = random.choice((2, 16, 65, 300, 4000))
    return data[:at] + (random.choice(TOKENS) * count)[:60_000] + data[at:]


def _replace_token(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    token = random.choice(TOKENS)
    return data.replace(token, random.choice(TOKENS), random.choice((1, 1, 3, 50)))


def _change_line(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    lines = data.split(b"\r\n")
    at = random.randrange(len(lines))
    other = random.choice(corpus).split(b"\r\n")
    match random.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[random.randrange(len(lines))])
        case 2:
            lines.insert(at, random.choice(other))
        case 3:
            lines[at] = random.choice(other)
        case _:
            lines[at:at] = lines[at : at + 1] * random.choice((1, 3, 40, 300))
    return b"\r\n".join(lines)


def _splice(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    other = random.choice(corpus)
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def _shuffle_words(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    words = data.split(b" ")
    one, two = random.randrange(len(words)), random.randrange(len(words))
    words[one], words[two] = words[two], words[one]
    return b" ".join(words)


_DAMAGES = (
    _flip,
    _cut,
    _insert,
    _insert,
    _insert_many,
    _replace_token,
    _change_line,
    _change_line,
    _splice,
    _shuffle_words,
)
