"""The report directory of a run."""

from __future__ import annotations

import contextlib
import csv
import json
import tempfile
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from cmw.cli.evidence_files import EvidenceFiles, PacketsOf, evidence_in, no_packets
from cmw.cli.plotting import plotting_library
from cmw.cli.sample_files import SamplesFormat, read_samples, unreadable, write_samples
from cmw.errors import SettingsError
from cmw.load.endpoints_file import read_endpoints
from cmw.load.junit import junit_xml
from cmw.load.outcome import EndpointReport
from cmw.load.report import endpoints_csv
from cmw.load.report_html import report_html
from cmw.load.run_timeline import RunTimeline
from cmw.load.summary import Summary


class ReportWish(NamedTuple):
    """What a report is to have beside the usual."""

    with_sound: bool = False
    """WAV files of what was said in calls whose packets are kept."""
    samples: SamplesFormat = SamplesFormat.CSV


USUAL_REPORT = ReportWish()


@contextmanager
def report_directory(directory: Path) -> Iterator[None]:
    """Make the directory of a report before the run, whose results would be lost otherwise; an empty one goes again.

    Raises:
        SettingsError: it cannot be made or written to.
    """
    is_new = not directory.exists()
    with writing_report(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
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
    evidence: Iterable[Mapping[str, Any]] = (),
    packets_of: PacketsOf = no_packets,
    parquet: AsyncIterable[bytes] | None = None,
    wish: ReportWish = USUAL_REPORT,
) -> None:
    """Write summary.json, endpoints.csv, samples.csv, evidence/, junit.xml and report.html into `directory`.

    Args:
        summary: the document of `cmw schema summary`.
        endpoints: final reports of the endpoints.
        sample_keys: the metrics that occur in the samples.
        samples: a mapping for each endpoint and second, written as it comes.
        parquet: the same as pieces of samples.parquet, which is written instead of samples.csv then.
        evidence: documents of `cmw.load.evidence.Evidence`.
        packets_of: gives what is kept of the packets of an endpoint.
        wish: what else is in it.

    Raises:
        SettingsError: the directory or a file in it cannot be written.
    """
    reports = [EndpointReport.model_validate(report) for report in endpoints]
    found = Summary.model_validate(summary)
    timeline, kept = RunTimeline(found.endpoints.total), EvidenceFiles(evidence, with_sound=wish.with_sound)
    with writing_report(directory):
        _write_documents(directory, summary, reports)
        async for row in write_samples(directory, sample_keys, samples, parquet):
            timeline.add(row)
            kept.add(row)
        _write_pages(directory, found, reports, timeline, await kept.write(directory, reports, packets_of))


def _write_documents(directory: Path, summary: Mapping[str, Any], reports: Sequence[EndpointReport]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    (directory / "endpoints.csv").write_text(endpoints_csv(reports), encoding="utf-8")


def render_report(directory: Path) -> Summary:
    """Write junit.xml and report.html anew from the other files of a report, and return the summary.

    Raises:
        SettingsError: a file cannot be read or written, or is not what it should be.
    """
    with _reading(directory / "summary.json") as text:
        summary = Summary.model_validate_json(text)
    with _reading(directory / "endpoints.csv") as text:
        reports = read_endpoints(text.splitlines(keepends=True))
    timeline = RunTimeline(summary.endpoints.total)
    for row in read_samples(directory):
        timeline.add(row)
    with writing_report(directory):
        _write_pages(directory, summary, reports, timeline, evidence_in(directory))
    return summary


def _write_pages(
    directory: Path,
    summary: Summary,
    reports: Sequence[EndpointReport],
    timeline: RunTimeline,
    evidence: Mapping[int, str],
) -> None:
    (directory / "junit.xml").write_text(junit_xml(summary), encoding="utf-8")
    page = report_html(summary, reports, timeline, library=plotting_library(), evidence=evidence)
    (directory / "report.html").write_text(page, encoding="utf-8")


@contextmanager
def writing_report(directory: Path) -> Iterator[None]:
    """Say that the report cannot be written when what is done within fails.

    Raises:
        SettingsError: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"{directory}: the report cannot be written: {error.strerror or error}; --output names another"
        ) from None


@contextmanager
def _reading(file: Path) -> Iterator[str]:
    """Give the text of a file, and say which it is when that is not what is expected."""
    try:
        yield file.read_text(encoding="utf-8")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SettingsError(f"{file}: {where}: {first['msg']}, found {first['input']!r:.100}") from None
    except (OSError, ValueError, csv.Error) as error:
        raise unreadable(file, error) from None
