"""What an import pulls in: the protocol cores only the standard library, a starting worker no server's libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCK_THIRD_PARTIES = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top != "cmw" and top not in sys.stdlib_module_names and not top.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"third party import: {name}", name=name)
sys.meta_path.insert(0, Block())
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "package", ["cmw", "cmw.errors", "cmw.core", "cmw.sip", "cmw.rtp", "cmw.capture", "cmw.metrics"]
)
def test_protocol_cores_import_with_the_standard_library_alone(package: str) -> None:
    run(f"{BLOCK_THIRD_PARTIES}\nimport {package}")


def test_the_block_does_block() -> None:
    with pytest.raises(AssertionError, match="third party import: pydantic"):
        run(f"{BLOCK_THIRD_PARTIES}\nimport pydantic")


@pytest.mark.parametrize("package", ["cmw.sip", "cmw.rtp", "cmw.link", "cmw.load", "cmw.metrics"])
def test_pure_packages_bring_neither_loop_nor_socket_of_their_own(package: str) -> None:
    loaded = run(f"import {package}, sys; print(*sorted(sys.modules))").split()
    assert not {"uvloop", "fastapi", "sqlalchemy", "cmw.net", "cmw.worker", "cmw.gateway"} & set(loaded)


def test_a_starting_worker_loads_no_server_libraries() -> None:
    loaded = set(run("import cmw.cli.worker_command, cmw.cli.main, sys; print(*sys.modules)").split())
    assert not {"fastapi", "sqlalchemy", "uvicorn", "alembic", "starlette", "yaml", "cmw.gateway"} & loaded
