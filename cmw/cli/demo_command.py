"""`cmw demo`: the main job on loopback, with nothing else installed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cmw.cli.local_run import LocalSettings
from cmw.cli.run_command import Json, Output, run_and_report
from cmw.core.words import OutcomeKind
from cmw.errors import CmwError
from cmw.load.plan_parser import parse_plan

CALLS = 20
HOLD = "15s"
RATE = "10/s"
CALLEE_RTP_PORTS = "20000-21999"
CALLER_RTP_PORTS = (22000, 23999)


class DemoError(CmwError):
    """The callee of the demo did not start."""


def demo(json_wanted: Json = False, output: Output = None) -> int:
    """Show the main job on loopback: a callee, a gateway and a worker, 20 calls of 15 s with RTP both ways."""
    with _callee() as address:
        print(f"callee at {address}; {CALLS} calls of {HOLD} at {RATE}, speech both ways", file=sys.stderr)
        document = {
            "version": 1,
            "name": "demo",
            "duration": HOLD,
            "groups": {
                "callers": {
                    "endpoints": CALLS,
                    "call": {"uri": f"sip:demo@{address}"},
                    "load": {"arrivals": "constant", "rate": RATE},
                }
            },
            "thresholds": {"call_success": ["rate >= 1.0"], "mos": ["p(5) >= 4.0"]},
        }
        first, last = CALLER_RTP_PORTS
        settings = LocalSettings(sip_ip="127.0.0.1", rtp_port_min=first, rtp_port_max=last)
        return run_and_report(parse_plan(document, name="cmw demo"), settings, output, json_wanted=json_wanted)


@contextmanager
def _callee() -> Iterator[str]:
    """Have `cmw answer` run in a process of its own; yield its SIP address."""
    words = [sys.executable, "-m", "cmw", "answer", "--listen", "127.0.0.1:0", "--media", "speech", "--delay", "300ms"]
    words += ["--rtp-ports", CALLEE_RTP_PORTS, "--json"]
    process = subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,  # Ctrl-C is for us: the callee has to be there while we hang up
    )
    assert process.stderr is not None
    try:
        yield _address(process.stderr.readline())
    finally:
        process.terminate()
        _tell_failures(process.communicate()[1])


def _address(line: str) -> str:
    try:
        return str(json.loads(line)["sip"])
    except (ValueError, KeyError, TypeError):
        raise DemoError(f"the callee did not start: {line.strip() or 'it said nothing'}") from None


def _tell_failures(log: str) -> None:
    """Show what the callee did not like: its side of a failure is half of the truth."""
    for line in log.splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if entry.get("outcome", OutcomeKind.SUCCESS) != OutcomeKind.SUCCESS or entry.get("level") == "error":
                print(f"callee: {entry.get('outcome', entry['event'])} {entry.get('reason', '')}", file=sys.stderr)
