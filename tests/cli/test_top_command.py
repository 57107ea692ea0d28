"""`cmw top`: what is read from the page of figures, and how it is shown."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from rich.console import Console, ConsoleDimensions

from cmw.cli import main as cli
from cmw.cli import top_command
from cmw.cli.exit_codes import ExitCode
from cmw.cli.top_command import _fitted, lines_of, read_metrics, view_of
from cmw.metrics.histogram import ExponentialHistogram
from cmw.worker.exposition import MetricsPage, Vitals, WorkerCounts
from cmw.worker.exposition_page import AT_REST
from tests.support.doctor_desk import served


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
    with pytest.raises(ValueError, match="not a worker"):
        read_metrics(text)


def test_a_worker_that_began_anew_is_looked_at_for_the_first_time() -> None:
    before = read_metrics(page([90_000.0] * 50, uptime_s=100, cpu_s=50))
    now = read_metrics(page([30.0] * 10, uptime_s=2, cpu_s=1))
    view = view_of(now, before)
    assert (view.cpu_cores, view.pacing_p99_us) == (0.5, 50)


def test_a_small_screen_shows_the_beginning_of_each_line() -> None:
    lines = ["cmw 1.2  up 0 s", "load       5 runs, 7 of 100 endpoints", "ended      none"]
    assert not _fitted(lines, ConsoleDimensions(40, 24)).no_wrap
    assert not _fitted(lines, ConsoleDimensions(20, 6)).no_wrap
    console = Console(width=20, height=3, file=io.StringIO())
    shown = [
        "".join(each.text for each in line) for line in console.render_lines(_fitted(lines, console.size), pad=False)
    ]
    assert shown == ["cmw 1.2  up 0 s", "load       5 runs, …", "ended      none"]


@contextmanager
def answering(answer: Callable[[], bytes]) -> Iterator[str]:
    """Answer every connection with some bytes, once something was asked."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(answer())
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def http(body: bytes | str, *, status: str = "200 OK") -> bytes:
    data = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data


@pytest.fixture
def worker() -> Iterator[str]:
    with answering(lambda: http(page([30.0]))) as url:
        yield url


@pytest.mark.loopback
def test_once_and_as_json(worker: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["top", "--url", worker, "--once"]) == 0
    assert "pacing     p99 below 50 us" in capsys.readouterr().out
    assert cli.run_command(["top", "--url", f"{worker}/", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["version"], document["mos"]) == (1, "1.2", None)


@pytest.mark.loopback
def test_what_the_environment_says_of_proxies_is_not_looked_at(
    worker: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.28.9.9:1")
    assert cli.run_command(["top", "--once", "--url", worker]) == 0


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"SSH-2.0-OpenSSH_9\x1b[31m\r\n", "is not a worker of cmw\n"),
        (b"", "is not a worker of cmw\n"),
        (http("It works!"), "is not a worker of cmw\n"),
        (http("", status="404 \x1b[31mGone"), "is not a worker of cmw (HTTP 404)\n"),
        (http('cmw_build_info{version="1"} 1\ncmw_runs NaN\n'), "is not a worker of cmw\n"),
        (http('cmw_build_info{version="1"} 1\ncmw_endpoints 5\n'), "is not a worker of cmw\n"),
        (http(page([]))[:-10], "is not a worker of cmw\n"),
        (http(b"\xff\xfe" * 1000), "is not a worker of cmw\n"),
    ],
)
def test_something_else_answers(answer: bytes, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(lambda: answer) as url:
        assert cli.run_command(["top", "--once", "--url", url]) == ExitCode.UNAVAILABLE
    out, err = capsys.readouterr()
    assert (out, "\x1b" in err) == ("", False)
    assert err.startswith(f"cmw: {url}/metrics: what answers there ")
    assert err.endswith(told)


@pytest.mark.loopback
def test_someone_keeps_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(top_command, "PATIENCE_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert cli.run_command(["top", "--once", "--url", url]) == ExitCode.UNAVAILABLE
    assert capsys.readouterr().err == f"cmw: {url}/metrics: no worker answers there (timed out)\n"


@pytest.mark.loopback
def test_someone_answers_a_byte_at_a_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not stop.wait(0.01):
            connection.sendall(b"#")

    monkeypatch.setattr(top_command, "PATIENCE_S", 0.2)
    with served("127.0.0.1", drip) as port:
        assert cli.run_command(["top", "--once", "--url", f"http://127.0.0.1:{port}"]) == ExitCode.UNAVAILABLE
        stop.set()
    assert capsys.readouterr().err.endswith("no worker answers there (timed out)\n")


@pytest.mark.loopback
def test_names_are_shown_without_what_would_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    told = 'cmw_build_info{version="\x1b[2J1"} 1\ncmw_calls_total{direction="inbound",outcome="\x1b]0;x\x07"} 2\n'
    told += 'cmw_media_thread{scheduling="\x9b31m\u202e"} 1\n'
    with answering(lambda: http(told)) as url:
        assert cli.run_command(["top", "--once", "--url", url]) == 0
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.splitlines())
    assert out.startswith("cmw ?[2J1  up")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:abc", "http://127.0.0.1:0", "http://[::1", "http://a b", "http://", "x"]
)
def test_a_url_that_is_none(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["top", "--once", "--url", url]) == ExitCode.USAGE
    assert "expected http://HOST:PORT" in capsys.readouterr().err


def test_a_health_port_that_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HEALTH_PORT", "many")
    assert cli.run_command(["top", "--once"]) == ExitCode.USAGE
    assert "HEALTH_PORT" in capsys.readouterr().err


@pytest.mark.loopback
def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["top", "--once", "--url", "http://127.28.9.9:1"]) == ExitCode.UNAVAILABLE
    assert "no worker answers there" in capsys.readouterr().err
    assert cli.run_command(["top", "--url", "file:///etc/passwd"]) == ExitCode.USAGE
