"""`cmw`: finds the command, runs it, and turns how it ended into an exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import typer

from cmw import __version__
from cmw.cli.exit_codes import ExitCode, exit_code_of, is_expected
from cmw.cli.terminal import is_coloured


class Command(NamedTuple):
    """Where a command lives (a function, or a typer app with commands of its own) and its line in the help."""

    target: str
    help: str


COMMANDS = {
    "run": Command("cmw.cli.run_command:run", "Run a plan here and end with a verdict."),
    "call": Command("cmw.cli.call_command:call", "Place calls to a URI; the same as a small plan."),
    "answer": Command("cmw.cli.answer_command:answer", "Be the callee: answer, echo, play or reject calls."),
    "demo": Command("cmw.cli.demo_command:demo", "Show the main job on loopback in under a minute."),
    "worker": Command("cmw.cli.worker_command:worker", "Run a worker, configured by environment variables."),
    "gateway": Command("cmw.cli.gateway_command:app", "Run the gateway that workers dial out to."),
    "workers": Command("cmw.cli.workers_command:app", "Create, list and manage workers on a gateway."),
    "keys": Command("cmw.cli.keys_command:app", "Create, list and delete the API keys of a gateway."),
    "projects": Command("cmw.cli.projects_command:app", "Create, list and delete projects on a gateway."),
    "registrars": Command("cmw.cli.registrars_command:app", "Manage SIP servers and accounts of a project."),
    "tests": Command("cmw.cli.tests_command:app", "Keep and run tests on a gateway."),
    "runs": Command("cmw.cli.runs_command:app", "Start, watch and stop runs on a gateway."),
    "analyze": Command("cmw.cli.analyze_command:analyze", "Measure every RTP stream in a pcap or pcapng file."),
    "report": Command("cmw.cli.report_command:report", "Write the pages of a run's report again."),
    "compare": Command(
        "cmw.cli.compare_command:compare_runs", "Show how two runs differ, and what is more than chance."
    ),
    "capacity": Command("cmw.cli.capacity_command:capacity", "Measure how many endpoints this machine carries."),
    "config": Command("cmw.cli.config_command:config", "Show the worker's settings and where each came from."),
    "doctor": Command("cmw.cli.doctor_command:doctor", "Check what a worker here needs; each line with a remedy."),
    "top": Command("cmw.cli.top_command:top", "Watch a running worker by its metrics."),
    "schema": Command("cmw.cli.schema_command:schema", "Print the JSON schema of a plan, a summary or the link."),
}

DEBUG_VARIABLE = "CMW_DEBUG"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that `arguments` (without the program's name) ask for, and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background jobs inherit that it is ignored
    _log_warnings()
    sys.exit(run_command(list(sys.argv[1:] if arguments is None else arguments)))


def run_command(arguments: list[str]) -> int:
    """Run one command and return its exit code; what it raised has been told on stderr."""
    try:
        result = build_app(_wanted(arguments))(args=arguments, prog_name="cmw", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return 128 + signal.SIGPIPE
    except Exception as error:
        return _report(error)
    return result if isinstance(result, int) else ExitCode.PASSED


def build_app(wanted: str | None) -> typer.Typer:
    """Return the app in which only the command `wanted` is real: the others are lines in the help."""
    app = typer.Typer(
        name="cmw",
        help="Load and quality testing for SIP: how many calls a PBX, SBC or trunk holds, and how they sound.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name, command in COMMANDS.items():
        _add(app, name, command, real=name == wanted)
    return app


def _add(app: typer.Typer, name: str, command: Command, *, real: bool) -> None:
    found = _load(command.target) if real else _nothing
    if isinstance(found, typer.Typer) and found.registered_callback is None and len(found.registered_commands) == 1:
        found = found.registered_commands[0].callback or _nothing  # an app of one command is that command
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=name, help=command.help)
    else:
        app.command(name, help=None if real else command.help)(found)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cmw {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
    ),
) -> None:
    """Take the options that stand before the command."""


def _nothing() -> None:
    """Stand in for a command that was not asked for."""


def _wanted(arguments: list[str]) -> str | None:
    return next((word for word in arguments if not word.startswith("-")), None)


def _load(target: str) -> Callable[..., Any] | typer.Typer:
    module, _, attribute = target.partition(":")
    found: Callable[..., Any] | typer.Typer = getattr(importlib.import_module(module), attribute)
    return found


def _report(error: Exception) -> int:
    usage_code = getattr(error, "exit_code", None)
    if usage_code is not None and hasattr(error, "show"):  # typer's own usage errors print themselves
        error.show()
        return int(usage_code)
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "cmw").startswith("cmw"):
        _say(f"this command needs {error.name}, which is not installed; in a clone of cmw: pip install '.[gateway]'")
        return ExitCode.CONFIGURATION
    if is_expected(error):
        _say(str(error) or type(error).__name__)
    else:
        _say(f"internal error: {type(error).__name__}: {error} (set {DEBUG_VARIABLE}=1 for the traceback)")
    return exit_code_of(error)


def _say(message: str) -> None:
    from cmw.worker.logs import mask, printable

    for line in message.splitlines():
        print(f"cmw: {printable(mask(line))}", file=sys.stderr)


def _log_warnings() -> None:
    """Send warnings to stderr until the command decides over its logs: nothing but answers belongs on stdout."""
    from cmw.worker.logs import configure_logging

    level = "debug" if os.environ.get(DEBUG_VARIABLE) else "warn"
    configure_logging(level, "pretty", sys.stderr, colours=is_coloured(sys.stderr))


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _forget_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's own last flush cannot fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
