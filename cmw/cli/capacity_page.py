# ruff: noqa: E501 - the page that is made here has long lines
"""What `cmw capacity` found, as a table and as a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cmw.load.capacity import CONTROL_P99_US, HEADROOM, OTHERS_SHARE, PAGE_TIERS, PageTier

COLUMNS = (
    "ENDPOINTS", "MEDIA cores", "SIGNALLING cores", "MEMORY MiB", "NETWORK Mbit/s", "PACING p50 us", "p99 us",
    "LOST", "SKIPPED", "x BARE", "CALL ms", "UNDISTURBED", "HOLDS", "PAGE: cores", "memory", "network",
)  # fmt: skip


def rows(tiers: Iterable[Mapping[str, Any]]) -> list[list[str | None]]:
    """Return a row of text for each measured count; None for what is not known."""
    return [_row(tier) for tier in tiers]


def _row(tier: Mapping[str, Any]) -> list[str | None]:
    page = next((each for each in PAGE_TIERS if each.endpoints == tier["endpoints"]), None)
    return [
        str(tier["endpoints"]),
        _decimals(tier["media_core_fraction"], 3),
        _decimals(tier["signalling_core_fraction"], 3),
        _decimals(tier["rss_bytes"], 1, 1 << 20),
        _decimals(tier["bandwidth_bps"], 1, 1_000_000),
        _decimals(tier["pacing_p50_us"], 0),
        _decimals(tier["pacing_p99_us"], 0),
        _decimals(tier["packets_lost"], 0),
        _decimals(tier["packets_skipped"], 0),
        _decimals(tier["baseline_ratio"], 2),
        _decimals(tier["setup_cpu_ms_per_call"], 2),
        "yes" if tier["window_valid"] else "no",
        "; ".join(tier["limits"]) or "yes",
        *_page(page),
    ]


def _page(tier: PageTier | None) -> Sequence[str | None]:
    return (None, None, None) if tier is None else (tier.cores, tier.memory, tier.network)


def markdown(document: Mapping[str, Any], command: str) -> str:
    """Return docs/capacity.md.

    Args:
        command: what was typed.
    """
    machine = "\n".join(
        f"| {name} | {'–' if value is None else value} |" for name, value in document["machine"].items()
    )
    recommended = document["recommended_capacity"]
    return _PAGE.format(
        command=command,
        machine=machine,
        header=" | ".join(COLUMNS),
        rule="---|" * len(COLUMNS),
        rows="\n".join("| " + " | ".join(cell or "–" for cell in row) + " |" for row in rows(document["tiers"])),
        limit=document["limit"] or "one count was asked for",
        highest=document["highest"] or "none",
        recommended=recommended or "none",
        bound=f"{document['pacing_p99_bound_us']:g}",
        headroom=f"{100 * HEADROOM:g}",
        control=f"{CONTROL_P99_US / 1000:g}",
        others=f"{100 * OTHERS_SHARE:g}",
    )


def _decimals(value: float | None, places: int, unit: float = 1) -> str | None:
    return None if value is None else f"{value / unit:.{places}f}"


_PAGE = """\
# How many endpoints a machine carries

Made by `{command}`. Measure your own machine: `cmw capacity` takes a few minutes, needs no SIP server and no network, and ends with
the capacity to configure.

| the machine | |
|---|---|
{machine}

| {header} |
|{rule}
{rows}

* What ended the search: {limit}.
* Highest count that held: **{highest}**. Capacity to configure: **{recommended}**.

## What is measured

A worker process places calls to a peer process over SIP on loopback, and holds them. Both
are the code that runs load: the SIP user agent, the media engine, a row of samples for every call and second, encoded as for the
gateway. Each call sends and receives PCMU, 20 ms a packet, and RTCP. The worker has the first half of the cores and its peer the
others, so that the figures are for `worker_cores`; with one core both have it. Each count is set up from nothing in processes of its own.

| figure | what it is |
|---|---|
| MEDIA, SIGNALLING cores | CPU time of the media threads, and of the rest of the worker, in cores, while calls are held |
| MEMORY | resident set of the whole worker process |
| NETWORK | one direction, with IP, UDP and RTP headers; add 18 to 42 bytes a packet for Ethernet |
| PACING | how late packets left, against their schedule |
| LOST, SKIPPED | packets lost on loopback; packets not sent because their time had passed |
| x BARE | CPU of a packet sent and one received, against two processes that do nothing but `sendto`, `epoll_wait` and `recvfrom`, compiled, measured right after. Below 100 endpoints waking up is most of both |
| CALL ms | CPU of the worker outside of the media threads for placing a call, samples of the first seconds included |
| UNDISTURBED | a control thread on each core, above all others, that only reads the clock woke within {control} ms 99 times of 100, and other programs had less than {others} % of the cores |
| HOLDS | pacing p99 of both sides is at most {bound} us, nothing was lost, every call was up, and no bound of [the verdict on the generator](generator.md) was broken; else what was short |
| PAGE | what the operator's table of the platform says such a worker needs |

A count that does not hold is measured again, up to three times when the machine was disturbed, and the best counts. The search goes
through the tiers, doubles, and halves the interval until it is within a tenth; {headroom} % of the highest count that held is recommended, for
placing and ending calls takes more than holding them, and machines have worse minutes. It never asks for more than the ports, the limit of
open files and the memory have room for, and names which of them ended it. `cmw capacity --tier 500` measures one count, with exit code 0
when it holds, 75 when it does not, and 97 when it does not but the machine was disturbed: then nothing is proven. `--json` prints
all of it for programs; `cmw capacity --markdown` makes this page.
"""
