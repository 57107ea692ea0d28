"""`cmw analyze` beside tshark on captures of known truth: equal counts, and the jitter of exact arithmetic."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cmw.cli.main import run_command
from tests.support.captures import (
    ETHERNET,
    RAW,
    SLL,
    SSRC,
    START_NS,
    Captured,
    Place,
    ethernet,
    packet,
    pcap,
    pcapng,
    rtp,
)

pytestmark = pytest.mark.peers("tshark")

MS = 1_000_000
V6: tuple[Place, Place] = (("2001:db8::1", 10000), ("2001:db8::2", 20000))


class Arrival(NamedTuple):
    at_ns: int
    seq: int
    timestamp: int


class Truth(NamedTuple):
    """What the maker of a history knows of it."""

    arrivals: list[Arrival]
    lost: int
    duplicates: int
    reordered: int


def make_truth(
    seed: int, *, first_seq: int, loss: float = 0, jitter_ms: float = 0, reorder: float = 0, duplicates: float = 0
) -> Truth:
    """Return 1500 packets as they arrive; the first and the last come in their places."""
    rng = random.Random(seed)
    first_timestamp = (1 << 32) - 160 * 700  # wraps on the way
    arrivals: list[Arrival] = []
    lost = doubled = 0
    for i in range(1500):
        at_ns = START_NS + i * 20 * MS + int(rng.random() * jitter_ms * MS)
        edge = i in (0, 1499)
        if not edge and rng.random() < loss:
            lost += 1
            continue
        if not edge and rng.random() < reorder:
            at_ns += rng.randrange(1, 8) * 20 * MS
        arrival = Arrival(at_ns // 1000 * 1000, first_seq + i, (first_timestamp + 160 * i) % (1 << 32))
        arrivals.append(arrival)
        if not edge and rng.random() < duplicates:
            arrivals.append(arrival._replace(at_ns=arrival.at_ns + 1000))
            doubled += 1
    arrivals.sort()
    highest, reordered, seen = -1, 0, set()
    for arrival in arrivals:
        reordered += arrival.seq < highest and arrival.seq not in seen
        highest = max(highest, arrival.seq)
        seen.add(arrival.seq)
    return Truth(arrivals, lost, doubled, reordered)


def exact_jitter(arrivals: list[Arrival]) -> list[Fraction]:
    """Return J of RFC 3550 6.4.1 after each packet but the first, in timestamp units."""
    transits = []
    turns = 0
    for before, arrival in pairwise([arrivals[0], *arrivals]):
        turns += before.timestamp - arrival.timestamp > 1 << 31
        turns -= arrival.timestamp - before.timestamp > 1 << 31
        transits.append(Fraction(arrival.at_ns * 8000, 10**9) - arrival.timestamp - (turns << 32))
    values, jitter = [], Fraction(0)
    for one, other in pairwise(transits):
        jitter += (abs(other - one) - jitter) / 16
        values.append(jitter)
    return values


def analyze(capsys: pytest.CaptureFixture[str], file: Path) -> dict[str, Any]:
    assert run_command(["analyze", "--json", str(file)]) == 0
    [stream] = json.loads(capsys.readouterr().out)["streams"]
    assert stream["ssrc"] == f"0x{SSRC:08x}"
    found: dict[str, Any] = stream
    return found


def tshark(file: Path) -> tuple[int, int, float, float]:
    """Return packets, lost, mean and maximum jitter in ms."""
    command = ["tshark", "-r", str(file), "-d", "udp.port==20000,rtp", "-q", "-z", "rtp,streams"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    [line] = [line for line in table.splitlines() if f"0x{SSRC:08X}" in line]
    found = re.search(r"\s(\d+)\s+(-?\d+) \([-\d.]+%\)((?:\s+-?[\d.]+){6})", line)
    assert found is not None, line
    *_, mean, most = map(float, found[3].split())
    return int(found[1]), int(found[2]), mean, most


CASES: dict[str, dict[str, float]] = {
    "clean": {},
    "small jitter": {"jitter_ms": 0.04},
    "loss": {"loss": 0.1, "jitter_ms": 2},
    "heavy loss": {"loss": 0.6, "jitter_ms": 30},
    "reorder": {"jitter_ms": 5, "reorder": 0.02},
    "duplicates": {"loss": 0.05, "jitter_ms": 1, "duplicates": 0.02},
    "everything": {"loss": 0.05, "jitter_ms": 12, "reorder": 0.03, "duplicates": 0.03},
}


@pytest.mark.parametrize("first_seq", [5, 65000, 65535 * 3])
@pytest.mark.parametrize("case", CASES)
def test_counts_are_the_truth_and_jitter_is_exact(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, case: str, first_seq: int
) -> None:
    truth = make_truth(first_seq, first_seq=first_seq, **CASES[case])
    file = tmp_path / "stream.pcap"
    frames = [Captured(a.at_ns, packet(rtp(a.seq, timestamp=a.timestamp))) for a in truth.arrivals]
    file.write_bytes(pcap(frames) if first_seq % 2 else pcapng(frames))
    ours = analyze(capsys, file)
    packets, lost, mean_jitter_ms, max_jitter_ms = tshark(file)

    assert ours["packets_received"] == packets == len(truth.arrivals)
    assert ours["packets_lost"] == lost == truth.lost - truth.duplicates
    assert ours["packets_expected"] == 1500
    assert ours["duplicate_packets"] == truth.duplicates
    assert ours["out_of_order_packets"] == truth.reordered
    assert ours["sequence_number_resets"] == 0

    exact = exact_jitter(truth.arrivals)
    unit_ms = 1000 / 8000
    wanted = {"last": exact[-1], "mean": sum(exact) / len(exact), "max": max(exact)}
    for name, value in wanted.items():
        assert abs(ours["jitter_ms"][name] / unit_ms - float(value)) < 1 / 16, name
    assert mean_jitter_ms == pytest.approx(float(wanted["mean"]) * unit_ms, abs=0.002)
    assert max_jitter_ms == pytest.approx(float(wanted["max"]) * unit_ms, abs=0.002)


@pytest.mark.parametrize(
    ("link_type", "wrap", "places"),
    [
        (RAW, bytes, V6),
        (ETHERNET, lambda data: ethernet(data, 0x88A8, 0x8100), V6),
        (ETHERNET, lambda data: ethernet(data, 0x8100), None),
        (SLL, lambda data: bytes(14) + b"\x08\x00" + data, None),
    ],
)
def test_every_shape_of_frame(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    link_type: int,
    wrap: Callable[[bytes], bytes],
    places: tuple[Place, Place] | None,
) -> None:
    truth = make_truth(1, first_seq=65000, loss=0.02, jitter_ms=3)
    datagrams = (packet(rtp(a.seq, timestamp=a.timestamp), *(places or ())) for a in truth.arrivals)
    frames = [Captured(a.at_ns, wrap(data)) for a, data in zip(truth.arrivals, datagrams, strict=True)]
    file = tmp_path / "stream.pcapng"
    file.write_bytes(pcapng(frames, link_type))
    ours = analyze(capsys, file)
    assert (ours["packets_received"], ours["packets_lost"]) == tshark(file)[:2] == (len(truth.arrivals), truth.lost)
