"""The layer rule: imports point down only, pure packages stay pure, and the top level holds what it should.

The table below is the rule; everything else reads the source and compares.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "cmw"


class Layer(NamedTuple):
    """What a package may import: other packages of ours, third parties, and whether it is pure."""

    ours: frozenset[str]
    third_parties: frozenset[str]
    pure: bool


def layer(ours: str, third_parties: str = "", *, pure: bool = False) -> Layer:
    return Layer(frozenset(ours.split()), frozenset(third_parties.split()), pure)


BASE = "core errors"
CORES = f"{BASE} sip rtp link metrics _rtp _rtp_events _twin"
PROGRAM = f"{CORES} load net"
LAYERS = {
    "__init__": layer("", pure=True),
    "__main__": layer("cli"),
    "errors": layer("", pure=True),
    "core": layer("errors", pure=True),
    "sip": layer(f"{BASE} _twin", pure=True),
    "rtp": layer(f"{BASE} _rtp _twin", pure=True),
    "_rtp": layer(f"{BASE} rtp _rtp_events", pure=True),  # the compiled half of rtp
    "_rtp_events": layer("", pure=True),  # shared by it and the media engine
    "_twin": layer(""),
    "metrics": layer(BASE, pure=True),
    "capture": layer(BASE, pure=True),
    "link": layer(BASE, "h11 wsproto pydantic pydantic_core ujson", pure=True),
    "load": layer(CORES, "pydantic pydantic_core", pure=True),
    "net": layer(f"{CORES} load", "uvloop h11 wsproto structlog dns OpenSSL cryptography"),
    "worker": layer(PROGRAM, "uvloop h11 pydantic pydantic_core pydantic_settings structlog ujson prometheus_client"),
    "gateway": layer(
        PROGRAM,
        "uvloop h11 wsproto pydantic pydantic_core pydantic_settings structlog ujson fastapi starlette uvicorn "
        "sqlalchemy aiosqlite asyncpg alembic nats prometheus_client yaml cryptography pyarrow",
    ),
    "cli": layer(
        f"{PROGRAM} capture worker gateway __init__",
        "typer rich pydantic pydantic_core structlog ujson uvloop httpx yaml h11 prometheus_client plotly",
    ),
}

FORBIDDEN_IN_PURE = frozenset(
    "asyncio uvloop socket ssl select time datetime random secrets os threading logging subprocess".split()
)

TOP_LEVEL = frozenset(
    "cmw bench tests setup.py pyproject.toml Dockerfile README.md CHANGELOG.md CONTRIBUTING.md LICENSE Makefile "
    "compose.yaml docs deploy examples .ci .gitignore .dockerignore".split()
)
REQUIRED_TOP_LEVEL = ("cmw", "cmw/_rtp.pyx", "bench", "tests", "setup.py", "pyproject.toml", "Dockerfile")


class Import(NamedTuple):
    """One import: the module as written, made absolute, and the line it stands on."""

    module: str
    line: int


def sources() -> list[Path]:
    found = [*SOURCE.rglob("*.py"), *SOURCE.rglob("*.pyi"), *SOURCE.rglob("*.pyx"), *SOURCE.rglob("*.pxd")]
    return sorted(path.relative_to(ROOT) for path in found)


def layer_name(path: Path) -> str:
    """Return the key of LAYERS for a file: its package below cmw, or its own name when it stands in cmw itself."""
    return path.parts[1] if len(path.parts) > 2 else path.stem


def imports_of_python(text: str, package: str) -> Iterator[Import]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (start, node.module) if part)
            yield Import(module, node.lineno)
            if module == "cmw":
                yield from (Import(f"cmw.{alias.name}", node.lineno) for alias in node.names)


def imports_of_cython(text: str) -> Iterator[Import]:
    code = re.sub(r'"""(?s:.*?)"""', lambda found: "\n" * found[0].count("\n"), text)
    for number, line in enumerate(code.splitlines(), 1):
        if match := re.match(r"\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w.]+))", line):
            yield Import(match[1] or match[2], number)


def imports_of(path: Path, text: str) -> Iterator[Import]:
    if path.suffix in (".pyx", ".pxd"):
        return imports_of_cython(text)
    return imports_of_python(text, ".".join(path.parent.parts))


def faults_of(path: Path, text: str) -> Iterator[str]:
    name = layer_name(path)
    rule = LAYERS.get(name)
    if rule is None:
        yield f"{path}: package {name} has no row in LAYERS"
        return
    for module, line in imports_of(path, text):
        if fault := _fault(module, name, rule):
            yield f"{path}:{line}: {fault}"


def _fault(module: str, name: str, rule: Layer) -> str:
    parts = module.split(".")
    top = parts[0]
    if top == "cmw":
        target = parts[1] if len(parts) > 1 else "__init__"
        known = target if target in LAYERS else "__init__"  # `from cmw import __version__`
        return "" if known in {name, "__init__", *rule.ours} else f"{name} may not import cmw.{target}"
    if top in sys.stdlib_module_names:
        return f"{name} is pure and may not import {top}" if rule.pure and top in FORBIDDEN_IN_PURE else ""
    if top in ("cython", "cpython", "libc", "posix"):
        return ""
    return "" if top in rule.third_parties else f"{name} may not import {top}"


@pytest.mark.parametrize("path", sources(), ids=str)
def test_imports_point_down_only(path: Path) -> None:
    assert list(faults_of(path, (ROOT / path).read_text())) == []


@pytest.mark.parametrize(
    ("path", "text", "fault"),
    [
        ("cmw/sip/x.py", "import asyncio", "sip is pure and may not import asyncio"),
        ("cmw/sip/x.py", "def f():\n    from time import monotonic", "sip is pure and may not import time"),
        ("cmw/sip/x.py", "from cmw.rtp import packet", "sip may not import cmw.rtp"),
        ("cmw/sip/x.py", "from ..rtp import packet", "sip may not import cmw.rtp"),
        ("cmw/sip/x.py", "from cmw import rtp", "sip may not import cmw.rtp"),
        ("cmw/sip/x.py", "import pydantic", "sip may not import pydantic"),
        ("cmw/load/x.py", "import ujson", "load may not import ujson"),
        ("cmw/core/x.py", "import cmw.sip", "core may not import cmw.sip"),
        ("cmw/net/x.py", "import cmw.worker.logs", "net may not import cmw.worker"),
        ("cmw/worker/x.py", "import cmw.gateway", "worker may not import cmw.gateway"),
        ("cmw/gateway/x.py", "import cmw.worker", "gateway may not import cmw.worker"),
        ("cmw/net/x.py", "import cmw.cli", "net may not import cmw.cli"),
        ("cmw/_rtp.pyx", "from cmw.net._media cimport Engine", "_rtp may not import cmw.net"),
        ("cmw/_rtp.pyx", "cimport numpy", "_rtp may not import numpy"),
        ("cmw/new/x.py", "", "package new has no row in LAYERS"),
    ],
)
def test_a_breach_is_seen(path: str, text: str, fault: str) -> None:
    assert [found.endswith(fault) for found in faults_of(Path(path), text)] == [True]


def test_the_rule_itself_has_no_way_up() -> None:
    for name, rule in LAYERS.items():
        back = {other for other in rule.ours if name in LAYERS[other].ours}
        assert back <= {"rtp", "_rtp"} - {name}, f"{name} and {back}"
    siblings = {"sip", "rtp", "link", "metrics", "capture"}
    assert all(not LAYERS[name].ours & (siblings - {name}) for name in siblings)


def parts_of_sip() -> list[frozenset[str]]:
    """Return the files of each part of cmw/sip, from the bottom up, as docs/architecture.md has them."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.partition("## Inside `cmw/sip`")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| [^|]+ \| ((?:`\w+` ?)+) \|$", table, re.M)
    return [frozenset(re.findall(r"`(\w+)`", row)) for row in rows]


def imports_at_run_time(text: str) -> set[str]:
    """Return the modules of cmw.sip that a file imports, those for the type checker alone left out."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found = {module for module, _ in imports_of_python(ast.unparse(tree), "cmw.sip")}
    return {module.split(".")[2] for module in found if module.startswith("cmw.sip.")}


def test_every_file_of_sip_is_in_one_part() -> None:
    files = sorted(path.stem for path in (SOURCE / "sip").glob("*.py") if path.stem != "__init__")
    assert sorted(name for part in parts_of_sip() for name in part) == files


def test_the_parts_of_sip_build_on_those_above_them() -> None:
    below: set[str] = {"_scan"}  # the compiled half of messages
    for part in parts_of_sip():
        below |= part
        for name in part:
            assert imports_at_run_time((SOURCE / "sip" / f"{name}.py").read_text()) - below == set(), name


def test_the_top_level_holds_only_what_it_should() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    assert {line.split("/")[0] for line in listed.stdout.splitlines()} - TOP_LEVEL == set()


@pytest.mark.parametrize("path", REQUIRED_TOP_LEVEL)
def test_the_top_level_holds_all_it_must(path: str) -> None:
    assert (ROOT / path).exists()
