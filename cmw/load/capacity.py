"""How many endpoints a machine carries: what is measured of one count, and the search for the highest that holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cmw.load.generator_bounds import BOUNDS
from cmw.load.outcome import RunTotals
from cmw.metrics.histogram import ExponentialHistogram


class PageTier(NamedTuple):
    """A row of the table that the platform gives its operators: what it says a worker needs."""

    endpoints_from: int
    endpoints: int
    cores: str
    memory: str
    network: str


PAGE_TIERS = (
    PageTier(10, 25, "1", "512 MB", "10 Mbps"),
    PageTier(25, 50, "2", "1 GB", "25 Mbps"),
    PageTier(50, 100, "2-4", "2 GB", "50 Mbps"),
    PageTier(100, 200, "4", "4 GB", "100 Mbps"),
    PageTier(200, 500, "8", "8 GB", "250 Mbps"),
)

TIERS = tuple(tier.endpoints for tier in PAGE_TIERS)

PACING_P99_US = 5_000.0
"""A quarter of a packet time, and half of what makes a run INVALID: a machine has better and worse minutes."""

CONTROL_P99_US = 1_000.0
"""A control thread that woke later than this was itself stopped, and with it what was measured meanwhile."""

OTHERS_SHARE = 0.1
"""Part of the cores that other programs may take: they come between us and the signalling loop."""

HEADROOM = 0.8
"""Part of what held that is recommended: placing and ending calls takes more than holding them."""

IP_OVERHEAD_BYTES = 40
"""IPv4, UDP and RTP headers of a packet; bytes of payload are what streams count."""

TRIES = 2
"""How often a count is measured that does not hold: a disturbance is shorter than that."""

VOID_TRIES = 3
"""The same when the machine itself was not punctual."""

BISECTIONS = 4
RESOLUTION = 0.1
"""The search ends when what holds and what does not are as near as this, or after so many halvings."""


@dataclass(frozen=True, slots=True)
class Window:
    """What one side measured of itself over some seconds with every call up.

    Args:
        totals: of the window; `endpoints` are those in a call.
        media_cpu_seconds: of the media threads alone.
        cpus: the cores of this side.
        cores_busy_seconds: CPU time of these cores, whoever had it; None where it cannot be read.
        control_p99_us: lateness of the control threads; None when there were none.
    """

    seconds: float
    totals: RunTotals
    media_cpu_seconds: float
    signalling_cpu_seconds: float
    packets_lost: int
    bytes_sent: int
    bytes_received: int
    cpus: tuple[int, ...]
    cores_busy_seconds: float | None = None
    control_p99_us: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a count of endpoints took of this machine; None for what is not known.

    Args:
        media_core_fraction: CPU time of the media threads, in cores.
        signalling_core_fraction: that of everything else of the worker while calls are held.
        bandwidth_bps: of one direction, the larger, with IP, UDP and RTP headers.
        baseline_ratio: CPU of a packet sent and one received, against a loop that does nothing else.
        window_valid: whether the machine was ours: it let the control threads run in time, and nobody else was busy.
        scheduling: of the media threads.
        setup_cpu_ms_per_call: CPU of the worker for placing a call.
        limits: what was short, in words; empty when the count held.
    """

    endpoints: int
    media_core_fraction: float | None = None
    signalling_core_fraction: float | None = None
    pacing_p50_us: float | None = None
    pacing_p99_us: float | None = None
    packets_lost: int | None = None
    packets_skipped: int | None = None
    rss_bytes: int | None = None
    bandwidth_bps: float | None = None
    baseline_ratio: float | None = None
    window_valid: bool = False
    setup_cpu_ms_per_call: float | None = None
    scheduling: str | None = None
    limits: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Tell whether the machine carries so many."""
        return not self.limits

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {name: _rounded(value) for name, value in found.items()} | {"limits": list(self.limits)}


def judge(
    endpoints: int,
    worker: Window,
    peer: Window,
    *,
    pacing_p99_us: float = PACING_P99_US,
    bare_us_per_pair: float | None = None,
    setup_cpu_seconds: float | None = None,
) -> Measured:
    """Return what a count of endpoints took, and what was short.

    Args:
        endpoints: calls wanted.
        worker: the side that is measured.
        peer: the side that answers; a load is only as good as its peer.
        bare_us_per_pair: what a packet sent and one received cost without us; None when not measured.
        setup_cpu_seconds: CPU of the worker while its calls were placed.
    """
    totals = worker.totals
    pacing = _pacing(totals)
    packets = totals.packets_sent + totals.packets_received
    us_per_pair = 2e6 * worker.media_cpu_seconds / packets if packets else None
    on_wire = max(
        worker.bytes_sent + IP_OVERHEAD_BYTES * totals.packets_sent,
        worker.bytes_received + IP_OVERHEAD_BYTES * totals.packets_received,
    )
    limits = _limits(endpoints, worker, pacing_p99_us)
    if not limits:
        limits = [f"the answering side: {limit}" for limit in _limits(endpoints, peer, pacing_p99_us)]
    return Measured(
        endpoints=endpoints,
        media_core_fraction=worker.media_cpu_seconds / worker.seconds,
        signalling_core_fraction=worker.signalling_cpu_seconds / worker.seconds,
        pacing_p50_us=pacing.quantile(0.5),
        pacing_p99_us=pacing.quantile(0.99),
        packets_lost=worker.packets_lost,
        packets_skipped=totals.packets_skipped,
        rss_bytes=totals.rss_bytes or None,
        bandwidth_bps=8 * on_wire / worker.seconds,
        baseline_ratio=us_per_pair / bare_us_per_pair if us_per_pair and bare_us_per_pair else None,
        window_valid=all(
            _is_punctual(side) and _others_share(side, (worker, peer)) <= OTHERS_SHARE for side in (worker, peer)
        ),
        setup_cpu_ms_per_call=1e3 * setup_cpu_seconds / endpoints if setup_cpu_seconds is not None else None,
        scheduling=totals.scheduling or None,
        limits=tuple(limits),
    )


def _limits(endpoints: int, window: Window, pacing_p99_us: float) -> list[str]:
    """Return what was short on one side."""
    totals = window.totals
    limits = []
    if totals.endpoints < endpoints:
        limits.append(f"calls: {totals.endpoints} of {endpoints} were up")
    p99 = _pacing(totals).quantile(0.99)
    if p99 is None or p99 > pacing_p99_us:
        found = "nothing was sent" if p99 is None else f"pacing p99 {p99:.0f} us, at most {pacing_p99_us:g}"
        limits.append(f"media thread: {found}")
    if window.packets_lost > 0:
        limits.append(f"socket buffers: {window.packets_lost} packets lost on loopback")
    for bound in BOUNDS:
        value = bound.value(totals)
        if bound.most is not None and value is not None and value > bound.most and "pacing" not in bound.metric:
            limits.append(f"{bound.resource}: {bound.metric} {value:.3g}, at most {bound.most:g}")
    return limits


def _pacing(totals: RunTotals) -> ExponentialHistogram:
    wire = totals.pacing_error_us
    return ExponentialHistogram() if wire is None else ExponentialHistogram.from_dict(wire)


def _is_punctual(window: Window) -> bool:
    return window.control_p99_us is not None and window.control_p99_us <= CONTROL_P99_US


def _others_share(window: Window, sides: tuple[Window, Window]) -> float:
    """Return the part of a side's cores that went to programs that are not ours; 0 where it is not known."""
    if window.cores_busy_seconds is None:
        return 0.0
    ours = sum(side.totals.cpu_seconds for side in sides if side.cpus == window.cpus)
    return max(0.0, window.cores_busy_seconds - ours) / (window.seconds * len(window.cpus))


class CapacitySearch:
    """Look for the highest count that holds: the tiers in their order, then doubling, then halving the interval.

    Ask `next_endpoints`, measure it, give the result to `take`, until there is none.

    Args:
        most: the highest count that there is room for.
        most_because: what bounds it, in words.
        tiers: counts to measure in any case, ascending.
    """

    def __init__(self, most: int, most_because: str, tiers: Sequence[int] = TIERS) -> None:
        self.measured: list[Measured] = []
        """The best result of each count, ascending."""
        self._most = max(1, most)
        self._most_because = most_because
        self._tiers = [tier for tier in tiers if tier <= self._most]
        self._tries: list[Measured] = []
        self._lowest_bad: Measured | None = None
        self._halvings = 0
        self._ended_by: str | None = None

    @property
    def highest(self) -> int | None:
        """Return the highest count that held; None when none did."""
        return max((each.endpoints for each in self.measured if each.holds), default=None)

    @property
    def recommended(self) -> int | None:
        """Return the capacity to configure, with headroom; None when nothing held."""
        return None if self.highest is None else max(1, _two_digits(HEADROOM * self.highest))

    @property
    def limit(self) -> str:
        """Return what ended the search upwards, in words."""
        if self._ended_by is not None:
            return self._ended_by
        bad = self._lowest_bad
        if bad is None:
            return self._most_because
        doubt = "" if bad.window_valid else " (the machine was busy elsewhere: it may carry more)"
        return f"at {bad.endpoints} endpoints: {'; '.join(bad.limits)}{doubt}"

    def next_endpoints(self) -> int | None:
        """Return the count to measure next; None when the search is over."""
        if self._ended_by is not None:
            return None
        if self._tries:
            return self._tries[0].endpoints
        if self._lowest_bad is not None:
            return self._between()
        done = self.highest or 0
        ahead = [tier for tier in self._tiers if tier > done]
        if ahead:
            return ahead[0]
        return min(self._most, 2 * done) if 0 < done < self._most else (None if done else self._most)

    def take(self, measured: Measured) -> None:
        """Take what was measured of `next_endpoints`."""
        self._tries.append(measured)
        tries = TRIES if measured.window_valid else VOID_TRIES
        if not measured.holds and len(self._tries) < tries:
            return
        best = _best(self._tries)
        self._tries = []
        self.measured = sorted([*self.measured, best], key=lambda each: each.endpoints)
        if self._lowest_bad is not None:
            self._halvings += 1
        if not best.holds:
            self._lowest_bad = best

    def end(self, because: str) -> None:
        """Measure no more; what was measured once and did not hold counts."""
        self._ended_by = because
        if self._tries:
            self.measured = sorted([*self.measured, _best(self._tries)], key=lambda each: each.endpoints)

    def expected_seconds(self, seconds_of: Callable[[int], float]) -> tuple[float, float]:
        """Return how long the search takes if 500 endpoints are the limit, and if 4,000 are.

        Args:
            seconds_of: function that tells how long a count takes.
        """
        low = sum(seconds_of(tier) for tier in self._tiers if tier <= 500)
        steps = [*self._tiers, 1000, 2000, 4000, 4000, 3000, 2500, 2700]
        return low, sum(seconds_of(min(step, self._most)) for step in steps)

    def _between(self) -> int | None:
        assert self._lowest_bad is not None
        low, high = self.highest or 0, self._lowest_bad.endpoints
        middle = _two_digits((low + high) / 2)
        if self._halvings >= BISECTIONS or high - low <= RESOLUTION * high or not low < middle < high:
            return None
        return middle


def _best(tries: Sequence[Measured]) -> Measured:
    return min(tries, key=lambda each: (len(each.limits), not each.window_valid))


def _two_digits(value: float) -> int:
    """Return a number rounded down to two digits: nobody configures 1,873 endpoints."""
    scale = int(10 ** max(0, len(str(int(value))) - 2))
    return int(value) // scale * scale


def _rounded(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value
