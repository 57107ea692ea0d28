"""`cmw config`: the worker's effective settings, secrets masked."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from cmw.cli.exit_codes import ExitCode
from cmw.worker.effective import EffectiveValue, effective


def config(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Show every setting a worker would start with here, and where each came from.

    Exits with 78 and names every fault when the worker would not start.
    """
    settings, faults = effective()
    if as_json:
        print(json.dumps(settings, indent=2))
    else:
        _print_table(settings)
    for fault in faults:
        print(f"cmw: {fault}", file=sys.stderr)
    return ExitCode.CONFIGURATION if faults else ExitCode.PASSED


def _print_table(settings: dict[str, EffectiveValue]) -> None:
    shown = {name: "" if entry["value"] is None else str(entry["value"]) for name, entry in settings.items()}
    widths = max(map(len, shown)), max(map(len, shown.values()))
    for name, value in shown.items():
        print(f"{name:{widths[0]}}  {value:{widths[1]}}  {settings[name]['source']}")
