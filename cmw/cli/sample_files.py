"""The samples of a report: samples.csv, or samples.parquet where that is wished for."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from cmw.errors import SettingsError
from cmw.gateway.parquet import parquet_rows
from cmw.load.report import UNTRUSTED
from cmw.load.run_timeline import FIGURES

SAMPLE_HEAD = ("endpoint", "second", "at_unix_ms")
"""Columns before the metrics."""

NO_PYARROW = "Parquet needs pyarrow, which is not installed: pip install 'cmw[parquet]'"

Row = Mapping[str, Any]


class SamplesFormat(StrEnum):
    """How the samples of a report are written."""

    CSV = "csv"
    PARQUET = "parquet"

    @property
    def file(self) -> str:
        """Return the name of the file."""
        return f"samples.{self}"


SamplesOption = Annotated[
    SamplesFormat, typer.Option("--samples", help="Whether the report has samples.csv or samples.parquet.")
]


def require_writer(wanted: SamplesFormat) -> None:
    """Refuse a format that cannot be written here, before anything is run.

    Raises:
        SettingsError: what it needs is not installed.
    """
    if wanted is SamplesFormat.PARQUET and find_spec("pyarrow") is None:
        raise SettingsError(NO_PYARROW)


async def write_samples(
    directory: Path, keys: Iterable[str], rows: AsyncIterable[Row], parquet: AsyncIterable[bytes] | None
) -> AsyncIterator[Row]:
    """Yield the rows, and write them as they come: into samples.csv, or all at the end as `parquet` has them.

    The file of the other format, which an earlier report left there, goes.

    Raises:
        OSError: the file cannot be written.
    """
    wanted = SamplesFormat.CSV if parquet is None else SamplesFormat.PARQUET
    for other in SamplesFormat:
        if other is not wanted:
            (directory / other.file).unlink(missing_ok=True)
    if parquet is None:
        with (directory / wanted.file).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [*SAMPLE_HEAD, *keys], restval="", lineterminator="\n")
            writer.writeheader()
            async for row in rows:
                writer.writerow(row)
                yield row
        return
    async for row in rows:
        yield row
    with (directory / wanted.file).open("wb") as pieces:
        async for piece in parquet:
            pieces.write(piece)


def read_samples(directory: Path) -> Iterator[Row]:
    """Yield what the pages of a report need of its samples.

    Raises:
        SettingsError: there are none, or they cannot be read.
    """
    found = next((each for each in SamplesFormat if (directory / each.file).exists()), SamplesFormat.CSV)
    file = directory / found.file
    try:
        yield from _parquet_rows(file) if found is SamplesFormat.PARQUET else _csv_rows(file)
    except ModuleNotFoundError:
        raise SettingsError(f"{file}: {NO_PYARROW}") from None
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, KeyError, TypeError) as error:
        raise unreadable(file, error) from None


def unreadable(file: Path, error: Exception) -> SettingsError:
    """Return what is said of a file of a report that cannot be read."""
    why = (error.strerror if isinstance(error, OSError) else None) or error
    return SettingsError(f"{file}: cannot be read as a file of a report: {why}")


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            known = {key: float(row[key]) if row.get(key) else None for key in FIGURES}
            whole = {"endpoint": int(row["endpoint"]), "second": int(row["second"])}
            yield {**known, **whole, UNTRUSTED: int(row[UNTRUSTED] or 0)}


def _parquet_rows(path: Path) -> Iterator[Row]:
    for row in parquet_rows(path, ["endpoint", "second", UNTRUSTED, *FIGURES]):
        shown = {key: _shown(row[key]) for key in FIGURES}
        yield {**row, **shown, "endpoint": int(row["endpoint"]), UNTRUSTED: row[UNTRUSTED] or 0}


def _shown(value: float | None) -> float | None:
    """Return a figure with the digits that a float of 32 bit has, as samples.csv has it."""
    return None if value is None else float(f"{value:.7g}")
