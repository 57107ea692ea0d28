"""`cmw report`: the pages of a run's report, written again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmw.cli.console import Terminal
from cmw.cli.exit_codes import ExitCode
from cmw.cli.report_files import render_report
from cmw.cli.summary_table import print_summary
from cmw.cli.tables import print_json


def report(
    directory: Annotated[Path, typer.Argument(help="Report directory of a run.", metavar="DIR")],
    as_json: Annotated[bool, typer.Option("--json", help="Print summary.json on stdout.")] = False,
) -> int:
    """Write report.html and junit.xml of a run again, from its summary.json, endpoints.csv and samples."""
    summary = render_report(directory)
    if as_json:
        print_json(summary.to_document())
    else:
        print_summary(summary, directory, Terminal())
    return ExitCode.PASSED
