"""`cmw compare`: two runs side by side, from their report directories."""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cmw.cli.api_client import JsonOption
from cmw.cli.exit_codes import ExitCode
from cmw.cli.summary_file import read_summary
from cmw.cli.tables import print_json, print_table
from cmw.errors import SettingsError
from cmw.load.compare import (
    CONFIDENCE,
    SUCCESS,
    Change,
    Comparison,
    Difference,
    Endpoints,
    Resample,
    compare,
    metric_columns,
)

SEED = 1
"""Two comparisons of the same runs come to the same."""


def compare_runs(
    a: Annotated[Path, typer.Argument(metavar="A", help="Report directory of the earlier run.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Report directory of the later run.")],
    every: Annotated[bool, typer.Option("--all", help="Show what may be chance as well.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Show how two runs differ, and which differences are more than chance.

    Figures are means over endpoints; the interval is where the difference lies with 95 % confidence, were it the only
    one; CHANCE is how likely it is none, adjusted for the number of figures.
    """
    found = Comparison(
        a=read_summary(a).run.name,
        b=read_summary(b).run.name,
        differences=compare(_endpoints(a), _endpoints(b), _resample()),
    )
    if as_json:
        print_json(found.model_dump(mode="json"))
        return ExitCode.PASSED
    shown = [d for d in found.differences if every or d.change not in (Change.NOISE, Change.UNKNOWN)]
    if shown:
        _print(shown)
    for line in _remarks(found.differences):
        print(line)
    return ExitCode.PASSED


def _remarks(differences: list[Difference]) -> Iterator[str]:
    counts = Counter(difference.change for difference in differences)
    judged = len(differences) - counts[Change.UNKNOWN]
    yield f"{judged} figures compared, {counts[Change.NOISE]} of them differ by chance or not at all"
    if counts[Change.UNKNOWN]:
        yield f"{counts[Change.UNKNOWN]} more have too few endpoints to tell"
    yield f"of those shown as better, worse or different {1 - CONFIDENCE:.0%} are expected to be chance all the same"


def _print(differences: list[Difference]) -> None:
    print_table(
        ("METRIC", "A", "B", "B - A", "95 % FROM", "TO", "CHANCE", "UNIT", ""),
        (
            (
                d.metric,
                _number(d.a),
                _number(d.b),
                _number(d.difference),
                _number(d.low),
                _number(d.high),
                _number(d.p),
                d.unit,
                d.change,
            )
            for d in differences
        ),
    )


def _endpoints(report: Path) -> Endpoints:
    """Return the values of a run's endpoints.

    Raises:
        SettingsError: there is no endpoints.csv, or it cannot be read.
    """
    file = (report if report.is_dir() else report.parent) / "endpoints.csv"
    values: dict[str, list[float]] = {}
    wanted = set(metric_columns()) - {SUCCESS}
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                _add(row, wanted, values)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, KeyError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise SettingsError(f"{file}: cannot read the endpoints of the run: {why}") from None
    return values


def _add(row: dict[str, str], wanted: set[str], values: dict[str, list[float]]) -> None:
    if row["call_attempted"] == "true":
        ended_well = row["call_answered"] == "true" and row["outcome"] in ("SUCCESS", "COMPLETED_WITH_WARNINGS")
        values.setdefault(SUCCESS, []).append(float(ended_well))
    for name in wanted & row.keys():
        if row[name]:
            values.setdefault(name, []).append(float(row[name]))


def _resample() -> Resample:
    source = random.Random(SEED)
    return lambda values: source.choices(values, k=len(values))


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"
