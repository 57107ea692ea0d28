"""`setup.py` on a machine where something is missing names it, and never builds half."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytest.importorskip("Cython")

MOVE = """
import os, runpy, sys, sysconfig
{change}
sys.argv = ["setup.py", "-q", "build_ext", "--build-lib", {target!r}, "--build-temp", {target!r}]
runpy.run_path("setup.py", run_name="__main__")
"""


def build(target: Path, change: str, **variables: str) -> subprocess.CompletedProcess[str]:
    code = MOVE.format(change=change, target=str(target / "temp"))
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_compiler(tmp_path: Path) -> None:
    done = build(tmp_path, "", CC="no-such-compiler -O2")
    assert done.returncode == 1
    assert "cmw: the C compiler 'no-such-compiler' was not found; on Debian: apt install gcc" in done.stderr


def test_no_python_headers(tmp_path: Path) -> None:
    done = build(tmp_path, "sysconfig.get_path = lambda name: '/nowhere'", CC=sys.executable)
    assert done.returncode == 1
    assert "cmw: /nowhere/Python.h was not found; on Debian: apt install python3-dev" in done.stderr


def test_a_source_is_missing(tmp_path: Path) -> None:
    change = "import pathlib; pathlib.Path.exists = lambda path: path.name != '_media.pyx'"
    done = build(tmp_path, change)
    assert done.returncode == 1
    assert "cmw: the source tree is incomplete: cmw/net/_media.pyx was not found" in done.stderr
