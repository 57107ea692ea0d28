"""The seconds of a run: each ends with a row of samples for every endpoint in a call."""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import isfinite, nan
from typing import Any, NamedTuple, Protocol, TypeVar

from cmw.core.clock import MILLISECOND, SECOND, Nanos, WallClock
from cmw.link.samples import ABSENT_COUNT, SampleBatch
from cmw.load.report import UNTRUSTED
from cmw.load.run_link import Total
from cmw.net.media_engines import MediaEngines
from cmw.rtp.snapshot import StreamSnapshot
from cmw.worker.alarm import Alarm
from cmw.worker.endpoint import Endpoint
from cmw.worker.generator import GeneratorWatch, Traffic, TrafficMeter
from cmw.worker.logs import get_logger
from cmw.worker.measurement import COLUMNS, Row
from cmw.worker.sip_traffic import SipTraffic

SHOWN = ("mos", "fraction_lost", "jitter_ms")
"""What progress tells of the audio received."""

PORTION = 40
"""Endpoints that are looked at, or measured, in one go: a few milliseconds of the loop."""

BATCH = 160
"""Endpoints whose samples go to the gateway together, for each batch has a price of its own."""

ItemT = TypeVar("ItemT")


class Party(Protocol):
    """Whose seconds they are."""

    @property
    def sip_traffic(self) -> SipTraffic:
        """Return what has passed of SIP so far."""

    def at(self, due_ns: Nanos, callback: Callable[[], None]) -> None:
        """Call back at an instant, unless it is over by then."""

    def send_samples(self, batch: SampleBatch) -> None:
        """Send the samples of some endpoints."""

    def tell_progress(self) -> None:
        """Tell how it stands: a second has been closed."""


class RunSeconds:
    """Close one second after the other, from `begin` to `end`, a portion of the endpoints at a time.

    Args:
        run_id: of the run.
        party: the run itself.
        endpoints: those of the run, all of them once it begins.
        engine: has their streams.
        alarm: timers.
        watch: judges what the worker did in each second.
        wall: when it was.
    """

    def __init__(
        self,
        run_id: str,
        party: Party,
        endpoints: Sequence[Endpoint],
        engine: MediaEngines,
        alarm: Alarm,
        watch: GeneratorWatch,
        wall: WallClock,
    ) -> None:
        self.current = 0
        """The second that goes on, from 0."""
        self.quality: dict[str, Total] = {}
        """Of what was received in the second before: `SHOWN`, as far as it is known."""
        self._run_id = run_id
        self._party: Party = weakref.proxy(party)  # it has us: old circles are seldom collected
        self._endpoints = endpoints
        self._engine = engine
        self._alarm = alarm
        self._watch = watch
        self._wall = wall
        self._log = get_logger(component="run")
        self._began_at: Nanos | None = None
        self._is_over = False
        self._closing: Iterator[None] = iter(())
        self._meter = TrafficMeter()
        self._sip_read = SipTraffic()

    def begin(self, began_at: Nanos) -> None:
        """Begin with the first second."""
        self._began_at = began_at
        self._sip_read = self._party.sip_traffic
        self._tick_later()

    def end(self) -> None:
        """Close what is left: the last second had no call any more."""
        for _ in self._closing:
            pass
        self._is_over = True
        if self._began_at is not None:
            self._party.tell_progress()
            self._watch.close_window(self.current, self.current, Traffic(), self._read_sip())

    def _tick_later(self) -> None:
        assert self._began_at is not None
        self._party.at(self._began_at + (self.current + 1) * SECOND, self._tick)

    def _tick(self) -> None:
        """Close the second.

        A tick that comes more than a second late closes the seconds it missed as one, under the number of the first;
        a number is never used twice.
        """
        if self._is_over:
            return  # only evidence is still to be told
        assert self._began_at is not None
        closed = self.current
        self._closing = self._close(max(closed + 1, (self._alarm.now() - self._began_at) // SECOND))
        self._go_on()

    def _go_on(self) -> None:
        """Take one step now and the others later: messages and timers are served in between."""
        if next(self._closing, self) is not self:
            self._party.at(self._alarm.now(), self._go_on)

    def _close(self, next_second: int) -> Iterator[None]:
        """Close the seconds before `next_second`, yielding after some endpoints each."""
        seen: list[_Seen] = []
        for number, endpoints in enumerate(_portions(self._endpoints, PORTION)):
            if number:
                yield
            seen += self._look_at(endpoints)
        traffic = self._meter.read((one.endpoint.settings.index, one.snapshot) for one in seen)
        untrusted = self._watch.close_window(self.current, next_second - 1, traffic, self._read_sip())
        self._party.tell_progress()
        closed, self.current = self.current, next_second
        quality = {key: Total() for key in SHOWN}
        for batch in _portions(seen, BATCH):
            rows: list[tuple[int, Row]] = []
            for portion in _portions(batch, PORTION):
                rows += self._measure(portion)
                yield
            _add_up(quality, rows)
            if rows:
                self._party.send_samples(self._batch(rows, closed, batch[0].at, untrusted))
        self.quality = {key: total for key, total in quality.items() if total.count}
        if next_second > closed + 1:
            self._log.warn("seconds without samples", run=self._run_id, first=closed + 1, last=next_second - 1)
        self._tick_later()

    def _look_at(self, endpoints: Sequence[Endpoint]) -> Iterator[_Seen]:
        """Yield what the streams of some endpoints have counted."""
        engine, now = self._engine, self._alarm.now()
        for endpoint in endpoints:
            if endpoint.media is not None:
                yield _Seen(endpoint, endpoint.media.slot, engine.snapshot(endpoint.media.slot), now)

    def _measure(self, seen: Sequence[_Seen]) -> list[tuple[int, Row]]:
        """Return the samples of some endpoints, and tell the engine how their streams are rated."""
        rows = [
            (one.endpoint.settings.index, row)
            for one in seen
            if (row := one.endpoint.close_interval({one.slot: one.snapshot}, one.at)) is not None
        ]
        self._engine.rate_streams([rating for one in seen if (rating := one.endpoint.rating) is not None])
        return rows

    def _batch(self, rows: list[tuple[int, Row]], second: int, at: Nanos, untrusted: int) -> SampleBatch:
        """Return the samples of a second, and which bounds this worker broke in it."""
        columns: dict[str, array[Any]] = {UNTRUSTED: array("I", [untrusted] * len(rows))}
        for key, code in COLUMNS.items():
            absent: Any = nan if code == "f" else ABSENT_COUNT
            column = array(code, [row.get(key, absent) for _, row in rows])
            if any(key in row for _, row in rows):
                columns[key] = column
        return SampleBatch(
            run_id=self._run_id,
            second=second,
            at_unix_ms=self._wall.unix_at(at) // MILLISECOND,
            endpoints=array("I", [index for index, _ in rows]),
            columns=columns,
        )

    def _read_sip(self) -> SipTraffic:
        """Return what has passed of SIP since the last reading, and was lost here."""
        before, self._sip_read = self._sip_read, self._party.sip_traffic
        return self._sip_read.since(before)


class _Seen(NamedTuple):
    """What the stream of an endpoint had counted at an instant."""

    endpoint: Endpoint
    slot: int
    snapshot: StreamSnapshot
    at: Nanos


def _add_up(quality: dict[str, Total], rows: Iterable[tuple[int, Row]]) -> None:
    """Add the rows of some endpoints to what is shown while the run goes on."""
    for key, total in quality.items():
        values = [value for _, row in rows if (value := row.get(f"receive.{key}")) is not None and isfinite(value)]
        quality[key] = Total(count=total.count + len(values), sum=total.sum + sum(values))


def _portions(items: Sequence[ItemT], size: int) -> Iterator[Sequence[ItemT]]:
    """Yield the items so many at a time."""
    for first in range(0, len(items), size):
        yield items[first : first + size]
