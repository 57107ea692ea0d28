"""Which twin `cmw.rtp` gives, and that it never falls back in silence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import cmw.rtp
from cmw.rtp import ControlVerdict, PacketVerdict

built = pytest.mark.skipif(find_spec("cmw._rtp") is None, reason="the compiled modules are not built")


def run(code: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "CMW_PURE"} | variables
    return subprocess.run(
        [sys.executable, *options, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


ASK = "import cmw.rtp as r; print(r.IMPLEMENTATION, r.StreamTable.__module__)"


@built
def test_the_compiled_one_is_really_loaded() -> None:
    assert run(ASK).stdout.split() == ["compiled", "cmw._rtp"]


@built
def test_whichever_module_comes_first() -> None:
    assert run(f"import cmw._rtp; {ASK}").stdout.split() == ["compiled", "cmw._rtp"]


@pytest.mark.parametrize("value", ["1", "yes"])
def test_the_twin_on_request(value: str) -> None:
    done = run(f"{ASK}; import sys; print('cmw._rtp' in sys.modules)", CMW_PURE=value)
    assert done.stdout.split() == ["pure", "cmw.rtp._pure", "False"]


@pytest.mark.parametrize("value", ["", "0"])
def test_no_request(value: str) -> None:
    assert run(ASK, CMW_PURE=value).stdout == run(ASK).stdout


HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "cmw._rtp":
            raise {error}
sys.meta_path.insert(0, Hide())
"""


def test_the_twin_when_nothing_is_built() -> None:
    code = HIDE.format(error="ModuleNotFoundError('gone', name=name)") + ASK
    assert run(code).stdout.split() == ["pure", "cmw.rtp._pure"]


def test_a_compiled_module_that_does_not_load_is_an_error() -> None:
    done = run(HIDE.format(error="ImportError('undefined symbol')") + ASK)
    assert done.returncode != 0
    assert "undefined symbol" in done.stderr


@pytest.mark.parametrize("pure", ["", "1"])
def test_the_standard_library_is_enough(pure: str) -> None:
    # -I -S: no site-packages at all, only the tree itself.
    tree = Path(cmw.rtp.__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(tree)!r}); import cmw.rtp; cmw.rtp.StreamTable(1)"
    done = run(code, "-I", "-S")
    assert done.returncode == 0, done.stderr
    assert run(f"import os; os.environ['CMW_PURE'] = {pure!r}; {code}", "-I", "-S").returncode == 0


def test_the_verdicts_of_the_compiled_one_are_ours() -> None:
    header = (Path(cmw.rtp.__file__).parents[1] / "_rtp.pxd").read_text()
    for prefix, verdicts in (("RTP_", PacketVerdict), ("RTCP_", ControlVerdict)):
        for verdict in verdicts:
            assert re.search(rf"^    {prefix}{verdict.name} = {verdict.value}\b", header, re.MULTILINE)


def test_the_public_names() -> None:
    assert all(hasattr(cmw.rtp, name) for name in cmw.rtp.__all__)
