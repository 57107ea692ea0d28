"""How a run that goes on sounds and keeps pace, in words, from its progress: the sum of what its workers said."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

SPAN_S = 5
"""Seconds that a rate is of."""


class _Calls(NamedTuple):
    """How many calls were due and placed at the end of a second."""

    second: int
    due: int
    placed: int


class Pace:
    """Tell how quickly calls are placed, beside how quickly they should be."""

    def __init__(self) -> None:
        self._seen: deque[_Calls] = deque(maxlen=SPAN_S + 1)

    def take(self, progress: Mapping[str, Any]) -> None:
        """Take note of where the run stands; a second that was told is passed over, an earlier one begins anew."""
        second = progress.get("second")
        if isinstance(second, int) and self._seen and second < self._seen[-1].second:
            self._seen.clear()
        if isinstance(second, int) and (not self._seen or second > self._seen[-1].second):
            self._seen.append(_Calls(second, progress.get("calls_due", 0), progress.get("calls_attempted", 0)))

    @property
    def text(self) -> str:
        """Return ``10/s wanted, 9.8/s placed``; "" before two seconds are known, and when no call is due any more."""
        if len(self._seen) < 2:
            return ""
        first, last = self._seen[0], self._seen[-1]
        span_s = last.second - first.second
        wanted, placed = (last.due - first.due) / span_s, (last.placed - first.placed) / span_s
        return f"{wanted:.3g}/s wanted, {placed:.3g}/s placed" if wanted or placed else ""


def quality_text(progress: Mapping[str, Any]) -> str:
    """Return ``MOS 4.38, loss 0.12 %, jitter 0.4 ms``, means over the endpoints; "" when nothing was measured."""
    quality = progress.get("quality")
    if not isinstance(quality, Mapping):
        return ""
    parts = [
        ("mos", "MOS {:.2f}"),
        ("fraction_lost", "loss {:.2f} %"),
        ("jitter_ms", "jitter {:.1f} ms"),
    ]
    return ", ".join(form.format(mean) for key, form in parts if (mean := _mean(quality.get(key))) is not None)


def health_text(progress: Mapping[str, Any]) -> str:
    """Return how the generator fares: ``generator healthy``, or in how many seconds it was the limit."""
    untrusted = progress.get("untrusted_seconds", 0)
    return f"generator the limit in {untrusted} s" if untrusted else "generator healthy"


def _mean(total: Any) -> float | None:
    if not isinstance(total, Mapping):
        return None
    count, added = total.get("count", 0), total.get("sum", 0.0)
    return added / count if count else None
