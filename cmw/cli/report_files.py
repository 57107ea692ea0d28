"""The report directory of a run."""

from __future__ import annotations

import contextlib
import csv
import json
import tempfile
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cmw.errors import SettingsError
from cmw.load.junit import junit_xml
from cmw.load.outcome import EndpointReport
from cmw.load.report import endpoints_csv
from cmw.load.report_html import report_html
from cmw.load.summary import Summary

SAMPLE_HEAD = ("endpoint", "second", "at_unix_ms")
"""Columns of samples.csv before the metrics."""


@contextmanager
def report_directory(directory: Path) -> Iterator[None]:
    """Make the directory of a report before the run, whose results would be lost otherwise; an empty one goes again.

    Raises:
        SettingsError: it cannot be made or written to.
    """
    is_new = not directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise SettingsError(
            f"{directory}: the report cannot be written: {error.strerror or error}; --output names another"
        ) from None
    try:
        yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                directory.rmdir()  # only if nothing was written


async def write_report(
    directory: Path,
    summary: Mapping[str, Any],
    endpoints: Iterable[Mapping[str, Any]],
    sample_keys: Iterable[str],
    samples: AsyncIterable[Mapping[str, Any]],
) -> None:
    """Write summary.json, endpoints.csv, samples.csv, junit.xml and report.html into `directory`, made if need be.

    Args:
        summary: the document of `cmw schema summary`.
        endpoints: final reports of the endpoints.
        sample_keys: the metrics that occur in the samples.
        samples: a mapping for each endpoint and second, written as it comes.

    Raises:
        SettingsError: the directory or a file in it cannot be written.
    """
    reports = [EndpointReport.model_validate(report) for report in endpoints]
    try:
        _write_texts(directory, summary, reports)
        with (directory / "samples.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [*SAMPLE_HEAD, *sample_keys], restval="", lineterminator="\n")
            writer.writeheader()
            async for row in samples:
                writer.writerow(row)
    except OSError as error:
        raise SettingsError(
            f"{directory}: the report cannot be written: {error.strerror or error}; --output names another"
        ) from None


def _write_texts(directory: Path, summary: Mapping[str, Any], reports: list[EndpointReport]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    (directory / "endpoints.csv").write_text(endpoints_csv(reports), encoding="utf-8")
    found = Summary.model_validate(summary)
    (directory / "junit.xml").write_text(junit_xml(found), encoding="utf-8")
    (directory / "report.html").write_text(report_html(found, reports), encoding="utf-8")
