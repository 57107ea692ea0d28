"""cmw gateway, cmw workers and cmw runs against a gateway on loopback."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from cmw.capture import DatagramReader, read_frames
from cmw.cli.gateway_command import check_exposure, parse_listen, read_secret_key
from cmw.cli.main import run_command
from cmw.core.address import Address
from cmw.errors import SettingsError
from tests.gateway.world import PLAN
from tests.support.background_gateway import BackgroundGateway


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BackgroundGateway]:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(io.StringIO()))  # stdout is the command's
    background = BackgroundGateway(tmp_path / "data").start()
    monkeypatch.setenv("CMW_GATEWAY", background.url)
    monkeypatch.setenv("CMW_API_KEY_FILE", str(tmp_path / "data" / "api-key"))
    yield background
    background.stop()
    structlog.reset_defaults()


@pytest.fixture
def plan_file(tmp_path: Path) -> str:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(PLAN))
    return str(path)


def cmw(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Run a command with --json, and return its document."""
    capsys.readouterr()
    assert run_command([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.loopback
def test_workers_by_name_and_by_id(gateway: BackgroundGateway, capsys: pytest.CaptureFixture[str]) -> None:
    made = cmw(capsys, "workers", "create", "w1", "--capacity", "7")
    assert (made["capacity"], len(made["token"])) == (7, 68)
    assert cmw(capsys, "workers", "show", "w1") == cmw(capsys, "workers", "show", made["id"])
    assert cmw(capsys, "workers", "disable", "w1")["enabled"] is False
    assert cmw(capsys, "workers", "drain", "w1")["draining"] is True
    enabled = cmw(capsys, "workers", "enable", "w1")
    assert (enabled["enabled"], enabled["draining"], enabled["state"]) == (True, False, "OFFLINE")
    assert cmw(capsys, "workers", "regenerate", "w1")["token"] != made["token"]
    assert [worker["name"] for worker in cmw(capsys, "workers", "list")] == ["w1"]
    assert run_command(["workers", "list"]) == 0
    assert run_command(["workers", "create", "w2"]) == 0
    assert "cmw_" in capsys.readouterr().out
    assert cmw(capsys, "workers", "delete", "w1")["deleted"] is True
    assert run_command(["workers", "show", "w1"]) == 2
    assert "there is no worker named 'w1'" in capsys.readouterr().err


@pytest.mark.loopback
def test_a_run_from_its_start_to_its_report(
    gateway: BackgroundGateway, capsys: pytest.CaptureFixture[str], plan_file: str, tmp_path: Path
) -> None:
    gateway.link(cmw(capsys, "workers", "create", "w1"))
    run = cmw(capsys, "runs", "start", plan_file, "--wait")
    assert (run["status"], run["exit_code"]) == ("COMPLETED", 0)
    assert run_command(["runs", "wait", run["id"]]) == 0
    assert cmw(capsys, "runs", "show", run["id"]) == run
    assert [one["id"] for one in cmw(capsys, "runs", "list", "--status", "COMPLETED")] == [run["id"]]
    assert cmw(capsys, "runs", "summary", run["id"])["calls"]["attempted"] == 4
    assert len(cmw(capsys, "runs", "endpoints", run["id"])) == 8
    rows = cmw(capsys, "runs", "samples", run["id"], "--endpoint", "3")
    assert [(row["second"], row["receive.packets_received"], row["receive.mos"]) for row in rows] == [
        (0, 50, None),
        (1, 100, None),
    ]
    for command in ("show", "summary", "endpoints", "samples"):
        assert run_command(["runs", command, run["id"]]) == 0
    report = tmp_path / "report"
    assert run_command(["runs", "report", run["id"], "--output", str(report)]) == 0
    assert {"summary.json", "endpoints.csv", "samples.csv", "report.html"} <= {path.name for path in report.iterdir()}
    assert len((report / "samples.csv").read_text().splitlines()) == 1 + 16
    assert run_command(["runs", "stop", run["id"]]) == 2


@pytest.mark.loopback
def test_a_search_from_its_start_to_its_reports(
    gateway: BackgroundGateway, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gateway.link(cmw(capsys, "workers", "create", "w1"), carries=3)
    load = {"arrivals": "search", "calls": {"from": 2, "to": 4}}
    callers = PLAN["groups"]["callers"] | {"load": load}
    plan = tmp_path / "search.json"
    plan.write_text(json.dumps(PLAN | {"groups": PLAN["groups"] | {"callers": callers}}))
    assert run_command(["runs", "start", str(plan), "--wait"]) == 0
    told = capsys.readouterr()
    assert "3 calls at a time held, 4 broke it" in told.out
    lines = [line.partition(".")[0] for line in told.err.splitlines() if line.startswith("step")]
    assert lines == [
        "step 1: 2 calls at a time: PASSED",
        "step 2: 4 calls at a time: FAILED",
        "step 3: 3 calls at a time: PASSED",
    ]
    [search] = cmw(capsys, "runs", "list")
    steps = cmw(capsys, "runs", "list", "--search", search["id"])
    assert [step["name"] for step in steps] == [f"two-groups, {calls} calls" for calls in (3, 4, 2)]
    assert cmw(capsys, "runs", "watch", search["id"])["search"]["held"] == 3
    report = tmp_path / "report"
    assert run_command(["runs", "report", search["id"], "--output", str(report)]) == 0
    found = json.loads((report / "summary.json").read_text())
    assert (found["run"]["id"], found["search"]["breaking_point"]) == (steps[0]["id"], 4)
    for number, step in enumerate(reversed(steps), 1):
        own = json.loads((report / f"step-{number:02d}" / "summary.json").read_text())
        assert own["run"]["id"] == step["id"]


@pytest.mark.loopback
def test_exit_codes(
    gateway: BackgroundGateway, capsys: pytest.CaptureFixture[str], plan_file: str, tmp_path: Path
) -> None:
    assert run_command(["runs", "start", plan_file, "--wait"]) == 75
    assert "no worker is online" in capsys.readouterr().out
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 1\nduration: soon\ngroups: {a: {endpoints: 1}}\n")
    assert run_command(["runs", "start", str(bad)]) == 78
    assert "bad.yaml:2: duration" in capsys.readouterr().err
    assert run_command(["runs", "show", "nothing"]) == 2
    assert run_command(["runs", "nothing"]) == 2


def test_no_gateway_no_key_wrong_key(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert run_command(["runs", "list"]) == 78
    assert "expected a file with an API key" in capsys.readouterr().err
    monkeypatch.setenv("CMW_API_KEY", "cmk_" + "0" * 32)
    assert run_command(["runs", "list", "--gateway", "http://127.0.0.1:1"]) == 75
    assert run_command(["runs", "list", "--gateway", "nonsense"]) == 78


@pytest.mark.loopback
def test_a_wrong_key_is_refused(gateway: BackgroundGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMW_API_KEY", "cmk_" + "0" * 32)
    assert run_command(["workers", "list"]) == 77


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8443", Address("127.0.0.1", 8443)),
        ("localhost:0", Address("127.0.0.1", 0)),
        ("[::1]:443", Address("::1", 443)),
    ],
)
def test_listen(text: str, address: Address) -> None:
    assert parse_listen(text) == address
    check_exposure(address, has_tls=False, insecure=False)


@pytest.mark.parametrize(
    "text", ["", "8443", ":8443", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "host:1", "127.0.0.1:-1"]
)
def test_a_bad_listen_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="expected an IP address and a port"):
        parse_listen(text)


def test_a_public_address_wants_tls_or_a_word(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_command(["gateway", "--listen", "0.0.0.0:0", "--data", str(tmp_path)]) == 78
    assert "--insecure" in capsys.readouterr().err
    check_exposure(Address("0.0.0.0", 1), has_tls=True, insecure=False)
    check_exposure(Address("192.0.2.1", 1), has_tls=False, insecure=True)


def test_a_busy_port_is_told(capsys: pytest.CaptureFixture[str], gateway: BackgroundGateway, tmp_path: Path) -> None:
    arguments = ["gateway", "--listen", f"127.0.0.1:{gateway.port}", "--data", str(tmp_path / "other")]
    assert run_command(arguments) == 78
    assert "Address already in use" in capsys.readouterr().err


@pytest.mark.loopback
def test_a_run_is_watched_until_it_is_over(
    gateway: BackgroundGateway, capsys: pytest.CaptureFixture[str], plan_file: str
) -> None:
    gateway.link(cmw(capsys, "workers", "create", "w1"))
    run = cmw(capsys, "runs", "start", plan_file)
    assert run_command(["runs", "watch", run["id"], "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["status"] == "COMPLETED"
    assert told.err.splitlines()[-1].startswith("COMPLETED")
    assert run_command(["runs", "watch", "nothing"]) == 2


@pytest.mark.loopback
def test_keys_open_what_their_role_says(
    gateway: BackgroundGateway, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cmw(capsys, "keys", "create", "ci", "--role", "viewer")
    assert [one["role"] for one in cmw(capsys, "keys", "list")] == ["admin", "viewer"]
    assert run_command(["keys", "list"]) == 0
    assert made["key"] not in capsys.readouterr().out
    monkeypatch.setenv("CMW_API_KEY", made["key"])
    assert cmw(capsys, "runs", "list") == []
    assert run_command(["workers", "create", "w1"]) == 77
    assert "expected an API key with the role admin or more, found one with the role viewer" in capsys.readouterr().err
    monkeypatch.delenv("CMW_API_KEY")
    assert run_command(["keys", "create", "x", "--role", "king"]) == 2
    assert cmw(capsys, "keys", "delete", made["id"])["deleted"] is True


def test_the_key_for_secrets_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("abc\n")
    assert read_secret_key({}) is None
    assert read_secret_key({"CMW_SECRET_KEY": "k", "CMW_SECRET_KEY_FILE": "nowhere"}) == "k"
    assert read_secret_key({"CMW_SECRET_KEY_FILE": str(tmp_path / "key")}) == "abc\n"
    with pytest.raises(SettingsError, match="CMW_SECRET_KEY_FILE: expected a file that can be read"):
        read_secret_key({"CMW_SECRET_KEY_FILE": str(tmp_path / "none")})


@pytest.mark.loopback
def test_a_test_of_a_project_from_its_accounts_to_its_run(
    gateway: BackgroundGateway, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = {name: group | {"registrar": "lab"} for name, group in PLAN["groups"].items()}
    plan, file = tmp_path / "test.json", tmp_path / "accounts.csv"
    plan.write_text(json.dumps(PLAN | {"groups": groups}))
    file.write_text("".join(f"u{n},hunter2-{n}\n" for n in range(8)))
    assert cmw(capsys, "projects", "create", "Lab 1")["slug"] == "lab-1"
    monkeypatch.setenv("CMW_PROJECT", "lab-1")
    assert run_command(["tests", "create", str(plan)]) == 78
    assert "found 'lab', expected a registrar of the plan" in capsys.readouterr().err
    made = cmw(capsys, "registrars", "create", "lab", "--domain", "127.0.0.1", "--transport", "tcp")
    assert (made["settings"]["transport"], made["account_count"]) == ("tcp", 0)
    test = cmw(capsys, "tests", "create", str(plan), "--name", "nightly")
    assert run_command(["tests", "run", "nightly", "--wait"]) == 75
    assert "registrar lab has 0 accounts, the test needs 8" in capsys.readouterr().out
    assert cmw(capsys, "registrars", "add-accounts", "lab", str(file)) == {"accounts": 8}
    assert cmw(capsys, "registrars", "show", "lab")["account_count"] == 8
    gateway.link(cmw(capsys, "workers", "create", "w1", "--region", "eu", "--label", "cpu=fast"))
    run = cmw(capsys, "tests", "run", "nightly", "--wait")
    assert (run["verdict"], run["test_id"]) == ("PASSED", test["id"])
    assert cmw(capsys, "tests", "update", "nightly", str(plan))["endpoints"] == 8
    assert cmw(capsys, "tests", "show", "nightly")["plan"]["name"] == PLAN["name"]
    for noun in ("projects", "registrars", "tests", "workers"):
        assert run_command([noun, "list"]) == 0
    assert "hunter2" not in capsys.readouterr().out
    assert run_command(["registrars", "delete", "lab"]) == 2
    assert "is needed by: nightly" in capsys.readouterr().err
    assert run_command(["tests", "show", "weekly"]) == 2
    assert cmw(capsys, "runs", "delete", run["id"])["deleted"] is True
    assert run_command(["runs", "show", run["id"]]) == 2
    for command in (["tests", "delete", "nightly"], ["registrars", "delete", "lab"], ["projects", "delete", "lab-1"]):
        assert cmw(capsys, *command)["deleted"] is True


@pytest.mark.loopback
def test_the_messages_of_an_endpoint_that_is_kept(
    gateway: BackgroundGateway, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gateway.link(cmw(capsys, "workers", "create", "w1"))
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(PLAN | {"evidence": {"endpoints": ["callers-0002", "callees-0001"]}}))
    run = cmw(capsys, "runs", "start", str(plan), "--wait")
    kept = cmw(capsys, "runs", "evidence", run["id"])
    assert [(one["name"], one["messages"], one["messages_left_out"]) for one in kept] == [
        ("callees-0001", 2, 3),
        ("callers-0002", 2, 3),
    ]
    index = str(kept[1]["endpoint"])
    found = cmw(capsys, "runs", "evidence", run["id"], "--endpoint", index)
    assert [message["is_sent"] for message in found["messages"]] == [True, False]
    assert run_command(["runs", "evidence", run["id"], "--endpoint", index]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "INVITE sip:callers-0002@10.0.0.2 SIP/2.0" in lines
    assert "SIP/2.0 486 Busy?[2J" in lines  # nothing that a peer sent moves the terminal
    assert run_command(["runs", "evidence", run["id"], "--endpoint", "999"]) == 2
    assert "there is no message that was kept of endpoint '999'" in capsys.readouterr().err
    report = tmp_path / "report"
    assert run_command(["runs", "report", run["id"], "--output", str(report)]) == 0
    assert [path.name for path in report.glob("samples.*")] == ["samples.csv"]
    assert run_command(["runs", "report", run["id"], "--output", str(report), "--samples", "parquet"]) == 0
    assert (report / "samples.parquet").read_bytes()[-4:] == b"PAR1"
    names = sorted(path.name.partition("-")[2] for path in (report / "evidence").iterdir())
    assert names == ["callees-0001", "callers-0002"]
    (capture,) = report.glob("evidence/*callers-0002/call.pcapng")
    with capture.open("rb") as file:
        ports = [DatagramReader().read(frame) for frame in read_frames(file)]
    assert [found.source.port for found in ports if found is not None].count(4000) == 2


@pytest.mark.loopback
def test_a_worker_is_changed(gateway: BackgroundGateway, capsys: pytest.CaptureFixture[str]) -> None:
    cmw(capsys, "workers", "create", "w1", "--region", "eu")
    changed = cmw(capsys, "workers", "set", "w1", "--name", "w2", "--capacity", "7", "--region", "", "--label", "a=b")
    assert (changed["name"], changed["capacity"], changed["region"], changed["labels"]) == ("w2", 7, None, {"a": "b"})
    assert cmw(capsys, "workers", "set", "w2")["labels"] == {"a": "b"}
    assert run_command(["workers", "set", "w2", "--label", "a"]) == 2
    assert "expected KEY=VALUE, found 'a'" in capsys.readouterr().err
