"""Our counts and jitter against tshark's, on captures made here with loss, reorder, duplicates, jitter and wraps."""

from __future__ import annotations

import random
import re
import struct
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from tests.support.rtp_streams import SECOND, SSRC, Stream

UNIX_NS = 1_700_000_000 * SECOND
SIXTEENTH_MS = 1 / 16 / 8
"""Of an RTP unit at 8 kHz."""


class Arrival(NamedTuple):
    at_ns: int
    seq: int


def history(
    seed: int, *, first_seq: int, loss: float, jitter_ns: int, reorder: bool, duplicates: bool
) -> list[Arrival]:
    """Return 2000 packets as they arrive, the first and the last in their places."""
    rng = random.Random(seed)
    arrivals = []
    for i in range(2000):
        edge = i in (0, 1999)
        if not edge and rng.random() < loss:
            continue
        at_ns = UNIX_NS + i * 20_000_000 + rng.randrange(jitter_ns + 1)
        if reorder and not edge and rng.random() < 0.02:
            at_ns += 50_000_000
        arrivals.append(Arrival(at_ns // 1000 * 1000, first_seq + i))
        if duplicates and not edge and rng.random() < 0.02:
            arrivals.append(Arrival(at_ns // 1000 * 1000 + 1000, first_seq + i))
    return sorted(arrivals)


def rtp(seq: int, first_timestamp: int) -> bytes:
    timestamp = (first_timestamp + seq * 160) % (1 << 32)
    return struct.pack("!BBHII", 0x80, 0, seq % 65536, timestamp, SSRC) + b"\xff" * 160


def write_capture(path: Path, packets: list[tuple[int, bytes]]) -> None:
    """Write a pcap of IPv4 datagrams (link type RAW), 127.0.0.1:10000 to 127.0.0.2:20000, dated in microseconds."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)]
    for at_ns, payload in packets:
        udp = struct.pack("!HHHH", 10000, 20000, 8 + len(payload), 0) + payload
        addresses = bytes((127, 0, 0, 1, 127, 0, 0, 2))
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses + udp
        parts += [struct.pack("<IIII", at_ns // SECOND, at_ns % SECOND // 1000, len(ip), len(ip)), ip]
    path.write_bytes(b"".join(parts))


class Row(NamedTuple):
    packets: int
    lost: int
    mean_jitter_ms: float
    max_jitter_ms: float


def tshark_row(path: Path) -> Row:
    command = ["tshark", "-r", str(path), "-d", "udp.port==20000,rtp", "-q", "-z", "rtp,streams"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    [line] = [line for line in table.splitlines() if "0x0BADCAFE" in line]
    match = re.search(r"0x0BADCAFE\s+\S+(?: \S+)*?\s+(\d+)\s+(-?\d+) \(.*?%\)((?:\s+-?[\d.]+){6})", line)
    assert match is not None, line
    _, _, _, _, mean_jitter, max_jitter = map(float, match[3].split())
    return Row(int(match[1]), int(match[2]), mean_jitter, max_jitter)


CASES = {
    "clean": {"loss": 0.0, "jitter_ns": 0, "reorder": False, "duplicates": False},
    "small jitter": {"loss": 0.0, "jitter_ns": 40_000, "reorder": False, "duplicates": False},
    "loss": {"loss": 0.1, "jitter_ns": 2_000_000, "reorder": False, "duplicates": False},
    "reorder": {"loss": 0.0, "jitter_ns": 5_000_000, "reorder": True, "duplicates": False},
    "duplicates": {"loss": 0.05, "jitter_ns": 1_000_000, "reorder": False, "duplicates": True},
}


def exact_jitter_ms(arrivals: list[Arrival]) -> tuple[float, float]:
    """Return mean and highest value of J += (|D| - J) / 16 in steps of 2^-60 RTP unit, without floats."""
    estimate, found = Fraction(0), []
    for before, after in pairwise(arrivals):
        late_ns = (after.at_ns - before.at_ns) - (after.seq - before.seq) * 20_000_000
        estimate += (abs(Fraction(late_ns * 8000, SECOND)) - estimate) / 16
        estimate = Fraction(round(estimate * 2**60), 2**60)
        found.append(estimate)
    return float(sum(found) / len(found) / 8), float(max(found) / 8)


@pytest.mark.parametrize("first_seq", [5, 65000])
@pytest.mark.parametrize("case", CASES)
def test_jitter_is_within_a_sixteenth_of_a_unit_of_an_exact_computation(
    rtp_impl: ModuleType, case: str, first_seq: int
) -> None:
    stream, arrivals = Stream(rtp_impl), history(first_seq, first_seq=first_seq, **CASES[case])  # type: ignore[arg-type]
    for arrival in arrivals:
        stream.take(rtp(arrival.seq, 77), arrival.at_ns)
    mean, highest = exact_jitter_ms(arrivals)
    assert stream.now.jitter_mean_ms == pytest.approx(mean, abs=SIXTEENTH_MS)
    assert stream.now.jitter_max_ms == pytest.approx(highest, abs=SIXTEENTH_MS)


@pytest.mark.peers("tshark")
@pytest.mark.parametrize("first_seq", [5, 65000])
@pytest.mark.parametrize("case", CASES)
def test_counts_are_equal_and_jitter_is_within_a_sixteenth_of_a_unit(
    rtp_impl: ModuleType, tmp_path: Path, case: str, first_seq: int
) -> None:
    arrivals = history(first_seq, first_seq=first_seq, **CASES[case])  # type: ignore[arg-type]
    first_timestamp = (1 << 32) - 160 * (first_seq + 1000)
    packets = [(arrival.at_ns, rtp(arrival.seq, first_timestamp)) for arrival in arrivals]
    write_capture(tmp_path / "stream.pcap", packets)
    stream = Stream(rtp_impl)
    for at_ns, data in packets:
        stream.take(data, at_ns)
    now, row = stream.now, tshark_row(tmp_path / "stream.pcap")
    assert (now.packets_received, now.packets_lost) == (row.packets, row.lost)
    assert now.jitter_mean_ms == pytest.approx(row.mean_jitter_ms, abs=SIXTEENTH_MS)
    assert now.jitter_max_ms == pytest.approx(row.max_jitter_ms, abs=SIXTEENTH_MS)


@pytest.mark.peers("tshark")
def test_tshark_reads_our_digits(tmp_path: Path, rtp_impl: ModuleType) -> None:
    sender, stream = rtp_impl.EventSender(), Stream(rtp_impl)
    sender.queue(11, payload_type=101, volume=10, duration=480, pause=480)
    packets = []
    for k in range(5):
        event = sender.next_packet(stream.table.next_timestamp(0), 160)
        packet = bytearray(12) + event.payload
        stream.table.stamp_event(0, packet, event.payload_type, event.timestamp, event.marker)
        packets.append((UNIX_NS + k * 20_000_000, bytes(packet)))
    write_capture(tmp_path / "digit.pcap", packets)
    options = ["-d", "udp.port==20000,rtp", "-o", "rtpevent.event_payload_type_value:101", "-T", "fields"]
    names = ["rtp.marker", "rtpevent.event_id", "rtpevent.end_of_event", "rtpevent.volume", "rtpevent.duration"]
    fields = [part for name in names for part in ("-e", name)]
    command = ["tshark", "-r", str(tmp_path / "digit.pcap"), *options, *fields]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    assert [line.replace("True", "1").replace("False", "0").split("\t") for line in told if line] == [
        ["1", "11", "0", "10", "160"],
        ["0", "11", "0", "10", "320"],
        *[["0", "11", "1", "10", "480"]] * 3,
    ]
