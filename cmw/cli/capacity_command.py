"""`cmw capacity`: how many endpoints this machine carries, and what each tier takes of it."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cmw import __version__
from cmw.cli.capacity_page import COLUMNS, markdown, rows
from cmw.cli.capacity_processes import Cores, Ground, measure, seconds_of
from cmw.cli.exit_codes import ExitCode
from cmw.cli.options import DEFAULT_RTP_PORTS, parse_duration_option, parse_ip, parse_ports
from cmw.cli.tables import print_json, print_table
from cmw.core.address import PortRange
from cmw.core.clock import SECOND
from cmw.load.capacity import PACING_P99_US, CapacitySearch, Measured
from cmw.worker.capacity import endpoint_capacity

BYTES_PER_ENDPOINT = 128 << 10
"""Memory that a call may take here, on both sides together, before the machine's memory is what bounds the search."""


def capacity(
    tier: Annotated[
        int | None, typer.Option(help="Measure this count of endpoints only.", min=1, metavar="ENDPOINTS")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long each count is measured.", min=0.5, max=3600)] = 5.0,
    pacing_p99: Annotated[
        str, typer.Option(help="How late a packet in a hundred may leave, for a count to hold.", metavar="TIME")
    ] = f"{PACING_P99_US / 1000:g}ms",
    max_endpoints: Annotated[
        int | None, typer.Option(help="Look no further than this.", min=1, show_default="ports, descriptors, memory")
    ] = None,
    rate: Annotated[float, typer.Option(help="Calls placed each second.", min=1, max=10000)] = 200.0,
    time_limit: Annotated[str, typer.Option(help="Begin no measurement that would end later.")] = "10m",
    ip: Annotated[str, typer.Option(help="Loopback address that the calls take place on.")] = "127.0.0.1",
    rtp_ports: Annotated[str, typer.Option(help="UDP ports for both sides, FIRST-LAST.")] = DEFAULT_RTP_PORTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/capacity.md.")] = False,
) -> int:
    """Measure how many endpoints this machine carries: calls on loopback between a worker and a peer of its own.

    Every count is set up anew, held, and measured on both sides; the highest that holds is searched by doubling and
    halving. The worker has half of the cores, its peer the others.
    """
    if as_json and as_markdown:
        raise typer.BadParameter("expected at most one of them", param_hint="--json and --markdown")
    ports = PortRange(*parse_ports(rtp_ports, "--rtp-ports"))
    host = parse_ip(ip, "--ip")
    if ":" in host:
        raise typer.BadParameter(f"found {ip!r}, expected an IPv4 address", param_hint="--ip")
    bound_us = parse_duration_option(pacing_p99, "--pacing-p99") / 1000
    limit_s = parse_duration_option(time_limit, "--time-limit") / SECOND
    ground = Ground(host, ports, Cores.divide(sorted(os.sched_getaffinity(0))), rate)
    most, because = _room(ground, max_endpoints)
    if tier is not None and tier > most:
        raise typer.BadParameter(f"found {tier}, expected at most {most}: {because}", param_hint="--tier")
    found = (
        _tier(ground, tier, seconds, bound_us) if tier else _search(ground, most, because, seconds, bound_us, limit_s)
    )
    document = {"schema_version": 1, "machine": _machine(ground), **found, "pacing_p99_bound_us": bound_us}
    if as_json:
        print_json(document)
    elif as_markdown:
        print(markdown(document, _command()), end="")
    else:
        _print(document)
    return _exit_code(document)


def _tier(ground: Ground, endpoints: int, seconds: float, bound_us: float) -> dict[str, Any]:
    _tell(f"one measurement of about {seconds_of(ground, endpoints, seconds):.0f} s")
    measured = measure(ground, endpoints, seconds, bound_us)
    return {"tiers": [measured.document()], "recommended_capacity": None, "highest": None, "limit": None}


def _search(ground: Ground, most: int, because: str, seconds: float, bound_us: float, limit_s: float) -> dict[str, Any]:
    search = CapacitySearch(most, because)

    def cost(endpoints: int) -> float:
        return seconds_of(ground, endpoints, seconds)

    low, high = search.expected_seconds(cost)
    _tell(f"this takes {_minutes(low)} to {_minutes(high)}, at most {_minutes(limit_s)}; Ctrl-C ends it")
    _follow(search, cost, limit_s, lambda endpoints: measure(ground, endpoints, seconds, bound_us))
    return {
        "tiers": [measured.document() for measured in search.measured],
        "recommended_capacity": search.recommended,
        "highest": search.highest,
        "limit": search.limit,
    }


def _follow(
    search: CapacitySearch, cost: Callable[[int], float], limit_s: float, measure_one: Callable[[int], Measured]
) -> None:
    """Measure what the search asks for until it is over, or there is no time for more."""
    began = time.monotonic()
    while (endpoints := search.next_endpoints()) is not None:
        if time.monotonic() - began + cost(endpoints) > limit_s:
            search.end(f"time: {endpoints} endpoints would not be measured within {_minutes(limit_s)}")
            return
        measured = measure_one(endpoints)
        _tell(_line(measured))
        search.take(measured)


def _line(measured: Measured) -> str:
    if measured.pacing_p99_us is None:
        figures = "nothing was sent"
    else:
        figures = (
            f"media {measured.media_core_fraction:.3f} cores, signalling {measured.signalling_core_fraction:.3f}, "
            f"pacing p99 {measured.pacing_p99_us:.0f} us"
        )
    word = "holds" if measured.holds else "does not hold: " + "; ".join(measured.limits)
    disturbed = "" if measured.window_valid else " (the machine was busy elsewhere)"
    return f"{measured.endpoints} endpoints: {figures}; {word}{disturbed}"


def _room(ground: Ground, wanted: int | None) -> tuple[int, str]:
    """Return how many endpoints there is room for, and what bounds them."""
    smaller = min(ground.halves, key=lambda half: len(half.pairs()))
    room = endpoint_capacity(smaller)
    found = [(room.endpoints, room.bound)]
    if (available := _memory("MemAvailable")) is not None:
        found.append((available // BYTES_PER_ENDPOINT, f"{available >> 20} MiB of memory are available"))
    if wanted is not None:
        found.append((wanted, "--max-endpoints"))
    return min(found, key=lambda each: each[0])


def _machine(ground: Ground) -> dict[str, Any]:
    """Return what is known of this machine; None for what is not."""
    quota = _first_line("/sys/fs/cgroup/cpu.max")
    return {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "worker_cores": len(ground.cores.worker),
        "peer_cores": len(ground.cores.peer),
        "cores_are_shared": ground.cores.worker == ground.cores.peer,
        "cpu_quota": None if quota is None or quota.startswith("max") else quota,
        "memory_bytes": _memory("MemTotal"),
        "open_files_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "cmw": __version__,
    }


def _memory(name: str) -> int | None:
    found = _field("/proc/meminfo", name)
    return None if found is None else int(found.split()[0]) << 10


def _field(path: str, name: str) -> str | None:
    """Return the value of the first line ``name : value`` of a file of the kernel."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), None)


def _first_line(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return None


def _print(document: dict[str, Any]) -> None:
    print_table(COLUMNS, rows(document["tiers"]))
    if document["limit"] is None:
        return
    print(f"\nlimit: {document['limit']}")
    recommended = document["recommended_capacity"]
    if recommended is None:
        print("no count held: no capacity to recommend")
    else:
        print(f"highest count that held: {document['highest']}")
        print(f"capacity to configure: {recommended}   (cmw workers create NAME --capacity {recommended})")


def _exit_code(document: dict[str, Any]) -> int:
    """Return 0 when a count held; 97 when none did and the machine was disturbed, else 75."""
    tiers = document["tiers"]
    if any(not tier["limits"] for tier in tiers):
        return ExitCode.PASSED
    return ExitCode.INVALID if any(not tier["window_valid"] for tier in tiers) else ExitCode.UNAVAILABLE


def _command() -> str:
    return " ".join(["cmw", *sys.argv[1:]])


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
