"""Build the compiled modules. Everything declarative is in pyproject.toml.

CMW_CHECKED=1   build with bounds checks and Python's division, for the test suite
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CHECKED = os.environ.get("CMW_CHECKED", "") not in ("", "0")
MODULES = {
    "cmw._rtp": "cmw/_rtp.pyx",
    "cmw.net._media": "cmw/net/_media.pyx",
    "cmw.net._yardstick": "cmw/net/_yardstick.pyx",
    "cmw.sip._scan": "cmw/sip/_scan.pyx",
}
DIRECTIVES = {
    "boundscheck": CHECKED,
    "wraparound": False,
    "initializedcheck": CHECKED,
    "cdivision": not CHECKED,
    "embedsignature": True,
    "auto_pickle": False,
}


class BuildCompiled(build_ext):
    """Say in words what is missing, and build again when the directives changed."""

    def run(self) -> None:
        require_tools()
        mode = Path("build", "directives")  # build_temp may be a shared folder: pip makes one in /tmp
        wanted = repr(sorted(DIRECTIVES.items()))
        self.force = self.force or not mode.exists() or mode.read_text() != wanted
        super().run()
        mode.parent.mkdir(parents=True, exist_ok=True)
        mode.write_text(wanted)


def require_tools() -> None:
    """Stop with the names of the Debian packages when there is no C compiler or no Python header."""
    # sysconfig names the compiler that built this Python, which need not be the one that is here.
    named = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    compiler = shlex.split(named)[0]
    if shutil.which(compiler) is None:
        sys.exit(f"cmw: the C compiler '{compiler}' was not found; on Debian: apt install gcc libc6-dev (or set CC)")
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        sys.exit(f"cmw: {header} was not found; on Debian: apt install python3-dev")


def extensions() -> list[Extension]:
    """Return the compiled modules; all or none."""
    missing = [source for source in MODULES.values() if not Path(source).exists()]
    if missing:
        sys.exit(f"cmw: the source tree is incomplete: {', '.join(missing)} was not found")
    return [
        Extension(
            name, [source], extra_compile_args=["-O2", "-fno-strict-aliasing", "-ffp-contract=off"], libraries=["m"]
        )
        for name, source in MODULES.items()
    ]


setup(
    ext_modules=cythonize(
        extensions(), compiler_directives=DIRECTIVES, build_dir="build/checked" if CHECKED else "build/fast"
    ),
    cmdclass={"build_ext": BuildCompiled},
)
