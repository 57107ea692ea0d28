"""What the link costs: one second of 500 endpoints x 25 columns, encoded by a worker and decoded by a gateway.

    python -m bench.link_samples

Each figure is asserted to be of a true result before it is timed; `tests/link/test_bench.py` runs each once, untimed.
"""

from __future__ import annotations

import json
import time
from array import array
from collections.abc import Callable

from cmw.core.clock import WallClock
from cmw.link.gateway_link import GatewayLink
from cmw.link.messages import Hello, Report, parse_worker_message, serialize_message
from cmw.link.samples import SampleBatch, decode_samples, encode_samples

ENDPOINTS = 500
COLUMNS = 25


def make_batch(second: int = 0) -> SampleBatch:
    """Return a batch like a run's: half gauges that wander, half counters that grow."""
    state = 12345 + second
    columns: dict[str, array[float] | array[int]] = {}
    for column in range(COLUMNS):
        values = []
        for endpoint in range(ENDPOINTS):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            values.append(state / 0x7FFFFFFF if column % 2 else 50 * second + state % 3 + endpoint)
        columns[f"metric_{column}"] = array("f", values) if column % 2 else array("I", [int(value) for value in values])
    return SampleBatch("run-1", second, 1_767_225_600_000, array("I", range(ENDPOINTS)), columns)


def make_report() -> str:
    """Return an endpoint's report of usual size as text."""
    receive = {f"metric_{number}": number * 1.5 for number in range(40)}
    data = {"index": 3, "outcome": "SUCCESS", "media": {"send": receive, "receive": receive}, "reason": ""}
    return serialize_message(Report(seq=1, kind="endpoint", run_id="run-1", data=data))


def encode() -> bytes:
    """Encode the batch once."""
    return encode_samples(_BATCH, 1)


def decode() -> SampleBatch:
    """Decode the batch once."""
    return decode_samples(_FRAME)[1]


def parse_report() -> object:
    """Read an endpoint's report once."""
    return parse_worker_message(_REPORT)


def receive_samples() -> int:
    """Take ten seconds of samples through the gateway's end of the link."""
    link = GatewayLink(wall=WallClock(0, 0), now=0)
    link.receive_text(serialize_message(Hello(protocol=1, session="0" * 32, capacity=500)), now=0)
    link.welcome(worker_id="w", name="n", acknowledged=0, now=0)
    for seq, frame in enumerate(_FRAMES, 1):
        link.receive_bytes(frame, now=seq)
        link.committed(seq, now=seq)
        link.frames_to_send()
    received = 0
    while link.next_event() is not None:
        received += 1
    return received


_BATCH = make_batch()
_FRAME = encode_samples(_BATCH, 1)
_FRAMES = [encode_samples(make_batch(second), second + 1) for second in range(10)]
_REPORT = make_report()


def check() -> None:
    """Assert that what is timed is right."""
    assert encode() == _FRAME
    assert decode().columns == _BATCH.columns
    assert parse_report().data["index"] == 3  # type: ignore[attr-defined]
    assert receive_samples() == 11


def cost_us(work: Callable[[], object], *, rounds: int = 200) -> float:
    """Return the least time of a round, microseconds of this thread's CPU."""
    best = float("inf")
    for _ in range(rounds):
        before = time.thread_time_ns()
        work()
        best = min(best, (time.thread_time_ns() - before) / 1000)
    return best


def main() -> None:
    """Print one JSON document."""
    check()
    encode_us, decode_us, report_us = cost_us(encode), cost_us(decode), cost_us(parse_report)
    receive_us = cost_us(receive_samples, rounds=20) / len(_FRAMES)
    figures = {
        "endpoints": ENDPOINTS,
        "columns": COLUMNS,
        "frame_bytes": len(_FRAME),
        "raw_bytes": 4 * ENDPOINTS * (COLUMNS + 1),
        "encode_us": round(encode_us, 1),
        "decode_us": round(decode_us, 1),
        "gateway_receive_us": round(receive_us, 1),
        "report_bytes": len(_REPORT),
        "parse_report_us": round(report_us, 1),
        "worker_core_fraction": round(encode_us / 1e6, 6),
        "gateway_core_fraction": round(receive_us / 1e6, 6),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
