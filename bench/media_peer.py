"""Two-way endpoints whose peers are in another process on another core, each pinned, beside bare processes likewise.

    python -m bench.media_peer --endpoints 1500 --seconds 5 --rounds 3

Both processes run one engine and have as many endpoints, each with a port pair of its own. Every round measures the
bare exchange between two processes (`cmw.net.yardstick`) and then the engines; figures are those of the first process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack
from statistics import median
from typing import Any

from bench.media import IP, WARM_UP_S, judge_speed, look, one_core, open_endpoints, raise_descriptors, start_streams
from cmw.cli.capacity_processes import Child, Cores, Ground, bare_us_per_pair
from cmw.core.address import PortRange
from cmw.net._media import MediaEngine

PATIENCE_S = 60.0
PORTS = (PortRange(10000, 37767), PortRange(37768, 65535))


def compare(endpoints: int, seconds: float, rounds: int, *, spin: bool = True) -> dict[str, Any]:
    """Measure the bare exchange and the engines in turns; return medians of the first process."""
    cpus = sorted(os.sched_getaffinity(0))
    cores = Cores.divide(cpus[:2])
    windows, theirs, ratios = [], [], []
    for _ in range(rounds):
        bare = bare_us_per_pair(Ground(IP, PORTS[0], cores), endpoints, min(seconds, 2.0))
        for side, window in zip((windows, theirs), measure(endpoints, seconds, cores, spin=spin), strict=True):
            side.append(window)
        ratios.append(windows[-1]["us_per_pair"] / bare if bare else None)
    judge_speed(windows)
    judge_speed(theirs)
    for window, other in zip(windows, theirs, strict=True):
        window["window_valid"] = window["window_valid"] and other["window_valid"]
    known = [ratio for ratio in ratios if ratio is not None]
    quiet = [window for window in windows if window["window_valid"]]
    return {
        "endpoints": endpoints,
        "seconds": seconds,
        "rounds": rounds,
        "cores_are_shared": cores.worker == cores.peer,
        "valid_windows": len(quiet),
        "scheduling": windows[0]["scheduling"],
        "core_fraction": median(window["core_fraction"] for window in windows),
        "us_per_pair": median(window["us_per_pair"] for window in windows),
        "baseline_ratio": round(median(known), 3) if known else None,
        "pacing_us": {
            name: median(window["pacing_us"][name] for window in quiet or windows) for name in ("p50", "p99", "p999")
        },
        "packets": sum(window["packets_sent"] for window in windows),
        "packets_lost": sum(window["packets_lost"] for window in windows),
        "packets_skipped": sum(window["packets_skipped"] for window in windows),
        "rss_bytes": max(window["rss_bytes"] for window in windows),
    }


def measure(
    endpoints: int, seconds: float, cores: Cores, *, spin: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what each process does in one window; what either lost or skipped is in the first."""
    with ExitStack() as stack:
        sides = [
            stack.enter_context(Child("bench.media_peer", "--side", str(cpus[0]), "--endpoints", str(endpoints)))
            for cpus in (cores.worker, cores.peer)
        ]
        for side, ports in zip(sides, PORTS, strict=True):
            side.say(json.dumps({"ip": IP, "first": ports.first, "last": ports.last, "spin": spin}))
        found = [side.hear(PATIENCE_S) for side in sides]
        for side, remote in zip(sides, reversed(found), strict=True):
            side.say(json.dumps(remote))
        for side in sides:
            side.hear(PATIENCE_S)
            side.say(str(seconds))
        ours, theirs = (side.hear(seconds + PATIENCE_S) for side in sides)
    both = {name: ours[name] + theirs[name] for name in ("packets_lost", "packets_skipped", "kernel_drops")}
    return ours | both, theirs


def be_a_side(cpu: int, endpoints: int) -> None:
    """Be one of the processes: ports out, ports in, ``ready`` out, seconds in, figures out."""
    told = json.loads(sys.stdin.readline())
    raise_descriptors()
    with one_core(cpu, spin=told["spin"]):
        engine = MediaEngine(slots=endpoints)
        slots, ports = open_endpoints(engine, endpoints, told["ip"], PortRange(told["first"], told["last"]))
        engine.start()
        _say(ports)
        start_streams(engine, slots, json.loads(sys.stdin.readline()), told["ip"])
        time.sleep(WARM_UP_S)
        _say("ready")
        _say(look(engine, float(sys.stdin.readline())))
        sys.stdin.read()  # the other side has its window still
        engine.stop()


def _say(document: Any) -> None:
    print(json.dumps(document), flush=True)


def main() -> None:
    """Print one comparison as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoints", type=int, default=1500)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-spin", action="store_true", help="let the cores halt")
    parser.add_argument("--side", type=int, metavar="CPU", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side is not None:
        be_a_side(options.side, options.endpoints)
    else:
        result = compare(options.endpoints, options.seconds, options.rounds, spin=not options.no_spin)
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
