"""`.ci/setup` on a machine where something is missing: one line names it and the Debian package that has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("sh", "dirname", "cat", "cksum", "ls", "rm", "tail", "cut")


class Machine:
    """A copy of the set-up script on a machine that has only what it was given."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.bin = home / "bin"
        self.bin.mkdir()
        (home / ".ci").mkdir()
        shutil.copy(ROOT / ".ci/setup", home / ".ci/setup")
        for tool in TOOLS:
            self.link(tool)

    def link(self, tool: str, target: str | None = None) -> None:
        found = target or shutil.which(tool)
        assert found is not None
        (self.bin / tool).symlink_to(found)

    def python(self, *, lacks: str = "nothing at all", answer: str = "exit 1", name: str = "python3") -> None:
        """Install a Python that does `answer` when asked about `lacks`, and is real otherwise."""
        path = self.bin / name
        path.write_text(
            "#!/bin/sh\n"
            f'case "$*" in *"{lacks}"*) {answer};; *"print(sys.executable)"*) echo "{path}"; exit 0;; esac\n'
            f'exec {sys.executable} "$@"\n'
        )
        path.chmod(0o755)

    def run(self, **variables: str) -> list[str]:
        environment = {"PATH": str(self.bin), "HOME": str(self.home), **variables}
        done = subprocess.run(
            [str(self.bin / "sh"), str(self.home / ".ci/setup")],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert not (self.home / ".venv").exists()
        return done.stderr.splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_no_python_at_all(machine: Machine) -> None:
    assert machine.run() == [
        "cmw: Python 3.11 or newer was not found; on Debian: apt install python3 python3-venv python3-dev"
    ]


def test_only_an_old_python_or_a_shim_that_runs_nothing(machine: Machine) -> None:
    machine.python(lacks="version_info")
    (machine.bin / "python3.11").write_text("#!/bin/sh\necho 'pyenv: python3.11: command not found' >&2\nexit 127\n")
    (machine.bin / "python3.11").chmod(0o755)
    assert machine.run() == [
        "cmw: Python 3.11 or newer was not found; on Debian: apt install python3 python3-venv python3-dev"
    ]


def test_a_python_asked_for_by_name_that_does_not_run(machine: Machine) -> None:
    machine.python()
    assert machine.run(PYTHON="python9") == ["cmw: PYTHON: found 'python9', expected a Python 3.11 or newer that runs"]


def test_no_venv_module(machine: Machine) -> None:
    machine.python(lacks="ensurepip")
    machine.link("cc", shutil.which("gcc"))
    [line] = machine.run()
    assert line.endswith("has no venv module; on Debian: apt install python3-venv")


def test_no_python_headers(machine: Machine) -> None:
    machine.python(lacks="get_path(", answer="echo /nowhere; exit 0")
    machine.link("cc", shutil.which("gcc"))
    [line] = machine.run()
    assert line == ("cmw: the Python headers were not found (/nowhere/Python.h); on Debian: apt install python3-dev")


def test_no_compiler(machine: Machine) -> None:
    machine.python()
    [line] = machine.run()
    assert line.startswith("cmw: the C compiler '")
    assert line.endswith("was not found; on Debian: apt install gcc libc6-dev")


def test_a_compiler_without_the_c_library_s_headers(machine: Machine) -> None:
    machine.python()
    machine.link("empty", shutil.which("false"))
    assert machine.run(CC="empty") == [
        "cmw: the C library's headers were not found (stdio.h); on Debian: apt install libc6-dev"
    ]


def test_everything_missing_is_told_at_once(machine: Machine) -> None:
    machine.python(lacks="import venv", answer="exit 1")
    lines = machine.run(CC="no-such-compiler")
    assert [line.rpartition("apt install ")[2] for line in lines] == ["python3-venv", "gcc libc6-dev"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_tree_of_somebody_else(machine: Machine) -> None:
    machine.python()
    machine.home.chmod(0o555)
    try:
        [line] = machine.run()
    finally:
        machine.home.chmod(0o755)
    assert line.endswith("is not writable for you")
