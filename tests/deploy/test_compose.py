"""That compose.yaml is what the compose specification allows, and the worker that users know."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cmw.worker.settings import WorkerSettings

FILE = Path(__file__).parents[2] / "compose.yaml"


def test_the_compose_file_is_valid() -> None:
    done = held_to_the_specification(FILE)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [("restarts", "always", "restarts"), ("cap_drop", "ALL", "cap_drop"), ("ports", [{"published": []}], "ports")],
)
def test_a_wrong_compose_file_would_be_noticed(tmp_path: Path, key: str, value: Any, named: str) -> None:
    document = yaml.safe_load(FILE.read_text())
    document["services"]["worker"][key] = value
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(yaml.safe_dump(document))
    done = held_to_the_specification(wrong)
    assert done.returncode == 1
    assert named in done.stdout


def test_the_worker_of_the_compose_file_is_the_one_that_users_of_the_hosted_service_know() -> None:
    worker = services()["worker"]
    assert list(worker["environment"]) == [
        "WORKER_TOKEN", "CLOUD_URL", "WORKER_NAME", "LOG_LEVEL", "LOG_FORMAT", "HEALTH_PORT",
    ]  # fmt: skip
    assert (worker["restart"], worker["ports"]) == ("unless-stopped", ["3030:3030"])
    assert worker["healthcheck"] == {
        "test": ["CMD", "curl", "-f", "http://localhost:3030/health"],
        "interval": "30s",
        "timeout": "5s",
        "retries": 3,
        "start_period": "15s",
    }
    assert worker["deploy"]["resources"] == {
        "limits": {"cpus": "4.0", "memory": "4G"},
        "reservations": {"cpus": "2.0", "memory": "2G"},
    }
    assert worker["logging"] == {"driver": "json-file", "options": {"max-size": "50m", "max-file": "5"}}


def test_the_compose_file_waits_longer_for_the_end_than_the_worker_takes() -> None:
    worker = services()["worker"]
    taken_s = int(
        worker["environment"].get("SHUTDOWN_TIMEOUT", WorkerSettings.model_fields["shutdown_timeout"].default)
    )
    assert int(worker["stop_grace_period"].removesuffix("s")) > taken_s


@pytest.mark.parametrize("service", ["worker", "gateway"])
def test_a_service_has_no_rights_that_it_does_not_need(service: str) -> None:
    found = services()[service]
    assert (found["cap_drop"], found.get("cap_add"), found["read_only"]) == (["ALL"], None, True)
    assert found["security_opt"] == ["no-new-privileges:true"]


def test_settings_of_the_compose_file_are_settings() -> None:
    assert {name.lower() for name in services()["worker"]["environment"]} <= set(WorkerSettings.model_fields)


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    return found


def held_to_the_specification(file: Path) -> subprocess.CompletedProcess[str]:
    words = ["--builtin-schema", "vendor.compose-spec", "--verbose", str(file)]
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *words], check=False, capture_output=True, text=True
    )
