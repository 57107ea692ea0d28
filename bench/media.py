"""What the media thread costs: two-way calls on loopback with both ends in one engine.

    python -m bench.media --calls 500 --seconds 60 --baseline

Each call is two slots that send 50 packets a second to each other, so the thread sends and receives every packet: a
*pair* is one packet sent and one received. The count of packets is checked before any cost is given.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from cmw.core.address import PortRange
from cmw.metrics.histogram import ExponentialHistogram
from cmw.net._media import MediaEngine
from cmw.net.media import MediaMode, open_media_pair
from cmw.rtp.ports import PortPool
from cmw.rtp.source import make_source

IP = "127.0.0.1"
PORTS = PortRange(20000, 59999)


def measure(
    calls: int, seconds: float, *, tick_us: int = 1000, realtime: bool = True, busy: bool = False
) -> dict[str, Any]:
    """Run `calls` two-way calls for `seconds` and return what they cost; asserts that every packet arrived.

    Args:
        busy: let Python work all the time on another thread, and look at every stream once a second.
    """
    engine = MediaEngine(slots=2 * calls, tick_us=tick_us, realtime=realtime)
    pool = PortPool(PORTS)
    source = engine.add_source(*make_source("speech", "PCMU"))
    ends = [open_media_pair(engine, pool, IP, 46) for _ in range(2 * calls)]
    engine.start()
    for n, (slot, _) in enumerate(ends):
        _start(engine, slot, ends[n ^ 1][1], source, n)
    time.sleep(1.0)  # every stream is under way
    engine.close_pacing_interval()
    before, cpu, began = _totals(engine), engine.cpu_seconds(), time.monotonic()
    _work(engine, seconds) if busy else time.sleep(seconds)
    after, cpu, elapsed = _totals(engine), engine.cpu_seconds() - cpu, time.monotonic() - began
    pacing = engine.close_pacing_interval()
    snapshots = _finish(engine, [slot for slot, _ in ends])
    sent = after["sent"] - before["sent"]
    received = after["received"] - before["received"]
    histogram = ExponentialHistogram.from_dict(pacing.histogram)
    jitter = sorted(s.jitter_max_ms or 0.0 for s in snapshots)
    return {
        "calls": calls,
        "seconds": round(elapsed, 3),
        "scheduling": engine.scheduling,
        "packets_sent": sent,
        "packets_received": received,
        "packets_lost": sum(s.packets_lost for s in snapshots),
        "packets_skipped": pacing.skipped,
        "kernel_drops": sum(s.kernel_drops for s in snapshots),
        "media_cpu_seconds": round(cpu, 3),
        "us_per_pair": round(1e6 * cpu / max(1, (sent + received) / 2), 2),
        "us_per_packet": round(1e6 * cpu / max(1, sent + received), 2),
        "core_fraction": round(cpu / elapsed, 4),
        "pacing_us": {name: histogram.quantile(q) for name, q in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))}
        | {"max": pacing.max_us},
        "ticks": pacing.ticks,
        "ticks_missed": pacing.ticks_missed,
        "jitter_max_ms": {"p50": jitter[len(jitter) // 2], "max": jitter[-1]},
        "rss_bytes": _rss_bytes(),
    }


def baseline(calls: int, seconds: float) -> float:
    """Return the microseconds per pair of `bench/bare.c`, the least that plain sockets can cost."""
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder, "bare")
        subprocess.run(["cc", "-O2", str(Path(__file__).with_name("bare.c")), "-o", str(bare)], check=True)
        said = subprocess.run([str(bare), str(2 * calls), str(seconds)], check=True, capture_output=True, text=True)
    sent, received, cpu = said.stdout.split()
    assert int(sent) == int(received) > 0
    return 1e6 * float(cpu) / int(sent)


def _work(engine: MediaEngine, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        engine.snapshot_all()
        while time.monotonic() < min(end, now + 1):
            sum(range(1000))


def _start(engine: MediaEngine, slot: int, remote_port: int, source: int, n: int) -> None:
    engine.start_stream(
        slot,
        remote_ip=IP,
        remote_rtp_port=remote_port,
        remote_rtcp_port=remote_port + 1,
        payload_type=0,
        clock_hz=8000,
        ptime_ms=20,
        source=source,
        ssrc=n + 1,
        sequence=n & 0xFFFF,
        timestamp=n,
        cname=b"bench",
        mode=MediaMode.SEND_RECEIVE,
    )


def _totals(engine: MediaEngine) -> dict[str, int]:
    snapshots = [s for _, s in engine.snapshot_all()]
    return {"sent": sum(s.packets_sent for s in snapshots), "received": sum(s.packets_received for s in snapshots)}


def _finish(engine: MediaEngine, slots: list[int]) -> list[Any]:
    """Stop the thread, let every socket be read to its end and check that nothing got lost on the way."""
    engine.stop()
    for slot in slots:
        engine.stop_stream(slot)
    snapshots = [s for _, s in engine.snapshot_all()]
    for slot in slots:
        engine.close(slot)
    sent, received = sum(s.packets_sent for s in snapshots), sum(s.packets_received for s in snapshots)
    drops = sum(s.kernel_drops for s in snapshots)
    assert sent == received + drops, f"{sent} sent, {received} received, {drops} dropped by the kernel"
    return snapshots


def _rss_bytes() -> int:
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return resident_pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Print one measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--tick-us", type=int, default=1000)
    parser.add_argument("--no-realtime", action="store_true", help="do not ask for SCHED_FIFO")
    parser.add_argument("--busy", action="store_true", help="keep Python busy beside the media thread")
    parser.add_argument("--baseline", action="store_true", help="compare with bench/bare.c, before and after")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard) if soft < hard else (soft, hard))
    few = min(10.0, options.seconds)
    before = baseline(options.calls, few) if options.baseline else None
    result = measure(
        options.calls,
        options.seconds,
        tick_us=options.tick_us,
        realtime=not options.no_realtime,
        busy=options.busy,
    )
    if before is not None:  # measured on both sides, because the machine changes its speed
        bare = (before + baseline(options.calls, few)) / 2
        result |= {"baseline_us_per_pair": round(bare, 2), "baseline_ratio": round(result["us_per_pair"] / bare, 2)}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
