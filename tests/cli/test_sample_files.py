"""The samples of a report in either format: the same page, streamed, and never both."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from cmw.cli import sample_files
from cmw.cli.main import run_command
from cmw.cli.report_files import render_report, write_report
from cmw.cli.sample_files import SamplesFormat, read_samples, require_writer
from cmw.errors import SettingsError
from tests.load.runs import reports, summary
from tests.support.runs import run_plan

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

KEYS = ["receive.mos", "receive.jitter_ms", "receive.fraction_lost", "untrusted"]
SAMPLES = [
    {
        "endpoint": index, "second": second, "at_unix_ms": 5, "receive.mos": 4.3 - second / 10,
        "receive.jitter_ms": None, "receive.fraction_lost": 0.5, "untrusted": 1,
    }
    for index in (0, 1)
    for second in range(3)
]  # fmt: skip


async def rows() -> AsyncIterator[dict[str, Any]]:
    for sample in SAMPLES:
        yield sample


async def pieces(size: int = 700) -> AsyncIterator[bytes]:
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(SAMPLES), file)
    data = file.getvalue()
    for at in range(0, len(data), size):
        yield data[at : at + size]


def write(directory: Path, *, as_parquet: bool) -> None:
    ended = [report.model_dump(mode="json") for report in reports()]
    made = pieces() if as_parquet else None
    asyncio.run(write_report(directory, summary().to_document(), ended, KEYS, rows(), parquet=made))


def test_either_format_makes_the_same_page_again(tmp_path: Path) -> None:
    pages = []
    for as_parquet, name in ((False, "samples.csv"), (True, "samples.parquet")):
        write(tmp_path, as_parquet=as_parquet)
        assert [path.name for path in tmp_path.glob("samples.*")] == [name]
        page = tmp_path / "report.html"
        pages.append(page.read_text())
        page.unlink()
        assert render_report(tmp_path) == summary()
        pages.append(page.read_text())
    assert len(set(pages)) == 1
    read = list(read_samples(tmp_path))
    assert [(row["endpoint"], row["second"], row["receive.mos"], row["untrusted"]) for row in read] == [
        (sample["endpoint"], sample["second"], sample["receive.mos"], 1) for sample in SAMPLES
    ]


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    write(tmp_path, as_parquet=True)
    (tmp_path / "samples.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(SettingsError, match=r"samples\.parquet: cannot be read as a file of a report: "):
        render_report(tmp_path)


def test_without_pyarrow_it_is_refused_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sample_files, "find_spec", lambda name: None)
    require_writer(SamplesFormat.CSV)
    words = ["call", "sip:600@127.0.0.1", "--samples", "parquet", "--output", str(tmp_path / "report")]
    assert run_command(words) == 78
    assert "Parquet needs pyarrow, which is not installed: pip install 'cmw[parquet]'" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


@pytest.mark.loopback
def test_a_run_leaves_parquet_that_others_read(tmp_path: Path, loopback_ip: Callable[[], str]) -> None:
    plan = {
        "name": "samples",
        "duration": "3s",
        "groups": {"callees": {"endpoints": 2}, "callers": {"endpoints": 2, "call": {"group": "callees"}}},
    }
    result = run_plan(tmp_path, loopback_ip(), plan, "--samples", "parquet")
    assert result.outcomes == {"SUCCESS": 4}, result.told
    report = tmp_path / "report"
    table = parquet.read_table(report / "samples.parquet").to_pydict()
    assert set(table["endpoint"]) == {0, 1, 2, 3}
    assert all(0 < count <= 150 for count in table["receive.packets_received"])
    assert {name.partition(".")[0] for name in table} == {
        "endpoint", "second", "at_unix_ms", "untrusted", "send", "receive"
    }  # fmt: skip
    before = (report / "report.html").read_text()
    render_report(report)
    assert (report / "report.html").read_text() == before
