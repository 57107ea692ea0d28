"""The units: systemd takes them, and finds little to attack; a worker under `Type=notify` says when it is ready."""

from __future__ import annotations

import configparser
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cmw.worker.settings import WorkerSettings
from tests.support.processes import PATIENCE_S, cmw

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
EXPOSURE = 25
"""In tenths: what systemd-analyze calls OK ends at 4.4."""


def installed(unit: str, directory: Path) -> str:
    """Return a copy whose program is one that is here."""
    text = (UNITS / unit).read_text().replace("/opt/cmw/bin/cmw", sys.executable)
    (directory / unit).write_text(text)
    return str(directory / unit)


@pytest.mark.peers("systemd-analyze")
@pytest.mark.parametrize("unit", ["cmw-worker.service", "cmw-gateway.service"])
def test_systemd_takes_the_unit_and_finds_it_hardened(unit: str, tmp_path: Path) -> None:
    path = installed(unit, tmp_path)
    for words in (["verify"], ["security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager"]):
        done = subprocess.run(["systemd-analyze", *words, path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "nknown" not in done.stderr, done.stderr


def test_the_unit_waits_longer_for_the_end_than_the_worker_takes() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNITS / "cmw-worker.service")
    assert int(unit["Service"]["TimeoutStopSec"]) > WorkerSettings.model_fields["shutdown_timeout"].default
    assert "78" in unit["Service"]["RestartPreventExitStatus"]


@pytest.mark.loopback
def test_a_worker_says_when_it_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WORKER_TOKEN": "cmw_" + "a1b2c3d4" * 8,
        "CLOUD_URL": "ws://127.28.3.1:9",
        "SIP_IP": "127.28.3.2",
        "HEALTH_PORT": "3934",
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(environment["NOTIFY_SOCKET"])
        manager.settimeout(PATIENCE_S)
        with cmw("worker", environment=environment) as worker:
            assert manager.recv(4096).decode() == "READY=1\nSTATUS=worker for 127.28.3.1:9"
            worker.signal(signal.SIGTERM)
            assert manager.recv(4096).decode() == "STOPPING=1"
            assert worker.wait() == 143


NOT_HERE = "python3.11() { :; }; pip() { :; }; systemctl() { :; }; set -e\n"


def test_the_files_of_the_page_are_those_that_the_unit_reads(tmp_path: Path) -> None:
    page = (UNITS.parents[1] / "docs" / "installation.md").read_text()
    block = page.partition("## systemd")[2].partition("\n\n")[2].partition("\n\n")[0]
    (tmp_path / "etc" / "systemd" / "system").mkdir(parents=True)
    (tmp_path / "deploy").symlink_to(UNITS.parent)
    (tmp_path / "token").write_text("cmw_" + "a1b2c3d4" * 8)
    script = NOT_HERE + block.replace("/opt/cmw/bin/pip", "pip").replace("/etc/", f"{tmp_path}/etc/")
    subprocess.run(["bash", "-c", script], check=True, cwd=tmp_path)
    unit = (tmp_path / "etc" / "systemd" / "system" / "cmw-worker.service").read_text()
    assert unit == (UNITS / "cmw-worker.service").read_text()
    for option, path in (
        ("EnvironmentFile=", "/etc/cmw/worker.env"),
        ("LoadCredential=worker-token:", "/etc/cmw/worker-token"),
    ):
        assert f"{option}{path}\n" in unit
        assert Path(f"{tmp_path}{path}").is_file()
    assert (tmp_path / "etc" / "cmw" / "worker-token").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "etc" / "cmw" / "worker.env").read_text() == "CLOUD_URL=gateway.example:443\n"
