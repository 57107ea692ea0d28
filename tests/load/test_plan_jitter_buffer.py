"""The jitter buffer of a plan: what may be said of it, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from cmw.core.clock import MILLISECOND
from cmw.load.faults import PlanError
from cmw.load.plan_parser import parse_plan
from cmw.load.share import AudioShare, RunShare
from cmw.load.split import split_run
from cmw.rtp.jitter_buffer import USUAL_BUFFER
from cmw.worker.choices import audio_choice


def audio(**fields: Any) -> AudioShare:
    """Return what a worker is told of a group with this audio, after a journey over the link."""
    document = {
        "version": 1,
        "duration": "1s",
        "groups": {"callers": {"endpoints": 1, "call": {"uri": "sip:a@127.0.0.1"}, "audio": fields}},
    }
    [share] = split_run(parse_plan(document, name="plan"), "r", [("w", 10)]).values()
    return RunShare.model_validate(share.to_wire()).groups["callers"].audio


def bounds_ms(**fields: Any) -> tuple[int, int, int]:
    found = audio(jitter_buffer=fields).buffer
    return found.start_ns // MILLISECOND, found.min_ns // MILLISECOND, found.max_ns // MILLISECOND


def test_without_a_word_it_is_the_usual_one() -> None:
    found = audio()
    assert (found.buffer.start_ns, found.buffer.min_ns, found.buffer.max_ns) == USUAL_BUFFER
    assert found.late_limit_ns == 100 * MILLISECOND


@pytest.mark.parametrize(
    ("fields", "bounds"),
    [
        ({"mode": "fixed", "nominal": "60ms"}, (60, 60, 60)),
        ({"mode": "adaptive", "nominal": "40ms", "max": "120ms"}, (40, 20, 120)),
        ({"nominal": "10ms"}, (10, 10, 200)),
        ({"nominal": "300ms"}, (300, 20, 300)),
        ({"nominal": "0s", "min": "0s"}, (0, 0, 200)),
    ],
)
def test_bounds(fields: dict[str, Any], bounds: tuple[int, int, int]) -> None:
    assert bounds_ms(**fields) == bounds


def test_what_a_plan_says_reaches_the_endpoints() -> None:
    document = {
        "version": 1,
        "duration": "1s",
        "groups": {
            "waiters": {
                "endpoints": 1,
                "audio": {"jitter_buffer": {"mode": "fixed", "nominal": "80ms"}, "late_after": "25ms"},
            }
        },
    }
    [share] = split_run(parse_plan(document, name="plan"), "r", [("w", 10)]).values()
    choice = audio_choice(share.groups["waiters"])
    assert choice.buffer == (80 * MILLISECOND,) * 3
    assert choice.late_limit_ns == 25 * MILLISECOND


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"jitter_buffer": {"mode": "fixed", "max": "1s"}}, "jitter_buffer.max", "only beside adaptive"),
        ({"jitter_buffer": {"min": "50ms"}}, "jitter_buffer.min", "more than nominal"),
        ({"jitter_buffer": {"max": "30ms"}}, "jitter_buffer.max", "less than nominal"),
        ({"jitter_buffer": {"nominal": "11s"}}, "jitter_buffer.nominal", "a duration from 0s to 10s"),
        ({"jitter_buffer": {"mode": "elastic"}}, "jitter_buffer.mode", "adaptive or fixed"),
        ({"late_after": "0s"}, "late_after", "a duration from 1ms to 60s"),
    ],
)
def test_what_does_not_fit_is_named(fields: dict[str, Any], place: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        audio(**fields)
    assert place in str(caught.value)
    assert message in str(caught.value)
