"""A gateway that starts for the first time says where its first key is and how to make others, and never again."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.faults.lab import Lab

pytestmark = pytest.mark.loopback


def test_it_is_said_once_and_the_key_is_the_owners_alone(tmp_path: Path) -> None:
    with Lab(tmp_path, 17) as lab:
        key_file = lab.data / "api-key"
        assert f"the first API key is in {key_file}" in lab.gateway.output
        assert "cmw keys create NAME --role" in lab.gateway.output
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        key = key_file.read_text()
        lab.gateway.stop()
        lab.start_gateway()
        assert "API key" not in lab.gateway.output
        assert "keys create" not in lab.gateway.output
        assert key_file.read_text() == key
