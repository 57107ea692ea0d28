"""Millions of random RTP and RTCP packets: python -m tests.fuzz.long_rtp --packets 20000000 --processes 2 [--seed 1].

A history is a stream that goes on mostly as streams do, with jumps, other sources, bytes changed and packets cut. The
compiled core takes every history; the twin takes one of --twin-every too and has to agree in every verdict, in what it
sends, and in every figure. `.ci/sanitize` runs this on modules that are built to find every stray byte.
"""

from __future__ import annotations

import argparse
import struct
import sys
import time
from collections.abc import Iterator
from multiprocessing import Pool
from random import Random
from typing import Any, NamedTuple

from cmw import _rtp
from cmw.rtp import _pure

PACKETS_A_HISTORY = 2000
MILLISECOND = 1_000_000
SSRCS = (77, 78, 0, 0xFFFFFFFF)
OURS = 0x11112222
FLOODS = (0, 1, 3000, 65535, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class Packet(NamedTuple):
    """What comes, where and when."""

    is_control: bool
    data: bytes
    arrival_ns: int


def history(random: Random) -> Iterator[Packet]:
    """Return the packets of a history."""
    seq, timestamp = random.getrandbits(16), random.getrandbits(32)
    arrival_ns, ssrc = 1000 * MILLISECOND, SSRCS[0]
    noise = random.randbytes(4096)
    for _ in range(PACKETS_A_HISTORY):
        draw = random.random()
        if draw < 0.02:
            seq, timestamp = seq + random.choice(FLOODS), timestamp + random.choice(FLOODS)
        elif draw < 0.03:
            ssrc = random.choice(SSRCS)
        arrival_ns += 20 * MILLISECOND if draw < 0.97 else random.randrange(-(10**9), 10**11)
        arrival_ns = max(0, arrival_ns)
        seq, timestamp = (seq + 1) & 0xFFFF, (timestamp + 160) & 0xFFFFFFFF
        is_control = 0.5 < draw < 0.6
        data = control(random, ssrc, noise) if is_control else media(random, seq, timestamp, ssrc, noise)
        if draw > 0.8:
            data = damaged(random, data, noise)
        yield Packet(is_control, data, arrival_ns)


def media(random: Random, seq: int, timestamp: int, ssrc: int, noise: bytes) -> bytes:
    """Return an RTP packet; one in eight has any flags, payload type and length."""
    if random.random() < 0.875:
        return struct.pack("!BBHII", 0x80, 0, seq, timestamp, ssrc) + noise[:160]
    bits = random.getrandbits(32)
    return struct.pack("!BBHII", bits & 0xFF, bits >> 8 & 0xFF, seq, timestamp, ssrc) + noise[: bits >> 16 & 0x3FF]


def control(random: Random, ssrc: int, noise: bytes) -> bytes:
    """Return a compound packet whose parts have sound lengths and any contents."""
    parts = []
    for _ in range(random.randrange(1, 6)):
        kind = random.choice((200, 201, 202, 203, 204, 207, random.getrandbits(8)))
        words, start = random.randrange(0, 24), random.randrange(2048)
        body = struct.pack("!II", ssrc, OURS) + noise[start : start + 4 * words]
        count = random.getrandbits(5) if random.random() < 0.5 else random.randrange(3)
        parts.append(struct.pack("!BBH", 0x80 | count, kind, 2 + words) + body)
    return b"".join(parts)


def damaged(random: Random, data: bytes, noise: bytes) -> bytes:
    """Return the packet with some bytes changed, cut, or something else altogether."""
    how = random.randrange(4)
    if how == 0:
        return data[: random.randrange(len(data) + 1)]
    if how == 1:
        start = random.randrange(2048)
        return noise[start : start + random.randrange(600)]
    changed = bytearray(data)
    for _ in range(random.randrange(1, 4)):
        changed[random.randrange(min(64, len(changed)))] = random.getrandbits(8)
    return bytes(changed)


class Side:
    """One twin and all that it says of a history."""

    def __init__(self, module: Any, random: Random) -> None:
        self.table = module.StreamTable(1)
        self.table.open(
            0, start_ns=0, period_ns=20 * MILLISECOND, ssrc=OURS, sequence=1, timestamp=1, timestamp_step=160,
            clock_hz=random.choice((1, 8000, 48000, 90000)), payload_type=0, event_payload_type=101, cname=b"fuzz",
            unix_offset_ns=1_700_000_000 * 10**9, seed=7, extended_reports=True,
        )  # fmt: skip

    def take(self, packet: Packet) -> int:
        """Take a packet and return the verdict."""
        receive = self.table.receive_rtcp if packet.is_control else self.table.receive
        verdict: int = receive(0, packet.data, packet.arrival_ns)
        return verdict

    def say(self, step: int, now: int) -> Any:
        """Return what is said at a step."""
        match step % 4:
            case 0:
                return self.table.snapshot(0)
            case 1:
                return self.table.build_rtcp(0, now=now)
            case 2:
                return self.table.close_interval(0, now=now)
        return self.table.change_payload(0, payload_type=0, event_payload_type=101, clock_hz=8000 + step % 3 * 8000)


def run_history(case: str, with_twin: bool) -> str | None:
    """Run one history; return how the twins disagree, None when they do not."""
    random = Random(case)
    seed = random.getrandbits(32)
    sides = [Side(module, Random(seed)) for module in ((_rtp, _pure) if with_twin else (_rtp,))]
    for number, packet in enumerate(history(random)):
        verdicts = [side.take(packet) for side in sides]
        if verdicts[0] != verdicts[-1]:
            return f"case {case!r}, packet {number}: {verdicts} for {packet}"
        if number % 97 == 96:
            said = [side.say(number // 97, packet.arrival_ns) for side in sides]
            if said[0] != said[-1]:
                return f"case {case!r}, packet {number}: {said[0]!r} and {said[-1]!r}"
    return None


class Share(NamedTuple):
    """Histories of one process."""

    seed: int
    first: int
    count: int
    twin_every: int


def run_share(share: Share) -> list[str]:
    """Run histories one after the other; return what was wrong."""
    numbers = range(share.first, share.first + share.count)
    found = [run_history(f"{share.seed}-{n}", share.twin_every > 0 and n % share.twin_every == 0) for n in numbers]
    return [fault for fault in found if fault is not None]


def main() -> int:
    """Run and report; the exit code is 1 when the twins disagreed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=20_000_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--twin-every", type=int, default=50, help="histories that the twin takes too; 0 for none")
    options = parser.parse_args()
    histories = -(-options.packets // PACKETS_A_HISTORY)
    shares = [
        Share(options.seed, first, min(50, histories - first), options.twin_every) for first in range(0, histories, 50)
    ]
    started, faults = time.monotonic(), 0
    with Pool(options.processes) as pool:
        for found in pool.imap_unordered(run_share, shares):
            faults += len(found)
            for fault in found:
                print(fault[:4000], flush=True)
    spent = time.monotonic() - started
    print(f"{histories * PACKETS_A_HISTORY} packets in {spent:.0f} s, seed {options.seed}: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
