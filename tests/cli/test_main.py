"""How a command ends is an exit code and at most a few lines on stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
import typer

from cmw.cli import main as cli
from cmw.cli.exit_codes import ExitCode
from cmw.errors import AuthenticationError, CapacityError, CommandError, SettingsError

TOKEN = "cmw_" + "0123456789abcdef" * 4


def run_raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "_load", lambda target: fail)
    return cli.run_command(["run"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("plan.yaml:3: groups: found 1"), 78),
        (AuthenticationError("authentication failed: invalid token"), 77),
        (CapacityError("no RTP port left in 10000-10009"), 75),
        (CommandError("NO_CAPACITY", "no worker has room"), 75),
        (CommandError("NOT_FOUND", "no worker named x"), 2),
        (ConnectionRefusedError("gateway 127.0.0.1:1 refused the connection"), 75),
        (ValueError("impossible"), 70),
        (KeyboardInterrupt(), 130),
        (typer.Exit(99), 99),
    ],
)
def test_every_way_to_end_has_its_exit_code(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int) -> None:
    assert run_raising(monkeypatch, error) == code


def test_an_expected_error_is_told_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_raising(monkeypatch, SettingsError("HEALTH_PORT: found 'x'\nLOG_LEVEL: found 'y'"))
    assert capsys.readouterr().err == "cmw: HEALTH_PORT: found 'x'\ncmw: LOG_LEVEL: found 'y'\n"


def test_an_unexpected_error_is_short_and_keeps_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(cli.DEBUG_VARIABLE, raising=False)
    run_raising(monkeypatch, RuntimeError(f"lost {TOKEN}"))
    told = capsys.readouterr().err
    assert told == "cmw: internal error: RuntimeError: lost cmw_**** (set CMW_DEBUG=1 for the traceback)\n"


def test_the_traceback_is_shown_on_demand(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(cli.DEBUG_VARIABLE, "1")
    run_raising(monkeypatch, RuntimeError("lost"))
    assert "Traceback" in capsys.readouterr().err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_raising(monkeypatch, ModuleNotFoundError("No module named 'fastapi'", name="fastapi")) == 78
    assert (
        "this command needs fastapi, which is not installed; in a clone of cmw: pip install '.[gateway]'"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("arguments", [["bogus"], ["config", "--bogus"], ["schema", "nope"], ["--bogus"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert cli.run_command(arguments) == ExitCode.USAGE


def test_what_a_command_returns_is_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    results: list[Callable[[], int | None]] = [lambda: 97, lambda: None]
    for command, code in zip(results, (97, 0), strict=True):
        monkeypatch.setattr(cli, "_load", lambda target, command=command: command)
        assert cli.run_command(["run"]) == code


def test_an_app_of_one_command_is_that_command(monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    app.command()(lambda: 5)
    monkeypatch.setattr(cli, "_load", lambda target: app)
    assert cli.run_command(["gateway"]) == 5


def test_the_help_names_every_command_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f" {name} " in shown for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_of_the_table_exists(name: str) -> None:
    assert cli.run_command([name, "--help"]) == 0


@pytest.mark.parametrize("document", ["plan", "summary", "link", "run"])
def test_schemas_are_printed_as_json(document: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["schema", document]) == 0
    assert json.loads(capsys.readouterr().out)["$defs"]


def test_config_as_json_masks_the_token(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORKER_TOKEN", TOKEN)
    monkeypatch.setenv("CLOUD_URL", "ws://127.0.0.1:8080")
    monkeypatch.setenv("SIP_PORT_START", "5070")
    assert cli.run_command(["config", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["WORKER_TOKEN"] == {"value": "cmw_****", "source": "environment"}
    assert shown["SIP_PORT_START"] == {"value": 5070, "source": "environment"}


def test_config_with_faults_shows_all_and_exits_78(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKER_TOKEN", "nonsense")
    monkeypatch.delenv("CLOUD_URL", raising=False)
    monkeypatch.delenv("WORKER_TOKEN_FILE", raising=False)
    assert cli.run_command(["config", "--json"]) == ExitCode.CONFIGURATION
    captured = capsys.readouterr()
    assert "nonsense" not in captured.out + captured.err
    assert json.loads(captured.out)["CLOUD_URL"]["value"] is None
    assert captured.err.startswith("cmw: WORKER_TOKEN: found **** (8 characters), expected")
    assert "cmw: CLOUD_URL: not set, expected" in captured.err


@pytest.mark.parametrize(
    "program", [[sys.executable, "-m", "cmw"], [sys.executable, "-c", "import cmw.cli.main as m; m.main()"]]
)
def test_both_ways_to_start_it_print_the_version(program: list[str]) -> None:
    done = subprocess.run([*program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cmw ")
