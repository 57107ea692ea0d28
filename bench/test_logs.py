"""What the log of a worker costs: a line that is shown, one that is counted only, and one below the level."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from cmw.worker.logs import REPEATS, configure_logging, get_logger

LINES = 1000
FIELDS: dict[str, Any] = {
    "run": "22dd23cba83742248718b1f6bf6ff91b",
    "endpoint": "callers-0001",
    "outcome": "CALL_FAILED",
    "reason": "refused with 486 Busy Here",
    "target": "sip:600@192.0.2.1",
    "status": 486,
}


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    yield stream
    structlog.reset_defaults()


def test_a_line_that_is_shown(benchmark: Any, out: io.StringIO) -> None:
    log = get_logger(component="worker")

    def write() -> None:
        for number in range(LINES):
            log.info(f"endpoint failed {number}", **FIELDS)

    benchmark(write)
    assert out.getvalue().count("\n") >= LINES
    benchmark.extra_info["lines"] = LINES


def test_a_line_that_repeats(benchmark: Any, out: io.StringIO) -> None:
    log = get_logger(component="worker")

    def write() -> None:
        for _ in range(LINES):
            log.info("endpoint failed", **FIELDS)

    benchmark(write)
    assert out.getvalue().count('"event":"endpoint failed"') >= REPEATS
    benchmark.extra_info["lines"] = LINES


def test_a_line_below_the_level(benchmark: Any, out: io.StringIO) -> None:
    log = get_logger(component="worker")

    def write() -> None:
        for _ in range(LINES):
            log.debug("endpoint closed", **FIELDS)

    benchmark(write)
    assert out.getvalue() == ""
    benchmark.extra_info["lines"] = LINES
