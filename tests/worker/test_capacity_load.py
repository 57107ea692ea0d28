"""What a side of a measurement reads of its machine; its calls are tried in tests/cli/test_capacity_command.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cmw.worker.capacity_load import busy_seconds

STAT = """\
cpu  300 0 300 1000 40 0 0 6 0 0
cpu0 100 10 50 500 20 5 5 3 0 0
cpu1 200 0 250 500 20 0 0 3 0 0
intr 1
"""


@pytest.mark.parametrize(("cpus", "ticks"), [([0], 173), ([1], 453), ([0, 1], 626)])
def test_time_is_added_up_over_the_cores_asked_for(tmp_path: Path, cpus: list[int], ticks: int) -> None:
    (tmp_path / "stat").write_text(STAT)
    assert busy_seconds(cpus, str(tmp_path / "stat")) == ticks / os.sysconf("SC_CLK_TCK")


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    assert busy_seconds([0], str(tmp_path / "none")) is None
    (tmp_path / "stat").write_text(STAT)
    assert busy_seconds([0, 7], str(tmp_path / "stat")) is None
