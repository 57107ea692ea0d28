"""Where a worker's log goes: standard output, in the form that the settings say, whatever is at the other end."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from threading import Event

import pytest

from tests.faults.lab import LOOK_S, free_tcp_port
from tests.support.processes import PATIENCE_S, cmw

pytestmark = pytest.mark.loopback

TOKEN = "cmw_" + "a1b2c3d4" * 8


def said(directory: Path, **settings: str) -> str:
    """Return what a worker writes to standard output from its start to its end; fail if it writes elsewhere too."""
    port = free_tcp_port()
    environment = {
        "WORKER_TOKEN": TOKEN,
        "CLOUD_URL": "ws://127.40.24.1:9",
        "SIP_IP": "127.40.24.1",
        "HEALTH_PORT": str(port),
        **settings,
    }
    out = directory / "stdout"
    with cmw("worker", environment=environment, stdout=out) as worker:
        for _ in range(int(PATIENCE_S / LOOK_S)):
            if b"link lost" in out.read_bytes():
                break
            Event().wait(LOOK_S)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 143
        assert worker.output == ""
    return out.read_text()


def test_json_is_one_object_a_line(tmp_path: Path) -> None:
    events = [json.loads(line)["event"] for line in said(tmp_path, LOG_FORMAT="json").splitlines()]
    assert "worker started" in events
    assert events[-1] == "worker stopped"


def test_pretty_has_colours_in_a_pipe_too_unless_they_are_not_wanted(tmp_path: Path) -> None:
    coloured = said(tmp_path, LOG_FORMAT="pretty", NO_COLOR="")
    assert "worker started" in coloured
    assert "\x1b[" in coloured
    plain = said(tmp_path, LOG_FORMAT="pretty", NO_COLOR="1")
    assert "worker started" in plain
    assert "\x1b[" not in plain
