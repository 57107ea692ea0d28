"""A run that never was: reports and samples of any number of endpoints, the same each time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from cmw.core.words import Blame, OutcomeKind
from cmw.load.outcome import CallReport, EndpointReport, MediaReport

SETUP_S = 5
"""All calls begin within these seconds."""


def synthetic_reports(endpoints: int) -> list[EndpointReport]:
    """Return the reports of callers, of whom each fiftieth met 503."""
    chance = random.Random(7)
    return [_report(index, endpoints, chance) for index in range(endpoints)]


def synthetic_samples(endpoints: int, seconds: int) -> Iterator[dict[str, Any]]:
    """Yield samples: a tenth of the endpoints suffer from loss in the middle of the run."""
    chance = random.Random(8)
    for second in range(seconds):
        is_bad = seconds // 3 <= second < seconds // 2
        for index in range(endpoints):
            if second < _placed_ms(index, endpoints) / 1000 or index % 50 == 49:
                continue
            suffers = is_bad and index % 10 == 3
            yield {
                "endpoint": index,
                "second": second,
                "at_unix_ms": 1_767_225_600_000 + 1000 * second,
                "untrusted": int(second == seconds - 4),
                "receive.mos": (2.6 if suffers else 4.3) + chance.uniform(-0.15, 0.1),
                "receive.jitter_ms": (18 if suffers else 1.5) * chance.uniform(0.6, 1.6),
                "receive.fraction_lost": chance.uniform(4, 9) if suffers else 0.0,
            }


def _placed_ms(index: int, endpoints: int) -> float:
    return 1000 * SETUP_S * index / endpoints


def _report(index: int, endpoints: int, chance: random.Random) -> EndpointReport:
    due_ms = _placed_ms(index, endpoints)
    failed = index % 50 == 49
    call = CallReport(
        attempted=True,
        answered=not failed,
        call_id=f"c{index}@192.0.2.1",
        target="sip:600@pbx.example",
        status_code=503 if failed else 200,
        codec="PCMU",
        due_ms=due_ms,
        placed_ms=due_ms + chance.uniform(0, 3),
        timing={} if failed else {"call_setup_time_ms": chance.lognormvariate(4, 0.5), "time_to_trying_ms": 2.0},
    )
    return EndpointReport(
        run_id="r1",
        index=index,
        name=f"callers-{index:04d}",
        group="callers",
        worker="w1",
        phase="CALLING" if failed else "INCALL",
        outcome=OutcomeKind.CALL_FAILED if failed else OutcomeKind.SUCCESS,
        blame=Blame.TARGET if failed else None,
        reason="503 Service Unavailable" if failed else "",
        call=call,
        media=MediaReport() if failed else MediaReport(receive={"mos": 4.0 + chance.uniform(-0.5, 0.3)}),
    )
