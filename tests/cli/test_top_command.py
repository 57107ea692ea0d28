"""`cmw top`: what is read from the page of figures, and how it is shown."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cmw.cli import main as cli
from cmw.cli.exit_codes import ExitCode
from cmw.cli.top_command import lines_of, read_metrics, view_of
from cmw.metrics.histogram import ExponentialHistogram
from cmw.worker.exposition import MetricsPage, Vitals, WorkerCounts
from cmw.worker.exposition_page import AT_REST


def page(pacing_us: list[float], counts: WorkerCounts | None = None, **vitals: object) -> str:
    pacing = ExponentialHistogram()
    pacing.record_many(pacing_us)
    now: Vitals = AT_REST._replace(pacing_us=pacing, version="1.2", capacity=100, **vitals)  # type: ignore[arg-type]
    return MetricsPage(counts or WorkerCounts(), lambda: now).render().decode()


def test_what_is_not_known_is_a_dash_and_null() -> None:
    view = view_of(read_metrics(page([])))
    assert (view.mos, view.pacing_p99_us, view.cpu_cores) == (None, None, None)
    assert "quality    MOS - (least -), loss - %, jitter - ms, round trip - ms" in lines_of(view)


def test_pacing_is_that_of_the_time_since_the_look_before() -> None:
    before = read_metrics(page([90_000.0] * 50, uptime_s=10, cpu_s=1))
    now = read_metrics(page([90_000.0] * 50 + [30.0] * 100, uptime_s=12, cpu_s=2))
    assert view_of(before).pacing_p99_us == 100_000
    view = view_of(now, before)
    assert view.pacing_p99_us == 50
    assert view.cpu_cores == 0.5


def test_endpoints_calls_and_link() -> None:
    counts = WorkerCounts()
    counts.take_report("progress", "r1", {"by_phase": {"INCALL": 7, "CLOSED": 3}})
    counts.calls["outbound", "success"] = 2
    counts.calls["inbound", "success"] = 1
    view = view_of(read_metrics(page([], counts, connected=True, runs=1)))
    assert view.calls_ended == {"success": 3}
    lines = lines_of(view)
    assert lines[0] == "cmw 1.2  up 0 s  healthy"
    assert "link       connected, 0 reports to be acknowledged" in lines
    assert "load       1 runs, 7 of 100 endpoints" in lines


@pytest.mark.parametrize("text", ["", "<html>", "go_goroutines 5\n", "cmw_build_info{"])
def test_another_program_s_page_is_refused(text: str) -> None:
    with pytest.raises(ConnectionError, match="not a worker"):
        read_metrics(text)


@pytest.fixture
def worker() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page([30.0]).encode()
            self.send_response(200 if self.path == "/metrics" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.loopback
def test_once_and_as_json(worker: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["top", "--url", worker, "--once"]) == 0
    assert "pacing     p99 below 50 us" in capsys.readouterr().out
    assert cli.run_command(["top", "--url", f"{worker}/", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["version"], document["mos"]) == (1, "1.2", None)


@pytest.mark.loopback
def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["top", "--once", "--url", "http://127.28.9.9:1"]) == ExitCode.UNAVAILABLE
    assert "no worker answers there" in capsys.readouterr().err
    assert cli.run_command(["top", "--url", "file:///etc/passwd"]) == ExitCode.USAGE
