"""The report directory: known to be writable before the run, complete after it."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cmw.cli.report_files import render_report, report_directory, write_report
from cmw.errors import SettingsError
from tests.load.runs import reports, summary


async def rows(*found: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for row in found:
        yield row


def write(directory: Path, *samples: dict[str, Any]) -> None:
    ended = [report.model_dump(mode="json") for report in reports()]
    document = summary().to_document()
    asyncio.run(write_report(directory, document, ended, ["receive.mos", "send.rtt_ms"], rows(*samples)))


def test_every_file_is_written(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    sample = {"endpoint": 1, "second": 0, "at_unix_ms": 5, "receive.mos": 4.3, "send.rtt_ms": None}
    write(directory, sample, sample | {"second": 1})
    assert {path.name for path in directory.iterdir()} == {
        "summary.json",
        "endpoints.csv",
        "samples.csv",
        "junit.xml",
        "report.html",
    }
    assert json.loads((directory / "summary.json").read_text())["schema_version"] == 1
    with (directory / "samples.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert found[1] == {"endpoint": "1", "second": "1", "at_unix_ms": "5", "receive.mos": "4.3", "send.rtt_ms": ""}
    with (directory / "endpoints.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(reports())


def test_a_run_without_samples_has_their_head(tmp_path: Path) -> None:
    write(tmp_path)
    assert (tmp_path / "samples.csv").read_text() == "endpoint,second,at_unix_ms,receive.mos,send.rtt_ms\n"


def test_a_place_that_cannot_be_written_to_is_told_by_name(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for directory in (file, file / "below"):
        with pytest.raises(SettingsError, match=f"{directory}: the report cannot be written: "):
            write(directory)
        with pytest.raises(SettingsError, match="the report cannot be written"), report_directory(directory):
            pytest.fail("the run must not begin")


def test_the_directory_is_there_before_the_run_and_gone_if_nothing_came_of_it(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    with report_directory(directory):
        assert list(directory.iterdir()) == []
    assert not directory.exists()
    with report_directory(directory):
        (directory / "summary.json").touch()
    assert (directory / "summary.json").exists()


def test_a_directory_that_was_there_stays(tmp_path: Path) -> None:
    with report_directory(tmp_path):
        pass
    assert tmp_path.exists()


def test_an_error_of_the_run_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the run"), report_directory(tmp_path / "x"):
        raise RuntimeError("the run")
    assert not (tmp_path / "x").exists()


def test_a_report_is_rendered_again_from_its_files(tmp_path: Path) -> None:
    sample = {"endpoint": 1, "second": 0, "at_unix_ms": 5, "receive.mos": 4.3, "send.rtt_ms": None, "untrusted": 0}
    ended = [report.model_dump(mode="json") for report in reports()]
    keys = ["receive.mos", "send.rtt_ms", "untrusted"]
    asyncio.run(write_report(tmp_path, summary().to_document(), ended, keys, rows(sample, sample | {"second": 1})))
    names = ("report.html", "junit.xml")
    before = {name: (tmp_path / name).read_text() for name in names}
    for name in names:
        (tmp_path / name).unlink()
    assert render_report(tmp_path) == summary()
    assert {name: (tmp_path / name).read_text() for name in names} == before
    assert "MOS received by endpoint and second" in before["report.html"]


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("summary.json", None, "No such file"),
        ("summary.json", "{}", "run: Field required"),
        ("endpoints.csv", "index\nx\n", "index: Input should be a valid integer"),
        ("samples.csv", "second\n1\n", "'endpoint'"),
        ("samples.csv", "endpoint,second,untrusted\n1,x,0\n", "invalid literal"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, name: str, text: str | None, fault: str) -> None:
    write(tmp_path)
    if text is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError, match=f"{name}: .*{fault}"):
        render_report(tmp_path)
