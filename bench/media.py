"""What the media thread costs: two-way endpoints on loopback, both ends in one engine on one core.

    python -m bench.media --endpoints 1000 --seconds 5 --rounds 5

Each endpoint sends 50 packets a second to the next one, so the thread sends and receives every packet: a *pair* is one
packet sent and one received. Every round measures `bench/bare.c` and then the engine, so that a machine that changes
its speed does not matter; medians count. That no packet got lost is asserted before any cost is given.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Any

from bench.tiers import VOID_MAX_US, VOID_P99_US
from cmw.core.address import PortRange
from cmw.metrics.histogram import ExponentialHistogram
from cmw.net._media import MediaEngine
from cmw.net.media import MediaMode, open_media_pair
from cmw.net.media_pure import PureMediaEngine
from cmw.net.yardstick import CONTROL_STEPS, ClockControl, backlog_us
from cmw.rtp.ports import PortPool
from cmw.rtp.source import make_source

IP = f"127.{220 + os.getpid() % 30}.0.54"  # benches that run at the same time do not meet
PORTS = PortRange(10000, 65535)
WARM_UP_S = 0.5

_SPIN = """
import os
parent = os.getppid()
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def one_core(cpu: int | None = None, *, spin: bool = True) -> Iterator[int]:
    """Have this process, and those it starts, run on one core; yield its number.

    Args:
        spin: keep the core from halting by an idle-class process, for a halted virtual core wakes 1 ms late.
    """
    before = os.sched_getaffinity(0)
    cpu = min(before) if cpu is None else cpu
    os.sched_setaffinity(0, {cpu})
    nothing = subprocess.DEVNULL  # a reader of ours waits for nobody else to close what it reads
    spinner = subprocess.Popen([sys.executable, "-c", _SPIN], stdout=nothing, stderr=nothing) if spin else None
    try:
        yield cpu
    finally:
        if spinner is not None:
            spinner.kill()
            spinner.wait()
        os.sched_setaffinity(0, before)


def compare(
    endpoints: int, seconds: float, rounds: int, *, realtime: bool = True, spin: bool = True, pure: bool = False
) -> dict[str, Any]:
    """Measure the bare loop and the engine in turns; return medians, with those of undisturbed windows for pacing."""
    windows, ratios, bare = [], [], []
    with one_core(spin=spin):
        for _ in range(rounds):
            bare.append(baseline(endpoints, min(seconds, 3.0)))
            windows.append(measure(endpoints, seconds, realtime=realtime, pure=pure))
            ratios.append(windows[-1]["us_per_pair"] / bare[-1])
    judge_speed(windows)
    quiet = [window for window in windows if window["window_valid"]]
    return {
        "endpoints": endpoints,
        "seconds": seconds,
        "rounds": rounds,
        "valid_windows": len(quiet),
        "scheduling": windows[0]["scheduling"],
        "core_fraction": median(window["core_fraction"] for window in windows),
        "us_per_pair": median(window["us_per_pair"] for window in windows),
        "bare_us_per_pair": round(median(bare), 2),
        "baseline_ratio": round(median(ratios), 3),
        "pacing_us": {
            name: median(window["pacing_us"][name] for window in quiet or windows) for name in ("p50", "p99", "p999")
        },
        "packets": sum(window["packets_sent"] for window in windows),
        "packets_lost": sum(window["packets_lost"] for window in windows),
        "packets_skipped": sum(window["packets_skipped"] for window in windows),
        "packets_skipped_valid": sum(window["packets_skipped"] for window in quiet),
        "windows": [
            {name: window[name] for name in ("window_valid", "packets_skipped", "core_fraction", "control_us")}
            | {"pacing_p99_us": window["pacing_us"]["p99"]}
            for window in windows
        ],
        "rss_bytes": max(window["rss_bytes"] for window in windows),
    }


def judge_speed(windows: Sequence[dict[str, Any]]) -> None:
    """Void the windows in which the core was too slow for a load that it carries at its best, and say how slow it was.

    Its best is that of all windows: of the spans of 20 ms in which the control thread did its work, a twentieth were
    faster. A load that would have fallen behind by as much as a stop may last voids the window as a stop does.
    """
    bests = [sorted(spans)[len(spans) // 20] for window in windows if (spans := window["control_spans_ns"])]
    for window in windows:
        spans = window.pop("control_spans_ns")
        if not spans:
            continue
        best = min(bests)
        load = window["core_fraction"] * best / fmean(spans)
        behind = backlog_us(spans, best, load)
        window["control_us"] |= {
            "slowest": round(max(spans) / best, 2),
            "slower": round(fmean(spans) / best, 3),
            "behind": round(max(behind), 1),
        }
        short = sum(us <= VOID_P99_US for us in behind) < 0.99 * len(behind)
        window["window_valid"] = window["window_valid"] and not short and max(behind) <= VOID_MAX_US


def measure(
    endpoints: int, seconds: float, *, realtime: bool = True, busy: bool = False, pure: bool = False
) -> dict[str, Any]:
    """Run `endpoints` for `seconds` and return what they cost; asserts that every packet arrived.

    Args:
        busy: let Python work all the time on another thread, and look at every stream once a second.
        pure: the twin in plain Python, which asks for no priority.
    """
    raise_descriptors()
    engine = PureMediaEngine(slots=endpoints) if pure else MediaEngine(slots=endpoints, realtime=realtime)
    slots, ports = open_endpoints(engine, endpoints)
    engine.start()
    start_streams(engine, slots, [*ports[1:], ports[0]])
    time.sleep(WARM_UP_S)  # every stream is under way
    window = look(engine, seconds, busy=busy)
    snapshots = _finish(engine, slots)
    jitter = sorted(s.jitter_max_ms or 0.0 for s in snapshots)
    return {"endpoints": endpoints, **window} | {
        "packets_lost": sum(s.packets_lost for s in snapshots),
        "jitter_max_ms": {"p50": jitter[len(jitter) // 2], "max": jitter[-1]},
    }


def look(engine: MediaEngine | PureMediaEngine, seconds: float, *, busy: bool = False) -> dict[str, Any]:
    """Return what an engine does in a window of so many seconds."""
    engine.close_pacing_interval()
    before, cpu, began = _totals(engine), engine.cpu_seconds(), time.monotonic()
    with ClockControl(os.sched_getaffinity(0), steps=CONTROL_STEPS) as control:
        _work(engine, seconds) if busy else time.sleep(seconds)
    cpu, elapsed = engine.cpu_seconds() - cpu, time.monotonic() - began
    pacing, after = engine.close_pacing_interval(), _totals(engine)
    moved = {name: after[name] - before[name] for name in after}
    histogram = ExponentialHistogram.from_dict(pacing.histogram)
    reading = control.reading()
    return {
        "seconds": round(elapsed, 3),
        "scheduling": engine.scheduling,
        "window_valid": (reading.p99_us or VOID_MAX_US) <= VOID_P99_US and (reading.max_us or 0.0) <= VOID_MAX_US,
        "control_us": {"p99": reading.p99_us, "max": reading.max_us},
        "control_spans_ns": reading.spans_ns,
        **moved,
        "packets_skipped": pacing.skipped,
        "media_cpu_seconds": round(cpu, 3),
        "us_per_pair": round(2e6 * cpu / max(1, moved["packets_sent"] + moved["packets_received"]), 3),
        "core_fraction": round(cpu / elapsed, 4),
        "pacing_us": {
            name: round(histogram.quantile(q) or 0.0, 1) for name, q in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
        }
        | {"max": pacing.max_us},
        "ticks_missed": pacing.ticks_missed,
        "rss_bytes": _rss_bytes(),
    }


def baseline(endpoints: int, seconds: float) -> float:
    """Return the microseconds per pair of `bench/bare.c`, the least that plain sockets can cost."""
    said = subprocess.run(
        [compiled("bare.c"), str(endpoints), str(seconds)], check=True, capture_output=True, text=True
    )
    sent, received, cpu = said.stdout.split()
    assert 0 < int(received) <= int(sent)
    return 2e6 * float(cpu) / (int(sent) + int(received))


@cache
def compiled(source: str) -> str:
    """Compile a C file of this directory and return the program."""
    target = Path(_folder().name, source.removesuffix(".c"))
    words = [os.environ.get("CC", "cc"), "-O2", str(Path(__file__).with_name(source)), "-lm", "-o", str(target)]
    subprocess.run(words, check=True)
    return str(target)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cmw-bench-")


def raise_descriptors() -> None:
    """Raise the soft limit of descriptors to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard) if soft < hard else (soft, hard))


def open_endpoints(
    engine: MediaEngine | PureMediaEngine, count: int, ip: str = IP, ports: PortRange = PORTS
) -> tuple[list[int], list[int]]:
    """Open port pairs; return the slots and their RTP ports."""
    pool = PortPool(ports)
    pairs = [open_media_pair(engine, pool, ip, 46) for _ in range(count)]
    return [slot for slot, _ in pairs], [port for _, port in pairs]


def start_streams(
    engine: MediaEngine | PureMediaEngine, slots: Sequence[int], remote_ports: Sequence[int], ip: str = IP
) -> None:
    """Have each slot send speech to its port of `ip`, the last slot first.

    When each sends to the next, who is sent to listens already: the engine keeps only so many packets for the others.
    """
    source = engine.add_source(*make_source("speech", "PCMU"))
    for n, (slot, port) in reversed(list(enumerate(zip(slots, remote_ports, strict=True)))):
        engine.start_stream(
            slot,
            remote_ip=ip,
            remote_rtp_port=port,
            remote_rtcp_port=port + 1,
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


def _work(engine: MediaEngine | PureMediaEngine, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        engine.snapshot_all()
        while time.monotonic() < min(end, now + 1):
            sum(range(1000))


def _totals(engine: MediaEngine | PureMediaEngine) -> dict[str, int]:
    snapshots = [s for _, s in engine.snapshot_all()]
    names = ("packets_sent", "packets_received", "packets_lost", "kernel_drops")
    return {name: sum(getattr(s, name) for s in snapshots) for name in names}


def _finish(engine: MediaEngine | PureMediaEngine, slots: list[int]) -> list[Any]:
    """Stop the thread, let every socket be read to its end and check that nothing got lost on the way."""
    engine.stop()
    for slot in slots:
        engine.stop_stream(slot)
    snapshots = [s for _, s in engine.snapshot_all()]
    for slot in slots:
        engine.close(slot)
    sent, received = sum(s.packets_sent for s in snapshots), sum(s.packets_received for s in snapshots)
    drops = sum(s.kernel_drops for s in snapshots)
    early = sum(s.packets_before_start for s in snapshots)  # of streams that began before the one they go to
    assert sent == received + drops + early, f"{sent} sent, {received} received, {drops} dropped, {early} too early"
    return snapshots


def _rss_bytes() -> int:
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return resident_pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Print one measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoints", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--no-realtime", action="store_true", help="do not ask for SCHED_FIFO")
    parser.add_argument("--no-spin", action="store_true", help="let the core halt")
    parser.add_argument("--pure", action="store_true", help="the twin of the engine in plain Python")
    parser.add_argument(
        "--busy", action="store_true", help="one window, Python busy beside the media thread, no baseline"
    )
    options = parser.parse_args()
    realtime, spin = not options.no_realtime, not options.no_spin
    if options.busy:
        result = measure(options.endpoints, options.seconds, realtime=realtime, busy=True, pure=options.pure)
        judge_speed([result])
    else:
        result = compare(
            options.endpoints, options.seconds, options.rounds, realtime=realtime, spin=spin, pure=options.pure
        )
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
