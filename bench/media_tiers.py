"""What each tier takes of one core: the second in memory, and the minute on loopback beside the bare loop.

    python -m bench.media_tiers                                 every tier, a minute each
    python -m bench.media_tiers --seconds 2 --rounds 3          short windows, in turns with the baseline
    python -m bench.media_tiers --tiers 1000 --json

*In memory* is the table of streams alone (`cmw._rtp`), without sockets: every packet of one second is stamped by one
stream and received by the next. *On loopback* is the media engine with both ends on one core (`bench.media`). The first
is shown as a share of what the bare loop takes for the same packets, the second as its multiple.
"""

from __future__ import annotations

import argparse
import json
import time
from array import array
from collections.abc import Sequence
from statistics import median
from typing import Any

from bench.media import compare
from bench.tiers import TIERS, Tier
from cmw._rtp import StreamTable
from cmw.cli.tables import print_table

SECOND = 1_000_000_000
PERIOD_NS = 20_000_000
GRID_NS = 1_000_000


def measure(tier: Tier, seconds: float, rounds: int, *, spin: bool = True) -> dict[str, Any]:
    """Return both forms of a tier, and which of its bounds were kept: null where it has none or no window was valid."""
    found = compare(tier.endpoints, seconds, rounds, spin=spin)
    in_memory = median(memory_second(tier.endpoints) for _ in range(3))
    us_per_pair = 1e6 * in_memory / (50 * tier.endpoints)
    p99_us = found["pacing_us"]["p99"] if found["valid_windows"] else None
    return found | {
        "in_memory": {
            "core_fraction": round(in_memory, 4),
            "us_per_pair": round(us_per_pair, 3),
            "baseline_ratio": round(us_per_pair / found["bare_us_per_pair"], 3),
        },
        "core_bound": tier.core,
        "pacing_p99_bound_us": tier.pacing_p99_us,
        "core_kept": None if tier.core is None else found["core_fraction"] <= tier.core,
        "pacing_kept": None
        if tier.pacing_p99_us is None or not found["valid_windows"]
        else p99_us <= tier.pacing_p99_us,
    }


def memory_second(endpoints: int) -> float:
    """Return the CPU seconds for one second of packets without sockets; asserts that each was sent and received."""
    table = StreamTable(endpoints)
    for slot in range(endpoints):
        table.open(
            slot,
            start_ns=slot % 20 * GRID_NS,
            period_ns=PERIOD_NS,
            ssrc=slot,
            sequence=0,
            timestamp=0,
            timestamp_step=160,
            clock_hz=8000,
            payload_type=0,
            cname=b"bench",
        )
    packet, out, heard = bytearray(172), array("i", [0] * endpoints), [*range(1, endpoints), 0]
    stamp, receive = table.stamp, table.receive
    began = time.thread_time()
    for now in range(0, SECOND, GRID_NS):
        for slot in out[: table.pull_due(now, 0, out)]:
            stamp(slot, packet)
            receive(heard[slot], bytes(packet), SECOND + now)
    taken = time.thread_time() - began
    for slot in (0, endpoints - 1):
        snapshot = table.snapshot(slot)
        assert (snapshot.packets_sent, snapshot.packets_received, snapshot.packets_lost) == (50, 50, 0)
    return taken


_COLUMNS = (
    "ENDPOINTS", "CORE", "AT MOST", "us/PAIR", "x BARE", "p50 us", "p99 us", "p99.9 us", "AT MOST",
    "LOST", "SKIPPED", "VALID", "RSS MiB", "IN MEMORY: core", "of BARE",
)  # fmt: skip


def _row(found: dict[str, Any]) -> list[Any]:
    pacing = found["pacing_us"]
    bound = found["pacing_p99_bound_us"]
    return [
        found["endpoints"],
        f"{found['core_fraction']:.3f}",
        found["core_bound"],
        f"{found['us_per_pair']:.2f}",
        f"{found['baseline_ratio']:.2f}",
        *(f"{pacing[name]:.0f}" for name in ("p50", "p99", "p999")),
        None if bound is None else f"{bound:.0f}",
        found["packets_lost"],
        found["packets_skipped"],
        f"{found['valid_windows']}/{found['rounds']}",
        f"{found['rss_bytes'] / (1 << 20):.1f}",
        f"{found['in_memory']['core_fraction']:.3f}",
        f"{found['in_memory']['baseline_ratio']:.2f}",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    counts = [tier.endpoints for tier in TIERS]
    parser.add_argument("--tiers", type=int, nargs="+", choices=counts, default=counts, metavar="ENDPOINTS")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--no-spin", action="store_true", help="let the core halt")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    wanted = [tier for tier in TIERS if tier.endpoints in options.tiers]
    found = [measure(tier, options.seconds, options.rounds, spin=not options.no_spin) for tier in wanted]
    if options.json:
        print(json.dumps({"schema_version": 1, "tiers": found}, indent=2))
    else:
        print_table(_COLUMNS, map(_row, found))


if __name__ == "__main__":
    main()
