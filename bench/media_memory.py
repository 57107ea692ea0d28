"""Memory of an endpoint, idle and in a call: the slope of a whole worker process over counts of endpoints.

    python -m bench.media_memory --endpoints 100 500 1000

Endpoints register at the peer process, are left idle, and then are in calls with it, by the processes of `cmw
capacity`: the SIP user agent, the media engine and the samples of every second are the worker's own.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from typing import Any

from bench.media import IP
from cmw.cli.capacity_processes import START_PATIENCE_S, Cores, Ground, both_sides
from cmw.core.address import PortRange
from cmw.worker.capacity_load import SETUP_PATIENCE_S


def measure(counts: Sequence[int], seconds: float) -> dict[str, Any]:
    """Return the bytes of a process with each count, and of one endpoint more, by least squares."""
    rows = [_one(count, seconds) for count in counts]
    slopes = {
        f"{name}_kib_per_endpoint": round(_slope([(row["endpoints"], row[name]) for row in rows]) / 1024, 2)
        for name in ("idle", "in_call")
    }
    return {"rows": rows, **slopes}


def _one(endpoints: int, seconds: float) -> dict[str, Any]:
    ground = Ground(IP, PortRange(10000, 65535), Cores.divide(sorted(os.sched_getaffinity(0))))
    with both_sides(ground, endpoints, registers=True) as (worker, _):
        registered = worker.ask("register", endpoints / 50 + START_PATIENCE_S)
        assert registered["failed"] == 0, f"{registered['failed']} of {endpoints} did not register"
        called = worker.ask("call", endpoints / ground.rate + 2 * SETUP_PATIENCE_S)
        assert called["in_call"] == endpoints, f"{called['in_call']} of {endpoints} are in a call"
        time.sleep(seconds)  # transactions of the calls end after 32 s; most of what they keep goes before
        window = worker.ask("window 1", START_PATIENCE_S)
    return {"endpoints": endpoints, "idle": registered["rss_bytes"], "in_call": window["totals"]["rss_bytes"]}


def _slope(points: Sequence[tuple[float, float]]) -> float:
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread


def main() -> None:
    """Print the measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoints", type=int, nargs="+", default=[100, 500, 1000])
    parser.add_argument("--seconds", type=float, default=5.0, help="in a call before memory is read")
    options = parser.parse_args()
    print(json.dumps(measure(options.endpoints, options.seconds), indent=2))


if __name__ == "__main__":
    main()
