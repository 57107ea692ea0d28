"""The OpenAPI document says what the API does: schemathesis asks what it allows and what it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cmw.gateway.rest.app import ApiLimits
from tests.support.background_gateway import BackgroundGateway

CONFIG = Path(__file__).with_name("schemathesis.toml")
UNLIMITED = ApiLimits(requests_per_minute=1_000_000, failures_per_minute=1_000_000)


@pytest.mark.loopback
def test_every_operation_answers_as_the_document_says(tmp_path: Path) -> None:
    """The same requests however quick the machine is: a limit of time would have it go on until then."""
    with BackgroundGateway(tmp_path / "data", UNLIMITED) as gateway:
        done = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                "--config-file",
                CONFIG,
                "run",
                f"{gateway.url}/api/v1/openapi.json",
                "--header",
                f"Authorization: Bearer {gateway.api_key}",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-8000:]
