"""The doctor looks at where reports wait for the gateway."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from cmw.worker.doctor_spool import MIB, look_at_spool
from cmw.worker.finding import Finding, Grade
from cmw.worker.settings import load_settings
from tests.support.doctor_desk import by_check


def looked() -> Finding:
    [finding] = by_check(look_at_spool(load_settings()))["spool"]
    return finding


def test_there_need_be_none(settings: Callable[..., str]) -> None:
    settings("ws://127.0.0.1:9")
    assert list(look_at_spool(load_settings())) == []


@pytest.mark.parametrize(("free_mib", "grade"), [(64, Grade.OK), (63, Grade.WARN)])
def test_room_on_its_disk(
    settings: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mib: int, grade: Grade
) -> None:
    settings("ws://127.0.0.1:9", SPOOL_DIR=str(tmp_path / "to" / "be" / "made"), SPOOL_MAX_BYTES="64M")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free_mib * MIB))
    finding = looked()
    assert (finding.grade, f"has {free_mib} MiB free" in finding.found) == (grade, True)
    assert not (tmp_path / "to").exists()


def test_no_place_to_write_to(settings: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = tmp_path / "deep" / "spool"
    settings("ws://127.0.0.1:9", SPOOL_DIR=str(spool))
    (tmp_path / "deep").write_text("a file where a directory is to be made")
    finding = looked()
    assert (finding.grade, finding.found) == (
        Grade.FAIL,
        f"SPOOL_DIR: {tmp_path / 'deep'} is no directory that can be written to",
    )
    (tmp_path / "deep").unlink()
    assert looked().grade is not Grade.FAIL
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    finding = looked()
    assert (finding.grade, finding.found) == (
        Grade.FAIL,
        f"SPOOL_DIR: {tmp_path} is no directory that can be written to",
    )
