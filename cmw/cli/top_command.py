"""`cmw top`: a running worker, looked at through its `/metrics`."""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import inf
from typing import Annotated

import typer

from cmw.cli.exit_codes import ExitCode
from cmw.cli.tables import print_json
from cmw.core.words import Phase

PATIENCE_S = 5.0
PAGE_BYTES = 1 << 20

Samples = Mapping[str, Mapping[tuple[tuple[str, str], ...], float]]
"""By name, then by labels."""


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of one look; None for what is not known.

    Args:
        pacing_p99_us: an upper bound of how late packets left since the look before, or since the start.
        scheduling: of the media thread.
    """

    version: str
    uptime_s: float
    healthy: bool
    connected: bool
    draining: bool
    unacknowledged_reports: int
    runs: int
    capacity: int
    endpoints: dict[str, int]
    calls_ended: dict[str, int]
    packets_sent: int
    packets_received: int
    packets_lost: int
    packets_skipped: int
    mos: float | None
    mos_min: float | None
    loss_ratio: float | None
    jitter_ms: float | None
    round_trip_ms: float | None
    pacing_p99_us: float | None
    scheduling: str
    loop_lag_ms: float
    cpu_cores: float | None
    rss_mib: float


def top(
    url: Annotated[
        str | None,
        typer.Option(help="The worker's pages.", show_default="http://127.0.0.1:HEALTH_PORT", metavar="URL"),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.2, max=3600)] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Look once, and print one JSON document.")] = False,
) -> int:
    """Show a running worker: its link, endpoints by phase, calls, quality, pacing. Ends with Ctrl-C.

    Exits with 75 when no worker answers.
    """
    base = (url or f"http://127.0.0.1:{os.environ.get('HEALTH_PORT') or 3030}").rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise typer.BadParameter(f"expected http://HOST:PORT, found {base!r}", param_hint="--url")
    looks = _looks(f"{base}/metrics", interval)
    if as_json:
        print_json({"schema_version": 1, **asdict(next(looks))})
    elif once:
        print("\n".join(lines_of(next(looks))))
    else:
        _follow(looks)
    return ExitCode.PASSED


def _follow(looks: Iterator[View]) -> None:
    from rich.live import Live
    from rich.text import Text

    from cmw.cli.console import Terminal

    if not sys.stdout.isatty():
        for view in looks:
            print("\n".join(lines_of(view)), end="\n\n", flush=True)
        return
    with Live(console=Terminal(highlight=False), auto_refresh=False, screen=True) as live:
        for view in looks:
            live.update(Text("\n".join(lines_of(view))), refresh=True)


def _looks(url: str, interval_s: float) -> Iterator[View]:
    before: Samples | None = None
    while True:
        now = read_metrics(_fetch(url))
        yield view_of(now, before)
        before = now
        time.sleep(interval_s)


def _fetch(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:  # noqa: S310  # the scheme was checked
            found: str = answer.read(PAGE_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ConnectionError(f"{url}: no worker answers there ({reason})") from None
    return found


def read_metrics(text: str) -> Samples:
    """Return the samples of a page in Prometheus' text format.

    Raises:
        ConnectionError: it is no such page, or not a worker's.
    """
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = float(sample.value)
    except (ValueError, IndexError, KeyError):
        found = {}
    if "cmw_build_info" not in found:
        raise ConnectionError("what answers there is not a worker of cmw")
    return found


def view_of(now: Samples, before: Samples | None = None) -> View:
    """Return what is shown of a look, and with the look before also what changed since."""
    uptime_s = _one(now, "cmw_uptime_seconds") or 0.0
    span_s = uptime_s - (_one(before, "cmw_uptime_seconds") or 0.0) if before is not None else uptime_s
    cpu_s = _since(now, before, "cmw_process_cpu_seconds_total")
    phases = {dict(labels)["phase"]: int(value) for labels, value in now.get("cmw_endpoints", {}).items()}
    ended: dict[str, int] = {}
    for labels, value in now.get("cmw_calls_total", {}).items():
        outcome = dict(labels)["outcome"]
        ended[outcome] = ended.get(outcome, 0) + int(value)
    return View(
        version=dict(next(iter(now["cmw_build_info"]))).get("version", ""),
        uptime_s=uptime_s,
        healthy=_one(now, "cmw_healthy") == 1,
        connected=_one(now, "cmw_link_connected") == 1,
        draining=_one(now, "cmw_draining") == 1,
        unacknowledged_reports=_whole(now, "cmw_link_unacknowledged_reports"),
        runs=_whole(now, "cmw_runs"),
        capacity=_whole(now, "cmw_capacity_endpoints"),
        endpoints=phases,
        calls_ended={outcome: count for outcome, count in ended.items() if count},
        packets_sent=_whole(now, "cmw_rtp_packets_sent_total"),
        packets_received=_whole(now, "cmw_rtp_packets_received_total"),
        packets_lost=_whole(now, "cmw_rtp_packets_lost_total"),
        packets_skipped=_whole(now, "cmw_rtp_packets_skipped_total"),
        mos=_one(now, "cmw_receive_mos"),
        mos_min=_one(now, "cmw_receive_mos_min"),
        loss_ratio=_one(now, "cmw_receive_loss_ratio"),
        jitter_ms=_times(1000, _one(now, "cmw_receive_jitter_seconds")),
        round_trip_ms=_times(1000, _one(now, "cmw_send_round_trip_seconds")),
        pacing_p99_us=_times(1e6, _p99(now, before)),
        scheduling=next((dict(labels)["scheduling"] for labels in now.get("cmw_media_thread", {})), ""),
        loop_lag_ms=1000 * (_one(now, "cmw_event_loop_lag_seconds") or 0.0),
        cpu_cores=cpu_s / span_s if span_s > 0 else None,
        rss_mib=(_one(now, "cmw_process_resident_memory_bytes") or 0.0) / (1 << 20),
    )


def lines_of(view: View) -> list[str]:
    """Return the view as people read it."""
    link = "connected" if view.connected else "NOT CONNECTED"
    health = "healthy" if view.healthy else "UNHEALTHY"
    phases = [f"{phase.name.lower()} {view.endpoints.get(phase.name.lower(), 0)}" for phase in Phase]
    ended = ", ".join(f"{outcome} {count}" for outcome, count in view.calls_ended.items()) or "none"
    present = sum(count for phase, count in view.endpoints.items() if phase != "closed")
    return [
        f"cmw {view.version}  up {view.uptime_s:.0f} s  {health}{', draining' if view.draining else ''}",
        f"link       {link}, {view.unacknowledged_reports} reports to be acknowledged",
        f"load       {view.runs} runs, {present} of {view.capacity} endpoints",
        f"endpoints  {', '.join(phases)}",
        f"ended      {ended}",
        f"packets    sent {view.packets_sent}, received {view.packets_received}, lost {view.packets_lost}, "
        f"not sent {view.packets_skipped}",
        f"quality    MOS {_shown(view.mos, '.2f')} (least {_shown(view.mos_min, '.2f')}), "
        f"loss {_shown(_times(100, view.loss_ratio), '.2f')} %, jitter {_shown(view.jitter_ms, '.1f')} ms, "
        f"round trip {_shown(view.round_trip_ms, '.1f')} ms",
        f"pacing     p99 below {_shown(view.pacing_p99_us, '.0f')} us, {view.scheduling or 'unknown scheduling'}",
        f"machine    {_shown(view.cpu_cores, '.2f')} cores, {view.rss_mib:.0f} MiB, loop lag {view.loop_lag_ms:.1f} ms",
    ]


def _p99(now: Samples, before: Samples | None) -> float | None:
    """Return the bound of the bucket that the 99th of a hundred packets was in since the look before, in seconds."""
    counts = _buckets(now)
    earlier = dict(_buckets(before)) if before is not None else {}
    grown = [(bound, count - earlier.get(bound, 0.0)) for bound, count in counts]
    if not grown or grown[-1][1] <= 0:
        return None
    wanted = 0.99 * grown[-1][1]
    bound = next(bound for bound, count in grown if count >= wanted)
    return bound if bound != inf else next((low for (low, _), (high, _) in pairwise(grown) if high == inf), None)


def _buckets(samples: Samples) -> list[tuple[float, float]]:
    found: Iterable[tuple[float, float]] = (
        (float(dict(labels)["le"]), value)
        for labels, value in samples.get("cmw_rtp_send_lateness_seconds_bucket", {}).items()
    )
    return sorted(found)


def _one(samples: Samples, name: str) -> float | None:
    return next(iter(samples.get(name, {}).values()), None)


def _whole(samples: Samples, name: str) -> int:
    return int(_one(samples, name) or 0)


def _since(now: Samples, before: Samples | None, name: str) -> float:
    return (_one(now, name) or 0.0) - ((_one(before, name) or 0.0) if before is not None else 0.0)


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value


def _shown(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)
