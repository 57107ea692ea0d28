"""`cmw top`: a running worker, looked at through its `/metrics`."""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPResponse, IncompleteRead
from itertools import chain, pairwise
from math import inf
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from cmw.cli.exit_codes import ExitCode
from cmw.cli.tables import print_json
from cmw.core.words import Phase

if TYPE_CHECKING:
    from rich.console import ConsoleDimensions
    from rich.text import Text

PATIENCE_S = 5.0
PAGE_BYTES = 1 << 20
WORD_CHARACTERS = 40
"""Of a name that the page tells."""

NO_WORKER = "what answers there is not a worker of cmw"

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
    base = (url or f"http://127.0.0.1:{os.environ.get('HEALTH_PORT') or 3030}").strip().rstrip("/")
    if not _is_base(base):
        hint = "--url" if url else "HEALTH_PORT"
        raise typer.BadParameter(f"expected http://HOST:PORT, found {base!r}", param_hint=hint)
    looks = _looks(f"{base}/metrics", interval)
    if as_json:
        print_json({"schema_version": 1, **asdict(next(looks))})
    elif once:
        print("\n".join(lines_of(next(looks))))
    else:
        _follow(looks)
    return ExitCode.PASSED


def _is_base(text: str) -> bool:
    """Tell whether pages can be asked for below a URL."""
    try:
        parts = urlsplit(text)
        is_one_word = text.isprintable() and " " not in text
        return is_one_word and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _follow(looks: Iterator[View]) -> None:
    from rich.live import Live

    from cmw.cli.console import Terminal

    console = Terminal(highlight=False)
    if not sys.stdout.isatty() or console.is_dumb_terminal:
        for view in looks:
            print("\n".join(lines_of(view)), end="\n\n", flush=True)
        return
    first = next(looks)  # without a worker there is nothing to clear the screen for
    with Live(console=console, auto_refresh=False, screen=True) as live:
        for view in chain([first], looks):
            live.update(_fitted(lines_of(view), console.size), refresh=True)


def _fitted(lines: list[str], size: ConsoleDimensions) -> Text:
    """Return the lines for a screen: folded where they all have room, else cut, so that the most of them are seen."""
    from rich.text import Text

    folded = sum(max(1, -(-len(line) // size.width)) for line in lines)
    has_room = folded < size.height  # words that are kept whole may take one more
    return Text("\n".join(lines), no_wrap=not has_room, overflow="fold" if has_room else "ellipsis")


def _looks(url: str, interval_s: float) -> Iterator[View]:
    before: Samples | None = None
    while True:
        try:
            now = read_metrics(_fetch(url))
            view = view_of(now, before)
        except (ValueError, KeyError, OverflowError):
            raise ConnectionError(f"{url}: {NO_WORKER}") from None
        yield view
        before = now
        time.sleep(interval_s)


def _fetch(url: str) -> str:
    """Return what is answered; what the environment says of proxies is not looked at."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=PATIENCE_S) as answer:
            return _read(answer)
    except urllib.error.HTTPError as error:
        raise ConnectionError(f"{url}: {NO_WORKER} (HTTP {error.code})") from None
    except HTTPException:
        raise ConnectionError(f"{url}: {NO_WORKER}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ConnectionError(
            f"{url}: no worker answers there ({getattr(reason, 'strerror', None) or reason})"
        ) from None


def _read(answer: HTTPResponse) -> str:
    """Return a page that comes in time, however slowly its bytes do."""
    page, deadline = b"", time.monotonic() + PATIENCE_S
    while len(page) < PAGE_BYTES and (data := answer.read1(65536)):
        page += data
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")
    if answer.length:
        raise IncompleteRead(page)
    return page.decode("utf-8", "replace")


def read_metrics(text: str) -> Samples:
    """Return the samples of a page in Prometheus' text format.

    Raises:
        ValueError: it is no such page, or not a worker's.
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
        raise ValueError(NO_WORKER)
    return found


def view_of(now: Samples, before: Samples | None = None) -> View:
    """Return what is shown of a look, and with the look before also what changed since."""
    uptime_s = _one(now, "cmw_uptime_seconds") or 0.0
    if before is not None and uptime_s < (_one(before, "cmw_uptime_seconds") or 0.0):
        before = None  # another process, which began to count anew
    span_s = uptime_s - (_one(before, "cmw_uptime_seconds") or 0.0) if before is not None else uptime_s
    cpu_s = _since(now, before, "cmw_process_cpu_seconds_total")
    phases = {dict(labels)["phase"]: int(value) for labels, value in now.get("cmw_endpoints", {}).items()}
    ended: dict[str, int] = {}
    for labels, value in now.get("cmw_calls_total", {}).items():
        outcome = _word(dict(labels)["outcome"])
        ended[outcome] = ended.get(outcome, 0) + int(value)
    return View(
        version=_word(dict(next(iter(now["cmw_build_info"]))).get("version", "")),
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
        scheduling=_word(next((dict(labels)["scheduling"] for labels in now.get("cmw_media_thread", {})), "")),
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


def _word(text: str) -> str:
    """Return a name as it can be shown, whoever told it."""
    return "".join(each if each.isprintable() else "?" for each in text[:WORD_CHARACTERS])


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value


def _shown(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)
