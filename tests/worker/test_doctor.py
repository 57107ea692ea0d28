"""The doctor as a whole: what it looks at and in which order, its lines, its document and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cmw.cli import main as cli
from cmw.worker import doctor_machine
from cmw.worker.doctor import Wanted, examine
from cmw.worker.finding import Grade
from tests.support.certificates import Authority
from tests.support.doctor_desk import by_check, gateway, grades, tls_server

pytestmark = pytest.mark.loopback


@pytest.fixture(autouse=True)
def quick_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "WAKES", 3)
    monkeypatch.setattr(doctor_machine, "WAKE_FAIL_S", 60.0)  # of a machine that others are busy on


def test_faults_of_the_settings_come_first_and_the_machine_is_looked_at_anyway() -> None:
    found = by_check(examine(Wanted()))
    assert [finding.found for finding in found["settings"]] == [
        "WORKER_TOKEN: not set, expected cmw_ followed by 64 hex characters, 68 characters in all",
        "CLOUD_URL: not set, expected host:port of the gateway (TLS), or ws://host:port in a lab",
    ]
    assert "machine" in found


def test_a_worker_that_would_start(settings: Callable[..., str], loopback_ip: Callable[[], str]) -> None:
    with gateway(ip := loopback_ip()) as port:
        settings(f"ws://{ip}:{port}")
        found = by_check(examine(Wanted(capacity=10)))
    for check in (
        *("settings", "gateway name", "gateway reach", "gateway", "clock"),
        *("addresses", "SIP ports", "RTP ports", "capacity"),
    ):
        assert grades(found, check) == [Grade.OK], found[check]


def test_lines_with_their_remedies_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FAIL  settings: WORKER_TOKEN: not set")
    assert lines[1].startswith("      set it as docs/configuration.md says")
    assert "\x1b" not in "".join(lines)


def test_one_document_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["status"]) == (1, "FAIL")
    first = document["checks"][0]
    assert list(first) == ["check", "status", "found", "remedy"]
    assert (first["check"], first["status"]) == ("settings", "FAIL")


def test_exit_code_0_as_long_as_nothing_fails(
    settings: Callable[..., str],
    loopback_ip: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(doctor_machine, "STEAL_FAIL", 1.0)
    authority, ip = Authority(tmp_path), loopback_ip()
    with gateway(ip, tls_server(authority.issue(addresses=[ip], days=3))) as port:
        settings(f"{ip}:{port}", CLOUD_CA_FILE=authority.file)
        assert cli.run_command(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "WARN"
    told = {each["check"]: each for each in document["checks"]}
    assert told["gateway TLS"]["status"] == "WARN"
    assert told["gateway TLS"]["remedy"] == "renew the gateway's certificate"
    assert told["settings"] == {
        "check": "settings",
        "status": "OK",
        "found": "all of them can be used; the token has the right shape",
        "remedy": None,
    }


@pytest.mark.parametrize("target", ["", "a b:1:2", "host:0", "host:70000", "tel:+1", "sip:host;transport=carrier"])
def test_a_target_that_is_none(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["doctor", "--to", target]) == 2


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("127.0.0.1:9", "sip:127.0.0.1:9"),
        ("sip:bob:secret@127.0.0.1:9", "sip:127.0.0.1:9"),
        ("[::1]:9", "sip:[::1]:9"),
        ("sip:127.0.0.1:9;transport=tcp", "sip:127.0.0.1:9;transport=tcp"),
    ],
)
def test_targets(
    settings: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    target: str,
    shown: str,
) -> None:
    settings("ws://127.0.0.1:9")
    monkeypatch.delenv("SIP_IP")
    assert cli.run_command(["doctor", "--to", target]) == 1
    told = capsys.readouterr().out
    assert f"OK    addresses: for {shown}: SIP " in told
    assert "FAIL  NAT: " in told
    assert "secret" not in told
