"""`cmw capacity`: a real measurement on loopback, short; the rest with a measurement made of numbers."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmw.cli import capacity_command, main
from cmw.cli.capacity_page import COLUMNS
from cmw.cli.capacity_processes import Child, Cores, Ground, LoadError, bare_us_per_pair
from cmw.core.address import PortRange
from cmw.load.capacity import Measured

ROOT = Path(__file__).parents[2]
TIER_KEYS = (
    "endpoints media_core_fraction signalling_core_fraction pacing_p50_us pacing_p99_us packets_lost packets_skipped "
    "rss_bytes bandwidth_bps baseline_ratio window_valid"
).split()


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cmw", "capacity", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.loopback
def test_a_tier_is_measured_with_real_calls(loopback_ip: Callable[[], str]) -> None:
    process = start("--tier", "5", "--seconds", "0.5", "--pacing-p99", "10s", "--ip", loopback_ip(), "--json")
    out, told = process.communicate(timeout=120)
    document = json.loads(out)
    assert document["schema_version"] == 1
    assert document["recommended_capacity"] is None
    assert document["machine"]["worker_cores"] >= 1
    (tier,) = document["tiers"]
    assert set(TIER_KEYS) <= tier.keys()
    assert tier["endpoints"] == 5
    assert not [limit for limit in tier["limits"] if "calls" in limit]
    for name in TIER_KEYS[:-1]:
        assert tier[name] is not None, name
    assert (tier["packets_lost"], tier["rss_bytes"] > 1 << 20) == (0, True)
    assert tier["bandwidth_bps"] > 5 * 40_000
    assert told.startswith("one measurement of about ")
    assert process.returncode == (0 if not tier["limits"] else 75 if tier["window_valid"] else 97)


@pytest.mark.loopback
def test_ctrl_c_ends_both_sides_too(loopback_ip: Callable[[], str]) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a script's background jobs inherit it
    try:
        process = start("--tier", "5", "--seconds", "600", "--ip", loopback_ip())
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.stderr is not None
    process.stderr.readline()
    sides = [os.pidfd_open(child) for child in _children_of(process.pid)]
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130
    for side in sides:
        assert select.select([side], [], [], 60)[0], "a side lives on"
        os.close(side)


def _children_of(pid: int) -> list[int]:
    """Return the processes that a process has, once it has both."""
    found: list[str] = []
    while len(found) < 2:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Measure by numbers: so many endpoints hold, and windows are as said."""
    facts: dict[str, Any] = {"limit": 700, "window_valid": True}

    def measure(ground: Ground, endpoints: int, seconds: float, bound_us: float) -> Measured:
        return Measured(
            endpoints,
            media_core_fraction=endpoints / 2000,
            signalling_core_fraction=0.01,
            pacing_p50_us=50.0,
            pacing_p99_us=bound_us / 10,
            packets_lost=0,
            packets_skipped=0,
            rss_bytes=64 << 20,
            bandwidth_bps=80_000.0 * endpoints,
            window_valid=facts["window_valid"],
            limits=() if endpoints <= facts["limit"] else ("media thread: late",),
        )

    monkeypatch.setattr(capacity_command, "measure", measure)
    return facts


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main.run_command(["capacity", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_search_recommends_a_capacity(machine: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, told = run(capsys, "--json")
    document = json.loads(out)
    assert code == 0
    assert [tier["endpoints"] for tier in document["tiers"]][:5] == [25, 50, 100, 200, 500]
    assert 600 <= document["highest"] <= 700
    assert 0.75 * document["highest"] <= document["recommended_capacity"] <= 0.8 * document["highest"]
    assert document["limit"].endswith("media thread: late")
    assert told.startswith("this takes ")
    assert "25 endpoints: media 0.013 cores, signalling 0.010, pacing p99 500 us; holds" in told


def test_the_table_stands_beside_the_page(machine: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys)
    header, first, *_ = out.splitlines()
    assert header.split() == " ".join(COLUMNS).split()
    assert first.split()[:5] == ["25", "0.013", "0.010", "64.0", "2.0"]
    assert first.split()[-5:] == ["1", "512", "MB", "10", "Mbps"]
    assert "capacity to configure: " in out


def test_no_more_is_asked_for_than_there_is_room(machine: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    machine["limit"] = 100_000
    _, out, _ = run(capsys, "--json", "--rtp-ports", "20000-20199")
    document = json.loads(out)
    assert [tier["endpoints"] for tier in document["tiers"]] == [25, 50]
    assert "holds 50 pairs of ports" in document["limit"]
    _, out, _ = run(capsys, "--json", "--max-endpoints", "60")
    document = json.loads(out)
    assert (document["highest"], document["limit"]) == (60, "--max-endpoints")


def test_no_time_is_a_limit_too(machine: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--json", "--time-limit", "5s")
    document = json.loads(out)
    assert document["tiers"] == []
    assert document["limit"] == "time: 25 endpoints would not be measured within 5 s"
    assert code == 75


@pytest.mark.parametrize(("valid", "code"), [(True, 75), (False, 97)])
def test_a_count_that_does_not_hold_proves_something_only_undisturbed(
    machine: dict[str, Any], capsys: pytest.CaptureFixture[str], valid: bool, code: int
) -> None:
    machine |= {"limit": 10, "window_valid": valid}
    assert run(capsys, "--tier", "25", "--json")[0] == code
    assert run(capsys, "--tier", "10", "--json")[0] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--tier", "60", "--rtp-ports", "20000-20199"), "found 60, expected at most 50"),
        (("--json", "--markdown"), "expected at most one of them"),
        (("--ip", "::1"), "expected an IPv4 address"),
        (("--pacing-p99", "soon"), "--pacing-p99"),
    ],
)
def test_wrong_usage_is_told(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str) -> None:
    code, out, error = run(capsys, *words)
    assert (code, out) == (2, "")
    assert told in " ".join(error.replace("│", " ").split())


def test_the_page_of_the_documentation_is_what_the_command_makes(
    machine: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """After a change: cmw capacity --markdown > docs/capacity.md, on a quiet machine."""
    _, out, _ = run(capsys, "--markdown")
    page = (ROOT / "docs" / "capacity.md").read_text()
    heading = "## What is measured"
    assert page.partition(heading)[2] == out.partition(heading)[2]
    for name in ("| cpu |", "| worker_cores |", "Capacity to configure: **"):
        assert name in out
        assert name in page


def test_a_side_that_ends_says_why() -> None:
    expected = pytest.raises(LoadError, match=r"^cmw\.worker\.capacity_load ended: .*")
    with Child("cmw.worker.capacity_load") as child, expected:
        child.ask("not a spec", 60)


def test_a_baseline_that_cannot_be_measured_is_absent() -> None:
    cores = Cores.divide([0])
    assert bare_us_per_pair(Ground("192.0.2.1", PortRange(20000, 20099), cores), 2, 0.1) is None


@pytest.mark.parametrize(
    ("cpus", "worker", "peer"),
    [([0], (0,), (0,)), ([0, 1], (0,), (1,)), ([0, 1, 2], (0, 1), (2,)), ([4, 5, 6, 7], (4, 5), (6, 7))],
)
def test_cores_are_divided(cpus: list[int], worker: tuple[int, ...], peer: tuple[int, ...]) -> None:
    assert Cores.divide(cpus) == Cores(worker, peer)


def test_ports_are_divided_in_pairs() -> None:
    ground = Ground("127.0.0.1", PortRange(20000, 20101), Cores.divide([0]))
    ours, theirs = ground.halves
    assert (ours.last, theirs.first, theirs.last) == (20049, 20050, 20101)
    assert len(ours.pairs()) + len(theirs.pairs()) == 51
