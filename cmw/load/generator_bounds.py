# ruff: noqa: E501 - the page that is made here has long lines
"""The bounds of the generator, once: what a worker may do to the figures of a run, and of one second of it.

docs/generator.md is made from this table: python -m cmw.load.generator_bounds > docs/generator.md
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cmw.load.outcome import RunTotals
from cmw.metrics.histogram import ExponentialHistogram


@dataclass(frozen=True, slots=True)
class WindowReading:
    """What a worker read of itself over one second; None for what was not measured."""

    pacing_p99_us: float | None = None
    packets_sent: int = 0
    packets_received: int = 0
    packets_skipped: int = 0
    send_errors: int = 0
    kernel_drops: int = 0
    media_stall_ms: float | None = None
    """Longest time that the media thread was not served."""
    loop_lag_ms: float | None = None
    """Longest time that the signalling loop was not served."""
    cpu_steal_ratio: float | None = None
    sip_datagrams_received: int = 0
    sip_datagrams_sent: int = 0
    sip_kernel_drops: int = 0
    sip_unsent: int = 0
    shortages: dict[str, int] = field(default_factory=dict)
    """Calls that could not be carried, by what was used up: a `CapacityError.resource`."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The largest value of a figure of a worker with which its run, or a second of it, still counts.

    Args:
        resource: what is short when the bound is broken.
        metric: the figure, as in the summary's generator part.
        unit: of the figure, empty for a share or a count.
        reason: why this value.
        most: over the run; None where only seconds are judged.
        window_most: in one second.
        value: reads the figure from a worker's totals; None when it was not measured or means nothing.
        window_value: likewise from the reading of one second.
    """

    resource: str
    metric: str
    unit: str
    reason: str
    most: float | None
    window_most: float
    value: Callable[[RunTotals], float | None]
    window_value: Callable[[WindowReading], float | None]


def _p99(wire: dict[str, object] | None) -> float | None:
    return None if wire is None else ExponentialHistogram.from_dict(wire).quantile(0.99)


def _ratio(count: int | None, total: int) -> float | None:
    return None if count is None or total <= 0 else count / total


def _shortage(resource: str) -> Bound:
    return Bound(
        resource,
        f"calls without {resource}",
        "",
        "a call that we had no room for says nothing about the target",
        0,
        0,
        lambda totals: totals.shortages.get(resource, 0),
        lambda reading: reading.shortages.get(resource, 0),
    )


BOUNDS: tuple[Bound, ...] = (
    Bound(
        "media thread",
        "pacing_error_us p99",
        "us",
        "half a packet time: beyond it the jitter that the target sees is mostly ours",
        10_000,
        10_000,
        lambda totals: _p99(totals.pacing_error_us),
        lambda reading: reading.pacing_p99_us,
    ),
    Bound(
        "media thread",
        "packets_skipped ratio",
        "",
        "loss of our own making must stay below what changes a MOS: 0.1 % is 0.4 points of R",
        0.001,
        0.01,
        lambda totals: _ratio(totals.packets_skipped, totals.packets_sent + totals.packets_skipped),
        lambda reading: _ratio(reading.packets_skipped, reading.packets_sent + reading.packets_skipped),
    ),
    Bound(
        "media thread",
        "media_stall_ms",
        "ms",
        "two packet times in which nothing was sent or read: what the target sees then is our doing",
        None,
        40,
        lambda totals: None,
        lambda reading: reading.media_stall_ms,
    ),
    Bound(
        "network interface",
        "send_errors ratio",
        "",
        "packets that the kernel refused look like loss to the target",
        0.001,
        0.01,
        lambda totals: _ratio(totals.send_errors, totals.packets_sent + totals.send_errors),
        lambda reading: _ratio(reading.send_errors, reading.packets_sent + reading.send_errors),
    ),
    Bound(
        "socket buffers",
        "kernel_drops ratio",
        "",
        "packets that came but were dropped here look like loss by the target",
        0.001,
        0.01,
        lambda totals: _ratio(totals.kernel_drops, totals.packets_received + (totals.kernel_drops or 0)),
        lambda reading: _ratio(reading.kernel_drops, reading.packets_received + reading.kernel_drops),
    ),
    Bound(
        "signalling loop",
        "loop_lag_ms p99",
        "ms",
        "times of signalling are read in bands of 100 ms; half a band may be ours, in a single second a whole one",
        50,
        100,
        lambda totals: _p99(totals.loop_lag_ms),
        lambda reading: reading.loop_lag_ms,
    ),
    Bound(
        "host CPU",
        "cpu_steal_ratio",
        "",
        "a machine that takes a twentieth of our time away stalls streams without our knowing",
        0.05,
        0.1,
        lambda totals: totals.cpu_steal_ratio,
        lambda reading: reading.cpu_steal_ratio,
    ),
    _shortage("RTP ports"),
    _shortage("media slots"),
    _shortage("descriptors"),
    Bound(
        "SIP socket buffer",
        "sip_kernel_drops ratio",
        "",
        "messages that came but were dropped here are sent again by the target: its times are ours then",
        0.001,
        0.01,
        lambda totals: _ratio(totals.sip_kernel_drops, totals.sip_datagrams_received + (totals.sip_kernel_drops or 0)),
        lambda reading: _ratio(reading.sip_kernel_drops, reading.sip_datagrams_received + reading.sip_kernel_drops),
    ),
    Bound(
        "SIP socket buffer",
        "sip_unsent ratio",
        "",
        "messages that never left look like silence of the target",
        0.001,
        0.01,
        lambda totals: _ratio(totals.sip_unsent, totals.sip_datagrams_sent + totals.sip_unsent),
        lambda reading: _ratio(reading.sip_unsent, reading.sip_datagrams_sent + reading.sip_unsent),
    ),
)
"""Every bound of the generator; each worker is judged on its own, so that a sick one cannot hide among others."""

UNTRUSTED_MOST = 0.1
"""Share of seconds in which a worker broke the bound of a second, up to which its run still counts."""
UNTRUSTED_FREE = 2
"""So many such seconds do no harm, however short the run."""

MAX_WORKER_FAULTS = 0.001
"""Share of endpoints that may fail by our own fault: more, and the failed calls speak of us, not of the target."""


def broken_by(reading: WindowReading) -> list[tuple[int, float]]:
    """Return the number in BOUNDS of each bound of a second that a reading breaks, and the value."""
    broken = []
    for number, bound in enumerate(BOUNDS):
        value = bound.window_value(reading)
        if value is not None and value > bound.window_most:
            broken.append((number, float(f"{value:.6g}")))
    return broken


def above_run_bounds(reading: WindowReading) -> list[str]:
    """Return the metric of each figure of a second that is above what a whole run may have.

    A run that is above it has at least one such second, which need not break its own, wider bound.
    """
    found = []
    for bound in BOUNDS:
        value = bound.window_value(reading)
        if bound.most is not None and value is not None and value > bound.most:
            found.append(bound.metric)
    return found


def markdown() -> str:
    """Return docs/generator.md."""
    rows = [
        f"| {number} | {bound.resource} | `{bound.metric}` | {_most(bound, bound.most)} | {_most(bound, bound.window_most)} "
        f"| {bound.reason} |"
        for number, bound in enumerate(BOUNDS)
    ]
    return _PAGE.format(
        rows="\n".join(rows),
        share=f"{100 * UNTRUSTED_MOST:g}",
        free=UNTRUSTED_FREE,
        faults=f"{100 * MAX_WORKER_FAULTS:g}",
    )


def _most(bound: Bound, most: float | None) -> str:
    return "–" if most is None else f"{most:g} {bound.unit}".strip()


_PAGE = """\
# The verdict on the generator

Made from `cmw/load/generator_bounds.py` by `python -m cmw.load.generator_bounds > docs/generator.md`; do not edit.

A load test whose own machine was the limit blames the target for what we did. So every worker watches itself, each second and over
the run, and its figures count only within these bounds.

| | resource | figure of a worker | at most, over the run | at most, in one second | why |
|---|---|---|---|---|---|
{rows}

* **A second** in which a worker breaks one of its bounds is *untrusted*: what was measured in it may be our doing. It is marked in
  the samples (`untrusted`: the sum of 2 to the power of the numbers above, 0 for a good one) and listed in the summary
  (`generator.untrusted`, the first 500 of each worker) and in the report: worker, second, resource, figure, value and bound.
* **A run** is `INVALID` when a worker breaks a bound over the run; when more than {share} % of its seconds, and more than {free}, were
  untrusted; when more than {faults} % of the endpoints failed by our own fault; or when a worker did not report its end.
  `generator.limits` names worker, resource, figure, value and bound, and the first second in which it showed. Thresholds do
  not matter then.

Seconds count from the start of the run. What cannot be measured, such as the steal outside of a virtual machine, breaks no bound.

| figure | what it is |
|---|---|
| `pacing_error_us` | how late each packet left, against its schedule: a histogram |
| `packets_skipped` | packets that were not sent because their time had passed |
| `media_stall_ms` | the longest time by which the media thread was served late |
| `send_errors` | packets that the kernel refused to send; answers by ICMP are none |
| `kernel_drops` | datagrams that the kernel dropped because our receive buffers were full |
| `sip_kernel_drops` | SIP datagrams that the kernel dropped because the receive buffer of our listener was full |
| `sip_unsent` | SIP datagrams that never left, because the network took nothing for so long that too many waited |
| `loop_lag_ms` | how late the signalling loop serves a timer; a stall counts for every 20 ms that waited in it. Of a second, the longest |
| `cpu_steal_ratio` | share of CPU time that the hypervisor kept from us |
| calls without ... | calls that could not be placed or answered for want of it |
"""


if __name__ == "__main__":
    print(markdown(), end="")
