"""Which twin of the scanner `cmw.sip` reads with, and that it never falls back in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

built = pytest.mark.skipif(find_spec("cmw.sip._scan") is None, reason="the compiled modules are not built")

ASK = "import cmw.sip; from cmw.sip.headers import scan; print(scan.IMPLEMENTATION, cmw.sip.Headers.__module__)"
HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "cmw.sip._scan":
            raise {error}
sys.meta_path.insert(0, Hide())
"""


def run(code: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "CMW_PURE"} | variables
    return subprocess.run(
        [sys.executable, *options, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


@built
@pytest.mark.parametrize("value", ["", "0"])
def test_the_compiled_one_is_really_loaded(value: str) -> None:
    assert run(ASK, CMW_PURE=value).stdout.split() == ["compiled", "cmw.sip._scan"]


def test_the_twin_on_request() -> None:
    done = run(f"{ASK}; import sys; print('cmw.sip._scan' in sys.modules)", CMW_PURE="1")
    assert done.stdout.split() == ["pure", "cmw.sip._scan_pure", "False"]


def test_the_twin_when_nothing_is_built() -> None:
    done = run(HIDE.format(error="ModuleNotFoundError('gone', name=name)") + ASK)
    assert done.stdout.split() == ["pure", "cmw.sip._scan_pure"]


def test_a_compiled_module_that_does_not_load_is_an_error() -> None:
    done = run(HIDE.format(error="ImportError('undefined symbol')") + ASK)
    assert done.returncode != 0
    assert "undefined symbol" in done.stderr
